package monitor

import "github.com/sluice-pay/sluice/statemachine"

// Detector judges closed seconds. Implementations are deterministic: the same seconds in the same order give the same
// verdicts on every replica.
type Detector interface {
	// Observe takes the sum of one sealed second, in order of time, and returns the verdicts about items, before
	// localisation. It reads policies and states from the fleet.
	Observe(*SecondCounts, *statemachine.Fleet) []statemachine.Verdict
	// Judge says what the evidence of a probing phase or ramp step amounts to under the scope's policy.
	Judge(statemachine.State, statemachine.StepEvidence, statemachine.Policy) statemachine.Judgement
	// Checkpoint returns the learned state (baselines, windows) for a restart; Restore takes it back.
	Checkpoint() []byte
	Restore([]byte) error
}
