package backtest

import (
	"slices"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// second is one recorded second as all replays start from it: whatever lane a result was counted in, it is normal traffic,
// since in the replay no scope need be closed.
type second struct {
	at    int64
	sum   *monitor.SecondCounts
	items []monitor.ItemCounts
	index map[statemachine.Scope]int
	gates map[statemachine.Scope]monitor.GateSum
}

// newSecond folds the lanes of a recorded second. closed tells of which channels the recording itself had a scope closed: there
// results that were no evidence, because they were decided before, are results nevertheless.
func newSecond(sum *monitor.SecondCounts, closed func(channel string) bool) *second {
	s := &second{
		at: sum.Second, sum: sum, items: slices.Clone(sum.Items), index: make(map[statemachine.Scope]int, len(sum.Items)),
		gates: make(map[statemachine.Scope]monitor.GateSum, len(sum.Gates)),
	}
	for i := range s.items {
		item := &s.items[i]
		s.index[item.Item] = i
		var all monitor.Tally
		for k := range item.Evidence {
			all.Add(&item.Evidence[k])
		}
		if closed(item.Item.Channel) {
			late(&all, item)
		}
		item.Evidence = [statemachine.NumLaneKinds]monitor.Tally{all}
		item.Sent = [statemachine.NumLaneKinds]uint32{total(item.Sent[:])}
	}
	for _, g := range sum.Gates {
		s.gates[g.Scope] = g
	}
	return s
}

func total(counts []uint32) (n uint32) {
	for _, c := range counts {
		n += c
	}
	return n
}

// late adds the results that entered the totals alone.
func late(t *monitor.Tally, item *monitor.ItemCounts) {
	for o, n := range item.Totals {
		more := int64(n) - int64(t.Outcomes[o])
		if more <= 0 {
			continue
		}
		add := uint32(more) //nolint:gosec // small and positive
		health := statemachine.Outcome(o).Health()
		switch health {
		case statemachine.HealthHalf:
			t.Half, t.HalfPayers = t.Half+add, t.HalfPayers+add
		case statemachine.HealthAccountBad:
			if item.Item.Kind != statemachine.ScopeAccount {
				continue
			}
			t.Bad, t.BadPayers, t.CodedBad = t.Bad+add, t.BadPayers+add, t.CodedBad+add
		case statemachine.HealthBad:
			t.Bad, t.BadPayers = t.Bad+add, t.BadPayers+add
			if statemachine.Outcome(o) == statemachine.ChannelFailed {
				t.CodedBad += add
			}
		case statemachine.HealthGood:
		case statemachine.HealthNone:
			continue
		}
		t.Outcomes[o] += add
	}
}

// itemsOf are the items whose counts add up to a scope's: itself, or the channels of a failure domain.
func itemsOf(s statemachine.Scope, f *statemachine.Fleet) []statemachine.Scope {
	if s.Kind != statemachine.ScopeDomain {
		return []statemachine.Scope{s}
	}
	var out []statemachine.Scope
	for channel, facts := range f.Channels {
		if slices.Contains(facts.Domains, s.Of) {
			out = append(out, statemachine.ChannelScope(channel))
		}
	}
	slices.SortFunc(out, statemachine.Scope.Compare)
	return out
}

// tally is what was recorded of a scope in this second, and how many decisions were given out for it.
func (s *second) tally(scopes []statemachine.Scope) (t monitor.Tally, sent uint32) {
	for _, scope := range scopes {
		if i, ok := s.index[scope]; ok {
			t.Add(&s.items[i].Evidence[statemachine.KindNormal])
			sent += s.items[i].Sent[statemachine.KindNormal]
		}
	}
	return t, sent
}
