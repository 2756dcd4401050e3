package monitor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// busySecond has results of 100 channels with 50 banks each.
func busySecond() SecondCounts {
	var sum SecondCounts
	for c := range 100 {
		channel := fmt.Sprintf("channel-%03d", c)
		whole := ItemCounts{Item: statemachine.ChannelScope(channel)}
		for b := range 50 {
			i := ItemCounts{Item: statemachine.InstrumentScope(channel, statemachine.Instrument{Method: "QUICKPAY", Bank: fmt.Sprintf("BANK%02d", b), CardType: "DEBIT"})}
			i.Totals[statemachine.Succeeded], i.Totals[statemachine.ChannelFailed] = 19, 1
			e := &i.Evidence[statemachine.KindNormal]
			e.Outcomes[statemachine.Succeeded], e.Outcomes[statemachine.ChannelFailed], e.Bad, e.BadPayers = 19, 1, 1, 1
			i.Latency[3] = 20
			i.LatencyMillis = 6000
			whole.add(&i)
			sum.Items = append(sum.Items, i)
		}
		sum.Items = append(sum.Items, whole)
	}
	slices.SortFunc(sum.Items, func(a, b ItemCounts) int { return a.Item.Compare(b.Item) })
	return sum
}

// BenchmarkScorerObserve takes a second with 100,000 results of 5,100 items.
func BenchmarkScorerObserve(b *testing.B) {
	s, sum, f := NewScorer(), busySecond(), &statemachine.Fleet{}
	sum.Second = scoresBegin
	s.Observe(&sum, f, false)
	b.ReportAllocs()
	for b.Loop() {
		sum.Second++
		s.Observe(&sum, f, false)
	}
}

// BenchmarkScorerScores makes the scores of 5,100 items, as the leader does every five seconds.
func BenchmarkScorerScores(b *testing.B) {
	s, sum, f := NewScorer(), busySecond(), &statemachine.Fleet{}
	around := Around{Fleet: f, Feedback: func(string) FeedbackRule { return DefaultFeedback() }}
	sum.Second = scoresBegin
	s.Observe(&sum, f, false)
	inForce, _ := s.Scores(around, nil)
	b.ReportAllocs()
	for b.Loop() {
		inForce, _ = s.Scores(around, inForce)
	}
}
