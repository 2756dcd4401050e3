package routing

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

// Router answers payments from the table in force and keeps ramps and probes within their share. Route is safe for concurrent
// use and takes no lock; Swap, Grant and Drain lock one another out.
type Router struct {
	live      atomic.Pointer[live]
	throttled atomic.Pointer[throttledAccounts] // accounts that are sent less for now, nil = none
	told      atomic.Bool                       // of its part of limits by Share: it is not alone
	lifted    atomic.Int64                      // last second in which some grant may lift a probe
	payers    payers

	mu      sync.Mutex
	gates   map[gateKey]*gate
	grants  map[statemachine.Scope]Grant // newest of each scope
	retired []*live                      // of earlier plans: late counts are still drained
	since   int64                        // lowest revision in force since the last Drain

	counters  map[string]*counter // of limits, by name
	throttles map[statemachine.Scope]*counter
	alone     *Sharing // of what this router knows by itself
	shared    bool     // Share was called: the router is not alone
	equal     Part     // of the last Share
	others    int64    // routers that limits are divided among, itself included
	drained   int64    // second of the last Drain
	dealt     int64    // newest second for which room was dealt
}

// live is what Route reads: a table and, for each of its hot scopes, the gate.
type live struct {
	table    *Table
	gates    []*gate
	counters []*counter // by bound of the plan
	counts   *counts
	drains   int // how often it was drained since it was retired
}

// NewRouter returns a router without a table: until the first Swap, Route answers ErrNoTable.
func NewRouter() *Router {
	return &Router{
		gates: map[gateKey]*gate{}, grants: map[statemachine.Scope]Grant{},
		counters: map[string]*counter{}, throttles: map[statemachine.Scope]*counter{}, alone: NewSharing(2),
	}
}

// Table returns the table in force, nil before the first Swap.
func (r *Router) Table() *Table {
	if l := r.live.Load(); l != nil {
		return l.table
	}
	return nil
}

// Swap puts a table in force. Gates of scopes whose generation, step and share did not change go on counting.
func (r *Router) Swap(t *Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.live.Load()
	l := &live{table: t, gates: make([]*gate, len(t.hot))}
	for i := range t.hot {
		l.gates[i] = r.gate(&t.hot[i])
	}
	if old != nil && old.table.plan == t.plan {
		l.counts, l.counters = old.counts, old.counters
	} else {
		l.counts, l.counters = newCounts(t.plan), r.countersOf(t.plan)
		if old != nil {
			r.retired = append(r.retired, old)
		}
	}
	r.lowest(t.rev.Revision)
	r.live.Store(l)
}

// lowest remembers the lowest revision that payments were counted under.
func (r *Router) lowest(revision int64) {
	if r.since == 0 || revision < r.since {
		r.since = revision
	}
}

// gate finds or makes the gate of a hot scope; a new one takes up the scope's grant.
func (r *Router) gate(h *hotScope) *gate {
	key := gateKey{h.scope, h.generation, h.step, h.phase, h.share}
	g, ok := r.gates[key]
	if !ok {
		g = &gate{key: key}
		r.gates[key] = g
		if grant, ok := r.grants[h.scope]; ok && grant.Generation == h.generation && h.phase == statemachine.Probing {
			g.probes.grant(grant, grant.first())
		}
	}
	g.idle = 0
	return g
}

// Grant is the leader's probe tokens of one scope for one router.
type Grant struct {
	Scope      statemachine.Scope
	Generation uint64
	Tokens     uint64 // cumulative since the generation began
	From       int64  // second in which the newest of them was handed over
	Until      int64  // last second in which it may be used; unused tokens lapse
	Lift       bool   // a probe may take a payment that ranks another channel first
}

// first is how many tokens count when a grant is the first a router sees of its generation: one, as the others were given,
// and used or lapsed, before.
func (g Grant) first() uint64 { return min(g.Tokens, 1) }

// Grant hands over probe tokens. Repeating a grant changes nothing; fewer tokens than before mean that a new leader counts
// anew. Grants of before the router's start must be handed over as lapsed (Until in the past), lest their tokens are used twice.
func (r *Router) Grant(g Grant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.grants[g.Scope]
	if ok && (old.Generation > g.Generation || old.Generation == g.Generation && old.Tokens == g.Tokens) {
		return
	}
	added := g.first()
	if ok && old.Generation == g.Generation && g.Tokens >= old.Tokens {
		added = g.Tokens - old.Tokens
	}
	r.grants[g.Scope] = g
	for key, gate := range r.gates {
		if key.scope == g.Scope && key.generation == g.Generation && key.phase == statemachine.Probing {
			gate.probes.grant(g, added)
		}
	}
	if g.Lift {
		r.lifted.Store(max(r.lifted.Load(), g.Until))
	}
}

// Route decides a payment and counts it: Decide with the admission that this router's counters give. Errors are those of
// Decide.
func (r *Router) Route(q *Request, second int64, out *Decision) error {
	l := r.live.Load()
	if l == nil {
		Rank(nil, q, second, &out.ranking)
		return Finish(&out.ranking, Admission{Lifted: -1}, out)
	}
	rk := &out.ranking
	Rank(l.table, q, second, rk)
	w := walk{live: l, rk: rk, router: r}
	a := w.admit()
	err := Finish(rk, a, out)
	l.counts.decision(rk, w.sent, err == nil)
	return err
}

// walk asks the gates of the ranked candidates in order.
type walk struct {
	live   *live
	rk     *Ranking
	router *Router
	sent   int  // ranked candidate that got the payment, -1 = none
	limits bool // some limit may say no
	yields bool // the merchant is above its rate and yields to others

	seen  [4 * maxHot]int32 // hot scopes whose would-be has this payment already
	nSeen int
}

// admit finds the candidate that gets the payment and returns the admission that says so.
func (w *walk) admit() Admission {
	a := Admission{Lifted: -1}
	w.sent = -1
	if w.rk.ranked == 0 || w.rk.decided >= 0 || w.rk.refusal != RefusalNone {
		return a
	}
	w.limits = w.limited()
	if !w.limits && w.rk.list[0].closing < 0 && w.rk.second > w.router.lifted.Load() { // the common case: nothing to ask
		w.sent = 0
		return w.vetoProbes(a, 1)
	}
	if w.rk.request.Business == statemachine.Query {
		w.sent = 0
		return a
	}
	if w.limits && w.merchant() {
		a.MerchantLimited = true
		return a
	}
	if w.rk.second <= w.router.lifted.Load() {
		if i := w.lift(); i >= 0 {
			a.Lifted, w.sent = i8(i), i
			return w.vetoProbes(a, 0)
		}
	}
	for i := range w.rk.ranked {
		why, ok := w.admits(i)
		if ok {
			w.sent = i
			return w.vetoProbes(a, i+1)
		}
		a.Veto(i, why)
	}
	return a
}

// vetoProbes vetoes the probing candidates from an index on: this payment probes none of them.
func (w *walk) vetoProbes(a Admission, from int) Admission {
	for i := from; i < w.rk.ranked; i++ {
		if w.rk.list[i].phase == statemachine.Probing && i != int(a.Lifted) {
			a.Vetoed |= 1 << i
		}
	}
	return a
}

// admits counts the payment into the would-be of a candidate's scopes and asks its limits and their gates.
func (w *walk) admits(i int) (VetoReason, bool) {
	c := &w.rk.list[i]
	var buf [maxHot]int32
	hot := buf[:0]
	if c.closing >= 0 {
		hot = w.hot(c, hot)
		for _, h := range hot {
			w.count(h)
		}
		if c.phase == statemachine.Disabled {
			return VetoState, false
		}
	}
	return w.claim(i, hot)
}

// claim asks the limits of a candidate, then the gates of its hot scopes; a no takes back what was counted.
func (w *walk) claim(i int, hot []int32) (VetoReason, bool) {
	if w.limits {
		if why := w.within(i); why != VetoState {
			return why, false
		}
	}
	if len(hot) > 0 && !w.reserve(i, hot) {
		if w.limits {
			w.release(i)
		}
		return VetoState, false
	}
	return VetoState, true
}

func (w *walk) hot(c *ranked, buf []int32) []int32 {
	at := w.rk.items(c)
	return w.live.table.hotOf(c.channel, &at, buf)
}

// count adds a payment to a scope's would-be, once however many of its candidates share the scope.
func (w *walk) count(hot int32) {
	if slices.Contains(w.seen[:w.nSeen], hot) {
		return
	}
	if w.nSeen == len(w.seen) { // not counting keeps the share's upper bound
		return
	}
	w.seen[w.nSeen] = hot
	w.nSeen++
	w.live.gates[hot].wouldBe.Add(1)
}

// reserve asks the gates in scope order and rolls back on the first no.
func (w *walk) reserve(i int, hot []int32) bool {
	best, asked := false, false
	for n, h := range hot {
		g := w.live.gates[h]
		if g.key.phase == statemachine.Probing && !asked {
			best, asked = w.bestProbe(i), true
		}
		if g.reserve(w.rk.second, best) {
			continue
		}
		for _, taken := range hot[:n] {
			w.live.gates[taken].release()
		}
		return false
	}
	for _, h := range hot {
		w.live.gates[h].done.Add(1)
	}
	if asked {
		w.router.payers.used(w.rk.request.PayerKey, w.rk.second)
	}
	return true
}

// lift looks for a candidate that a probe may lift to first place.
func (w *walk) lift() int {
	for i := range w.rk.ranked {
		c := &w.rk.list[i]
		if c.phase != statemachine.Probing {
			continue
		}
		var buf [maxHot]int32
		hot := w.hot(c, buf[:0])
		lifts := true
		for _, h := range hot {
			if g := w.live.gates[h]; g.key.phase == statemachine.Probing && !g.probes.lifts(w.rk.second) {
				lifts = false
			}
		}
		if !lifts {
			continue
		}
		if _, ok := w.claim(i, hot); ok {
			return i
		}
	}
	return -1
}

// bestProbe reports whether the payment makes a good probe of a candidate: payable another way if the probe fails, its payer
// of a tolerant tier and in no probe of the day, its amount small.
func (w *walk) bestProbe(i int) bool {
	r, p := w.rk.request, &w.live.table.plan.channels[w.rk.list[i].channel].probing
	switch {
	case len(p.tiers) > 0 && !slices.Contains(p.tiers, r.UserTier):
		return false
	case p.small > 0 && r.Amount > p.small:
		return false
	case !w.router.payers.fresh(r.PayerKey, w.rk.second):
		return false
	}
	for j := range w.rk.ranked {
		if c := &w.rk.list[j]; c.channel != w.rk.list[i].channel && c.phase == statemachine.Healthy {
			return true
		}
	}
	return false
}
