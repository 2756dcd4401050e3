package monitor

import (
	"cmp"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// stepOf is a scope on its way back from a fault of a rate, and what was seen of its step.
func stepOf(phase statemachine.Phase, base, answered, bad, perSecond float64) (statemachine.State, statemachine.StepEvidence) {
	st := statemachine.NewState(statemachine.ChannelScope("c1"))
	st.Phase, st.Generation, st.Kind, st.Base = phase, 3, statemachine.Cut, statemachine.ShareOf(base)
	ev := statemachine.StepEvidence{Generation: 3, Answered: answered, Bad: bad, PerSecond: perSecond, Sent: uint64(answered), Settled: uint64(answered)}
	ev.Evidence.Outcomes[statemachine.Succeeded] = uint64(answered - bad)
	ev.Evidence.Outcomes[statemachine.ChannelFailed] = uint64(math.Ceil(bad))
	ev.Evidence.From, ev.Evidence.To = t0, t0+9
	return st, ev
}

// The statistics are computed by hand: good × ln((1−normal)/(1−fault)) + bad × ln(normal/fault).
func TestJudgeStep(t *testing.T) {
	const probing, ramping = statemachine.Probing, statemachine.Ramping
	const gathering, passed, failed = statemachine.Gathering, statemachine.Passed, statemachine.Failed
	for name, c := range map[string]struct {
		phase                    statemachine.Phase
		base, answered, bad      float64
		perSecond, baseline      float64
		want                     statemachine.Judgement
		statistic, level, tested float64
	}{
		"hard, one good":            {probing, 1, 1, 0, 10, 0.01, gathering, 3.902, 6.908, 0.98},
		"hard, two good":            {probing, 1, 2, 0, 10, 0.01, passed, 7.804, 6.908, 0.98},
		"hard, one bad":             {probing, 1, 1, 1, 10, 0.01, failed, 4.585, 2.303, 0.98},
		"hard, half bad":            {probing, 1, 1, 0.5, 10, 0.01, gathering, -0.342, 6.908, 0.98},
		"half, ten good":            {probing, 0.5, 10, 0, 10, 0.01, gathering, 6.831, 6.908, 0.5},
		"half, eleven good":         {probing, 0.5, 11, 0, 10, 0.01, passed, 7.514, 6.908, 0.5},
		"half, one bad of eleven":   {probing, 0.5, 11, 1, 10, 0.01, gathering, 2.919, 6.908, 0.5},
		"half, medium, seven good":  {probing, 0.5, 7, 0, 1, 0.01, passed, 4.782, 4.605, 0.5},
		"a fifth, 24 good":          {probing, 0.2, 24, 0, 10, 0.01, gathering, 5.114, 5.298, 0.2},
		"a fifth, 25 good":          {probing, 0.2, 25, 0, 10, 0.01, passed, 5.328, 5.298, 0.2},
		"a fifth, medium, 19 good":  {probing, 0.2, 19, 0, 1, 0.01, passed, 4.049, 3.912, 0.2},
		"quiet, hard, one good":     {probing, 1, 1, 0, 0.1, 0.01, passed, 3.902, 2.708, 0.98},
		"quiet, half, three good":   {probing, 0.5, 3, 0, 0.1, 0.01, gathering, 2.049, 2.708, 0.5},
		"quiet, half, four good":    {probing, 0.5, 4, 0, 0.1, 0.01, passed, 2.732, 2.708, 0.5},
		"quiet, mild, twelve good":  {probing, 0.2, 12, 0, 0.1, 0.01, gathering, 2.557, 2.708, 0.2},
		"quiet, mild, 13 good":      {probing, 0.2, 13, 0, 0.1, 0.01, passed, 2.770, 2.708, 0.2},
		"very quiet, mild, six":     {probing, 0.2, 6, 0, 0.01, 0.01, gathering, 1.279, 1.386, 0.2},
		"very quiet, mild, seven":   {probing, 0.2, 7, 0, 0.01, 0.01, passed, 1.492, 1.386, 0.2},
		"nothing comes, half, two":  {probing, 0.5, 2, 0, 0, 0.01, gathering, 1.366, 1.386, 0.5},
		"hardly quiet, half, six":   {probing, 0.5, 6, 0, 0.28, 0.01, passed, 4.098, 3.738, 0.5},
		"milder than is ever cut":   {probing, 0.05, 1, 0, 10, 0.01, gathering, 0.152, 5.298, 0.15},
		"high baseline":             {probing, 0.2, 1, 0, 10, 0.2, gathering, 0.693, 6.908, 0.6},
		"fault never measured":      {probing, 0, 1, 0, 10, 0.01, gathering, 0.683, 6.908, 0.5},
		"baseline lower than 1 %":   {probing, 1, 1, 0, 10, 0, gathering, 3.902, 6.908, 0.98},
		"ramp, hard, one good":      {ramping, 1, 1, 0, 10, 0.01, passed, 3.902, 2.303, 0.98},
		"ramp, half, three good":    {ramping, 0.5, 3, 0, 10, 0.01, gathering, 2.049, 2.303, 0.5},
		"ramp, half, four good":     {ramping, 0.5, 4, 0, 10, 0.01, passed, 2.732, 2.303, 0.5},
		"ramp, one bad of one":      {ramping, 1, 1, 1, 10, 0.01, gathering, -4.585, 2.303, 0.98},
		"ramp, relapse":             {ramping, 1, 2, 2, 10, 0.01, failed, 9.170, 7.5, 0.98},
		"ramp, another, mild fault": {ramping, 1, 50, 10, 10, 0.01, failed, 20.148, 7.5, 0.3},
		"ramp, a few bad":           {ramping, 1, 20, 3, 10, 0.01, gathering, 52.579, 2.303, 0.98},
	} {
		st, ev := stepOf(c.phase, c.base, c.answered, c.bad, c.perSecond)
		got, e := judgeStep(st, ev, sequentialPolicy(), c.baseline)
		if got != c.want || math.Abs(e.Statistic-c.statistic) > 0.002 || math.Abs(e.Threshold-c.level) > 0.001 || e.Fault != c.tested {
			t.Errorf("%s: %s, %.3f of %.3f against %g, want %s, %.3f of %.3f against %g",
				name, got, e.Statistic, e.Threshold, e.Fault, c.want, c.statistic, c.level, c.tested)
		}
		if recomputeStep(e) != (got == failed) {
			t.Errorf("%s: %s is recomputed as failed: %t", name, got, recomputeStep(e))
		}
		if err := consistent(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if e.Detector != SequentialDetector || e.Explanation == "" || strings.Contains(e.Explanation, "\n") {
			t.Errorf("%s: %s says %q", name, e.Detector, e.Explanation)
		}
	}
}

func TestJudgeStepExplains(t *testing.T) {
	for want, c := range map[string]struct{ base, answered, bad float64 }{
		"2 of 2 probes succeeded; that is 2450 times likelier of a channel that is well (1.0 % fail) than of the fault (98 % fail)": {1, 2, 0},
		"1 of 1 probes failed; that is 98 times likelier of the fault (98 % fail) than of a channel that is well (1.0 % fail)":      {1, 1, 1},
		"1 of 1 probes succeeded; the evidence that the fault of 50 % is over is 0.7 of 6.9":                                        {0.5, 1, 0},
		"no probes answered yet": {1, 0, 0},
		"9 of 9 probes succeeded; that is enough once it has lasted, for the fault may come and go": {0.6, 9, 0},
	} {
		st, ev := stepOf(statemachine.Probing, c.base, c.answered, c.bad, 10)
		if c.answered > 2 {
			ev.Settle = time.Minute
		}
		if _, e := judgeStep(st, ev, sequentialPolicy(), 0.01); e.Explanation != want {
			t.Errorf("got  %q\nwant %q", e.Explanation, want)
		}
	}
}

// wantJudged judges a step, whose evidence must recompute to a failure only where it failed.
func wantJudged(t *testing.T, name string, st statemachine.State, ev statemachine.StepEvidence, want statemachine.Judgement) statemachine.Evidence {
	t.Helper()
	got, e := judgeStep(st, ev, sequentialPolicy(), 0.01)
	if got != want || recomputeStep(e) != (got == statemachine.Failed) {
		t.Errorf("%s: %s (%s), want %s", name, got, e.Explanation, want)
	}
	return e
}

// A step of a lowered share passes only for what is normal, and fails only clearly beyond the fault it was lowered for.
func TestJudgeStepOfALoweredShare(t *testing.T) {
	for name, c := range map[string]struct {
		answered, bad float64
		want          statemachine.Judgement
	}{
		"nothing":               {0, 0, statemachine.Gathering},
		"14 good":               {14, 0, statemachine.Gathering},
		"15 good":               {15, 0, statemachine.Passed},
		"the fault goes on":     {100, 20, statemachine.Gathering},
		"half of it":            {100, 10, statemachine.Gathering},
		"somewhat worse":        {100, 26, statemachine.Gathering},
		"clearly worse":         {100, 45, statemachine.Failed},
		"clearly worse, a few ": {12, 12, statemachine.Failed},
	} {
		st, ev := stepOf(statemachine.Ramping, 0.2, c.answered, c.bad, 10)
		st.Kind, st.Share = statemachine.Degraded, statemachine.FullShare/2
		wantJudged(t, name, st, ev, c.want)
		ev.Settled = 0
		if late, _ := judgeStep(st, ev, sequentialPolicy(), 0.01); late == statemachine.Passed {
			t.Errorf("%s: passed before its attempts have answered", name)
		}
	}
	for _, fallen := range []int{1, 9} { // results are few at a small share
		for n, want := range map[float64]statemachine.Judgement{17: statemachine.Gathering, 18: statemachine.Passed} {
			st, ev := stepOf(statemachine.Ramping, 0.2, n, 0, 10)
			st.Kind, st.Share, ev.Fallen = statemachine.Degraded, statemachine.FullShare/8, fallen
			wantJudged(t, "lowered again", st, ev, want)
		}
	}
}

// A share that was raised passes sooner, for it need not show again what was shown, and goes back where the fault is still there.
// The more often it went back, the more it must show, and most of all before its incident is closed.
func TestJudgeStepOfARaisedShare(t *testing.T) {
	for name, c := range map[string]struct {
		answered, bad float64
		fallen        int
		share         statemachine.Share
		want          statemachine.Judgement
	}{
		"3 good":                       {answered: 3, want: statemachine.Gathering},
		"4 good":                       {answered: 4, want: statemachine.Passed},
		"one of six failed":            {answered: 6, bad: 1, want: statemachine.Gathering},
		"two of ten failed":            {answered: 10, bad: 2, want: statemachine.Gathering},
		"the fault goes on":            {answered: 10, bad: 3, want: statemachine.Failed},
		"6 good, lowered again once":   {answered: 6, fallen: 1, want: statemachine.Gathering},
		"7 good, lowered again once":   {answered: 7, fallen: 1, want: statemachine.Passed},
		"13 good, lowered nine times":  {answered: 13, fallen: 9, want: statemachine.Gathering},
		"14 good, lowered nine times":  {answered: 14, fallen: 9, want: statemachine.Passed},
		"32 good at full share":        {answered: 32, share: statemachine.FullShare, want: statemachine.Gathering},
		"33 good at full share":        {answered: 33, share: statemachine.FullShare, want: statemachine.Passed},
		"it goes on at the full share": {answered: 10, bad: 3, share: statemachine.FullShare, want: statemachine.Failed},
	} {
		st, ev := stepOf(statemachine.Ramping, 0.2, c.answered, c.bad, 10)
		st.Kind, st.Share = statemachine.Degraded, cmp.Or(c.share, statemachine.FullShare/2)
		ev.Raised, ev.Fallen = true, c.fallen
		e := wantJudged(t, name, st, ev, c.want)
		if _, err := recomputeSequential(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a judgement of a step may not be moved by.
func TestJudgeStepIgnoresOtherSteps(t *testing.T) {
	st, ev := stepOf(statemachine.Probing, 1, 5, 0, 10)
	for name, change := range map[string]func(*statemachine.State){
		"generation": func(s *statemachine.State) { s.Generation++ },
		"step":       func(s *statemachine.State) { s.Step++ },
		"phase":      func(s *statemachine.State) { s.Phase = statemachine.Disabled },
	} {
		other := st
		change(&other)
		if got, _ := judgeStep(other, ev, sequentialPolicy(), 0.01); got != statemachine.Gathering {
			t.Errorf("another %s: %s", name, got)
		}
	}
}

// Stored evidence whose numbers were changed is not taken for a failure.
func TestRecomputeStepSeesChangedNumbers(t *testing.T) {
	st, ev := stepOf(statemachine.Ramping, 1, 9, 6, 10)
	_, good := judgeStep(st, ev, sequentialPolicy(), 0.01)
	if !recomputeStep(good) {
		t.Fatalf("not recomputed: %+v", good)
	}
	for name, change := range map[string]func(*statemachine.Evidence){
		"bad":       func(e *statemachine.Evidence) { e.Bad = 1 },
		"answered":  func(e *statemachine.Evidence) { e.Answered = 900 },
		"fault":     func(e *statemachine.Evidence) { e.Fault = 0.4 },
		"baseline":  func(e *statemachine.Evidence) { e.Baseline = 0.3 },
		"statistic": func(e *statemachine.Evidence) { e.Statistic++ },
		"threshold": func(e *statemachine.Evidence) { e.Threshold = 1 },
		"rule":      func(e *statemachine.Evidence) { e.Rule = RuleStep },
	} {
		e := good
		change(&e)
		if recomputeStep(e) {
			t.Errorf("%s changed: still a failure", name)
		}
	}
}

// A scope that is half bad is tested again and again while its fault lasts. Each test is passed by accident less than once in
// a thousand times; 30 probes with restarts, which a floored test to ln 50 accepts in a fifth of all runs, once in fifty.
func TestProbesOfAHalfBadScopeHardlyEverPass(t *testing.T) {
	const runs = 4000
	rnd := rand.New(rand.NewPCG(1, 2))
	tests, wrong, accepted := 0, 0, 0
	for range runs {
		passed := false
		var answered, bad float64
		for range 30 {
			answered++
			if rnd.Float64() < 0.5 {
				bad++
			}
			st, ev := stepOf(statemachine.Probing, 0.5, answered, bad, 10)
			switch j, _ := judgeStep(st, ev, sequentialPolicy(), 0.01); j {
			case statemachine.Failed:
				answered, bad = 0, 0
				tests++
			case statemachine.Passed:
				answered, bad = 0, 0
				tests++
				wrong++
				passed = true
			case statemachine.Gathering:
			}
		}
		if passed {
			accepted++
		}
	}
	t.Logf("%d of %d tests, %d of %d runs", wrong, tests, accepted, runs)
	if float64(wrong) > 0.001*float64(tests) || accepted > runs/50 || accepted == 0 {
		t.Errorf("%d of %d tests and %d of %d runs passed", wrong, tests, accepted, runs)
	}
}

// A scope that is well fails its probes at most once in ten times.
func TestProbesOfAWellScopeSeldomFail(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, base := range []float64{0.2, 0.5, 1} {
		failed, runs := 0, 2000
		for range runs {
			var answered, bad float64
			for j := statemachine.Gathering; j == statemachine.Gathering; {
				answered++
				if rnd.Float64() < 0.01 {
					bad++
				}
				st, ev := stepOf(statemachine.Probing, base, answered, bad, 10)
				if j, _ = judgeStep(st, ev, sequentialPolicy(), 0.01); j == statemachine.Failed {
					failed++
				}
			}
		}
		if failed > runs/10 {
			t.Errorf("a fault of %g: %d of %d fail", base, failed, runs)
		}
	}
}
