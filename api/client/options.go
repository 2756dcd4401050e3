package client

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// optionsLifetime is how long, in seconds, a list of payment options may be shown without asking again.
const optionsLifetime = 10

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
	business := businessOf(m.GetBusinessType())
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
	reply := &sluicev1.ListPaymentOptionsResponse{
		TableRevision: t.Revision().Revision, ValidUntil: secondStamp(second + optionsLifetime), TableAge: durationpb.New(state.Age), Source: state.Source,
	}
	options := routing.ListOptions(t, &routing.Request{
		Merchant: m.GetMerchant(), Entity: m.GetSettlementEntity(), Business: business, Amount: m.GetAmount(), Currency: m.GetCurrency(),
		UserTier: m.GetUserTier(), Enrolled: m.GetEnrolledChannels(),
	}, second)
	wanted := wantedOptions{methods: m.GetMethods(), banks: m.GetBanks()}
	for i := range options {
		o := &options[i]
		if wanted.match(o.Instrument) && (o.Status != routing.OptionUnsupported || m.GetIncludeUnsupported()) {
			reply.Options = append(reply.Options, optionOf(o))
		}
	}
	if m.GetIncludeUnsupported() {
		reply.Options = append(reply.Options, wanted.missing(options)...)
	}
	slices.SortFunc(reply.GetOptions(), compareOptions)
	return reply, nil
}

// wantedOptions are the methods and banks asked for; empty = all.
type wantedOptions struct{ methods, banks []string }

func (w wantedOptions) match(i statemachine.Instrument) bool {
	return (len(w.methods) == 0 || slices.Contains(w.methods, i.Method)) && (len(w.banks) == 0 || slices.Contains(w.banks, i.Bank))
}

// missing returns what was asked for and the catalogue does not know at all, as UNSUPPORTED. Without methods, or banks, the other
// stands alone.
func (w wantedOptions) missing(known []routing.Option) []*sluicev1.PaymentOption {
	methods, banks := distinct(w.methods), distinct(w.banks)
	if len(methods)+len(banks) == 0 {
		return nil
	}
	if len(methods) == 0 {
		methods = []string{""}
	}
	if len(banks) == 0 {
		banks = []string{""}
	}
	var out []*sluicev1.PaymentOption
	for _, method := range methods {
		for _, bank := range banks {
			has := slices.ContainsFunc(known, func(o routing.Option) bool {
				return (method == "" || o.Instrument.Method == method) && (bank == "" || o.Instrument.Bank == bank)
			})
			if !has {
				out = append(out, &sluicev1.PaymentOption{
					Method: method, Bank: bank, Availability: sluicev1.Availability_AVAILABILITY_UNSUPPORTED,
					Reason: sluicev1.DropReason_DROP_REASON_INSTRUMENT_UNSUPPORTED,
				})
			}
		}
	}
	return out
}

func distinct(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func optionOf(o *routing.Option) *sluicev1.PaymentOption {
	m := &sluicev1.PaymentOption{
		Method: o.Instrument.Method, Bank: bankOf(o.Instrument), CardType: cardOf(o.Instrument.CardType),
		Reason: sluicev1.DropReason(o.Reason), Until: secondStamp(o.Until),
		ChannelsSupporting: uint32(o.Supporting), ChannelsUsable: uint32(o.Usable), //nolint:gosec // at most 64
	}
	switch o.Status {
	case routing.OptionUnsupported:
		m.Availability = sluicev1.Availability_AVAILABILITY_UNSUPPORTED
	case routing.OptionDown:
		m.Availability = sluicev1.Availability_AVAILABILITY_DOWN
	case routing.OptionAvailable:
		m.Availability = sluicev1.Availability_AVAILABILITY_AVAILABLE
		if o.Usable < o.Supporting || o.Reason != routing.DropNone {
			m.Availability = sluicev1.Availability_AVAILABILITY_DEGRADED
		}
	}
	return m
}

func compareOptions(a, b *sluicev1.PaymentOption) int {
	key := func(o *sluicev1.PaymentOption) []string {
		return []string{o.GetMethod(), o.GetBank(), string(rune('0' + o.GetCardType()))}
	}
	return slices.Compare(key(a), key(b))
}
