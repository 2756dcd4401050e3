package clienttest

import (
	"maps"
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Off switches a scope off, as an operator does. A scope is a channel ("alpha"), a part of one ("alpha/business=PAYOUT",
// "alpha/method=QUICKPAY", "alpha/account=main", "alpha/instrument=QUICKPAY:ICBC:DEBIT") or a failure domain ("domain=…").
func (s *Server) Off(scope string) {
	s.tb.Helper()
	s.state(scope, func(st *statemachine.State) {
		st.Off = statemachine.Override{Author: "clienttest", Reason: "switched off by the test", Since: statemachine.Instant(s.now().UnixMilli())}
	})
}

// Suspend closes a scope as compliance does: no client ever probes it by itself.
func (s *Server) Suspend(scope string) {
	s.tb.Helper()
	s.state(scope, func(st *statemachine.State) {
		st.Suspend = statemachine.Override{Author: "clienttest", Reason: "suspended by the test", Since: statemachine.Instant(s.now().UnixMilli())}
	})
}

// Cut disables a scope, as automation does when its channel fails.
func (s *Server) Cut(scope string) {
	s.tb.Helper()
	s.phase(scope, statemachine.Disabled, 0)
}

// Probe lets a scope be probed: payments reach it with a token only, see Grant.
func (s *Server) Probe(scope string) {
	s.tb.Helper()
	s.phase(scope, statemachine.Probing, 0)
}

// Ramp gives a scope a share of its would-be traffic, in parts per million.
func (s *Server) Ramp(scope string, sharePPM uint32) {
	s.tb.Helper()
	if sharePPM > uint32(statemachine.FullShare) {
		s.tb.Fatalf("clienttest: Ramp(%q, %d): want at most 1000000 parts per million", scope, sharePPM)
	}
	s.phase(scope, statemachine.Ramping, statemachine.Share(sharePPM))
}

// Heal makes a scope healthy and lifts all orders.
func (s *Server) Heal(scope string) {
	s.tb.Helper()
	s.state(scope, func(st *statemachine.State) {
		*st = statemachine.State{
			Scope: st.Scope, Phase: statemachine.Healthy, Share: statemachine.FullShare, Generation: st.Generation + 1, After: s.revision.Revision,
		}
	})
}

func (s *Server) phase(scope string, p statemachine.Phase, share statemachine.Share) {
	s.tb.Helper()
	s.state(scope, func(st *statemachine.State) {
		*st = statemachine.State{
			Scope: st.Scope, Phase: p, Share: share, Generation: st.Generation + 1, After: s.revision.Revision,
			Since: statemachine.Instant(s.now().UnixMilli()), CutBy: statemachine.Automation, Suspend: st.Suspend, Off: st.Off,
		}
	})
}

// state changes the state of a scope and puts a table with it in force.
func (s *Server) state(text string, change func(*statemachine.State)) {
	s.tb.Helper()
	scope, err := statemachine.ParseScope(text)
	if err != nil {
		s.tb.Fatalf("clienttest: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.plan.Has(scope) {
		s.tb.Fatalf("clienttest: the catalogue has no scope %s", text)
	}
	st, ok := s.states[scope]
	if !ok {
		st = statemachine.NewState(scope)
	}
	change(&st)
	s.states[scope] = st
	s.revision.Revision++
	s.swap()
}

// Score publishes scores, which strategies rank by.
func (s *Server) Score(scores ...routing.Score) {
	slices.SortFunc(scores, func(a, b routing.Score) int { return a.Item.Compare(b.Item) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scores = &routing.Scores{Scores: scores, Second: s.now().Unix()}
	s.revision.Revision++
	s.swap()
}

// Apply puts another catalogue in force; states stay.
func (s *Server) Apply(c *configv1.Catalog) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = s.compile(c)
	s.revision.Revision++
	s.swap()
}

// swap puts a table of the newest states in force, under the lock.
func (s *Server) swap() {
	states := slices.SortedFunc(maps.Values(s.states), func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) })
	s.table = s.plan.Table(s.revision, states, s.scores)
	s.router.Swap(s.table)
	close(s.changed)
	s.changed = make(chan struct{})
}

// sight is the table in force, and what is closed when another is.
func (s *Server) sight() (*routing.Table, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table, s.changed
}
