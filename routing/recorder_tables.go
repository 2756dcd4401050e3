package routing

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	chunkTables    = 32       // revisions that are told by what changed since the first of them
	mostTables     = 1 << 12  // revisions that are kept at most
	tablesBudget   = 64 << 20 // bytes that revisions beyond the promised ones may take
	compiledPlans  = 4        // catalogues that are kept compiled; older ones are packed
	pendingTables  = 64       // tables that wait to be told by their changes
	revisionsBytes = 128      // about what a revision takes where nothing changed
)

// recorderTables keeps the newest tables as what changed from one to the next: catalogues, states and scores, from which a
// table is made again when somebody asks. Decisions only tell of new tables; the work is done by whoever calls fold.
type recorderTables struct {
	keep    int   // newest revisions that are kept whatever they weigh
	budget  int64 // bytes beyond which no others are
	newest  atomic.Pointer[Table]
	waiting sync.Mutex
	pending []*Table // seen, not yet folded; oldest first

	reopened atomic.Pointer[reopened] // the packed catalogue that was asked for last

	mu     sync.Mutex
	last   *Table // newest that was folded
	chunks []*tableChunk
	plans  []*keptPlan // of the chunks, in order
	count  int
	bytes  int64
}

// tableChunk is a run of revisions of one catalogue: all states and scores of the first, and what changed with each.
type tableChunk struct {
	plan   *keptPlan
	states []statemachine.State
	scores *Scores
	tables []tableDelta
	bytes  int64
}

// tableDelta is one revision. Its lists are sorted; nothing changed where they are empty.
type tableDelta struct {
	rev    Revision
	states []statemachine.State
	scores *Scores // nil = as before
}

// seen tells of the table of a decision. The newest is known at once; a lock is taken about once a revision, and briefly.
func (k *recorderTables) seen(t *Table) {
	if k.newest.Load() != t && k.wait(t) {
		k.fold()
	}
}

// wait lets a table wait to be folded and reports whether many do.
func (k *recorderTables) wait(t *Table) bool {
	k.waiting.Lock()
	defer k.waiting.Unlock()
	if newest := k.newest.Load(); newest != nil && !t.rev.Newer(newest.rev) {
		return false // a payment that was under way when the table changed, or the same table compiled anew
	}
	k.newest.Store(t)
	k.pending = append(k.pending, t)
	return len(k.pending) >= pendingTables
}

// fold keeps the tables that wait.
func (k *recorderTables) fold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting.Lock()
	pending := k.pending
	k.pending = nil
	k.waiting.Unlock()
	for _, t := range pending {
		k.add(t)
	}
}

// add keeps a table that is newer than all others.
func (k *recorderTables) add(t *Table) {
	before := k.last
	k.last = t
	k.count++
	if before != nil && before.plan == t.plan {
		c := k.chunks[len(k.chunks)-1]
		if delta, ok := before.deltaTo(t); ok && len(c.tables) < chunkTables {
			c.tables = append(c.tables, delta)
			n := revisionsBytes + sizeOf[statemachine.State](len(delta.states)) + delta.scores.size()
			c.bytes += n
			k.bytes += n
			k.shed()
			return
		}
	}
	c := &tableChunk{plan: k.planOf(t.plan), states: t.states, scores: t.scores, tables: []tableDelta{{rev: t.rev}}}
	c.bytes = chunkTables*revisionsBytes + sizeOf[statemachine.State](len(t.states)) + t.scores.size()
	k.chunks = append(k.chunks, c)
	k.bytes += c.bytes
	k.shed()
}

// planOf returns the kept plan of the newest table, and packs older ones.
func (k *recorderTables) planOf(p *Plan) *keptPlan {
	if n := len(k.plans); n > 0 && k.plans[n-1].plan.Load() == p {
		return k.plans[n-1]
	}
	plan := &keptPlan{}
	plan.plan.Store(p)
	k.plans = append(k.plans, plan)
	if n := len(k.plans); n > compiledPlans {
		k.bytes += k.plans[n-1-compiledPlans].pack()
	}
	return plan
}

// shed lets go of the oldest revisions: none of the promised ones, of the others what is over the bounds.
func (k *recorderTables) shed() {
	for len(k.chunks) > 1 {
		c := k.chunks[0]
		left := k.count - len(c.tables)
		if left < k.keep || left < mostTables && k.bytes <= k.budget {
			return
		}
		k.count, k.bytes, k.chunks[0] = left, k.bytes-c.bytes, nil
		k.chunks = k.chunks[1:]
		if k.chunks[0].plan != c.plan {
			k.bytes -= int64(len(k.plans[0].packed))
			k.plans = slices.Delete(k.plans, 0, 1)
		}
	}
}

// find makes the table of a revision again, nil if it is not kept.
func (k *recorderTables) find(rev Revision) *Table {
	k.fold()
	k.mu.Lock()
	if k.last != nil && k.last.rev == rev {
		defer k.mu.Unlock()
		return k.last
	}
	for _, c := range k.chunks {
		if i := slices.IndexFunc(c.tables, func(d tableDelta) bool { return d.rev == rev }); i >= 0 {
			deltas := c.tables[:i+1]
			k.mu.Unlock()
			return c.open(deltas, k.plan(c.plan))
		}
	}
	k.mu.Unlock()
	return nil
}

// plan returns a compiled plan. The last one that had been packed is kept compiled: the next question may be about it too.
func (k *recorderTables) plan(of *keptPlan) *Plan {
	if r := k.reopened.Load(); r != nil && r.of == of {
		return r.plan
	}
	plan, packed := of.open()
	if packed && plan != nil {
		k.reopened.Store(&reopened{of, plan})
	}
	return plan
}

// open makes the table after some deltas of a chunk.
func (c *tableChunk) open(deltas []tableDelta, plan *Plan) *Table {
	if plan == nil {
		return nil
	}
	states, scores := c.states, c.scores
	for i := range deltas {
		if d := &deltas[i]; len(d.states) > 0 {
			states = merge(states, d.states)
		}
		scores = scores.with(deltas[i].scores)
	}
	return plan.Table(deltas[len(deltas)-1].rev, states, scores)
}

// deltaTo returns what changed from one table of a plan to a later one; false where something is gone.
func (t *Table) deltaTo(next *Table) (tableDelta, bool) {
	d := tableDelta{rev: next.rev}
	var ok bool
	if d.states, ok = changed(t.states, next.states, func(s *statemachine.State) statemachine.Scope { return s.Scope }); !ok {
		return d, false
	}
	if sameScores(t.scores, next.scores) {
		return d, true
	}
	if t.scores == nil || next.scores == nil {
		return d, false
	}
	scores := *next.scores
	scores.Scores, ok = changed(t.scores.Scores, next.scores.Scores, func(s *Score) statemachine.Scope { return s.Item })
	d.scores = &scores
	return d, ok
}

// changed returns what is new or otherwise in a list sorted by scope; false if something of the old one is gone.
func changed[T comparable](old, list []T, scope func(*T) statemachine.Scope) ([]T, bool) {
	var out []T
	for i := range list {
		switch {
		case len(old) > 0 && scope(&old[0]) == scope(&list[i]):
			if old[0] != list[i] {
				out = append(out, list[i])
			}
			old = old[1:]
		default:
			out = append(out, list[i])
		}
	}
	return out, len(old) == 0
}

// with returns scores after what changed.
func (sc *Scores) with(delta *Scores) *Scores {
	if delta == nil {
		return sc
	}
	out := *delta
	out.Scores = make([]Score, 0, len(sc.Scores)+len(delta.Scores))
	old, list := sc.Scores, delta.Scores
	for len(old) > 0 && len(list) > 0 {
		switch c := old[0].Item.Compare(list[0].Item); {
		case c < 0:
			out.Scores, old = append(out.Scores, old[0]), old[1:]
		case c == 0:
			old = old[1:]
		default:
			out.Scores, list = append(out.Scores, list[0]), list[1:]
		}
	}
	out.Scores = append(append(out.Scores, old...), list...)
	return &out
}

func (sc *Scores) size() int64 {
	if sc == nil {
		return 0
	}
	return sizeOf[Score](len(sc.Scores))
}

// sizeOf is what n values of a type take, without what their strings point to, which the catalogue shares.
func sizeOf[T any](n int) int64 { return int64(n) * int64(reflect.TypeFor[T]().Size()) } //nolint:gosec // small

func (k *recorderTables) stats(s *RecorderStats) {
	k.fold()
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.Tables = k.count; k.count > 0 {
		s.OldestRev, s.NewestRev = k.chunks[0].tables[0].rev, k.last.rev
	}
	s.TableBytes = k.bytes
}
