package monitor

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// As many more good results as StepNeeds asks for make a test pass, and not one less.
func TestStepNeeds_IsWhatTheTestAsksFor(t *testing.T) {
	for _, detector := range []statemachine.Detector{statemachine.DetectorSequential, statemachine.DetectorWindows} {
		for _, phase := range []statemachine.Phase{statemachine.Probing, statemachine.Ramping} {
			for _, bad := range []float64{0, 1} {
				p := statemachine.DefaultPolicy()
				p.Detector = detector
				scope := statemachine.ChannelScope("c")
				st := statemachine.State{Scope: scope, Phase: phase, Base: statemachine.ShareOf(0.5), Share: statemachine.ShareOf(0.1)}
				judge := func(answered float64) (statemachine.Judgement, statemachine.StepEvidence) {
					ev := statemachine.StepEvidence{Answered: answered, Bad: bad, PerSecond: 10}
					var j statemachine.Judgement
					if detector == statemachine.DetectorWindows {
						j, ev.Evidence = NewWindows().Judge(st, ev, p), stepEvidence(st, ev, p)
					} else {
						j, ev.Evidence = judgeStep(st, ev, p, 0.02)
					}
					return j, ev
				}
				_, ev := judge(4 * bad) // one failure of fewer ends the test
				needs := StepNeeds(&ev)
				if detector == statemachine.DetectorWindows && phase == statemachine.Probing {
					needs += bad // its count is of good results
				}
				if phase == statemachine.Probing || bad == 0 {
					if j, _ := judge(needs); j != statemachine.Passed {
						t.Errorf("%v, %v, %g bad: %v after %g results", detector, phase, bad, j, needs)
					}
				}
				if j, _ := judge(needs - 1); j == statemachine.Passed {
					t.Errorf("%v, %v, %g bad: passed after %g results already", detector, phase, bad, needs-1)
				}
			}
		}
	}
}
