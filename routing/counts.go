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
}

type laneCell struct{ decisions, refused atomic.Uint32 }

func newCounts(p *Plan) *counts {
	return &counts{
		plan: p, lanes: make([]laneCell, len(p.lanes)), combos: make([]atomic.Uint32, len(p.combos)),
		accounts: make([]atomic.Uint32, len(p.accounts)), items: make([]atomic.Uint32, len(p.items)*int(statemachine.NumLaneKinds)),
	}
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
	lanes, sent := map[statemachine.Lane]*statemachine.LaneCount{}, map[sentKey]uint32{}
	current := r.live.Load()
	if current != nil {
		r.since = current.table.rev.Revision
		current.counts.drain(lanes, sent)
	}
	r.retired = slices.DeleteFunc(r.retired, func(l *live) bool {
		l.counts.drain(lanes, sent)
		l.drains++
		return l.drains > idleDrains
	})
	for _, l := range lanes {
		out.Lanes = append(out.Lanes, *l)
	}
	for key, n := range sent {
		out.Sent = append(out.Sent, statemachine.SentCount{Item: key.item, Kind: key.kind, N: n})
	}
	out.Gates = r.drainGates(current)
	out.Limits = r.drainLimits(current, second)
	sortCounts(&out)
	return out
}

type sentKey struct {
	item statemachine.Scope
	kind statemachine.LaneKind
}

func sortCounts(out *RouterCounts) {
	slices.SortFunc(out.Lanes, func(a, b statemachine.LaneCount) int { return a.Lane.Compare(b.Lane) })
	slices.SortFunc(out.Sent, func(a, b statemachine.SentCount) int {
		if c := a.Item.Compare(b.Item); c != 0 {
			return c
		}
		return int(a.Kind) - int(b.Kind)
	})
	slices.SortFunc(out.Gates, func(a, b statemachine.GateCount) int {
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

func (c *counts) drain(lanes map[statemachine.Lane]*statemachine.LaneCount, sent map[sentKey]uint32) {
	for i := range c.lanes {
		d, n := take(&c.lanes[i].decisions), take(&c.lanes[i].refused)
		if d == 0 && n == 0 {
			continue
		}
		key := c.plan.lanes[i].Lane
		l, ok := lanes[key]
		if !ok {
			l = &statemachine.LaneCount{Lane: key}
			lanes[key] = l
		}
		l.Decisions += d
		l.Refused += n
	}
	items := c.plan.items
	for i := range c.combos {
		n := take(&c.combos[i])
		if n == 0 {
			continue
		}
		co := &c.plan.combos[i]
		for _, item := range [...]int32{co.channel, co.business, co.method, co.instrument} {
			sent[sentKey{items[item], statemachine.KindNormal}] += n
		}
	}
	for i := range c.accounts {
		if n := take(&c.accounts[i]); n > 0 {
			sent[sentKey{items[c.plan.accounts[i].item], statemachine.KindNormal}] += n
		}
	}
	for i := range c.items {
		if n := take(&c.items[i]); n > 0 {
			kinds := int(statemachine.NumLaneKinds)
			sent[sentKey{items[i/kinds], statemachine.LaneKind(i % kinds)}] += n
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
