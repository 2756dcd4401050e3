package monitor

import (
	"math"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// A busy channel is cut falsely less often than a quiet one, and its parts less often than itself, whatever the traffic.
func TestFalseAlarmBudgetGrowsWithTheTraffic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ perSecond, channel, part float64 }{
		{0, 15, 450},
		{0.015, 15, 450},
		{0.075, 15, 450},
		{0.1, 20, 450},
		{0.15, 30, 450},
		{0.38, 30, 450},
		{0.5, 50, 450},
		{0.7, 98, 490},
		{1, 200, 1000},
		{3, 1000, 5000},
		{3000, 1000, 5000},
	} {
		channel, part := budget(&statemachine.Policy{}, tt.perSecond)
		if math.Abs(channel-tt.channel) > 1e-9 || math.Abs(part-tt.part) > 1e-9 {
			t.Errorf("%v results a second: %v and %v days, want %v and %v", tt.perSecond, channel, part, tt.channel, tt.part)
		}
	}
	if channel, part := budget(&statemachine.Policy{FalseAlarmDays: 7}, 3); channel != 7 || part != 35 {
		t.Errorf("a policy of 7 days gives %v and %v", channel, part)
	}
}

// The mixture's threshold is a false-alarm rate only if its weights sum to the number of designs.
func TestDesignWeightsSumToTheDesigns(t *testing.T) {
	t.Parallel()
	sum := 0.0
	for _, w := range designWeights {
		sum += w
	}
	if math.Abs(sum-designs) > 1e-12 {
		t.Errorf("the weights sum to %v, want %d", sum, designs)
	}
}
