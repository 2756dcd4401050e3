package server

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// optionsLifetime is how long, in seconds, a list of payment options may be shown without asking again.
const optionsLifetime = 10

// ListPaymentOptions tells which ways to pay can be shown.
func (r *routingService) ListPaymentOptions(_ context.Context, m *sluicev1.ListPaymentOptionsRequest) (*sluicev1.ListPaymentOptionsResponse, error) {
	t := r.s.cfg.Router.Table()
	if t == nil {
		return nil, noTable()
	}
	second := r.s.cfg.Clock.Second()
	reply := &sluicev1.ListPaymentOptionsResponse{TableRevision: t.Revision().Revision, ValidUntil: secondStamp(second + optionsLifetime)}
	age, source := r.age(second)
	reply.TableAge, reply.Source = &durationpb.Duration{Seconds: age}, source
	options := routing.ListOptions(t, &routing.Request{
		Merchant: m.GetMerchant(), Entity: m.GetSettlementEntity(), Business: businessOf(m.GetBusinessType()),
		Amount: m.GetAmount(), Currency: m.GetCurrency(), UserTier: m.GetUserTier(), Enrolled: m.GetEnrolledChannels(),
	}, second)
	wanted := wantedOptions{methods: m.GetMethods(), banks: m.GetBanks()}
	for i := range options {
		o := &options[i]
		if wanted.match(o.Instrument) && (o.Status != routing.OptionUnsupported || m.GetIncludeUnsupported()) {
			m := optionOf(o)
			tellBankDown(m, r.s.bankDownSince(o.Instrument.Bank))
			reply.Options = append(reply.Options, m)
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

// missing returns what was asked for and the catalogue does not know at all, as UNSUPPORTED.
func (w wantedOptions) missing(known []routing.Option) []*sluicev1.PaymentOption {
	var out []*sluicev1.PaymentOption
	add := func(method, bank string) {
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
	methods, banks := distinct(w.methods), distinct(w.banks)
	switch {
	case len(methods) == 0:
		for _, b := range banks {
			add("", b)
		}
	case len(banks) == 0:
		for _, m := range methods {
			add(m, "")
		}
	default:
		for _, m := range methods {
			for _, b := range banks {
				add(m, b)
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
