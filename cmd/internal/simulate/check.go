package simulate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// checkShape reports what is wrong with a scenario on its own, without a catalogue.
func checkShape(root value, s *Scenario) {
	if s.Name == "" {
		root.fail("name is missing")
	}
	if s.Duration == 0 {
		root.fail("duration is missing: want how long the run lasts, e.g. 2h")
	}
	if len(s.Traffic) == 0 {
		root.fail("traffic is missing: want at least one stream")
	}
	late := func(at Position, what string) {
		root.d.problems = append(root.d.problems, ScenarioError{
			File: s.file, At: at, Path: what, Message: fmt.Sprintf("never happens: the run lasts %v", s.Duration),
		})
	}
	for i := range s.Truth {
		t := &s.Truth[i]
		if s.Duration > 0 && t.From >= s.Duration {
			late(t.at, fmt.Sprintf("truth[%d]", i))
		}
		checkIndex(root, s, t.at, fmt.Sprintf("truth[%d].gateway", i), t.Selector.Gateway, s.Gateways)
		checkIndex(root, s, t.at, fmt.Sprintf("truth[%d].replica", i), t.Selector.Replica, s.Replicas)
	}
	for i := range s.Operators {
		if s.Duration > 0 && s.Operators[i].At >= s.Duration {
			late(s.Operators[i].at, fmt.Sprintf("operators[%d]", i))
		}
	}
	for i := range s.Faults {
		if s.Duration > 0 && s.Faults[i].From >= s.Duration {
			late(s.Faults[i].at, fmt.Sprintf("faults[%d]", i))
		}
		checkIndex(root, s, s.Faults[i].at, fmt.Sprintf("faults[%d].replica", i), s.Faults[i].Replica, s.Replicas)
	}
}

func checkIndex(root value, s *Scenario, at Position, path string, n, most int) {
	if n > most {
		root.d.problems = append(root.d.problems, ScenarioError{
			File: s.file, At: at, Path: path, Message: fmt.Sprintf("%d: the scenario has %d", n, most),
		})
	}
}

// checkReferences reports every name of the scenario that the catalogue does not know, and streams nobody can serve.
func checkReferences(s *Scenario, c *contracts) error {
	var problems ScenarioErrors
	add := func(at Position, path, message string) {
		problems = append(problems, ScenarioError{File: s.file, At: at, Path: path, Message: message})
	}
	for i := range s.Traffic {
		if len(c.cellsOf(s, i)) == 0 {
			add(s.Traffic[i].at, fmt.Sprintf("traffic[%d]", i), "no channel of the catalogue serves this stream")
		}
	}
	for i := range s.Truth {
		for _, m := range c.unknown(s.Truth[i].Selector) {
			add(s.Truth[i].at, fmt.Sprintf("truth[%d]", i), m)
		}
	}
	for i := range s.Operators {
		for _, m := range c.unknown(s.Operators[i].Scope) {
			add(s.Operators[i].at, fmt.Sprintf("operators[%d].scope", i), m)
		}
		if len(problems) == 0 && len(c.scopes(s.Operators[i].Scope)) == 0 {
			add(s.Operators[i].at, fmt.Sprintf("operators[%d].scope", i), "the channel has no such instrument")
		}
	}
	return problems.sorted()
}

// errMixed says that no single kind of scope covers a selector.
var errMixed = errors.New("want one of business_type, method, account, or bank with card_type and method")

// narrowest returns the kind of scope that a selector describes.
func (s Selector) narrowest() (statemachine.ScopeKind, error) {
	instrument := s.Bank != "" || s.CardType != ""
	kinds := make([]statemachine.ScopeKind, 0, 4)
	if s.Domain != "" {
		kinds = append(kinds, statemachine.ScopeDomain)
	}
	if s.Business != statemachine.BusinessUnspecified {
		kinds = append(kinds, statemachine.ScopeBusiness)
	}
	if s.Account != "" {
		kinds = append(kinds, statemachine.ScopeAccount)
	}
	if instrument {
		kinds = append(kinds, statemachine.ScopeInstrument)
	} else if s.Method != "" {
		kinds = append(kinds, statemachine.ScopeMethod)
	}
	switch {
	case len(kinds) > 1, s.Domain != "" && s.Channel != "":
		return 0, errMixed
	case len(kinds) == 1:
		return kinds[0], nil
	}
	return statemachine.ScopeChannel, nil
}

// matchesCell reports whether the selector's part that does not change from payment to payment matches.
func (s Selector) matchesCell(st *Stream, c *cell) bool {
	return (s.Channel == "" || s.Channel == c.channel) &&
		(s.Account == "" || s.Account == c.account) &&
		(s.Bank == "" || s.Bank == st.Instrument.Bank) &&
		(s.CardType == "" || s.CardType == st.Instrument.CardType) &&
		(s.Method == "" || s.Method == st.Instrument.Method) &&
		(s.Business == statemachine.BusinessUnspecified || s.Business == st.Business) &&
		(s.Domain == "" || slices.Contains(c.domains, s.Domain))
}
