package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// cell is what one item counted in an open second. Item and Reasons of counts are filled when the second closes.
type cell struct {
	item    int32
	used    uint8 // reasons in use
	counts  ItemCounts
	reasons [reasonsPerCell]reasonSlot
}

// openSecond holds the cells of the items that were touched in one second. It is used again after its second closed.
type openSecond struct {
	second    int64
	revision  int64
	reporters uint64
	slots     []int32 // by item: index into cells plus one, 0 = not touched
	cells     []cell
	lanes     []statemachine.LaneCount
	gates     []statemachine.GateCount
	records   []claimRecord             // of results, if they are claimed
	quotas    []statemachine.QuotaCount // sorted by id
}

// cell returns the cell of an item, which must be below items.
func (o *openSecond) cell(item int32, items int) *cell {
	if len(o.slots) < items {
		o.slots = append(o.slots, make([]int32, items-len(o.slots))...)
	}
	if at := o.slots[item]; at != 0 {
		return &o.cells[at-1]
	}
	if len(o.cells) < cap(o.cells) {
		o.cells = o.cells[:len(o.cells)+1]
		o.cells[len(o.cells)-1] = cell{item: item}
	} else {
		o.cells = append(o.cells, cell{item: item})
	}
	o.slots[item] = int32(len(o.cells)) //nolint:gosec // bounded by the catalogue
	return &o.cells[len(o.cells)-1]
}

// reset makes it ready for another second, keeping its memory.
func (o *openSecond) reset() {
	for i := range o.cells {
		o.slots[o.cells[i].item] = 0
	}
	*o = openSecond{slots: o.slots, cells: o.cells[:0], lanes: o.lanes[:0], gates: o.gates[:0], records: o.records[:0], quotas: o.quotas[:0]}
}

// under notes the table revision something was counted under.
func (o *openSecond) under(revision int64) {
	if revision != 0 && (o.revision == 0 || revision < o.revision) {
		o.revision = revision
	}
}

// reason counts one more bad result for a reason.
func (c *cell) reason(id uint16) {
	for i := range c.reasons[:c.used] {
		if c.reasons[i].id == id {
			c.reasons[i].n++
			return
		}
	}
	if c.used >= reasonsPerCell-1 && id != otherReason { // the last place is kept for what has no place
		c.reason(otherReason)
		return
	}
	c.reasons[c.used] = reasonSlot{id: id, n: 1}
	c.used++
}

// close returns the sorted counts of the second. ranks are the items' places when sorted.
func (o *openSecond) close(items []statemachine.Scope, ranks []int32, names []string) SecondCounts {
	s := SecondCounts{Second: o.second, Revision: o.revision, Reporters: o.reporters}
	if len(o.cells) > 0 {
		s.Items = make([]ItemCounts, len(o.cells))
	}
	order := make([]int32, len(o.cells)) // cells are large: their places are sorted
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return int(ranks[o.cells[a].item] - ranks[o.cells[b].item]) })
	for i, at := range order {
		c := &o.cells[at]
		s.Items[i] = c.counts
		s.Items[i].Item = items[c.item]
		if c.used > 0 {
			all := make([]statemachine.ReasonCount, c.used)
			for j, r := range c.reasons[:c.used] {
				all[j] = statemachine.ReasonCount{Reason: names[r.id], N: uint64(r.n)}
			}
			s.Items[i].Reasons = topReasons(all)
		}
	}
	s.Quotas = sumQuotas(slices.Clone(o.quotas))
	s.Lanes = mergeLanes(slices.Clone(o.lanes))
	gates := make([]GateSum, 0, len(o.gates))
	for _, g := range o.gates {
		gates = append(gates, GateSum{GateCount: g})
	}
	s.Gates = mergeGates(gates)
	for i := range s.Gates { // one replica is one router
		s.Gates[i].Routers = min(1, s.Gates[i].WouldBe)
	}
	return s
}
