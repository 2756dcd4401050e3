package monitor

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// sentBack is one second of a channel: decisions, and results by age.
func sentBack(second int64, sent uint32, ages ...uint32) *SecondCounts {
	c := ItemCounts{Item: statemachine.ChannelScope("c1")}
	c.Sent[statemachine.KindNormal] = sent
	copy(c.Ages[:], ages)
	return &SecondCounts{Second: second, Revision: 1, Items: []ItemCounts{c}}
}

// TestSilenceCountsEveryAnswer: whatever second a result is taken off, as many attempts stay open as have no answer.
func TestSilenceCountsEveryAnswer(t *testing.T) {
	s, f := NewSilence(), fleetOf("c1")
	var silent, sent uint32
	for i := range int64(200) {
		// 20 a second: 8 come back in the same second or the next with an age of 0, 10 with an age of 1, 2 never.
		ages := []uint32{8, 10}
		switch i {
		case 0:
			ages = []uint32{3}
		case 1:
			ages = []uint32{8, 4}
		}
		out := s.Observe(sentBack(t0+i, 20, ages...), f)
		for _, c := range out.Items {
			tally := &c.Evidence[statemachine.KindNormal]
			silent += tally.Outcomes[statemachine.TimedOut]
			sent += tally.Outcomes[statemachine.TimedOut] + tally.Outcomes[statemachine.Succeeded]
			if i > 50 && tally.Outcomes[statemachine.TimedOut] > 4 {
				t.Fatalf("second %d: %d of 20 silent, want about 2", i, tally.Outcomes[statemachine.TimedOut])
			}
		}
	}
	if share := float64(silent) / float64(sent); share < 0.09 || share > 0.12 {
		t.Errorf("%.3f of the attempts are silent, want 0.1", share)
	}
}

// TestSilenceSeesAHangBeforeItsTimeouts: attempts that nobody answers are told once they are older than answers ever are.
func TestSilenceSeesAHangBeforeItsTimeouts(t *testing.T) {
	s, f := NewSilence(), fleetOf("c1")
	for i := range int64(400) {
		ages := []uint32{10}
		if i >= 300 {
			ages = nil
		}
		out := s.Observe(sentBack(t0+i, 10, ages...), f)
		for _, c := range out.Items {
			if silent := c.Evidence[statemachine.KindNormal].Outcomes[statemachine.TimedOut]; (silent > 1) != (i >= 303) {
				t.Fatalf("second %d: %d of 10 silent", i, silent)
			}
		}
	}
}
