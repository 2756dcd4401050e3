package backtest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// gate is a scope that is not fully open in the replay, and what it lets through in one second.
type gate struct {
	scope   statemachine.Scope
	kind    statemachine.LaneKind
	results uint32  // recorded results that it lets through
	sent    uint32  // recorded decisions that it lets through
	share   float64 // of the results, for the items inside it
}

// thinner takes out of a second what gates would not have let through.
type thinner struct {
	second int64
	items  []monitor.ItemCounts
	fleet  *statemachine.Fleet
	gates  []gate
}

// run takes out what the gates keep off, the widest first.
func (t *thinner) run() {
	slices.SortStableFunc(t.gates, func(a, b gate) int {
		return cmp.Or(cmp.Compare(a.scope.Kind, b.scope.Kind), a.scope.Compare(b.scope))
	})
	for _, g := range t.gates {
		t.through(g)
	}
}

// through takes out what one gate keeps off.
func (t *thinner) through(g gate) {
	d := drawsFor(g.scope, t.second)
	if g.scope.Kind == statemachine.ScopeDomain { // wider than every item: what is left is normal traffic of its channels
		for i := range t.items {
			if facts := t.fleet.Channels[t.items[i].Item.Channel]; slices.Contains(facts.Domains, g.scope.Of) {
				t.inside(&t.items[i], g.share, d)
			}
		}
		return
	}
	own := slices.IndexFunc(t.items, func(i monitor.ItemCounts) bool { return i.Item == g.scope })
	if own < 0 {
		return
	}
	before := t.items[own]
	after := kept(before, g, d)
	channel := t.answered(statemachine.ChannelScope(g.scope.Channel))
	for i := range t.items {
		item := &t.items[i]
		if item.Item.Channel != g.scope.Channel {
			continue
		}
		switch relate(g.scope, item.Item) {
		case same:
			*item = after
		case contains:
			t.inside(item, g.share, d)
		case within:
			exchange(item, before, after, 1, 1)
		case crosses:
			exchange(item, before, after, item.Evidence[statemachine.KindNormal].Answered(), channel)
		case apart:
		}
	}
}

func (t *thinner) answered(s statemachine.Scope) uint32 {
	for i := range t.items {
		if t.items[i].Item == s {
			return t.items[i].Evidence[statemachine.KindNormal].Answered()
		}
	}
	return 0
}

// kept is the gate's own item with what the gate lets through, counted in the gate's lane.
func kept(item monitor.ItemCounts, g gate, d *draws) monitor.ItemCounts {
	all := item.Evidence[statemachine.KindNormal]
	item.Evidence[statemachine.KindNormal] = monitor.Tally{}
	through := d.pickTally(all, g.results)
	item.Evidence[g.kind] = through
	d.pick(item.Ages[:], through.Answered())
	item.Sent = [statemachine.NumLaneKinds]uint32{}
	item.Sent[g.kind] = g.sent
	return item
}

// inside thins an item that the closed scope contains: what is left is its normal traffic.
func (t *thinner) inside(item *monitor.ItemCounts, share float64, d *draws) {
	normal := &item.Evidence[statemachine.KindNormal]
	*normal = d.pickTally(*normal, d.part(normal.Answered(), share))
	d.pick(item.Ages[:], normal.Answered())
	item.Sent[statemachine.KindNormal] = d.part(item.Sent[statemachine.KindNormal], share)
}

// exchange takes the traffic of a closed scope out of an item that shares part/whole of it, and puts in what is let through.
func exchange(item *monitor.ItemCounts, before, after monitor.ItemCounts, part, whole uint32) {
	gone := scaleTally(before.Evidence[statemachine.KindNormal], part, whole)
	less(&item.Evidence[statemachine.KindNormal], &gone)
	for k := range after.Evidence {
		through := scaleTally(after.Evidence[k], part, whole)
		item.Evidence[k].Add(&through)
		item.Sent[k] += scaled(after.Sent[k], part, whole)
	}
	sent := scaled(before.Sent[statemachine.KindNormal], part, whole)
	item.Sent[statemachine.KindNormal] -= min(item.Sent[statemachine.KindNormal], sent)
	for i := range item.Ages {
		off := scaled(before.Ages[i]-after.Ages[i], part, whole)
		item.Ages[i] -= min(item.Ages[i], off)
	}
}

// relation is how the traffic of two scopes of one channel overlaps.
type relation uint8

const (
	apart    relation = iota
	same              // equal
	contains          // the first holds all of the second's
	within            // the second holds all of the first's
	crosses           // some is common
)

// relate says how two scopes of one channel overlap.
func relate(a, b statemachine.Scope) relation {
	switch {
	case a == b:
		return same
	case a.Kind == b.Kind:
		return apart
	case a.Kind == statemachine.ScopeChannel:
		return contains
	case b.Kind == statemachine.ScopeChannel:
		return within
	case a.Kind == statemachine.ScopeMethod && b.Kind == statemachine.ScopeInstrument:
		if strings.HasPrefix(b.Of, a.Of+":") {
			return contains
		}
		return apart
	case a.Kind == statemachine.ScopeInstrument && b.Kind == statemachine.ScopeMethod:
		if strings.HasPrefix(a.Of, b.Of+":") {
			return within
		}
		return apart
	}
	return crosses
}

// related reports whether closing one scope says anything about the other, failure domains included.
func related(a, b statemachine.Scope, f *statemachine.Fleet) bool {
	for _, x := range itemsOf(a, f) {
		for _, y := range itemsOf(b, f) {
			if x.Channel == y.Channel && relate(x, y) != apart && relate(x, y) != crosses {
				return true
			}
		}
	}
	return a == b
}
