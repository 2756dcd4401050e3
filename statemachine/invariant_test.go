package statemachine

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// history runs random events against a scope, one to thirty seconds apart, and hands every step to see.
func history(t *rapid.T, s State, p Policy, see func(from State, e Event, to State, effects []Effect, now time.Time)) {
	now := scenarioStart
	for range rapid.IntRange(1, 120).Draw(t, "steps") {
		now = now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)
		e := rapid.SampledFrom(walkEvents(s, now)).Draw(t, "event")
		to, effects := Step(s, e, p, now)
		see(s, e, to, effects, now)
		s = to
	}
}

func TestInvariant01_OneEntryIntoDisabledPerIncidentAndGeneration(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		opened := map[string]bool{}
		history(t, NewState(ChannelScope("union")), DefaultPolicy(), func(from State, _ Event, to State, effects []Effect, _ time.Time) {
			if to.Phase == Disabled && from.Generation != to.Generation {
				key := fmt.Sprint(to.Incident, "/", to.Generation)
				if seen[key] || to.Incident == "" {
					t.Fatalf("entered DISABLED twice for %q", key)
				}
				seen[key] = true
			}
			for _, e := range effects {
				if o, ok := e.(IncidentOpened); ok {
					if opened[o.Incident.ID] {
						t.Fatalf("incident id %s given twice", o.Incident.ID)
					}
					opened[o.Incident.ID] = true
				}
			}
		})
	})
}

// TestInvariant01_TheSameVerdictTwiceCutsOnce: a replica that repeats a verdict after a lost answer does no harm.
func TestInvariant01_TheSameVerdictTwiceCutsOnce(t *testing.T) {
	t.Parallel()
	v := Verdict{Kind: Failing, Evidence: Evidence{Answered: 20, Bad: 18, Rate: 0.9, To: scenarioStart.Unix()}}
	once, _ := Step(NewState(ChannelScope("union")), v, DefaultPolicy(), scenarioStart)
	twice, effects := Step(once, v, DefaultPolicy(), scenarioStart)
	if once.Phase != Disabled || twice != once || effects != nil {
		t.Fatalf("got %+v then %+v with %v", once, twice, effects)
	}
}

func TestInvariant06_RampNeverAdvancesWithoutEvidenceOfItsStepNorHeld(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy()
		history(t, NewState(ChannelScope("union")), p, func(from State, e Event, to State, effects []Effect, now time.Time) {
			if err := invariant06(from, e, to, effects, p, now); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestInvariant06_StaleEvidenceMovesNothing(t *testing.T) {
	t.Parallel()
	s := State{Scope: ChannelScope("union"), Phase: Ramping, Share: 100_000, Generation: 7, Step: 2, CutBy: Automation, Kind: Cut, Incident: "i", Since: 1, StepSince: 1}
	good := StepEvidence{Generation: 7, Step: 2, Judgement: Passed, Answered: 50, Sent: 50, Settled: 50}
	held := s
	held.Hold = Override{Author: "li", Reason: "r", Since: 1}
	for name, c := range map[string]struct {
		state  State
		change func(*StepEvidence)
		moves  bool
	}{
		"this step":          {s, func(*StepEvidence) {}, true},
		"the step before":    {s, func(e *StepEvidence) { e.Step = 1 }, false},
		"another generation": {s, func(e *StepEvidence) { e.Generation = 6 }, false},
		"nothing answered":   {s, func(e *StepEvidence) { e.Answered = 0 }, false},
		"attempts open":      {s, func(e *StepEvidence) { e.Settled = 47 }, false},
		"still gathering":    {s, func(e *StepEvidence) { e.Judgement = Gathering }, false},
		"held":               {held, func(*StepEvidence) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := good
			c.change(&e)
			to, _ := Step(c.state, e, DefaultPolicy(), scenarioStart)
			if (to.Share > c.state.Share) != c.moves {
				t.Errorf("share went from %s to %s", c.state.Share, to.Share)
			}
		})
	}
}

func TestInvariant12_OrdersOutrankAutomation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy()
		history(t, NewState(ChannelScope("union")), p, func(from State, e Event, to State, effects []Effect, now time.Time) {
			if err := invariant12(from, e, to, effects, p, now); err != nil {
				t.Fatal(err)
			}
			phase, share := to.Effective()
			switch {
			case (to.Suspend.Set() || to.Off.Set()) && phase != Disabled:
				t.Fatalf("closed by order, but routers see %s %s", phase, share)
			case to.OnNow.Set() && !to.Suspend.Set() && (phase != Healthy || share != FullShare):
				t.Fatalf("open by order, but routers see %s %s", phase, share)
			}
		})
	})
}

func TestInvariant17_AtMostTwoAutomaticCutsInTenMinutes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy()
		p.CoolDown, p.CoolDownMax = time.Second, time.Second
		p.Dwell = time.Second
		var w watcher
		history(t, NewState(ChannelScope("union")), p, func(from State, e Event, to State, effects []Effect, now time.Time) {
			if err := w.invariant17(from, e, to, effects, p, now); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestInvariant17_FlappingChannelIsNotReopenedThrice(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	p.QuietRate = 1000 // the shortest way home, so the most cuts
	p.CoolDown, p.CoolDownMax = time.Second, time.Second
	s, cuts := NewState(ChannelScope("union")), 0
	for i := range 600 {
		now := scenarioStart.Add(time.Duration(i) * time.Second)
		for _, e := range []Event{
			Tick{},
			Verdict{Kind: Failing, Evidence: Evidence{Answered: 20, Bad: 20, Rate: 1, To: now.Unix()}},
			StepEvidence{Generation: s.Generation, Step: s.Step, Judgement: Passed, Answered: 20},
		} {
			before := s
			s, _ = Step(s, e, p, now)
			if s.Phase == Disabled && before.Phase == Healthy {
				cuts++
			}
		}
	}
	if cuts != 2 {
		t.Errorf("%d automatic cuts in ten minutes, want 2", cuts)
	}
}

// TestProbingWithoutEvidenceKeepsProbing: no results are no reason to give up, nor to open.
func TestProbingWithoutEvidenceKeepsProbing(t *testing.T) {
	t.Parallel()
	s := State{Scope: ChannelScope("union"), Phase: Probing, Generation: 2, CutBy: Automation, Kind: Cut, Incident: "i"}
	now := scenarioStart
	for range 10_000 {
		now = now.Add(time.Second)
		next, effects := Step(s, Tick{}, DefaultPolicy(), now)
		if next != s || effects != nil {
			t.Fatalf("moved to %+v", next)
		}
		next, _ = Step(s, StepEvidence{Generation: 2, Judgement: Gathering}, DefaultPolicy(), now)
		if next != s {
			t.Fatalf("moved to %+v", next)
		}
	}
}

func BenchmarkStepQuiet(b *testing.B) {
	p := DefaultPolicy()
	s := NewState(InstrumentScope("union", Instrument{"QUICKPAY", "ICBC", "DEBIT"}))
	b.ReportAllocs()
	for b.Loop() {
		if _, effects := Step(s, Tick{}, p, scenarioStart); effects != nil {
			b.Fatal("moved")
		}
	}
}

func TestQuietStepAllocatesNothing(t *testing.T) {
	p := DefaultPolicy()
	s := NewState(ChannelScope("union"))
	if n := testing.AllocsPerRun(100, func() { Step(s, Tick{}, p, scenarioStart) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
