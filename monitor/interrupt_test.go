package monitor

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// A second that is missing takes the answers in it along: what was sent before must not pass for hanging. After more than a
// minute what was suspected is gone as well, and what was learned is not.
func TestInterruptForgetsWhatIsNotContinuous(t *testing.T) {
	p, f := NewPipeline(), &statemachine.Fleet{}
	item := ItemCounts{Item: statemachine.ChannelScope("first")}
	item.Evidence[statemachine.KindNormal].Outcomes[statemachine.Succeeded] = 5
	item.Sent[statemachine.KindNormal] = 9
	p.Observe(&SecondCounts{Second: 1000, Revision: 1, Items: []ItemCounts{item}}, f)
	flying := func() int { return len(p.detector.sent.flights) }
	seen := func() int { return len(p.detector.History().Items()) }
	p.Interrupt(0)
	if flying() != 1 || seen() != 1 {
		t.Fatalf("%d followed, %d items with evidence; want one each: this test tests nothing otherwise", flying(), seen())
	}
	p.Interrupt(1)
	if flying() != 0 || seen() != 1 {
		t.Errorf("after a second: %d followed, %d items with evidence; want 0 and 1", flying(), seen())
	}
	p.Interrupt(continuous + 1)
	if seen() != 0 || p.Observed() != 1000 || p.detector.History().items[item.Item] == nil {
		t.Errorf("after a minute: %d items with evidence, observed up to %d; want none, 1000 and the item still known", seen(), p.Observed())
	}
}
