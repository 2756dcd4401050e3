package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/statemachine"
)

// ListPaymentOptions tells which ways to pay can be shown, down the same ladder as Route. Decided without a replica it does not
// know bank_down_since: that is found from the results of all.
func (c *Client) ListPaymentOptions(ctx context.Context, m *sluicev1.ListPaymentOptionsRequest) (*sluicev1.ListPaymentOptionsResponse, error) {
	t := c.table()
	if c.stub == nil || c.cfg.Mode == LocalFirst && t != nil {
		return c.localOptions(m)
	}
	rest := time.Duration(0)
	if t != nil {
		rest = c.cfg.Reserve
	}
	var reply *sluicev1.ListPaymentOptionsResponse
	err := c.ask(ctx, rest, func(ctx context.Context) (err error) {
		reply, err = c.stub.ListPaymentOptions(ctx, m)
		return err //nolint:wrapcheck // a status
	})
	switch {
	case err != nil && falls(err) && t != nil:
		return c.localOptions(m)
	case err != nil && falls(err):
		return nil, c.unanswered(ctx, err)
	case err == nil && c.mem.sight().table != nil && reply.GetTableRevision() < t.Revision().Revision: // as Route, but for the epoch
		return c.localOptions(m)
	}
	return reply, err
}

// localOptions lists the options from the table held.
func (c *Client) localOptions(m *sluicev1.ListPaymentOptionsRequest) (*sluicev1.ListPaymentOptionsResponse, error) {
	t := c.table()
	if t == nil {
		return nil, noTable()
	}
	business := routepb.ToBusiness(m.GetBusinessType())
	switch {
	case !statemachine.ValidName(m.GetMerchant()) || sign(m.GetMerchant()):
		return nil, invalid("merchant", wantName)
	case !statemachine.ValidName(m.GetSettlementEntity()) || sign(m.GetSettlementEntity()):
		return nil, invalid("settlement_entity", wantName)
	case business == statemachine.BusinessUnspecified || business.FollowsOriginal():
		return nil, invalid("business_type", "COLLECT, PAYOUT, DEDUCT or AUTHENTICATE")
	case m.GetAmount() < 0:
		return nil, invalid("amount", "minor units, not negative")
	case len(m.GetCurrency()) != 3:
		return nil, invalid("currency", "an ISO 4217 code such as CNY")
	}
	state, second := c.State(), c.now().Unix()
	return &sluicev1.ListPaymentOptionsResponse{
		TableRevision: t.Revision().Revision, ValidUntil: routepb.FromSecond(second + routepb.OptionsLifetime),
		TableAge: durationpb.New(state.Age), Source: state.Source, Options: routepb.ListOptions(t, m, second, nil),
	}, nil
}
