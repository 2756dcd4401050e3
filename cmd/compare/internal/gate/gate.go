// Package gate puts breaker libraries, as they are published, and three rules of thumb behind one interface: may this
// payment take this channel, and what came of it. Everything here reads the clock of a bubble (package virtual) or takes
// the time as an argument.
package gate

import "time"

// Key is what one breaker watches: a channel, or a channel for one bank.
type Key struct {
	Channel string
	Bank    string // empty if the channel's banks share one breaker
}

// Phase is what a breaker lets through.
type Phase uint8

// The phases, from all to nothing.
const (
	Closed Phase = iota // everything
	Slowed              // a part: throttled, or on a ramp
	Trial               // single payments, to find out (half-open)
	Open                // nothing
)

// Ticket takes the result of a payment that was let through: whether it failed. It is called once, when the result is
// known; a payment that was never sent gives its ticket back with Void.
type Ticket interface {
	Done(failed bool, now time.Time)
	// Void ends a payment that was never sent, as far as the library can forget one.
	Void(now time.Time)
}

// Gate keeps a breaker per key. It is used by one goroutine.
type Gate interface {
	// Allow asks for one payment. Without permission the ticket is nil.
	Allow(k Key, now time.Time) (Ticket, bool)
	// Phase tells what the breaker of a key would let through, without asking for a payment.
	Phase(k Key, now time.Time) Phase
	// Tick is called at every second.
	Tick(now time.Time)
}

// Maker makes a gate, of which keys are known beforehand: Envoy's rules compare the members of a cluster.
type Maker struct {
	// Name tells library, version and settings.
	Name string
	// New makes a fresh gate.
	New func(keys []Key) (Gate, error)
}

// pool keeps a breaker per key, made when it is first asked for.
type pool[B any] struct {
	make func(Key) B
	of   map[Key]B
}

func newPool[B any](makeOne func(Key) B) pool[B] {
	return pool[B]{make: makeOne, of: map[Key]B{}}
}

func (p *pool[B]) get(k Key) B {
	b, ok := p.of[k]
	if !ok {
		b = p.make(k)
		p.of[k] = b
	}
	return b
}

// ticket makes a Ticket of two functions.
type ticket struct {
	done func(failed bool)
	void func()
}

// Done implements Ticket.
func (t ticket) Done(failed bool, _ time.Time) { t.done(failed) }

// Void implements Ticket.
func (t ticket) Void(time.Time) {
	if t.void != nil {
		t.void()
	}
}
