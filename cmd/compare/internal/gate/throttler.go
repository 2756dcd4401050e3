package gate

import (
	"math/bits"
	"time"
)

// throttle refuses payments by chance. allow returns how the result is taken and, where the library can, how a payment
// is forgotten; two nils are a refusal.
type throttle struct {
	allow func() (done func(failed bool), void func())
}

// A throttler has no state that says "cut". It counts as such when it refused three of the last ten payments of a key,
// and as back when it let ten in a row through.
const (
	remembered  = 10
	cutRefusals = 3
)

// throttlerGate keeps a throttle per key.
type throttlerGate struct {
	throttles pool[*watched]
}

type watched struct {
	throttle
	refused uint16 // of the last payments, newest in bit 0
	cut     bool
}

func newThrottler(makeOne func() throttle) *throttlerGate {
	return &throttlerGate{newPool(func(Key) *watched { return &watched{throttle: makeOne()} })}
}

// Allow implements Gate.
func (g *throttlerGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	w := g.throttles.get(k)
	done, void := w.allow()
	w.note(done == nil)
	if done == nil {
		return nil, false
	}
	return ticket{done: done, void: void}, true
}

func (w *watched) note(refused bool) {
	w.refused = w.refused << 1 & (1<<remembered - 1)
	if refused {
		w.refused |= 1
	}
	switch n := bits.OnesCount16(w.refused); {
	case n >= cutRefusals:
		w.cut = true
	case n == 0:
		w.cut = false
	}
}

// Phase implements Gate.
func (g *throttlerGate) Phase(k Key, _ time.Time) Phase {
	if g.throttles.get(k).cut {
		return Slowed
	}
	return Closed
}

// Tick implements Gate.
func (*throttlerGate) Tick(time.Time) {}
