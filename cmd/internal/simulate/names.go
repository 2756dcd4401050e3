package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// unknown lists the names of a selector that the catalogue does not have, on the channel of the selector if it has one.
func (k *contracts) unknown(s Selector) []string {
	var out []string
	ch, ok := k.channels[s.Channel]
	if s.Channel != "" && !ok {
		out = append(out, fmt.Sprintf("unknown channel %q%s", s.Channel, oneOf(slices.Sorted(maps.Keys(k.channels)))))
	}
	if s.Domain != "" && !k.domains[s.Domain] {
		out = append(out, fmt.Sprintf("unknown failure_domain %q%s", s.Domain, oneOf(slices.Sorted(maps.Keys(k.domains)))))
	}
	if s.Bank != "" && !k.banks[s.Bank] {
		out = append(out, fmt.Sprintf("unknown bank %q", s.Bank))
	}
	if s.Method != "" && !k.methods[s.Method] {
		out = append(out, fmt.Sprintf("unknown method %q%s", s.Method, oneOf(slices.Sorted(maps.Keys(k.methods)))))
	}
	if s.Account != "" && !k.hasAccount(ch, s.Account) {
		out = append(out, fmt.Sprintf("unknown account %q", s.Account))
	}
	if len(out) == 0 && !k.possible(s) {
		out = append(out, "the catalogue has all of these names, but nothing that matches them together")
	}
	return out
}

// oneOf continues a message with a few right names.
func oneOf(names []string) string {
	const most = 12
	if len(names) == 0 || len(names) > most {
		return ""
	}
	return "; want one of " + strings.Join(names, ", ")
}

// possible reports whether some channel of the catalogue has everything a selector asks for.
func (k *contracts) possible(s Selector) bool {
	for id, ch := range k.channels {
		if s.Channel != "" && s.Channel != id || s.Domain != "" && !slices.Contains(ch.GetFailureDomains(), s.Domain) ||
			s.Account != "" && !k.hasAccount(ch, s.Account) ||
			s.Business != statemachine.BusinessUnspecified && !slices.Contains(ch.GetBusinessTypes(), configv1.BusinessType(s.Business)) {
			continue
		}
		if slices.ContainsFunc(k.instruments(ch), s.matchesInstrument) {
			return true
		}
	}
	return false
}

func (s Selector) matchesInstrument(i statemachine.Instrument) bool {
	return (s.Bank == "" || s.Bank == i.Bank) && (s.CardType == "" || s.CardType == i.CardType) && (s.Method == "" || s.Method == i.Method)
}

// hasAccount looks on one channel, or on all if ch is nil.
func (k *contracts) hasAccount(ch *configv1.Channel, account string) bool {
	has := func(ch *configv1.Channel) bool {
		return slices.ContainsFunc(ch.GetAccounts(), func(a *configv1.Account) bool { return a.GetId() == account })
	}
	if ch != nil {
		return has(ch)
	}
	for _, c := range k.channels {
		if has(c) {
			return true
		}
	}
	return false
}

// unserved says what about a stream rules out the last channel, in the order in which one would look.
func (k *contracts) unserved(st *Stream) string {
	left := slices.Sorted(maps.Keys(k.channels))
	keep := func(ok func(ch *configv1.Channel) bool) bool {
		left = slices.DeleteFunc(left, func(id string) bool { return !ok(k.channels[id]) })
		return len(left) > 0
	}
	switch {
	case !keep(func(ch *configv1.Channel) bool {
		return slices.Contains(ch.GetBusinessTypes(), configv1.BusinessType(st.Business))
	}):
		return "none has business type " + st.Business.String()
	case !keep(func(ch *configv1.Channel) bool { return slices.Contains(k.instruments(ch), st.Instrument) }):
		return "none of the rest carries " + st.Instrument.String()
	case !keep(func(ch *configv1.Channel) bool { return slices.Contains(ch.GetCurrencies(), st.Currency) }):
		return "none of the rest settles in " + st.Currency
	case !keep(func(ch *configv1.Channel) bool { return slices.ContainsFunc(ch.GetAccounts(), st.mayUse) }):
		return fmt.Sprintf("none of the rest has an account for merchant %s of settlement entity %s", st.Merchant, st.Entity)
	}
	return "no route leads there"
}

// mayUse reports whether payments of the stream may go through an account.
func (s *Stream) mayUse(a *configv1.Account) bool {
	return a.GetEntity() == s.Entity && (len(a.GetMerchants()) == 0 || slices.Contains(a.GetMerchants(), s.Merchant))
}
