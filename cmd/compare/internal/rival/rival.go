// Package rival routes payments as a service does that has breakers and no control plane: each payment takes the first
// of its channels whose breaker lets it through.
package rival

import (
	"time"

	"github.com/sluice-pay/sluice/cmd/compare/internal/gate"
	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

// forgetAfter is when a permit whose result never came is given back.
const forgetAfter = 2 * time.Minute

// Change is a breaker that lets through more or less than before.
type Change struct {
	Key      gate.Key
	From, To gate.Phase
}

// Choice is where a payment goes.
type Choice struct {
	Way    int  // index of the channel asked for
	Trial  bool // its breaker is finding out
	Bypass bool // no breaker let it through: it takes its first channel, and its result reaches no breaker
}

// Rival is one policy at work. It is used by one goroutine, inside a bubble.
type Rival struct {
	gate    gate.Gate
	clock   *virtual.Clock
	keys    []gate.Key
	phases  map[gate.Key]gate.Phase
	changed func(Change)

	waiting map[attempt]waiting
	queue   []attempt // oldest first
}

// attempt is a payment on a channel.
type attempt struct{ payment, channel string }

// waiting is a permit whose result is to come.
type waiting struct {
	key    gate.Key
	ticket gate.Ticket
	since  time.Time
}

// New starts a policy for the keys that exist; changed is told what its breakers do.
func New(m gate.Maker, keys []gate.Key, clock *virtual.Clock, now time.Time, changed func(Change)) (*Rival, error) {
	clock.Set(now)
	g, err := m.New(keys)
	if err != nil {
		return nil, err
	}
	return &Rival{
		gate: g, clock: clock, keys: keys, phases: map[gate.Key]gate.Phase{}, changed: changed, waiting: map[attempt]waiting{},
	}, nil
}

// Route chooses among the channels of a payment, best first. There must be one. A payment takes a channel once.
func (r *Rival) Route(payment string, ways []gate.Key, now time.Time) Choice {
	r.clock.Set(now)
	for i, k := range ways {
		ticket, ok := r.gate.Allow(k, now)
		r.look(k, now)
		if ok {
			a := attempt{payment, k.Channel}
			r.waiting[a] = waiting{k, ticket, now}
			r.queue = append(r.queue, a)
			return Choice{Way: i, Trial: r.phases[k] == gate.Trial}
		}
	}
	return Choice{Bypass: true}
}

// Report takes a result. One that is not waited for, because the payment passed by every breaker or was reported before,
// is left out.
func (r *Rival) Report(payment, channel string, failed bool, now time.Time) {
	a := attempt{payment, channel}
	w, ok := r.waiting[a]
	if !ok {
		return
	}
	r.clock.Set(now)
	delete(r.waiting, a)
	w.ticket.Done(failed, now)
	r.look(w.key, now)
}

// Tick is called at every second.
func (r *Rival) Tick(now time.Time) {
	r.clock.Set(now)
	r.forget(now)
	r.gate.Tick(now)
	for _, k := range r.keys {
		r.look(k, now)
	}
}

// forget gives back permits whose results never came.
func (r *Rival) forget(now time.Time) {
	done := 0
	for _, a := range r.queue {
		w, ok := r.waiting[a]
		if ok && now.Sub(w.since) < forgetAfter {
			break
		}
		if ok {
			delete(r.waiting, a)
			w.ticket.Void(now)
		}
		done++
	}
	r.queue = r.queue[done:]
}

// look tells what a breaker lets through since it was last looked at.
func (r *Rival) look(k gate.Key, now time.Time) {
	is, was := r.gate.Phase(k, now), r.phases[k]
	if is != was {
		r.phases[k] = is
		r.changed(Change{Key: k, From: was, To: is})
	}
}
