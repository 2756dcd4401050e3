package monitor

import "github.com/sluice-pay/sluice/statemachine"

// Detector judges closed seconds. Implementations are deterministic: the same seconds in the same order give the same
// verdicts on every replica.
type Detector interface {
	// Observe takes the sum of one sealed second, in order of time, and returns the verdicts about items, before
	// localisation. It reads policies and states from the fleet.
	Observe(*SecondCounts, *statemachine.Fleet) []statemachine.Verdict
	// Checkpoint returns the learned state (baselines, windows) for a restart; Restore takes it back.
	Checkpoint() []byte
	Restore([]byte) error
}
