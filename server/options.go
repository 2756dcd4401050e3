package server

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/statemachine"
)

// ListPaymentOptions tells which ways to pay can be shown.
func (r *routingService) ListPaymentOptions(_ context.Context, m *sluicev1.ListPaymentOptionsRequest) (*sluicev1.ListPaymentOptionsResponse, error) {
	t := r.s.cfg.Router.Table()
	if t == nil {
		return nil, noTable()
	}
	second := r.s.cfg.Clock.Second()
	reply := &sluicev1.ListPaymentOptionsResponse{TableRevision: t.Revision().Revision, ValidUntil: routepb.FromSecond(second + routepb.OptionsLifetime)}
	age, source := r.age(second)
	reply.TableAge, reply.Source = &durationpb.Duration{Seconds: age}, source
	reply.Options = routepb.ListOptions(t, m, second, func(o *sluicev1.PaymentOption, i statemachine.Instrument) {
		tellBankDown(o, r.s.bankDownSince(i.Bank))
	})
	return reply, nil
}
