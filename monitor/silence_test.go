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

// TestSilenceTellsEachSecondByItself: what is never answered in one second is not made up for by the next, whose own would
// then look silent all at once when the traffic ebbs.
func TestSilenceTellsEachSecondByItself(t *testing.T) {
	s, f := NewSilence(), fleetOf("c1")
	for i := range int64(400) {
		// 20 a second: 8 come back in the same second, 10 in the next, 2 never; every 50th second brings only 2.
		rate := func(i int64) (same, next, sent uint32) {
			if i%50 == 49 {
				return 1, 1, 2
			}
			return 8, 10, 20
		}
		same, _, sent := rate(i)
		ages := []uint32{same, 0}
		if i > 0 {
			_, ages[1], _ = rate(i - 1)
		}
		out := s.Observe(sentBack(t0+i, sent, ages...), f)
		for _, c := range out.Items {
			tally := &c.Evidence[statemachine.KindNormal]
			if silent := tally.Outcomes[statemachine.TimedOut]; silent > 2 {
				t.Fatalf("second %d: %d silent, want at most 2", i, silent)
			}
		}
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

// TestSilenceKnowsResultsWithoutADecision: a gateway that does not say which decision it follows is not taken for silent.
func TestSilenceKnowsResultsWithoutADecision(t *testing.T) {
	s, f := NewSilence(), fleetOf("c1")
	for i := range int64(100) {
		sum := sentBack(t0+i, 10)
		if i > 0 {
			sum.Items[0].Latency[3] = 10
		}
		for _, c := range s.Observe(sum, f).Items {
			if silent := c.Evidence[statemachine.KindNormal].Outcomes[statemachine.TimedOut]; silent > 0 {
				t.Fatalf("second %d: %d of 10 silent", i, silent)
			}
		}
	}
}
