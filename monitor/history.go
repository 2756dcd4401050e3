package monitor

import (
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// History keeps the evidence of healthy items over the last closed seconds, as far back as the widest window of their
// channel's policy looks. Detectors, localisation and the common-mode check read from it.
//
// An item starts anew when the state of its scope, or of a scope that it lies in, changes; and when a scope inside it or
// across it is closed: what failed there was dealt with and must never count again.
type History struct {
	expects   *expectation
	items     map[statemachine.Scope]*series
	order     []*series // sorted by item
	touched   []*series // got results in the newest second
	waking    waking
	marks     map[statemachine.Scope]mark
	reporters []seenReporters // of the last minute
	now       int64           // newest second

	usual func(channel string) int64 // in how many seconds a channel's answers come, nil = at once
}

// mark is what was last seen of a state.
type mark struct {
	generation uint64
	after      int64
	phase      statemachine.Phase
	lowered    statemachine.Share // what a mild fault has left of it, 0 = not lowered
}

// series is one item's seconds with evidence, oldest first.
type series struct {
	item    statemachine.Scope
	floor   int64 // seconds counted under this revision or an earlier one are no evidence
	points  []point
	open    bool                  // its results are judged here, not by the steps
	moved   bool                  // its scope has a state …
	special bool                  // … with a threshold, or the end of an incident to look for, of its own
	kind    statemachine.LaneKind // of the results that are
	at      int32                 // place in the order when everyone was last judged
	track   track                 // of the sequential detector
}

type point struct {
	second  int64
	tally   Tally
	reasons []statemachine.ReasonCount
}

type seenReporters struct {
	second int64
	bitmap uint64
}

const reporterMemory = 60 // seconds

// answersIn is how many seconds after the decision nearly all answers of a channel have come.
func (h *History) answersIn(channel string) int64 {
	if h.usual == nil {
		return 0
	}
	return h.usual(channel)
}

// NewHistory returns an empty history of results.
func NewHistory() *History { return newHistory(&resultsExpected) }

func newHistory(x *expectation) *History {
	return &History{expects: x, items: map[statemachine.Scope]*series{}, marks: map[statemachine.Scope]mark{}}
}

// Add takes the sum of one sealed second. A second that is not newer than the newest one is ignored.
func (h *History) Add(sum *SecondCounts, f *statemachine.Fleet) {
	if sum.Second <= h.now {
		return
	}
	h.now = sum.Second
	h.follow(f)
	h.reporters = slices.DeleteFunc(h.reporters, func(s seenReporters) bool { return s.second <= h.now-reporterMemory })
	if sum.Reporters != 0 {
		h.reporters = append(h.reporters, seenReporters{sum.Second, sum.Reporters})
	}
	h.touched = h.touched[:0]
	at := 0
	for i := range sum.Items {
		c := &sum.Items[i]
		var s *series
		if s, at = h.find(c.Item, at); s == nil {
			if s = h.begin(c, at, f); s == nil {
				continue
			}
		}
		h.add(s, c, sum)
	}
	if h.now%trimEvery == 0 {
		h.forget(f)
	}
}

// find returns the series of an item, or nil with the place where it belongs. Items come sorted, so the search goes on
// from where the last one ended: mostly the next is meant.
func (h *History) find(item statemachine.Scope, from int) (*series, int) {
	if from < len(h.order) {
		switch c := h.order[from].item.Compare(item); {
		case c == 0:
			return h.order[from], from + 1
		case c > 0:
			return nil, from
		}
	}
	low, high := from, len(h.order)
	for step := 1; from+step < high; step *= 2 { // it is seldom far
		if h.order[from+step].item.Compare(item) >= 0 {
			high = from + step + 1
			break
		}
		low = from + step
	}
	n, ok := slices.BinarySearchFunc(h.order[low:high], item, func(s *series, item statemachine.Scope) int { return s.item.Compare(item) })
	if !ok {
		return nil, low + n
	}
	return h.order[low+n], low + n + 1
}

// begin starts the series of an item that has evidence for the first time.
func (h *History) begin(c *ItemCounts, at int, f *statemachine.Fleet) *series {
	kind, ok := judgedKind(f.State(c.Item))
	if !ok || c.Evidence[kind] == (Tally{}) {
		return nil
	}
	s := &series{item: c.Item, floor: floor(c.Item, f), open: true, kind: kind, track: newTrack(h.expects)}
	h.items[c.Item] = s
	h.order = slices.Insert(h.order, at, s)
	h.waking.everyone = true
	return s
}

// judgedKind returns the lane whose evidence judges the item in its state: normal traffic of what is open, the ramp's of
// what was degraded; ok is false for what is closed, probed or on its way back, which steps judge.
func judgedKind(st statemachine.State) (kind statemachine.LaneKind, ok bool) {
	switch phase, _ := st.Effective(); {
	case phase == statemachine.Healthy:
		return statemachine.KindNormal, true
	case phase == statemachine.Ramping && st.Kind == statemachine.Degraded:
		return statemachine.KindRamp, true
	}
	return 0, false
}

func (h *History) add(s *series, c *ItemCounts, sum *SecondCounts) {
	if !s.open || s.floor > 0 && sum.Revision <= s.floor {
		return
	}
	tally := &c.Evidence[s.kind]
	if *tally == (Tally{}) {
		return
	}
	p := point{second: sum.Second, tally: *tally}
	if tally.Bad+tally.Half > 0 {
		p.reasons = c.Reasons
	}
	s.points = append(s.points, p)
	h.touched = append(h.touched, s)
}

// floor is the newest revision against which a scope overlapping a new item was decided.
func floor(item statemachine.Scope, f *statemachine.Fleet) int64 {
	newest := int64(0)
	for scope, st := range f.States {
		if overlap(scope, item, f) {
			newest = max(newest, st.After)
		}
	}
	return newest
}

// follow restarts the items that a change of state concerns.
func (h *History) follow(f *statemachine.Fleet) {
	for scope, st := range f.States {
		if s := h.items[scope]; s != nil {
			s.kind, s.open = judgedKind(st)
			s.moved = true
			special := h.special(&st)
			h.waking.everyone = h.waking.everyone || special && !s.special
			s.special = special
		}
		old, is := h.marks[scope], mark{st.Generation, st.After, st.Phase, loweredTo(&st)} // never seen is never touched
		if old != is {
			h.marks[scope] = is
			h.restart(scope, old, is, f)
		}
	}
}

// special reports whether an item in a state is judged though it is calm. See sequential.threshold and recovered.
func (h *History) special(st *statemachine.State) bool {
	return st.Incident != "" && (st.Kind == statemachine.Observed || st.Kind == statemachine.Refused) ||
		st.Lowered() ||
		st.Phase == statemachine.Healthy && int64(st.Probation)/1000 > h.now
}

// loweredTo is the share that a mild fault has left of a scope, 0 where it is not lowered.
func loweredTo(st *statemachine.State) statemachine.Share {
	if st.Lowered() {
		return st.Share
	}
	return 0
}

// restart restarts the items that a scope's change of state concerns.
func (h *History) restart(scope statemachine.Scope, old, is mark, f *statemachine.Fleet) {
	life := old.generation != is.generation || old.lowered > 0 && is.lowered > old.lowered // what its parts showed is over with it
	closed := life && (is.phase == statemachine.Disabled || is.phase == statemachine.Ramping && old.phase == statemachine.Healthy)
	for item, s := range h.items {
		if !overlap(scope, item, f) {
			continue
		}
		if item == scope || life && inside(item, scope, f) || closed {
			s.points = s.points[:0]
			s.track.reset()
		}
		if item == scope || life {
			s.floor = max(s.floor, is.after)
		}
	}
}

// inside reports whether every payment of the item belongs to the scope.
func inside(item, scope statemachine.Scope, f *statemachine.Fleet) bool {
	switch {
	case item == scope:
		return true
	case scope.Kind == statemachine.ScopeDomain:
		return slices.Contains(f.Channels[item.Channel].Domains, scope.Of)
	case item.Channel != scope.Channel:
		return false
	case scope.Kind == statemachine.ScopeChannel:
		return true
	case scope.Kind == statemachine.ScopeMethod && item.Kind == statemachine.ScopeInstrument:
		in, err := statemachine.ParseInstrument(item.Of)
		return err == nil && in.Method == scope.Of
	}
	return false
}

// overlap reports whether a payment may belong to both scopes.
func overlap(a, b statemachine.Scope, f *statemachine.Fleet) bool {
	switch {
	case inside(a, b, f), inside(b, a, f):
		return true
	case a.Channel != b.Channel, a.Kind == b.Kind, a.Kind == statemachine.ScopeDomain, b.Kind == statemachine.ScopeDomain:
		return false
	case a.Kind == statemachine.ScopeMethod && b.Kind == statemachine.ScopeInstrument, a.Kind == statemachine.ScopeInstrument && b.Kind == statemachine.ScopeMethod:
		return false
	}
	return true
}

const (
	trimEvery  = 64 // seconds
	keptPoints = 64 // seconds with results that are kept however old: on a quiet item they are the evidence
)

// forget drops what no rule looks at any more.
func (h *History) forget(f *statemachine.Fleet) {
	for _, s := range h.order {
		oldest := h.now - horizon(f.Policy(s.item.Channel))
		if began := s.track.began(); began != 0 {
			oldest = max(h.now-keptSeconds, min(oldest, began-commonLookBack))
		}
		n := 0
		for n < len(s.points)-keptPoints && s.points[n].second <= oldest {
			n++
		}
		s.points = slices.Delete(s.points, 0, n)
	}
	for scope := range h.marks {
		if _, ok := f.States[scope]; !ok {
			delete(h.marks, scope)
		}
	}
}

// horizon is how many seconds back the rules of a policy look, at most 900.
func horizon(p statemachine.Policy) int64 {
	if p.Detector == statemachine.DetectorSequential {
		return poolSeconds + commonLookBack
	}
	widest := seconds(p.Window) * int64(max(1, p.WidenFactor))
	return min(keptSeconds, max(widest, seconds(p.RatioWindow), 10))
}

// seconds is a duration in whole seconds, at least one.
func seconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }

// Now is the newest second, 0 before the first.
func (h *History) Now() int64 { return h.now }

// Items returns the items with evidence, sorted.
func (h *History) Items() []statemachine.Scope {
	items := make([]statemachine.Scope, 0, len(h.order))
	for _, s := range h.order {
		if len(s.points) > 0 {
			items = append(items, s.item)
		}
	}
	return items
}

// Over adds up an item's evidence of the seconds from to to, both included.
func (h *History) Over(item statemachine.Scope, from, to int64) Tally {
	if s := h.items[item]; s != nil {
		return s.sum(from, to)
	}
	return Tally{}
}

// sum adds up the seconds from from to to, both included.
func (s *series) sum(from, to int64) (t Tally) {
	for i := s.first(from); i < len(s.points) && s.points[i].second <= to; i++ {
		t.Add(&s.points[i].tally)
	}
	return t
}

// Reasons returns the top causes of an item's bad results from second from to to.
func (h *History) Reasons(item statemachine.Scope, from, to int64) []statemachine.ReasonCount {
	s := h.items[item]
	if s == nil {
		return nil
	}
	var lists [][]statemachine.ReasonCount
	for i := s.first(from); i < len(s.points) && s.points[i].second <= to; i++ {
		lists = append(lists, s.points[i].reasons)
	}
	return mergeReasons(lists...)
}

// Reporters is the bitmap of everyone who reported anything in the last minute.
func (h *History) Reporters() uint64 {
	all := uint64(0)
	for _, s := range h.reporters {
		all |= s.bitmap
	}
	return all
}

// Drop forgets everything from a second on: it was no fault of the items.
func (h *History) Drop(from int64) {
	for _, s := range h.order {
		s.points = s.points[:s.first(from)]
		s.track.reset()
	}
}

// first is the index of the first point at or after a second.
func (s *series) first(second int64) int {
	low, high := 0, len(s.points)
	for low < high {
		if m := int(uint(low+high) >> 1); s.points[m].second < second {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}
