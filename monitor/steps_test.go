package monitor

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// gate is what the routers counted of a scope in a second.
func gate(s statemachine.Scope, generation uint64, step, wouldBe, sent, routers uint32) GateSum {
	return GateSum{GateCount: statemachine.GateCount{Scope: s, Generation: generation, Step: step, WouldBe: wouldBe, Sent: sent}, Routers: routers}
}

func TestStepsGatherTheRunningStepAlone(t *testing.T) {
	f, s := fleetOf("c1:d1", "c2:d1"), NewSteps()
	scope := statemachine.InstrumentScope("c1", bank("ICBC"))
	st := put(f, scope, statemachine.Ramping, 3, 100)
	st.Step = 2
	f.States[scope] = st
	second := t0
	feed := func(revision int64, g GateSum, flows ...flow) ScopeEvidence {
		second++
		sum := sumOf(second, revision, flows...)
		sum.Gates = []GateSum{g}
		s.Observe(sum, f)
		e := s.Evidence(f, oneInAHundred)
		if len(e) != 1 || e[0].Scope != scope {
			t.Fatalf("evidence %+v, want one of %s", e, scope)
		}
		return e[0]
	}
	ramp := flow{channel: "c1", bank: "ICBC", good: 3, bad: 1, kind: statemachine.KindRamp}
	steps := []struct {
		name string
		got  func() ScopeEvidence
		want string
	}{
		{"counted under the table the step was decided against: gates alone", func() ScopeEvidence {
			return feed(100, gate(scope, 3, 2, 40, 4, 2), ramp)
		}, "step 2: 0 bad of 0, would-be 40, sent 4, 40 a second by 2"},
		{"gates of another step", func() ScopeEvidence {
			return feed(101, gate(scope, 3, 1, 7, 7, 1), ramp)
		}, "step 2: 1 bad of 4, would-be 40, sent 4, 23.5 a second by 2"},
		{"normal traffic, and another bank's ramp", func() ScopeEvidence {
			return feed(101, gate(scope, 3, 2, 10, 5, 1), flow{channel: "c1", bank: "ICBC", good: 9}, flow{channel: "c1", bank: "CCB", good: 9, kind: statemachine.KindRamp})
		}, "step 2: 1 bad of 4, would-be 50, sent 9, 19 a second by 2"},
		{"a new step keeps the demand of the minute alone", func() ScopeEvidence {
			st.Step, st.After = 3, 102
			f.States[scope] = st
			return feed(103, gate(scope, 3, 3, 13, 2, 1))
		}, "step 3: 0 bad of 0, would-be 13, sent 2, 17.5 a second by 2"},
	}
	for _, tt := range steps {
		e := tt.got()
		got := fmt.Sprintf("step %d: %g bad of %g, would-be %d, sent %d, %g a second by %d", e.Step, e.Bad, e.Answered, e.WouldBe, e.Sent, e.PerSecond, e.Routers)
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestStepsSettle(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	scope := statemachine.ChannelScope("c1")
	put(f, scope, statemachine.Ramping, 3, 0)
	feed := func(second int64, sent uint32, flows ...flow) uint64 {
		sum := sumOf(second, 5, flows...)
		sum.Gates = []GateSum{gate(scope, 3, 0, sent, sent, 1)}
		s.Observe(sum, f)
		return s.Evidence(f, oneInAHundred)[0].Settled
	}
	if got := feed(t0, 10); got != 0 {
		t.Errorf("%d of 10 attempts just sent are settled, want none", got)
	}
	if got := feed(t0+1, 0, flow{channel: "c1", bank: "ICBC", good: 4, kind: statemachine.KindRamp, age: 2}); got != 4 {
		t.Errorf("%d settled, want the 4 answered", got)
	}
	if got := feed(t0+delayUnknown, 2); got != 12 {
		t.Errorf("%d settled, want the 10 older than the delay, and the 2 that could not have answered yet", got)
	}
	if got := feed(t0+delayUnknown+delayAssumed, 0); got != 10 {
		t.Errorf("%d settled, want the 10 older than the delay", got)
	}
	learned := sumOf(t0+delayUnknown+delayAssumed+1, 5, flow{channel: "c1", bank: "ICBC", good: 200})
	learned.Items[0].Ages[2] = 200
	s.Observe(learned, f)
	if got := s.delays.p99("c1"); got != 3 {
		t.Errorf("learned delay %d s, want 3", got)
	}
}

// A second that was counted under two tables is no evidence, but what was sent and answered in it does not hold up the step.
func TestStepsSettleInTheSecondOfAChange(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	scope := statemachine.ChannelScope("c1")
	put(f, scope, statemachine.Ramping, 3, 5)
	sum := sumOf(t0, 5, flow{channel: "c1", bank: "ICBC", good: 20, kind: statemachine.KindRamp, age: 1})
	sum.Gates = []GateSum{gate(scope, 3, 0, 20, 20, 1)}
	s.Observe(sum, f)
	if e := s.Evidence(f, oneInAHundred)[0]; e.Answered != 0 || e.Settled != 20 {
		t.Errorf("%g results and %d settled of 20, want no evidence and all settled", e.Answered, e.Settled)
	}
}

// Attempts whose results were lost are settled once they are older than the learned delay, however many answer meanwhile.
func TestStepsSettleBesideLostResults(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	scope := statemachine.ChannelScope("c1")
	learned := sumOf(t0, 5, flow{channel: "c1", bank: "ICBC", good: 200, age: 2}) // all answer within a second
	s.Observe(learned, f)
	put(f, scope, statemachine.Ramping, 3, 0)
	for i := range int64(20) {
		sum := sumOf(t0+1+i, 5, flow{channel: "c1", bank: "ICBC", good: 9, kind: statemachine.KindRamp, age: 1})
		sum.Gates = []GateSum{gate(scope, 3, 0, 10, 10, 1)}
		s.Observe(sum, f)
	}
	if e := s.Evidence(f, oneInAHundred)[0]; e.Sent != 200 || e.Settled < 195 {
		t.Errorf("%d of %d settled, want all but the newest lost ones", e.Settled, e.Sent)
	}
}

// What a DEGRADED scope showed during its fault does not weigh on it for ever.
func TestStepsOfADegradedScopeForget(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	scope := statemachine.ChannelScope("c1")
	put(f, scope, statemachine.Ramping, 3, 0)
	st := f.States[scope]
	st.Kind = statemachine.Degraded
	f.States[scope] = st
	for i := range int64(300) {
		n := flow{channel: "c1", bank: "ICBC", bad: 10, kind: statemachine.KindRamp}
		if i >= 200 {
			n.good, n.bad = 10, 0
		}
		s.Observe(sumOf(t0+i, 5, n), f)
	}
	if e := s.Evidence(f, oneInAHundred)[0]; e.Bad != 0 || e.Answered < f.Policy("c1").StepEvidence {
		t.Errorf("100 good seconds after the fault: %g bad of %g, want none bad", e.Bad, e.Answered)
	}
}

// A step tells whether it follows a lesser share, and how often such a one had to be lowered again in this life.
func TestStepsTellHowOftenAShareFell(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	scope := statemachine.ChannelScope("c1")
	put(f, scope, statemachine.Ramping, 3, 0)
	second := t0
	for i, c := range []struct {
		generation uint64
		share      float64
		raised     bool
		fallen     int
	}{{3, 0.5, false, 0}, {3, 0.25, false, 0}, {3, 1, true, 0}, {3, 0.5, false, 1}, {3, 1, true, 1}, {3, 0.5, false, 2}, {5, 0.5, false, 0}} {
		st := f.States[scope]
		st.Kind, st.Generation, st.Step, st.Share = statemachine.Degraded, c.generation, uint32(i), statemachine.ShareOf(c.share)
		f.States[scope] = st
		second++
		s.Observe(sumOf(second, 5), f)
		if e := s.Evidence(f, oneInAHundred)[0]; e.Raised != c.raised || e.Fallen != c.fallen {
			t.Errorf("step %d at %g: raised %t, fallen %d, want %t, %d", i, c.share, e.Raised, e.Fallen, c.raised, c.fallen)
		}
	}
}

func TestStepsOfADomainSumItsChannels(t *testing.T) {
	f, s := fleetOf("c1:d1", "c2:d1", "c3"), NewSteps()
	scope := statemachine.DomainScope("d1")
	put(f, scope, statemachine.Ramping, 3, 1)
	put(f, statemachine.InstrumentScope("c2", bank("ICBC")), statemachine.Ramping, 1, 1)
	s.Observe(sumOf(t0, 5, flow{channel: "c1", bank: "CCB", good: 2, bad: 1}, flow{channel: "c1", bank: "ICBC", good: 1, kind: statemachine.KindRamp},
		flow{channel: "c2", bank: "CCB", good: 3}, flow{channel: "c2", bank: "ICBC", bad: 9, kind: statemachine.KindRamp},
		flow{channel: "c3", bank: "CCB", bad: 9}), f)
	e := s.Evidence(f, oneInAHundred)[0]
	if e.Scope != scope || e.Answered != 7 || e.Bad != 1 {
		t.Errorf("%s: %g bad of %g, want 1 of 7: c1 and c2 without the ramp of c2's own bank", e.Scope, e.Bad, e.Answered)
	}
}

func TestPipelineJudgesStepsExceptInCommonMode(t *testing.T) {
	scope := statemachine.InstrumentScope("c1", bank("ICBC"))
	relapse := flow{channel: "c1", bank: "ICBC", bad: 3, kind: statemachine.KindRamp}
	f, p := fleetOf("c1", "c2", "c3", "c4"), NewPipeline()
	put(f, scope, statemachine.Ramping, 3, 0)
	got := p.Observe(sumOf(t0, 5, append(calmFlows("c2", "c3", "c4"), relapse)...), f)
	if len(got.Steps) != 1 || got.Steps[0].Judgement != statemachine.Failed {
		t.Fatalf("steps %+v, want one that failed", got.Steps)
	}
	if kind, err := Recompute(got.Steps[0].Evidence); kind != statemachine.Failing || err != nil {
		t.Errorf("the relapse recomputes to %s, %v", kind, err)
	}
	f, p = fleetOf("c1", "c2", "c3", "c4"), NewPipeline()
	put(f, scope, statemachine.Ramping, 3, 0)
	play(p, f, t0, 5, allBad("c2", "c3", "c4")...)
	got = p.Observe(sumOf(t0+5, 5, append(allBad("c2", "c3", "c4"), relapse)...), f)
	if !got.CommonMode || got.Steps[0].Judgement != statemachine.Gathering {
		t.Errorf("common mode %t, judgement %s: our own fault must not look like a relapse", got.CommonMode, got.Steps[0].Judgement)
	}
	for i := range int64(20) {
		got = p.Observe(sumOf(t0+6+i, 5, append(calmFlows("c2", "c3", "c4"), flow{channel: "c1", bank: "ICBC", good: 1, kind: statemachine.KindRamp})...), f)
		if got.Steps[0].Judgement == statemachine.Failed {
			t.Fatalf("%d s after it the failures of our own fault fail the step", i)
		}
	}
	if got.CommonMode || got.Steps[0].Judgement != statemachine.Passed {
		t.Errorf("twenty seconds later: common mode %t, %s, want the step passed", got.CommonMode, got.Steps[0].Judgement)
	}
}

func TestDemandOfTheLastMinute(t *testing.T) {
	d := NewDemand()
	lane := statemachine.Lane{Entity: "e1", Business: statemachine.Collect, Instrument: bank("ICBC")}
	f := &statemachine.Fleet{
		Lanes: []statemachine.LaneMembers{
			{Lane: lane, Members: []statemachine.Member{{Channel: "c1", Account: "a1", Pools: []int{0, 1}}, {Channel: "c1", Account: "a2", Pools: []int{0}}}},
			{Lane: statemachine.Lane{Entity: "e2"}, Members: []statemachine.Member{{Channel: "c1", Account: "a1", Pools: []int{0, 1}}}},
		},
		Pools: []statemachine.Pool{{Name: "shared"}, {Name: "a1"}},
	}
	second := func(at int64, decisions, a1, a2 uint32) {
		sum := &SecondCounts{Second: at, Lanes: []statemachine.LaneCount{{Lane: lane, Decisions: decisions, Refused: 1}}}
		for account, n := range map[string]uint32{"a1": a1, "a2": a2} {
			c := ItemCounts{Item: statemachine.AccountScope("c1", account)}
			c.Sent[statemachine.KindNormal], c.Sent[statemachine.KindRamp] = n-1, 1
			sum.Items = append(sum.Items, c)
		}
		d.Observe(sum)
		d.Fill(f)
	}
	for i := range int64(10) {
		second(t0+i, 9, 4, 2)
	}
	if f.Lanes[0].Demand != 10 || f.Pools[0].Load != 6 || f.Pools[1].Load != 4 {
		t.Errorf("after ten seconds: demand %g, loads %+v, want 10, 6 and 4", f.Lanes[0].Demand, f.Pools)
	}
	for i := range int64(60) {
		second(t0+10+i, 19, 8, 2)
	}
	if f.Lanes[0].Demand != 20 || f.Pools[0].Load != 10 || f.Lanes[1].Demand != 0 {
		t.Errorf("a minute later: demand %g, loads %+v, want 20 and 10", f.Lanes[0].Demand, f.Pools)
	}
	d.Observe(&SecondCounts{Second: t0 + 200})
	d.Fill(f)
	if f.Lanes[0].Demand != 0 || f.Pools[0].Load != 0 {
		t.Errorf("after two silent minutes: demand %g, loads %+v, want 0", f.Lanes[0].Demand, f.Pools)
	}
}

// probe plays a router with steady would-be traffic that uses every token at once, or none, and returns the tokens it got.
// Every probe fails within a second.
func probe(f *statemachine.Fleet, scope statemachine.Scope, perSecond float64, length int64, use bool) (sent uint64, tokens []Grant) {
	g := NewGrants()
	var used, spent uint64 // spent: tokens that are used or lapsed
	due, failed := 0.0, uint32(0)
	for second := t0; second < t0+length; second++ {
		row := &Row{Replica: "r1", Counts: SecondCounts{Second: second}}
		due += perSecond
		wouldBe := uint32(due)
		due -= float64(wouldBe)
		now := uint32(0)
		for _, token := range g.Current() {
			if use && token.Tokens > spent && token.Until >= second && (wouldBe > 0 || token.Lift) {
				now++
				used++
				spent = token.Tokens
			}
		}
		row.Counts.Gates = []GateSum{gate(scope, 3, 0, wouldBe, now, 1)}
		item := ItemCounts{Item: scope}
		item.Evidence[statemachine.KindProbe] = Tally{Bad: failed, BadPayers: failed}
		row.Counts.Items, failed = []ItemCounts{item}, now
		g.Observe([]*Row{row}, "r1", f, second, nil)
		for _, token := range g.Current() {
			if len(tokens) == 0 || tokens[len(tokens)-1] != token {
				tokens = append(tokens, token)
			}
		}
	}
	return used, tokens
}

func TestGrants(t *testing.T) {
	scope := statemachine.ChannelScope("c1")
	f := fleetOf("c1")
	f.Default.ProbeInterval, f.Default.ProbeBudget = 2*time.Second, statemachine.ShareOf(0.12)
	put(f, scope, statemachine.Probing, 3, 0)
	tests := []struct {
		name      string
		perSecond float64
		length    int64
		min, max  uint64
	}{
		{"busy: one an interval", 100, 60, 25, 30},
		{"medium: one of thirteen payments, and those on its way", 2, 120, 14, 17},
		{"quiet: one of nine payments", 0.1, 600, 5, 7},
		{"silent: lifted, so that it does not stay closed", 0, 610, 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent, tokens := probe(f, scope, tt.perSecond, tt.length, true)
			if sent < tt.min || sent > tt.max {
				t.Errorf("%d probes, want %d to %d", sent, tt.min, tt.max)
			}
			if last := tokens[len(tokens)-1]; last.Lift != (tt.perSecond < 0.5) {
				t.Errorf("lift %t at %g payments a second", last.Lift, tt.perSecond)
			}
		})
	}
}

// Once the probes look good, several are in flight, within the budget of the whole time since the cut.
func TestGrantsHurryWhenProbesLookGood(t *testing.T) {
	grantsHurry(t, 0.9, 3)
	grantsHurry(t, 0.2, 0) // one good probe of a mild fault says little
}

// grantsHurry probes a busy scope whose first probe is good, and wants so many more at once.
func grantsHurry(t *testing.T, fault float64, more uint64) {
	t.Helper()
	scope := statemachine.ChannelScope("c1")
	f, g, steps := fleetOf("c1"), NewGrants(), NewSteps()
	st := put(f, scope, statemachine.Disabled, 2, 0)
	st.Base = statemachine.ShareOf(fault)
	f.States[scope] = st
	second := t0
	feed := func(wouldBe, sent uint32, good int) (given uint64) {
		second++
		row := &Row{Replica: "r1", Counts: SecondCounts{Second: second, Gates: []GateSum{gate(scope, f.States[scope].Generation, 0, wouldBe, sent, 1)}}}
		if good > 0 {
			row.Counts.Items = []ItemCounts{{Item: scope}}
			row.Counts.Items[0].Evidence[statemachine.KindProbe].Outcomes[statemachine.Succeeded] = uint32(good)
		}
		steps.Observe(&row.Counts, f)
		g.Observe([]*Row{row}, "r1", f, second, steps.Evidence(f, oneInAHundred))
		for _, token := range g.Current() {
			given += token.Tokens
		}
		return given
	}
	for range 20 {
		if n := feed(10, 0, 0); n != 0 {
			t.Fatalf("%d tokens while closed", n)
		}
	}
	st.Phase, st.Generation = statemachine.Probing, 3
	f.States[scope] = st
	if n := feed(10, 0, 0); n != 1 {
		t.Fatalf("%d tokens at first, want one", n)
	}
	if n := feed(10, 1, 0); n != 1 {
		t.Errorf("%d tokens while the first probe is unanswered, want no other", n)
	}
	if n := feed(10, 0, 1); n != 1+more {
		t.Errorf("%d tokens after a good probe, want %d more at once", n, more)
	}
	if more == 0 {
		return
	}
	if n := feed(10, 3, 0); n != 4 {
		t.Errorf("%d tokens with three probes in flight, want no other", n)
	}
	if n := feed(10, 0, 2); n != 6 {
		t.Errorf("%d tokens after two answers, want two more", n)
	}
}

// A probe that is never answered does not hold up the next for ever.
func TestGrantsGoOnAfterALostProbe(t *testing.T) {
	scope := statemachine.ChannelScope("c1")
	f, g := fleetOf("c1"), NewGrants()
	put(f, scope, statemachine.Probing, 3, 0)
	var given []int64
	for second := t0; second < t0+60; second++ {
		sent := uint32(0)
		if n := len(given); n > 0 && given[n-1] == second-1 {
			sent = 1
		}
		before := uint64(len(given))
		g.Observe([]*Row{{Replica: "r1", Counts: SecondCounts{Second: second, Gates: []GateSum{gate(scope, 3, 0, 20, sent, 1)}}}}, "r1", f, second, nil)
		if now := g.Current(); len(now) > 0 && now[0].Tokens > before {
			given = append(given, second)
		}
	}
	if len(given) != 3 || given[1]-given[0] != 2*delayUnknown+1 {
		t.Errorf("tokens at %v, want one each twice the longest delay", given)
	}
}

// probingOf is a channel in PROBING, whose fault may be that nothing answers, with answers known to come within a second.
func probingOf(hangs bool, rate float64) (*statemachine.Fleet, *Steps, statemachine.State) {
	f, s := fleetOf("c1"), NewSteps()
	f.Default.Detector = statemachine.DetectorSequential
	scope := statemachine.ChannelScope("c1")
	s.Observe(sumOf(t0, 5, flow{channel: "c1", bank: "ICBC", good: 200, age: 2}), f)
	st := put(f, scope, statemachine.Probing, 3, 0)
	st.Hangs, st.Base = hangs, statemachine.ShareOf(rate)
	f.States[scope] = st
	return f, s, st
}

// An unanswered attempt is a failed one where the fault is that nothing answers, and nothing elsewhere.
func TestStepsOfAHangingFaultCountSilence(t *testing.T) {
	for _, hangs := range []bool{true, false} {
		f, s, st := probingOf(hangs, 0.9)
		for i := range int64(6) {
			sum := sumOf(t0+1+i, 5, flow{channel: "c2", bank: "ICBC", good: 1})
			if i == 0 {
				sum.Gates = []GateSum{gate(st.Scope, 3, 0, 9, 1, 1)}
			}
			s.Observe(sum, f)
			judged, e := judgeStep(st, s.Evidence(f, oneInAHundred)[0].StepEvidence, f.Default, 0.01)
			want := statemachine.Gathering
			if hangs && i >= 4 { // twice the two seconds of the longest delay
				want = statemachine.Failed
			}
			if judged != want || want == statemachine.Failed && !recomputeStep(e) {
				t.Errorf("hangs %t, silent for %d s: %s, want %s (%+v)", hangs, i, judged, want, e)
			}
		}
	}
}

// A decision that becomes no attempt looks like one that nobody answers. It must not hold a scope back when what came after it is
// well, nor may what came before it speak for the end.
func TestOneSilentProbeDoesNotOutweighWhatAnsweredSince(t *testing.T) {
	f, s, st := probingOf(true, 0.4)
	const silent = 5 // a probe a second, the sixth is never answered
	for i := range int64(60) {
		of := flow{channel: "c1", bank: "ICBC", age: 1, kind: statemachine.KindProbe}
		if i != silent {
			of.good = 1
		}
		sum := sumOf(t0+1+i, 5, of)
		sum.Gates = []GateSum{gate(st.Scope, 3, 0, 9, 1, 1)}
		s.Observe(sum, f)
		judged, e := judgeStep(st, s.Evidence(f, oneInAHundred)[0].StepEvidence, f.Default, 0.01)
		if judged == statemachine.Failed {
			t.Fatalf("after %d s: %s (%+v)", i, judged, e)
		}
		if judged == statemachine.Passed {
			if good := e.Answered - e.Bad; e.Bad > 0 || good > float64(i-silent) {
				t.Errorf("passed after %d s on %g good of %g, want those since the silent one", i, good, e.Answered)
			}
			return
		}
	}
	t.Error("not passed after a minute in which all but one probe were answered")
}

// Timeouts do not teach that the channel answers late.
func TestDelaysLeaveTimeoutsOut(t *testing.T) {
	d := delays{}
	for i := range int64(100) {
		sum := sumOf(t0+i, 5, flow{channel: "c1", bank: "ICBC", good: 3, age: 2})
		for j := range sum.Items {
			sum.Items[j].Ages[6] = 2
			sum.Items[j].Totals[statemachine.TimedOut] = 2
		}
		d.observe(sum)
	}
	if got := d.p99("c1"); got != 2 {
		t.Errorf("learned delay %d s, want 2", got)
	}
}

func TestGrantsLapseWithoutPilingUp(t *testing.T) {
	scope := statemachine.ChannelScope("c1")
	f := fleetOf("c1")
	put(f, scope, statemachine.Probing, 3, 0)
	_, tokens := probe(f, scope, 100, 60, false)
	if len(tokens) < 2 {
		t.Fatalf("%d tokens in a minute, want new ones after the old have lapsed", len(tokens))
	}
	for i, g := range tokens { // a router adds what is new since the grant before, after that has lapsed
		if g.Tokens != uint64(i)+1 {
			t.Errorf("token %d makes %d in all, want one more than before", i, g.Tokens)
		}
		if i > 0 && g.Until <= tokens[i-1].Until {
			t.Errorf("token %d is valid until %d like the one before: both could be used", i, g.Until)
		}
	}
}

func TestGrantsGoToTheReplicaWithTheTraffic(t *testing.T) {
	scope := statemachine.ChannelScope("c1")
	f, p := fleetOf("c1"), NewPipeline()
	st := put(f, scope, statemachine.Probing, 3, 0)
	rows := []*Row{
		{Replica: "r1", Counts: SecondCounts{Second: t0, Gates: []GateSum{gate(scope, 3, 0, 1, 0, 1)}}},
		{Replica: "r2", Counts: SecondCounts{Second: t0, Gates: []GateSum{gate(scope, 3, 0, 9, 0, 1)}}},
	}
	got := p.Grant(rows, "r1", f, t0, nil)
	if len(got) != 1 || got[0].Replica != "r2" || got[0].Scope != scope || got[0].Generation != 3 || got[0].Until <= t0 {
		t.Errorf("grants %+v, want one token for r2", got)
	}
	st.Phase, st.Generation = statemachine.Ramping, 4
	f.States[scope] = st
	if got := p.Grant(rows, "r1", f, t0+1, nil); len(got) != 0 {
		t.Errorf("grants %+v after probing ended", got)
	}
	st.Phase, st.Generation, st.Hold = statemachine.Probing, 5, statemachine.Override{Since: 1}
	f.States[scope] = st
	if got := p.Grant(rows, "r1", f, t0+2, nil); len(got) != 0 {
		t.Errorf("grants %+v though an operator holds the scope", got)
	}
}
