package routing

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

// counts is what a router counts under one plan, all since the last drain.
type counts struct {
	plan     *Plan
	lanes    []laneCell
	combos   []atomic.Uint32 // decisions of kind normal for all their items, by combo …
	accounts []atomic.Uint32 // … and the same by account
	items    []atomic.Uint32 // all others: item × kind
	order    []int32         // items, sorted
	sent     []uint32        // sums of one drain: item × kind
}

type laneCell struct{ decisions, refused atomic.Uint32 }

func newCounts(p *Plan) *counts {
	c := &counts{
		plan: p, lanes: make([]laneCell, len(p.lanes)), combos: make([]atomic.Uint32, len(p.combos)),
		accounts: make([]atomic.Uint32, len(p.accounts)), items: make([]atomic.Uint32, len(p.items)*int(statemachine.NumLaneKinds)),
		order: make([]int32, len(p.items)), sent: make([]uint32, len(p.items)*int(statemachine.NumLaneKinds)),
	}
	for i := range c.order {
		c.order[i] = int32(i)
	}
	slices.SortFunc(c.order, func(a, b int32) int { return p.items[a].Compare(p.items[b]) })
	return c
}

// decision counts one answer: the lane's demand, and what was sent to the candidate's items. A payment that a previous attempt
// forbids is no demand.
func (c *counts) decision(rk *Ranking, sent int, ok bool) {
	if rk.lane >= 0 && rk.decided < 0 && rk.refusal != AttemptsExhausted {
		if ok {
			c.lanes[rk.lane].decisions.Add(1)
		} else {
			c.lanes[rk.lane].refused.Add(1)
		}
	}
	if !ok || sent < 0 {
		return
	}
	r := &rk.list[sent]
	if r.combo >= 0 && r.closing < 0 {
		c.combos[r.combo].Add(1)
		c.accounts[r.account].Add(1)
		return
	}
	at := rk.items(r)
	kinds := rk.table.kinds(r.channel, &at)
	for i, item := range at {
		if item >= 0 {
			c.items[int(item)*int(statemachine.NumLaneKinds)+int(kinds[i])].Add(1)
		}
	}
}

// kinds returns the lane kind of a decision for each of its items, by the same rule as Attribute.
func (t *Table) kinds(channel int32, at *places) [numPlaces]statemachine.LaneKind {
	a := Attribution{Items: *at}
	for _, m := range t.marks.of(channel) {
		if m.place == placeDomain || at[m.place] == m.item {
			a.raise(m.place, kindOf(t.hot[m.hot].phase))
		}
	}
	return a.Kinds
}

// RouterCounts is what a router counted since the drain before. Lists are sorted and hold what is not zero.
type RouterCounts struct {
	Second   int64
	Revision int64 // lowest table revision that anything may have been counted under, 0 = no table
	Lanes    []statemachine.LaneCount
	Gates    []statemachine.GateCount
	Sent     []statemachine.SentCount
	Limits   []statemachine.LimitCount
}

// idleDrains is how many drains a gate that no table names, or a replaced plan, is still looked at.
const idleDrains = 120

// Drain returns what was counted since the drain before, and begins anew. second labels the counts.
func (r *Router) Drain(second int64) RouterCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := RouterCounts{Second: second, Revision: r.since}
	current := r.live.Load()
	if current != nil {
		r.since = current.table.rev.Revision
		current.counts.drain(&out)
	}
	lanes, sent := len(out.Lanes), len(out.Sent)
	r.retired = slices.DeleteFunc(r.retired, func(l *live) bool {
		l.counts.drain(&out)
		l.drains++
		return l.drains > idleDrains
	})
	slices.SortFunc(out.Lanes, func(a, b statemachine.LaneCount) int { return a.Lane.Compare(b.Lane) }) // the plan's order is nearly this
	if len(out.Lanes) > lanes || len(out.Sent) > sent {
		mergeCounts(&out)
	}
	out.Gates = r.drainGates(current)
	out.Limits = r.drainLimits(current, second)
	sortGates(out.Gates)
	return out
}

// mergeCounts adds up what belongs together of what several plans counted.
func mergeCounts(out *RouterCounts) {
	n := 0
	for _, l := range out.Lanes {
		if n > 0 && out.Lanes[n-1].Lane == l.Lane {
			out.Lanes[n-1].Decisions += l.Decisions
			out.Lanes[n-1].Refused += l.Refused
			continue
		}
		out.Lanes[n] = l
		n++
	}
	out.Lanes = out.Lanes[:n]
	slices.SortFunc(out.Sent, func(a, b statemachine.SentCount) int {
		if c := a.Item.Compare(b.Item); c != 0 {
			return c
		}
		return int(a.Kind) - int(b.Kind)
	})
	n = 0
	for _, c := range out.Sent {
		if n > 0 && out.Sent[n-1].Item == c.Item && out.Sent[n-1].Kind == c.Kind {
			out.Sent[n-1].N += c.N
			continue
		}
		out.Sent[n] = c
		n++
	}
	out.Sent = out.Sent[:n]
}

func sortGates(gates []statemachine.GateCount) {
	slices.SortFunc(gates, func(a, b statemachine.GateCount) int {
		switch c := a.Scope.Compare(b.Scope); {
		case c != 0:
			return c
		case a.Generation != b.Generation && a.Generation < b.Generation:
			return -1
		case a.Generation != b.Generation:
			return 1
		}
		return int(a.Step) - int(b.Step)
	})
}

// take empties a cell.
func take(cell *atomic.Uint32) uint32 {
	if cell.Load() == 0 { // a plain read keeps quiet cells out of other cores' way
		return 0
	}
	return cell.Swap(0)
}

// drain appends what was counted since the drain before, items sorted, and begins anew.
func (c *counts) drain(out *RouterCounts) {
	for i := range c.lanes {
		if d, n := take(&c.lanes[i].decisions), take(&c.lanes[i].refused); d != 0 || n != 0 {
			out.Lanes = append(out.Lanes, statemachine.LaneCount{Lane: c.plan.lanes[i].Lane, Decisions: d, Refused: n})
		}
	}
	const kinds = int(statemachine.NumLaneKinds)
	normal := int(statemachine.KindNormal)
	for i := range c.combos {
		n := take(&c.combos[i])
		if n == 0 {
			continue
		}
		co := &c.plan.combos[i]
		for _, item := range [...]int32{co.channel, co.business, co.method, co.instrument} {
			c.sent[int(item)*kinds+normal] += n
		}
	}
	for i := range c.accounts {
		if n := take(&c.accounts[i]); n > 0 {
			c.sent[int(c.plan.accounts[i].item)*kinds+normal] += n
		}
	}
	for i := range c.items {
		if n := take(&c.items[i]); n > 0 {
			c.sent[i] += n
		}
	}
	for _, item := range c.order {
		of := c.sent[int(item)*kinds:][:kinds]
		for kind, n := range of {
			if n > 0 {
				out.Sent = append(out.Sent, statemachine.SentCount{Item: c.plan.items[item], Kind: statemachine.LaneKind(kind), N: n})
				of[kind] = 0
			}
		}
	}
}

// drainGates returns the gates' news and forgets gates that no table has named for long.
func (r *Router) drainGates(current *live) []statemachine.GateCount {
	type key struct {
		scope      statemachine.Scope
		generation uint64
		step       uint32
	}
	sums := map[key]*statemachine.GateCount{}
	used := map[*gate]bool{}
	if current != nil {
		for _, g := range current.gates {
			used[g] = true
		}
	}
	for k, g := range r.gates {
		done := g.done.Load() // before wouldBe, which is raised first: what was sent is never shown without what allowed it
		would := g.wouldBe.Load()
		n, s := would-g.drainedWouldBe, done-g.drainedDone
		g.drainedWouldBe, g.drainedDone = would, done
		if n == 0 && s == 0 {
			if g.idle++; g.idle > idleDrains && !used[g] {
				delete(r.gates, k)
			}
			continue
		}
		g.idle = 0
		id := key{k.scope, k.generation, k.step}
		if sums[id] == nil {
			sums[id] = &statemachine.GateCount{Scope: k.scope, Generation: k.generation, Step: k.step}
		}
		sums[id].WouldBe += u32(n)
		sums[id].Sent += u32(s)
	}
	out := make([]statemachine.GateCount, 0, len(sums))
	for _, g := range sums {
		out = append(out, *g)
	}
	return out
}
