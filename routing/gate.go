package routing

import (
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

// gateKey identifies the account of one scope's step. Share and phase belong to it, so that an order laid over a running step
// is never paid from that step's account.
type gateKey struct {
	scope      statemachine.Scope
	generation uint64
	step       uint32
	phase      statemachine.Phase
	share      statemachine.Share
}

// gate admits payments to one scope that is not healthy. It survives table swaps. A lost gate (restart, eviction) only lets
// less through: both sides of its inequality begin at zero again.
type gate struct {
	key     gateKey
	wouldBe atomic.Uint64 // payments that would have ranked the scope first had it been healthy
	sent    atomic.Uint64 // reserved: admitted, or about to be rolled back
	done    atomic.Uint64 // admitted for good
	probes  tokens

	// Of Drain, under the router's lock: what was drained already, and for how many drains nothing came.
	drainedWouldBe, drainedDone uint64
	idle                        int
}

// tokens are the probes that a router may send.
type tokens struct {
	limit, used atomic.Uint64 // cumulative in this router
	from, until atomic.Int64  // seconds of the newest grant's life, both inclusive
	lift        atomic.Bool
}

// reserve takes one payment off the gate's account, or says no. best says whether the payment is of the best class of probes.
func (g *gate) reserve(second int64, best bool) bool {
	switch g.key.phase {
	case statemachine.Ramping:
		return g.reserveShare()
	case statemachine.Probing:
		return g.probes.take(second, best)
	case statemachine.Disabled, statemachine.Healthy:
	}
	return false
}

// reserveShare admits iff sent + 1 ≤ share × would-be. would-be only grows, so a value read before the swap is safe.
func (g *gate) reserveShare() bool {
	for {
		sent := g.sent.Load()
		if (sent+1)*uint64(statemachine.FullShare) > uint64(g.key.share)*g.wouldBe.Load() {
			return false
		}
		if g.sent.CompareAndSwap(sent, sent+1) {
			return true
		}
	}
}

// release gives a reservation back.
func (g *gate) release() {
	switch g.key.phase {
	case statemachine.Ramping:
		g.sent.Add(^uint64(0))
	case statemachine.Probing:
		g.probes.used.Add(^uint64(0))
	case statemachine.Disabled, statemachine.Healthy:
	}
}

// take uses one token while it lives: in the first half of its life for the best class only.
func (t *tokens) take(second int64, best bool) bool {
	from, until := t.from.Load(), t.until.Load()
	if second > until || !best && 2*(second-from) < until-from+1 {
		return false
	}
	for {
		used := t.used.Load()
		if used >= t.limit.Load() {
			return false
		}
		if t.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

// lifts reports whether a probe may take a payment that ranks another channel first.
func (t *tokens) lifts(second int64) bool {
	return t.lift.Load() && second <= t.until.Load() && t.used.Load() < t.limit.Load()
}

// grant adds n tokens; those of an earlier grant that has run out by then lapse. It is called under the router's lock. A grant
// repeated (n = 0) does not revive what has lapsed.
func (t *tokens) grant(g Grant, n uint64) {
	if n == 0 {
		return
	}
	if t.until.Load() < g.From {
		t.limit.Store(t.used.Load())
	}
	t.from.Store(g.From)
	t.until.Store(g.Until)
	t.lift.Store(g.Lift)
	t.limit.Add(n)
}
