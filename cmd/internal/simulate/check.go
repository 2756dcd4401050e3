package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

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
	for i := range s.Traffic {
		if begins := s.Traffic[i].Shape.begins(); begins > 0 {
			checkBegin(root, s, s.Traffic[i].at, fmt.Sprintf("traffic[%d].shape", i), begins)
		}
	}
	for i := range s.Reports.Silent {
		q, path := &s.Reports.Silent[i], fmt.Sprintf("reports.silent[%d]", i)
		checkBegin(root, s, q.at, path, q.From)
		checkIndex(root, s, q.at, path+".gateway", q.Gateway, s.Gateways)
	}
	for i := range s.Truth {
		t, path := &s.Truth[i], fmt.Sprintf("truth[%d]", i)
		checkBegin(root, s, t.at, path, t.From)
		checkIndex(root, s, t.at, path+".gateway", t.Selector.Gateway, s.Gateways)
		checkIndex(root, s, t.at, path+".replica", t.Selector.Replica, s.Replicas)
	}
	for i := range s.Operators {
		checkBegin(root, s, s.Operators[i].at, fmt.Sprintf("operators[%d]", i), s.Operators[i].At)
	}
	for i := range s.Faults {
		checkBegin(root, s, s.Faults[i].at, fmt.Sprintf("faults[%d]", i), s.Faults[i].From)
		checkIndex(root, s, s.Faults[i].at, fmt.Sprintf("faults[%d].replica", i), s.Faults[i].Replica, s.Replicas)
	}
}

// checkBegin reports what begins after the run.
func checkBegin(root value, s *Scenario, at Position, path string, begins time.Duration) {
	if s.Duration > 0 && begins >= s.Duration {
		root.d.problems = append(root.d.problems, ScenarioError{
			File: s.file, At: at, Path: path, Message: fmt.Sprintf("never happens: the run lasts %v", s.Duration),
		})
	}
}

func checkIndex(root value, s *Scenario, at Position, path string, n, most int) {
	if n > most {
		root.d.problems = append(root.d.problems, ScenarioError{
			File: s.file, At: at, Path: path, Message: fmt.Sprintf("%d: the scenario has %d", n, most),
		})
	}
}

// references lists every name of the scenario that the catalogue does not know, and streams nobody can serve.
func references(s *Scenario, c *contracts) ScenarioErrors {
	var problems ScenarioErrors
	add := func(at Position, path, message string) {
		problems = append(problems, ScenarioError{File: s.file, At: at, Path: path, Message: message})
	}
	for i := range s.Traffic {
		if !s.Traffic[i].broken && len(c.cellsOf(s, i)) == 0 {
			add(s.Traffic[i].at, fmt.Sprintf("traffic[%d]", i), "no channel of the catalogue serves this stream: "+c.unserved(&s.Traffic[i]))
		}
	}
	for i := range s.Truth {
		for _, m := range c.unknown(s.Truth[i].Selector) {
			add(s.Truth[i].at, fmt.Sprintf("truth[%d]", i), m)
		}
	}
	for i := range s.Operators {
		unknown := c.unknown(s.Operators[i].Scope)
		for _, m := range unknown {
			add(s.Operators[i].at, fmt.Sprintf("operators[%d].scope", i), m)
		}
		if _, err := s.Operators[i].Scope.narrowest(); err == nil && len(unknown) == 0 && len(c.scopes(s.Operators[i].Scope)) == 0 {
			add(s.Operators[i].at, fmt.Sprintf("operators[%d].scope", i), "the channel has no such instrument")
		}
	}
	return problems
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
