package cli

import (
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// declared reports whether the catalogue's channel has what a scope names. Absent states mean healthy, so that without this a
// mistyped account would be called healthy. Without a catalogue everything passes.
func declared(c *configv1.Channel, scope *sluicev1.Scope) bool {
	if c == nil {
		return true
	}
	s := scopeOf(scope)
	switch s.Kind {
	case statemachine.ScopeBusiness:
		return slices.ContainsFunc(c.GetBusinessTypes(), func(b configv1.BusinessType) bool { return businessName(b) == s.Of })
	case statemachine.ScopeAccount:
		return slices.ContainsFunc(c.GetAccounts(), func(a *configv1.Account) bool { return a.GetId() == s.Of })
	case statemachine.ScopeMethod:
		return slices.ContainsFunc(c.GetInstruments(), func(i *configv1.Instrument) bool { return i.GetMethod() == s.Of })
	case statemachine.ScopeInstrument:
		return declaredInstrument(c, scope)
	case statemachine.ScopeChannel, statemachine.ScopeDomain, statemachine.ScopeUnspecified:
	}
	return true
}

func declaredInstrument(c *configv1.Channel, scope *sluicev1.Scope) bool {
	return slices.ContainsFunc(c.GetInstruments(), func(i *configv1.Instrument) bool {
		for _, bank := range orNone(i.GetBanks()) {
			cards := make([]string, 0, len(i.GetCardTypes()))
			for _, card := range i.GetCardTypes() {
				cards = append(cards, cardName(card))
			}
			for _, card := range orNone(cards) {
				item := statemachine.InstrumentScope(c.GetId(), statemachine.Instrument{Method: i.GetMethod(), Bank: bank, CardType: card})
				if sameScope(scope, &sluicev1.Scope{Name: item.String()}) {
					return true
				}
			}
		}
		return false
	})
}

// orNone stands for the absent bank or card type of an instrument that knows none.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{statemachine.NoBank}
	}
	return list
}
