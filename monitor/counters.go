package monitor

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrItems is returned by Counters.SetItems for a list that is not the former one with items appended.
var ErrItems = errors.New("the list of items may only grow")

const (
	keptSeconds           = 900 // how far back seconds matter: the exchange keeps 15 minutes
	maxKeptContradictions = 64
)

// CountersOptions bound the memory of Counters. The zero value gives the defaults.
type CountersOptions struct {
	DuplicateWindow int64 // seconds for which repeated reports are recognised at least, if the slots suffice; 3600
	DuplicateSlots  int   // slots of each of two generations of attempts, 16 bytes each; 1 << 19
	PayerSlots      int   // slots of each of two generations of payer × item with a bad result, 16 bytes each; 1 << 17
	Claims          bool  // remember every result of a second for its claim: there are several replicas
	Repeats         bool  // a payer's further bad results count like the first: for simulations only
	ClaimWindow     int64 // with claims: an unknown attempt whose decision is older (seconds) is late; 3300
}

// Counters count reports into the items of the current second, in memory. They are safe for concurrent use; one mutex
// guards everything, because the work under it is shorter than what striping it would cost.
type Counters struct {
	mu             sync.Mutex
	items          []statemachine.Scope
	ranks          []int32                  // of the items when sorted
	kinds          []statemachine.ScopeKind // of items
	index          map[statemachine.Scope]int32
	reasons        *reasonNames
	duplicates     duplicates
	payers         payers
	open           []*openSecond // oldest first
	spare          []*openSecond
	closed         int64 // newest closed second
	books          Books
	contradictions []Contradiction
	claiming       bool
	repeats        bool
	unclaimed      []*SecondClaims // closed, not taken yet
}

// NewCounters returns counters without items.
func NewCounters(o CountersOptions) *Counters {
	if o.DuplicateWindow <= 0 {
		o.DuplicateWindow = 3600
	}
	if o.DuplicateSlots <= 0 {
		o.DuplicateSlots = 1 << 19
	}
	if o.PayerSlots <= 0 {
		o.PayerSlots = 1 << 17
	}
	if o.ClaimWindow <= 0 {
		o.ClaimWindow = claimSeconds - 300
	}
	return &Counters{
		claiming:   o.Claims,
		repeats:    o.Repeats,
		index:      map[statemachine.Scope]int32{},
		reasons:    newReasonNames(),
		duplicates: duplicates{table: newGenerations[uint8](o.DuplicateSlots, o.DuplicateWindow), elsewhere: elsewhere(o)},
		payers:     payers{table: newGenerations[int32](o.PayerSlots, payerWindow)},
		closed:     math.MinInt64,
	}
}

// SetItems gives the items by their index in Report.Items. The list may only grow: ErrItems otherwise, and nothing changes.
func (c *Counters) SetItems(items []statemachine.Scope) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(items) < len(c.items) {
		return fmt.Errorf("%w: %d items are known, %d were given", ErrItems, len(c.items), len(items))
	}
	for i, given := range items[:len(c.items)] {
		if item := c.items[i]; item != given {
			return fmt.Errorf("%w: item %d is %s, %s was given", ErrItems, i, item, given)
		}
	}
	added := make(map[statemachine.Scope]bool, len(items)-len(c.items))
	for _, item := range items[len(c.items):] {
		if _, known := c.index[item]; known || added[item] {
			return fmt.Errorf("%w: item %s is given twice", ErrItems, item)
		}
		added[item] = true
	}
	for _, item := range items[len(c.items):] {
		c.index[item] = int32(len(c.items)) //nolint:gosec // bounded by the catalogue
		c.items = append(c.items, item)
		c.kinds = append(c.kinds, item.Kind)
	}
	c.rank()
	return nil
}

// rank sorts the items.
func (c *Counters) rank() {
	order := make([]int32, len(c.items))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return c.items[a].Compare(c.items[b]) })
	c.ranks = make([]int32, len(order))
	for rank, item := range order {
		c.ranks[item] = int32(rank)
	}
}

// Count counts one report in its receipt second and says what became of it. A second that is closed already is taken
// for the oldest open one.
func (c *Counters) Count(r *Report, second int64) Disposition {
	c.mu.Lock()
	d := c.count(r, second)
	c.mu.Unlock()
	return d
}

// CountAll counts a batch under one lock. Element i of out becomes the disposition of report i; out must be as long.
func (c *Counters) CountAll(reports []Report, second int64, out []Disposition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range reports {
		d := c.count(&reports[i], second)
		if i < len(out) {
			out[i] = d
		}
	}
}

// Reject books a delivery that the edge refused.
func (c *Counters) Reject() {
	c.mu.Lock()
	book(&c.books, RejectedIn)
	c.mu.Unlock()
}

// Books returns the account of all deliveries so far.
func (c *Counters) Books() Books {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.books
}

// DuplicateWindow returns for how many seconds before second repeated reports are recognised.
func (c *Counters) DuplicateWindow(second int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.duplicates.window(second)
}

// Contradictions returns the contradicting finals since the last call, oldest first, at most 64; Books has their number.
func (c *Counters) Contradictions() []Contradiction {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.contradictions
	c.contradictions = nil
	return out
}

func (c *Counters) count(r *Report, second int64) Disposition {
	o := r.Outcome
	if o >= statemachine.NumOutcomes {
		o = statemachine.OutcomeUnspecified
	}
	s := c.at(second)
	ch := c.duplicates.resolve(r, o, s.second)
	book(&c.books, ch.disposition)
	if ch.contradicts {
		c.contradict(r, ch.old, o, s.second)
	}
	r.Settles = false
	if ch.disposition == Applied || ch.disposition == Corrected {
		r.Settles = definite(o) && (!ch.corrects || !definite(ch.old))
		c.apply(s, r, o, ch)
	}
	return ch.disposition
}

// entry is what a report that says something new means for each of its items.
type entry struct {
	*Report
	change
	outcome      statemachine.Outcome
	health       statemachine.Health
	second       int64
	reason       uint16
	bad          bool  // bad for some item: there is a reason
	result       bool  // the first result that is not PENDING
	latency, age int   // buckets
	counted      uint8 // bit i: evidence for item i
	first        uint8 // bit i: the payer's first bad result on item i
}

// apply enters a report that says something new into its items.
func (c *Counters) apply(s *openSecond, r *Report, o statemachine.Outcome, ch change) {
	s.under(r.Revision)
	s.reporters |= 1 << (r.Reporter & 63)
	e := entry{Report: r, change: ch, outcome: o, health: o.Health(), second: s.second}
	if e.bad = e.health > statemachine.HealthGood; e.bad {
		e.reason = c.reasons.id(r.Reason)
	}
	if e.result = ch.evidence && o != statemachine.Pending; e.result {
		e.latency, e.age = latencyBucket(r.LatencyMillis), ageBucket(r.Age)
	}
	for i, item := range r.Items {
		if uint(item) < uint(len(c.items)) { //nolint:gosec // NoItem wraps to a large number on purpose
			c.enter(s.cell(item, len(c.items)), &e, i)
		}
	}
	s.quota(r.Quotas, o, 1)
	if ch.corrects {
		s.quota(r.Quotas, ch.old, -1)
	}
	if c.claiming {
		s.record(&e)
	}
}

// definite reports whether an outcome says what became of the money.
func definite(o statemachine.Outcome) bool {
	return o != statemachine.OutcomeUnspecified && o.Money() != statemachine.MoneyInDoubt
}

// enter enters a report into the cell of its i-th item.
func (c *Counters) enter(at *cell, e *entry, i int) {
	at.counts.Totals[e.outcome]++
	if e.corrects {
		at.counts.Totals[e.old]--
	}
	if e.result {
		at.counts.Latency[e.latency]++
		at.counts.LatencyMillis += uint64(e.LatencyMillis)
		if e.age >= 0 {
			at.counts.Ages[e.age]++
		}
	}
	bad := e.bad && counts(e.health, c.kinds[at.item])
	if bad && e.result {
		at.reason(e.reason)
	}
	if !e.evidence || !e.Evidence[i] || e.Kinds[i] >= statemachine.NumLaneKinds {
		return
	}
	t := &at.counts.Evidence[e.Kinds[i]]
	t.Outcomes[e.outcome]++
	e.counted |= 1 << i
	if bad {
		c.bad(at.item, t, e, i)
	}
}

// counts reports whether the health meaning applies to an item of the kind.
func counts(h statemachine.Health, kind statemachine.ScopeKind) bool {
	return h != statemachine.HealthAccountBad || kind == statemachine.ScopeAccount
}

// bad enters a bad or half-weight result into the evidence of its i-th item.
func (c *Counters) bad(item int32, t *Tally, e *entry, i int) {
	first := c.payers.first(e.payer(), item, e.second) || c.repeats
	if first {
		e.first |= 1 << i
	}
	if e.health == statemachine.HealthHalf {
		t.Half++
		if first {
			t.HalfPayers++
		}
		return
	}
	t.Bad++
	if first {
		t.BadPayers++
	}
	switch {
	case e.Coded && first:
		t.CodedBad++
	case !e.Coded:
		t.Reporters |= 1 << (e.Reporter & 63)
	}
}

func (c *Counters) contradict(r *Report, kept, refused statemachine.Outcome, second int64) {
	c.books.Contradictions++
	c.note(Contradiction{Attempt: r.Attempt, Kept: kept, Refused: refused}, second, r.Items)
}

// at returns the open second, opening it if need be.
func (c *Counters) at(second int64) *openSecond {
	if second <= c.closed {
		second = c.closed + 1
	}
	if n := len(c.open); n > 0 && c.open[n-1].second == second {
		return c.open[n-1]
	}
	i, found := slices.BinarySearchFunc(c.open, second, func(o *openSecond, s int64) int { return int(max(-1, min(1, o.second-s))) })
	if found {
		return c.open[i]
	}
	s := &openSecond{}
	if n := len(c.spare); n > 0 {
		s, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	s.second = second
	c.open = slices.Insert(c.open, i, s)
	return s
}

// latencyBucket returns the bucket of LatencyBounds, whose bounds double from 50 ms on.
func latencyBucket(millis uint32) int {
	if millis <= LatencyBounds[0] {
		return 0
	}
	return min(bits.Len32((millis-1)/LatencyBounds[0]), NumLatencyBuckets-1)
}

// ageBucket returns the bucket of AgeBounds, -1 for an unknown age.
func ageBucket(age int32) int {
	if age < 0 {
		return -1
	}
	for i, bound := range AgeBounds {
		if age <= bound {
			return i
		}
	}
	return NumAgeBuckets - 1
}
