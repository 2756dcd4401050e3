package server

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// What comes next says how many good results the test of the detector in force still needs.
func TestNext_SaysWhatIsMissing(t *testing.T) {
	scope := statemachine.InstrumentScope("alpha", icbcDebit)
	for name, c := range map[string]struct {
		detector         statemachine.Detector
		answered, needed float64
		step             uint32
		want             string
	}{
		"windows":            {statemachine.DetectorWindows, 1, 3, 0, "the ramp begins after 3 good results of probes"},
		"nothing yet":        {statemachine.DetectorSequential, 0, 2, 0, "the ramp begins after 2 more good results of probes"},
		"one more":           {statemachine.DetectorSequential, 1, 2, 0, "the ramp begins after 1 more good result of probes"},
		"enough":             {statemachine.DetectorSequential, 2, 2, 0, "the ramp begins"},
		"of an earlier step": {statemachine.DetectorSequential, 2, 2, 9, "the ramp begins after enough good results of probes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, nil)
			st := statemachine.NewState(scope)
			st.Phase, st.Share = statemachine.Probing, 0
			s.progress[scope] = Progress{
				StepEvidence: statemachine.StepEvidence{Generation: st.Generation, Step: c.step, Answered: c.answered}, Needed: c.needed,
			}
			v, err := s.server.look()
			if err != nil {
				t.Fatal(err)
			}
			p := statemachine.DefaultPolicy()
			p.Detector = c.detector
			fleet := *v.Fleet
			fleet.Policies = map[string]statemachine.Policy{"alpha": p}
			v.Fleet = &fleet
			if got, _ := v.next(st); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
