package monitor

import (
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

// StepNeeds is how many results a probing phase or ramp step needs to pass, those seen included, if all that are still to come
// are good. ev is what Findings say of it. A step waits for the answers to its attempts as well.
func StepNeeds(ev *statemachine.StepEvidence) float64 {
	e := &ev.Evidence
	switch {
	case e.Detector != SequentialDetector:
		return e.MinSamples
	case e.Statistic >= e.Threshold:
		return ev.Answered // the test has ended
	case e.Fault <= e.Baseline:
		return e.Threshold // nothing to tell apart: so many results are waited for
	}
	return math.Ceil(ev.Answered + (e.Threshold-e.Statistic)/statemachine.Odds(1, 0, e.Baseline, e.Fault))
}
