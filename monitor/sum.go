package monitor

import (
	"cmp"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Sum adds the rows of one second. The order of the rows does not matter. The revision is the lowest of all rows that
// counted anything; the number of routers of a gate is the number of rows that saw would-be traffic. The sum of a single row
// may hold the row's own items: nobody writes into either.
func Sum(rows []*Row) SecondCounts {
	var s SecondCounts
	lanes, gates := 0, 0
	for _, r := range rows {
		lanes, gates = lanes+len(r.Counts.Lanes), gates+len(r.Counts.Gates)
	}
	s.Lanes, s.Gates = make([]statemachine.LaneCount, 0, lanes), make([]GateSum, 0, gates)
	for i, r := range rows {
		c := &r.Counts
		if i == 0 || c.Second > s.Second {
			s.Second = c.Second
		}
		if c.Revision != 0 && (s.Revision == 0 || c.Revision < s.Revision) {
			s.Revision = c.Revision
		}
		s.Reporters |= c.Reporters
		s.Lanes = append(s.Lanes, c.Lanes...)
		s.Gates = append(s.Gates, c.Gates...)
		s.Quotas = append(s.Quotas, c.Quotas...)
	}
	s.Items, s.Lanes, s.Gates = itemsOf(rows), mergeLanes(s.Lanes), mergeGates(s.Gates)
	s.Quotas = sumQuotas(s.Quotas)
	return s
}

// itemsOf adds up the items of rows. They are large: those of a single row, which come sorted, are not copied.
func itemsOf(rows []*Row) []ItemCounts {
	if len(rows) == 1 && ascending(rows[0].Counts.Items) {
		return slices.Clip(rows[0].Counts.Items)
	}
	n := 0
	for _, r := range rows {
		n += len(r.Counts.Items)
	}
	all := make([]ItemCounts, 0, n)
	for _, r := range rows {
		all = append(all, r.Counts.Items...)
	}
	return mergeItems(all)
}

// ascending reports whether there are items, sorted and each once: then there is nothing to merge.
func ascending(all []ItemCounts) bool {
	for i := 1; i < len(all); i++ {
		if all[i-1].Item.Compare(all[i].Item) >= 0 {
			return false
		}
	}
	return len(all) > 0
}

// add adds the numbers of d, reasons apart.
func (c *ItemCounts) add(d *ItemCounts) {
	for k := range c.Evidence {
		c.Evidence[k].Add(&d.Evidence[k])
		c.Sent[k] += d.Sent[k]
	}
	for o := range c.Totals {
		c.Totals[o] += d.Totals[o]
	}
	for b := range c.Latency {
		c.Latency[b] += d.Latency[b]
	}
	for b := range c.Ages {
		c.Ages[b] += d.Ages[b]
	}
	c.LatencyMillis += d.LatencyMillis
}

// mergeItems sorts in place and adds what belongs together.
func mergeItems(all []ItemCounts) []ItemCounts {
	if ascending(all) {
		return all
	}
	slices.SortStableFunc(all, func(a, b ItemCounts) int { return a.Item.Compare(b.Item) })
	return mergeRuns(all, func(a, b *ItemCounts) bool { return a.Item == b.Item }, func(a, b *ItemCounts) {
		a.add(b)
		a.Reasons = mergeReasons(a.Reasons, b.Reasons)
	})
}

func mergeLanes(all []statemachine.LaneCount) []statemachine.LaneCount {
	slices.SortStableFunc(all, func(a, b statemachine.LaneCount) int { return a.Lane.Compare(b.Lane) })
	return mergeRuns(all, func(a, b *statemachine.LaneCount) bool { return a.Lane == b.Lane }, func(a, b *statemachine.LaneCount) {
		a.Decisions += b.Decisions
		a.Refused += b.Refused
	})
}

func mergeGates(all []GateSum) []GateSum {
	slices.SortStableFunc(all, func(a, b GateSum) int {
		return cmp.Or(a.Scope.Compare(b.Scope), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Step, b.Step))
	})
	same := func(a, b *GateSum) bool {
		return a.Scope == b.Scope && a.Generation == b.Generation && a.Step == b.Step
	}
	return mergeRuns(all, same, func(a, b *GateSum) {
		a.WouldBe += b.WouldBe
		a.Sent += b.Sent
		a.Routers += b.Routers
	})
}

// mergeRuns adds each run of same neighbours into its first. An empty list becomes nil.
func mergeRuns[T any](all []T, same func(a, b *T) bool, add func(a, b *T)) []T {
	if len(all) == 0 {
		return nil
	}
	n := 0
	for i := 1; i < len(all); i++ {
		if same(&all[n], &all[i]) {
			add(&all[n], &all[i])
			continue
		}
		if n++; n != i {
			all[n] = all[i]
		}
	}
	return all[:n+1]
}
