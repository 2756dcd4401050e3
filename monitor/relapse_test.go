package monitor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// homeWorld is channel c1, too quiet for a ramp, that came home from its probes at t0 after a fault of a rate.
func homeWorld(rate float64) (*Pipeline, *statemachine.Fleet) { return homeWorldOf(rate, 0) }

// homeWorldOf is the same, where so many payments would have come in the last five seconds.
func homeWorldOf(rate float64, wouldBe uint32) (*Pipeline, *statemachine.Fleet) {
	p, f := NewPipeline(), fleetOf("c1", "c2", "c3")
	f.Default.Detector = statemachine.DetectorSequential
	play(p, f, t0-605, 600, calmFlows("c1", "c2", "c3")...) // until its normal rate is known
	scope := statemachine.ChannelScope("c1")
	closed := put(f, scope, statemachine.Probing, 3, 5)
	closed.Base = statemachine.ShareOf(rate)
	f.States[scope] = closed
	play(p, f, t0-5, 4, calmFlows("c2", "c3")...)
	sum := sumOf(t0-1, 10, calmFlows("c2", "c3")...)
	sum.Gates = append(sum.Gates, gate(scope, 3, 0, wouldBe, 0, 1))
	p.Observe(sum, f)
	open := put(f, scope, statemachine.Healthy, 4, 5)
	open.Probation = statemachine.Instant((t0 + 300) * 1000)
	f.States[scope] = open
	return p, f
}

// firstResults plays one payment a second over c1, by turns with two banks: g is good, b fails with a coded reply.
func firstResults(p *Pipeline, f *statemachine.Fleet, outcomes string, banks ...string) (verdicts []statemachine.Verdict) {
	for i, r := range outcomes {
		flows := []flow{{channel: "c1", bank: banks[i%len(banks)], coded: true, bad: 1}}
		if r == 'g' {
			flows[0].good, flows[0].bad = 1, 0
		}
		verdicts = p.Observe(sumOf(t0+int64(i), 10, append(flows, calmFlows("c2", "c3")...)...), f).Verdicts
		if len(verdicts) > 0 {
			return verdicts
		}
	}
	return verdicts
}

func TestAScopeThatCameHomeIsClosedAgainByItsFirstFailures(t *testing.T) {
	closes := []string{"failing c1"}
	for name, c := range map[string]struct {
		rate     float64
		outcomes string
		want     []string
	}{
		"one failure":                        {1, "b", nil},
		"two failures":                       {1, "bb", closes},
		"two failures, a good one between":   {1, "bgb", closes},
		"two failures far apart":             {1, "bggggggggb", nil},
		"two of a milder fault":              {0.2, "bggggggb", closes},
		"a fault that looked worse at first": {0.7, "bggggb", closes},
		"two after a while":                  {0.9, strings.Repeat("g", 25) + "bb", nil},
		"nobody knows its rate":              {0, "bb", nil},
		"all of it has been well for long":   {1, strings.Repeat("g", 60) + "bb", nil},
		"good ones":                          {0.4, strings.Repeat("g", 30), nil},
	} {
		p, f := homeWorld(c.rate)
		got := firstResults(p, f, c.outcomes, "ICBC", "CCB")
		equal(t, name, names(got), c.want)
		for _, v := range got {
			e := v.Evidence
			if kind, err := Recompute(e); e.Rule != RuleRelapse || kind != statemachine.Failing || err != nil || !strings.Contains(e.Explanation, "soon after it was opened") {
				t.Errorf("%s: the evidence amounts to %v %v: %+v", name, kind, err, e)
			}
		}
	}
}

// What a ramp has shown needs no such watch, nor does what an operator opened or what is closed again.
func TestOnlyAScopeThatCameHomeFromItsProbesIsWatched(t *testing.T) {
	for name, change := range map[string]func(*statemachine.State){
		"from a ramp":     func(s *statemachine.State) { s.Phase = statemachine.Ramping },
		"lowered":         func(s *statemachine.State) { s.Phase, s.Kind = statemachine.Ramping, statemachine.Degraded },
		"straight opened": func(s *statemachine.State) { s.Phase = statemachine.Disabled },
	} {
		p, f := homeWorld(1)
		home := f.State(statemachine.ChannelScope("c1"))
		before := home
		change(&before)
		before.Generation, before.Base = 8, statemachine.FullShare
		f.States[before.Scope] = before
		play(p, f, t0, 1, calmFlows("c2", "c3")...)
		home.Generation = 9
		f.States[home.Scope] = home
		play(p, f, t0+1, 1, calmFlows("c2", "c3")...)
		for second := t0 + 2; second < t0+4; second++ {
			if got := p.Observe(sumOf(second, 10, append(calmFlows("c2", "c3"), flow{channel: "c1", bank: "ICBC", bad: 1, coded: true})...), f).Verdicts; len(got) > 0 {
				t.Errorf("%s: %q", name, names(got))
			}
		}
	}
}

// Two failures of one bank that fails on another channel as well are the bank's.
func TestABankThatFailsElsewhereIsNoRelapse(t *testing.T) {
	for name, elsewhere := range map[string]bool{"fails on c2 as well": true, "well on c2": false} {
		p, f := homeWorld(1)
		c2 := flow{channel: "c2", bank: "ICBC", good: 5}
		if elsewhere {
			c2.bad, c2.coded = 1, true
		}
		for i := range int64(2) {
			got := p.Observe(sumOf(t0+i, 10, c2, flow{channel: "c1", bank: "ICBC", bad: 1, coded: true}, flow{channel: "c3", bank: "CCB", good: 5}), f).Verdicts
			if closed := len(got) > 0; closed != (i == 1 && !elsewhere) {
				t.Errorf("%s, failure %d: %q", name, i+1, names(got))
			}
		}
	}
}

// Nor do they fail the step of a lowered share that is at full again.
func TestABankThatFailsElsewhereFailsNoStep(t *testing.T) {
	for name, c := range map[string]struct {
		elsewhere int
		want      statemachine.Judgement
	}{
		"fails on c2 as well": {1, statemachine.Gathering},
		"well on c2":          {0, statemachine.Failed},
	} {
		p, f := homeWorld(0)
		st := put(f, statemachine.ChannelScope("c1"), statemachine.Ramping, 8, 5)
		st.Kind, st.Share, st.Base = statemachine.Degraded, statemachine.FullShare/2, statemachine.ShareOf(0.1)
		f.States[st.Scope] = st
		play(p, f, t0, 1, calmFlows("c2", "c3")...)
		st.Step, st.Share = 1, statemachine.FullShare
		f.States[st.Scope] = st
		second := sumOf(t0+1, 10, flow{channel: "c1", bank: "ICBC", bad: 3, coded: true},
			flow{channel: "c2", bank: "ICBC", good: 5, bad: c.elsewhere, coded: true}, flow{channel: "c3", bank: "CCB", good: 5})
		for i := range second.Items { // of the channel they are the ramp
			if e := &second.Items[i].Evidence; second.Items[i].Item == st.Scope {
				e[statemachine.KindNormal], e[statemachine.KindRamp] = Tally{}, e[statemachine.KindNormal]
			}
		}
		got := p.Observe(second, f)
		if len(got.Steps) != 1 || got.Steps[0].Judgement != c.want {
			t.Errorf("%s: want one step that is %s: %+v", name, c.want, got.Steps)
		}
	}
}

// Where traffic asked for clearer probes, it asks for a clearer relapse.
func TestARelapseIsAsClearAsTheReturnWas(t *testing.T) {
	for wouldBe, want := range map[uint32][]string{0: {"failing c1"}, 1: nil} {
		p, f := homeWorldOf(0.2, wouldBe)
		equal(t, fmt.Sprintf("%d in five seconds", wouldBe), names(firstResults(p, f, "bggggggb", "ICBC", "CCB")), want)
	}
}

func TestRelapsesBesideOtherVerdicts(t *testing.T) {
	_, f := homeWorld(1)
	failing := func(s statemachine.Scope) statemachine.Verdict {
		return statemachine.Verdict{Kind: statemachine.Failing, Scope: s}
	}
	channel, account, other := failing(statemachine.ChannelScope("c1")), failing(statemachine.AccountScope("c1", "a1")), failing(statemachine.ChannelScope("c2"))
	for name, c := range map[string]struct{ verdicts, relapses, want []statemachine.Verdict }{
		"none":                         {[]statemachine.Verdict{other}, nil, []statemachine.Verdict{other}},
		"beside another":               {[]statemachine.Verdict{other}, []statemachine.Verdict{channel}, []statemachine.Verdict{channel, other}},
		"instead of what lies in it":   {[]statemachine.Verdict{account, other}, []statemachine.Verdict{channel}, []statemachine.Verdict{channel, other}},
		"explained by what is wider":   {[]statemachine.Verdict{channel}, []statemachine.Verdict{account}, []statemachine.Verdict{channel}},
		"found by the detector itself": {[]statemachine.Verdict{channel}, []statemachine.Verdict{channel}, []statemachine.Verdict{channel}},
	} {
		equal(t, name, names(withRelapses(c.verdicts, c.relapses, f)), names(c.want))
	}
}

// What our own side did to a scope that came home is forgotten.
func TestARelapseIsForgiven(t *testing.T) {
	p, f := homeWorld(1)
	firstResults(p, f, "b", "ICBC")
	p.steps.Forgive()
	if got := p.Observe(sumOf(t0+1, 10, flow{channel: "c1", bank: "CCB", bad: 1, coded: true}), f).Verdicts; len(got) > 0 {
		t.Errorf("a failure of before was not forgiven: %q", names(got))
	}
}

func TestRecomputeRelapseSeesChangedNumbers(t *testing.T) {
	p, f := homeWorld(1)
	good := firstResults(p, f, "bb", "ICBC", "CCB")[0].Evidence
	for name, change := range map[string]func(*statemachine.Evidence){
		"bad":       func(e *statemachine.Evidence) { e.Bad = 1 },
		"answered":  func(e *statemachine.Evidence) { e.Answered = 30 },
		"fault":     func(e *statemachine.Evidence) { e.Fault = 0.1 },
		"baseline":  func(e *statemachine.Evidence) { e.Baseline = 0.3 },
		"statistic": func(e *statemachine.Evidence) { e.Statistic++ },
		"threshold": func(e *statemachine.Evidence) { e.Threshold = 1 },
	} {
		e := good
		if !recomputeStep(e) {
			t.Fatalf("not recomputed: %+v", e)
		}
		if change(&e); recomputeStep(e) {
			t.Errorf("%s changed: still a relapse", name)
		}
	}
}
