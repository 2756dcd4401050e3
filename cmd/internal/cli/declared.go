package cli

import (
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// declared lists what an argument names on a channel, by the catalogue: the scope itself, or all cards of a bank. It is empty
// where the channel has no such thing; absent states mean healthy, so that a mistyped account would be called healthy otherwise.
func declared(c *configv1.Channel, asked *sluicev1.Scope) []statemachine.Scope {
	s := scopeOf(asked)
	found := false
	switch s.Kind {
	case statemachine.ScopeInstrument:
		return declaredInstruments(c, asked)
	case statemachine.ScopeBusiness:
		found = slices.ContainsFunc(c.GetBusinessTypes(), func(b configv1.BusinessType) bool { return businessName(b) == s.Of })
	case statemachine.ScopeAccount:
		found = slices.ContainsFunc(c.GetAccounts(), func(a *configv1.Account) bool { return a.GetId() == s.Of })
	case statemachine.ScopeMethod:
		found = slices.ContainsFunc(c.GetInstruments(), func(i *configv1.Instrument) bool { return i.GetMethod() == s.Of })
	case statemachine.ScopeChannel:
		found = true
	case statemachine.ScopeDomain, statemachine.ScopeUnspecified:
	}
	if found {
		return []statemachine.Scope{s}
	}
	return nil
}

func declaredInstruments(c *configv1.Channel, asked *sluicev1.Scope) []statemachine.Scope {
	var found []statemachine.Scope
	for _, i := range c.GetInstruments() {
		cards := make([]string, 0, len(i.GetCardTypes()))
		for _, card := range i.GetCardTypes() {
			cards = append(cards, cardName(card))
		}
		for _, bank := range orNone(i.GetBanks()) {
			for _, card := range orNone(cards) {
				item := statemachine.InstrumentScope(c.GetId(), statemachine.Instrument{Method: i.GetMethod(), Bank: bank, CardType: card})
				if sameScope(asked, &sluicev1.Scope{Name: item.String()}) {
					found = append(found, item)
				}
			}
		}
	}
	return found
}

// orNone stands for the absent bank or card type of an instrument that knows none.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{statemachine.NoBank}
	}
	return list
}
