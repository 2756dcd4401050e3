package monitor_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/statemachine"
)

// storm drives a bench through random verdicts, evidence, orders and faults of the ledger, and ends with a quiet call that
// settles what was left open.
func storm(rt *rapid.T, b *bench, steps int) {
	scopes := []statemachine.Scope{onChannel(0), wholeChannel(0), onChannel(1), wholeChannel(1), wholeChannel(2)}
	scope := rapid.SampledFrom(scopes)
	for range steps {
		b.now = b.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
		b.ledger.Plan(rapid.SampledFrom([]ledgertest.Fault{
			ledgertest.None, ledgertest.None, ledgertest.Conflict, ledgertest.Lost, ledgertest.Unanswered, ledgertest.Late,
		}).Draw(rt, "fault"))
		s := scope.Draw(rt, "scope")
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			action := statemachine.Action(rapid.IntRange(int(statemachine.ActionOff), int(statemachine.ActionLift)).Draw(rt, "action"))
			q := b.order(action, 0, s)
			if action == statemachine.ActionOff || action == statemachine.ActionOnNow {
				q.Order.For = time.Minute
			}
			_, _ = b.give(q) // may be refused
		case 1, 2:
			j := rapid.SampledFrom([]statemachine.Judgement{statemachine.Passed, statemachine.Passed, statemachine.Failed}).Draw(rt, "judgement")
			_, _ = b.control.Submit(b.t.Context(), []monitor.Input{b.step(s, j)}, b.fleet, b.now)
		default:
			inputs := []monitor.Input{failing(s)}
			if rapid.Bool().Draw(rt, "two") {
				inputs = append(inputs, failing(scope.Draw(rt, "second scope")))
			}
			_, _ = b.control.Submit(b.t.Context(), inputs, b.fleet, b.now)
		}
	}
}

// moves lists every move of the journal, in order.
func (b *bench) moves() []monitor.Move {
	var out []monitor.Move
	for _, e := range b.journal() {
		out = append(out, e.Moves...)
	}
	return out
}

func enters(m monitor.Move) bool {
	return m.After.Phase == statemachine.Disabled && m.After.Generation != m.Before.Generation
}

func TestInvariant01_OneEntryPerIncidentGeneration(t *testing.T) {
	type life struct {
		scope      statemachine.Scope
		incident   string
		generation uint64
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 4)
		storm(rt, b, 30)
		seen := map[life]bool{}
		for _, m := range b.moves() {
			if !enters(m) {
				continue
			}
			l := life{m.After.Scope, m.After.Incident, m.After.Generation}
			if seen[l] {
				rt.Fatalf("%s entered DISABLED twice in incident %s, generation %d", l.scope, l.incident, l.generation)
			}
			seen[l] = true
		}
	})
}

func TestInvariant04_NoCutWithoutStoredEvidence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 4)
		storm(rt, b, 30)
		for _, e := range b.journal() {
			for _, m := range e.Moves {
				_, before := m.Before.Effective()
				_, after := m.After.Effective()
				if m.Cause != statemachine.Automation || !enters(m) && after >= before {
					continue
				}
				evidence := evidenceIn(&e, &m)
				if evidence == nil || evidence.Answered <= 0 || evidence.Bad/evidence.Answered != evidence.Rate {
					rt.Fatalf("entry %d lowers %s without evidence to recompute it from: %+v", e.Sequence, m.After.Scope, evidence)
				}
			}
		}
	})
}

// evidenceIn is what a move rests on: its own evidence, or that of its incident in the same entry.
func evidenceIn(e *monitor.JournalEntry, m *monitor.Move) *statemachine.Evidence {
	if m.Evidence != nil {
		return m.Evidence
	}
	for i := range e.Incidents {
		if e.Incidents[i].ID == m.After.Incident {
			return &e.Incidents[i].Evidence
		}
	}
	return nil
}

func TestInvariant04_EvidenceIsStoredWithTheIncident(t *testing.T) {
	b := newBench(t, 3)
	bare := monitor.Input{Scope: onChannel(0), Event: statemachine.Verdict{Kind: statemachine.Failing, Scope: onChannel(0)}}
	r := b.submit(bare)
	if len(r.Moves) != 0 || !slices.Contains(r.Unfounded, onChannel(0)) || b.control.Counters().Unfounded != 1 {
		t.Errorf("a verdict without evidence: %+v", r)
	}
	id := b.submit(failing(onChannel(0))).Incidents[0].ID
	stored := b.view().Incidents[0]
	if entry := b.journal()[0]; stored.ID != id || stored.Evidence.Answered != 40 || entry.Incidents[0].Evidence.Reasons[0].Reason != "E91" {
		t.Errorf("incident %+v, entry %+v", stored, entry)
	}
}

func TestInvariant12_OrderOutranksAutomation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 4)
		storm(rt, b, 30)
		for _, m := range b.moves() {
			if m.Cause != statemachine.Automation || !m.Before.Held() {
				continue
			}
			if m.Before.Phase != m.After.Phase || m.Before.Share != m.After.Share || m.After.Held() != m.Before.Held() {
				rt.Fatalf("automation moved a held scope from %+v to %+v: %s", m.Before, m.After, m.Reason)
			}
		}
	})
	// An order that lands between the leader's reading and its writing wins.
	b := newBench(t, 3)
	b.submit()
	hold := b.order(statemachine.ActionHold, 0, onChannel(0))
	if _, err := monitor.NewControl(b.memory.Peer("r2"), "r2").Order(t.Context(), hold, b.fleet, b.now); err != nil {
		t.Fatal(err)
	}
	<-b.memory.Changed() // the leader has not heard of it
	if _, err := b.control.Submit(t.Context(), []monitor.Input{failing(onChannel(0))}, b.fleet, b.now); err == nil {
		t.Fatal("a cut decided before the hold was committed after it")
	}
	b.submit()
	if st := b.state(onChannel(0)); st.Phase != statemachine.Healthy || st.Kind != statemachine.Observed {
		t.Errorf("got %+v; want it observed and left alone", st)
	}
}

func TestInvariant14_EveryChangeJournalledAndChained(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 4)
		storm(rt, b, 30)
		last := map[statemachine.Scope]statemachine.State{}
		for _, e := range b.journal() {
			if e.Author == "" || e.Reason == "" || e.At == 0 || e.Cause == statemachine.CauseNone {
				rt.Fatalf("entry %d: %+v", e.Sequence, e)
			}
			for _, m := range e.Moves {
				from, ok := last[m.After.Scope]
				if !ok {
					from = statemachine.NewState(m.After.Scope)
				}
				if m.Before != from || m.Reason == "" {
					rt.Fatalf("entry %d takes %s from %+v, it was %+v", e.Sequence, m.After.Scope, m.Before, from)
				}
				last[m.After.Scope] = m.After
			}
		}
		for _, st := range b.view().States {
			if last[st.Scope] != st.State {
				rt.Fatalf("%s is %+v, the journal left it at %+v", st.Scope, st.State, last[st.Scope])
			}
		}
		if err := b.memory.Verify(t.Context()); err != nil {
			rt.Fatal(err)
		}
	})
}

// Also with several cuts in one batch, and with ramp steps that fail when the others are closed.
func TestInvariant02_ABatchNeverCutsTheLastOne(t *testing.T) {
	b := newBench(t, 3)
	b.submit(failing(wholeChannel(0)), failing(wholeChannel(1)), failing(wholeChannel(2)))
	if st := b.state(wholeChannel(2)); st.Phase != statemachine.Healthy || st.Kind != statemachine.Refused {
		t.Fatalf("the last channel is %+v", st)
	}
	b = newBench(t, 2)
	b.submit(failing(wholeChannel(1)))
	b.walk(wholeChannel(1), statemachine.Ramping)
	b.submit(failing(wholeChannel(0)), b.step(wholeChannel(1), statemachine.Failed))
	open := 0
	for n := range 2 {
		if phase, share := b.state(wholeChannel(n)).Effective(); phase != statemachine.Disabled && share > 0 {
			open++
		}
	}
	if open == 0 {
		t.Error("a cut and a failing ramp step together closed everything")
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 3)
		storm(rt, b, 30)
		states := map[statemachine.Scope]statemachine.State{}
		closed := func(n int) bool {
			for _, s := range []statemachine.Scope{wholeChannel(n), onChannel(n)} {
				if phase, share := states[s].Effective(); states[s].Scope == s && phase != statemachine.Healthy && share == 0 {
					return true
				}
			}
			return false
		}
		for _, m := range b.moves() {
			usable := func() int { return 3 - countTrue(closed(0), closed(1), closed(2)) }
			before := usable()
			states[m.After.Scope] = m.After
			if m.Cause == statemachine.Automation && before > 0 && usable() == 0 {
				rt.Fatalf("automation closed the last usable channel: %s: %s", m.After.Scope, m.Reason)
			}
		}
	})
}

func countTrue(values ...bool) int {
	n := 0
	for _, v := range values {
		if v {
			n++
		}
	}
	return n
}

func TestInvariant17_NoOscillation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, 4)
		storm(rt, b, 60)
		entries := map[statemachine.Scope][]statemachine.Instant{}
		for _, e := range b.journal() {
			for _, m := range e.Moves {
				s := m.After.Scope
				if m.After.OnNow.Set() && !m.Before.OnNow.Set() {
					entries[s] = nil // an operator's ON_NOW clears them
				}
				opened := m.Before.Phase == statemachine.Healthy || m.Before.Phase == statemachine.Ramping
				if m.Cause != statemachine.Automation || !enters(m) || !opened {
					continue
				}
				entries[s] = append(entries[s], e.At)
				if n := len(entries[s]); n >= 3 && e.At.Sub(entries[s][n-3]) < 10*time.Minute && !byHand(b, s, entries[s][n-3], e.At) {
					rt.Fatalf("%s was closed three times between %d and %d", s, entries[s][n-3], e.At)
				}
			}
		}
	})
}

// byHand tells whether a person opened the scope in between: then automation may cut again.
func byHand(b *bench, s statemachine.Scope, from, to statemachine.Instant) bool {
	for _, e := range b.journal() {
		for _, m := range e.Moves {
			if m.After.Scope == s && m.Cause != statemachine.Automation && e.At >= from && e.At <= to {
				return true
			}
		}
	}
	return false
}
