package routepb

import (
	"slices"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// OptionsLifetime is how long, in seconds, a list of payment options may be shown without asking again.
const OptionsLifetime = 10

// ListOptions lists the payment options that a request asks for at a Unix second, sorted. Its fields were checked before. tell,
// if not nil, amends each option that the catalogue knows.
func ListOptions(
	t *routing.Table, m *sluicev1.ListPaymentOptionsRequest, second int64, tell func(*sluicev1.PaymentOption, statemachine.Instrument),
) []*sluicev1.PaymentOption {
	options := routing.ListOptions(t, &routing.Request{
		Merchant: m.GetMerchant(), Entity: m.GetSettlementEntity(), Business: ToBusiness(m.GetBusinessType()),
		Amount: m.GetAmount(), Currency: m.GetCurrency(), UserTier: m.GetUserTier(), Enrolled: m.GetEnrolledChannels(),
	}, second)
	wanted := wantedOptions{methods: m.GetMethods(), banks: m.GetBanks()}
	var all []*sluicev1.PaymentOption
	for i := range options {
		o := &options[i]
		if wanted.match(o.Instrument) && (o.Status != routing.OptionUnsupported || m.GetIncludeUnsupported()) {
			option := FromOption(o)
			if tell != nil {
				tell(option, o.Instrument)
			}
			all = append(all, option)
		}
	}
	if m.GetIncludeUnsupported() {
		all = append(all, wanted.missing(options)...)
	}
	slices.SortFunc(all, compareOptions)
	return all
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

// FromOption returns a payment option as cashiers show it.
func FromOption(o *routing.Option) *sluicev1.PaymentOption {
	m := &sluicev1.PaymentOption{
		Method: o.Instrument.Method, Bank: FromBank(o.Instrument), CardType: FromCard(o.Instrument.CardType),
		Reason: sluicev1.DropReason(o.Reason), Until: FromSecond(o.Until),
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
