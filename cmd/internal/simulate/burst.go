package simulate

import (
	"strconv"
	"time"
)

// burst lets one payer of a matching stream try again and again, each time with a new payment that would take the
// channel of the entry.
func (w *world) burst(index int) {
	t := &w.s.Truth[index]
	gap := t.Burst.Over / time.Duration(t.Burst.Failures)
	stream, number := -1, uint64(0)
	for i := range w.s.Traffic {
		if n, ok := w.wouldMeet(t, i, 0); ok {
			stream, number = i, n
			break
		}
	}
	if stream < 0 {
		return
	}
	payer := mix(natural(index)<<20^w.p.Seed) | 1
	for i := range t.Burst.Failures {
		if i > 0 {
			next, ok := w.wouldMeet(t, stream, number+1)
			if !ok {
				return
			}
			number = next
		}
		p := w.angryPayment(t, stream, number, payer)
		w.judge.arrived(p, w.at)
		w.agenda.push(event{at: int64(w.at + time.Duration(i)*gap), kind: evPay, payment: p})
	}
}

func (w *world) angryPayment(t *Truth, stream int, number, payer uint64) *payment {
	id := angryID(t, stream, number)
	return &payment{
		id: id, stream: stream, number: natural(t.index)<<32 | number, payer: payer,
		gateway: 1 + t.index%w.s.Gateways, replica: w.replicaOf(id), angry: t,
	}
}

func angryID(t *Truth, stream int, number uint64) string {
	return paymentID("angry"+strconv.Itoa(t.index)+"-", stream, number)
}

// wouldMeet looks for a payment number, from the given one on, whose payment would take a channel of the entry.
func (w *world) wouldMeet(t *Truth, stream int, from uint64) (uint64, bool) {
	const tries = 10_000
	for n := from; n < from+tries; n++ {
		w.ask = question{payment: angryID(t, stream, n), stream: &w.s.Traffic[stream], payer: 1}
		if err := w.fleet.would.Prefer(&w.ask, w.now(), &w.would); err != nil || len(w.would.offers) == 0 {
			return 0, false
		}
		first := w.would.offers[0]
		c := w.p.cell(stream, first.channel, first.account)
		if c != nil && t.Selector.matchesCell(&w.s.Traffic[stream], c) {
			return n, true
		}
	}
	return 0, false
}
