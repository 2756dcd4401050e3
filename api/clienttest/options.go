package clienttest

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// optionsLifetime is how many seconds a list of payment options holds.
const optionsLifetime = 10

// ListPaymentOptions tells which ways to pay can be shown. What the catalogue does not know at all is left out, whatever
// include_unsupported says.
func (s *Server) ListPaymentOptions(_ context.Context, m *sluicev1.ListPaymentOptionsRequest) (*sluicev1.ListPaymentOptionsResponse, error) {
	t, _ := s.sight()
	second := s.now().Unix()
	reply := &sluicev1.ListPaymentOptionsResponse{
		TableRevision: t.Revision().Revision, TableAge: &durationpb.Duration{}, Source: sluicev1.TableSource_TABLE_SOURCE_FRESH,
		ValidUntil: &timestamppb.Timestamp{Seconds: second + optionsLifetime},
	}
	q := routing.Request{
		Merchant: m.GetMerchant(), Entity: m.GetSettlementEntity(), Business: statemachine.BusinessType(m.GetBusinessType()), //nolint:gosec // unknown ones have no options
		Amount: m.GetAmount(), Currency: m.GetCurrency(), UserTier: m.GetUserTier(), Enrolled: m.GetEnrolledChannels(),
	}
	within := func(name string, list []string) bool { return len(list) == 0 || slices.Contains(list, name) }
	for _, o := range routing.ListOptions(t, &q, second) {
		if !within(o.Instrument.Method, m.GetMethods()) || !within(o.Instrument.Bank, m.GetBanks()) ||
			o.Status == routing.OptionUnsupported && !m.GetIncludeUnsupported() {
			continue
		}
		reply.Options = append(reply.Options, routepb.FromOption(&o))
	}
	return reply, nil
}
