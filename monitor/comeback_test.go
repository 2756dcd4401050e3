package monitor

import (
	"math"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// resultsOf are these results, g good and b bad, a second each.
func resultsOf(results string) (points []point) {
	for i, r := range results {
		var t Tally
		if t.Outcomes[statemachine.Succeeded] = 1; r == 'b' {
			t = Tally{Bad: 1, BadPayers: 1}
		}
		points = append(points, point{second: t0 + int64(i), tally: t})
	}
	return points
}

func TestNewestResultsSpeakForTheEnd(t *testing.T) {
	good, bad := statemachine.Odds(1, 0, 0.01, 0.5), statemachine.Odds(1, 1, 0.01, 0.5)
	tests := []struct {
		name, results string
		answered, bad float64
		from          int64
		odds          float64
	}{
		{"nothing", "", 0, 0, 0, 0},
		{"all good", "gggg", 4, 0, t0, 4 * good},
		{"after the fault", "bbggbggg", 3, 0, t0 + 5, 3 * good},
		{"one bad among many", "bggggggggbgg", 11, 1, t0 + 1, min(passHard, 8*good) + bad + 2*good},
		{"failing again", "ggggggbb", 2, 2, t0 + 6, 0},
		{"failing all the time", "bbb", 1, 1, t0 + 2, 0},
		{"no more than is asked", "gggggggggggggggggggg", 20, 0, t0, passHard},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sum, from, odds := newest(resultsOf(tt.results), 0.01, 0.5)
			answered, bad := sum.Weighted()
			if answered != tt.answered || bad != tt.bad || from != tt.from || math.Abs(odds-tt.odds) > 1e-9 {
				t.Errorf("%g of %g bad since %d speak for the end by %.2f, want %g of %g since %d by %.2f",
					bad, answered, from-t0, odds, tt.bad, tt.answered, tt.from-t0, tt.odds)
			}
		})
	}
}

func TestComebackRate(t *testing.T) {
	c := comeback{closed: t0}
	if got := c.rate(0); got != 0 {
		t.Errorf("a fault nobody measured has a rate of %g", got)
	}
	if got := c.rate(statemachine.FullShare); math.Abs(got-5.5/6) > 1e-9 {
		t.Errorf("a few results that all failed: %g, want room for chance", got)
	}
	c.failed(&Tally{Bad: 10, BadPayers: 10, Outcomes: [statemachine.NumOutcomes]uint32{statemachine.Succeeded: 10}}, false)
	if got := c.rate(statemachine.FullShare); math.Abs(got-15.5/26) > 1e-9 {
		t.Errorf("half of twenty probes failed since: %g", got)
	}
	before := c
	c.failed(&Tally{Outcomes: [statemachine.NumOutcomes]uint32{statemachine.Succeeded: 10}}, true)
	if c != before {
		t.Error("a good time that ended changed the rate of the fault")
	}
}

func TestComebackSettles(t *testing.T) {
	c := comeback{closed: t0}
	if got := c.settle(0.9, 1, t0+30); got != youngSettle {
		t.Errorf("a young fault settles for %v", got)
	}
	if got := c.settle(0.2, 1, t0+30); got != 0 {
		t.Errorf("a mild fault settles for %v", got)
	}
	if got := c.settle(0.9, 1, t0+60); got != 0 {
		t.Errorf("an old fault settles for %v", got)
	}
	for perSecond, want := range map[float64]int64{5: 60, 0.1: 200, 0.02: 240, 0: 240} { // seconds for which it is young
		if c.settle(0.9, perSecond, t0+want-1) != youngSettle || c.settle(0.9, perSecond, t0+want) != 0 {
			t.Errorf("with %g payments a second a fault is young for another time than %d s", perSecond, want)
		}
	}
	c.lasts(t0+100, false)
	if got := c.calm(t0 + 115); got != 15*time.Second {
		t.Errorf("calm for %v", got)
	}
	c.ended(t0 + 140) // too few results to call it well
	if got := c.settle(0.9, 1, t0+150); got != 0 {
		t.Errorf("chance settles for %v", got)
	}
	c.lasts(t0+200, true)
	c.ended(t0 + 232)
	if got := c.settle(0.9, 1, t0+300); got != 40*time.Second {
		t.Errorf("after 32 good seconds that ended it settles for %v", got)
	}
	c.lasts(t0+300, true)
	c.ended(t0 + 400)
	if got := c.settle(0.9, 1, t0+500); got != mostSettle {
		t.Errorf("it settles for %v at most", got)
	}
}

// A share that was lowered for a fault not far from what is normal comes back as well: its test looks at as many results as it
// takes to tell the two apart.
func TestALoweredShareIsToldFromItsNormalRate(t *testing.T) {
	f, s := fleetOf("c1"), NewSteps()
	f.Default.Detector = statemachine.DetectorSequential
	scope := statemachine.ChannelScope("c1")
	st := put(f, scope, statemachine.Ramping, 3, 0)
	st.Kind, st.Share, st.Base = statemachine.Degraded, statemachine.FullShare/2, statemachine.ShareOf(0.07)
	f.States[scope] = st
	judged, normal := statemachine.Gathering, 0.036
	for second := t0; judged == statemachine.Gathering && second < t0+2000; second++ {
		sum := &SecondCounts{Second: second, Items: []ItemCounts{{Item: scope}}}
		tally := &sum.Items[0].Evidence[statemachine.KindRamp]
		if tally.Outcomes[statemachine.Succeeded] = 1; second%40 == 0 { // 2.5 % fail
			*tally = Tally{Bad: 1, BadPayers: 1}
		}
		s.Observe(sum, f)
		e := s.Evidence(f, func(statemachine.Scope) float64 { return normal })[0]
		judged, _ = judgeStep(st, e.StepEvidence, f.Default, normal)
	}
	if judged != statemachine.Passed {
		t.Errorf("after two thousand results at the normal rate the step is still %s", judged)
	}
}
