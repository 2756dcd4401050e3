package node

import (
	"slices"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// minuteSeconds is the length of the time that people are shown figures of.
const minuteSeconds = 60

// minute keeps the sums of the last sixty seconds.
type minute struct {
	sums [minuteSeconds]monitor.SecondCounts
}

func (m *minute) add(s *monitor.SecondCounts) { m.sums[s.Second%minuteSeconds] = *s }

// of adds up one item over the minute that ends with now.
func (m *minute) of(item statemachine.Scope, now int64) server.Traffic {
	t := server.Traffic{Window: minuteSeconds * time.Second}
	var sent, results int64
	for i := range m.sums {
		s := &m.sums[i]
		if s.Second <= now-minuteSeconds || s.Second > now {
			continue
		}
		at, found := slices.BinarySearchFunc(s.Items, item, func(c monitor.ItemCounts, x statemachine.Scope) int { return c.Item.Compare(x) })
		if !found {
			continue
		}
		c := &s.Items[at]
		for o := range statemachine.NumOutcomes {
			if o != statemachine.Pending {
				results += int64(c.Totals[o])
			}
		}
		t.Succeeded += uint64(max(0, c.Totals[statemachine.Succeeded]))
		for k := range c.Evidence {
			e := &c.Evidence[k]
			t.Answered += float64(e.Answered())
			t.Bad += float64(e.BadPayers) + 0.5*float64(e.HalfPayers)
			sent += int64(c.Sent[k])
		}
	}
	t.Results = uint64(max(0, results))
	t.PerSecond = float64(sent) / minuteSeconds
	return t
}

// Traffic returns what was counted of a scope in the last minute; a failure domain is the sum over its channels.
func (n *Node) Traffic(s statemachine.Scope) (server.Traffic, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.plan == nil || !n.plan.Has(s) {
		return server.Traffic{}, false
	}
	if s.Kind != statemachine.ScopeDomain {
		return n.minute.of(s, n.sealed), true
	}
	var t server.Traffic
	for channel, facts := range n.sight.Load().Fleet.Channels {
		if !slices.Contains(facts.Domains, s.Of) {
			continue
		}
		c := n.minute.of(statemachine.ChannelScope(channel), n.sealed)
		t.Window = c.Window
		t.Results += c.Results
		t.Succeeded += c.Succeeded
		t.Answered += c.Answered
		t.Bad += c.Bad
		t.PerSecond += c.PerSecond
	}
	return t, true
}

// Progress returns how far the running probing phase or ramp step of a scope is.
func (n *Node) Progress(s statemachine.Scope) (server.Progress, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.steps[s]
	if !ok {
		return server.Progress{}, false
	}
	return server.Progress{StepEvidence: e, Needed: monitor.StepNeeds(&e)}, true
}
