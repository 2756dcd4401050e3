package routepb

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// FromScope returns a scope with its name and its parts.
func FromScope(s statemachine.Scope) *sluicev1.Scope {
	m := &sluicev1.Scope{Name: s.String(), Channel: s.Channel}
	switch s.Kind {
	case statemachine.ScopeDomain:
		m.FailureDomain = s.Of
	case statemachine.ScopeBusiness:
		if b, err := statemachine.ParseBusinessType(s.Of); err == nil {
			m.BusinessType = configv1.BusinessType(b)
		}
	case statemachine.ScopeMethod:
		m.Method = s.Of
	case statemachine.ScopeAccount:
		m.Account = s.Of
	case statemachine.ScopeInstrument:
		if i, err := statemachine.ParseInstrument(s.Of); err == nil {
			m.Method, m.Bank, m.CardType = i.Method, i.Bank, FromCard(i.CardType)
		}
	case statemachine.ScopeChannel, statemachine.ScopeUnspecified:
	}
	return m
}
