package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/statemachine"
)

// errUnreachable is what a replica answers that is down: the caller's loss, and no end of the run.
var errUnreachable = errors.New("the replica is down")

// payment is one payment on its way.
type payment struct {
	id       string
	stream   int
	number   uint64
	payer    uint64
	gateway  int // from 1
	replica  int // from 1
	abandon  bool
	angry    *Truth // the payer burst it belongs to
	decision string
	tried    []tried
	room     [2]tried
}

// payment draws the next payment of a stream.
func (w *world) payment(stream int) *payment {
	n := w.counts[stream]
	w.counts[stream]++
	st := &w.s.Traffic[stream]
	rng := w.rnd.of(forPayment, natural(stream), n)
	p := &payment{stream: stream, number: n, id: paymentID("p", stream, n)}
	p.payer = mix(mix(natural(stream)+1)^natural(rng.IntN(st.Payers))) | 1
	p.gateway = rng.IntN(w.s.Gateways) + 1
	p.abandon = rng.Float64() < st.Abandon
	p.replica = w.replicaOf(p.id)
	return p
}

func paymentID(kind string, stream int, n uint64) string {
	buf := make([]byte, 0, 24)
	buf = append(buf, kind...)
	buf = strconv.AppendInt(buf, int64(stream), 10)
	buf = append(buf, '-')
	return string(strconv.AppendUint(buf, n, 10))
}

func (w *world) replicaOf(id string) int {
	if w.s.Replicas == 1 {
		return 1
	}
	return int(xxhash.Sum64String(id)%natural(w.s.Replicas)) + 1 //nolint:gosec // below the number of replicas
}

// pay asks for the next channel of a payment and attempts it.
func (w *world) pay(p *payment) error {
	w.ask = question{payment: p.id, stream: &w.s.Traffic[p.stream], payer: p.payer, attempts: p.tried, of: p, world: w}
	err := w.first(p, func(n replica) error { return n.Route(&w.ask, w.now(), &w.chosen) })
	if err != nil && !errors.Is(err, errRefused) && !errors.Is(err, errUnreachable) {
		return fmt.Errorf("route %s: %w", p.id, err)
	}
	var way *cell
	kind := statemachine.KindNormal
	if err == nil {
		first := &w.chosen.offers[0]
		if way = w.p.cell(p.stream, first.channel, first.account); way == nil {
			return fmt.Errorf("route %s: offered %s with account %s, which cannot carry it", p.id, first.channel, first.account)
		}
		kind = first.kind
	}
	if w.judge.watching(w.at) {
		if err := w.fleet.would.Prefer(&w.ask, w.now(), &w.would); err != nil && !errors.Is(err, errRefused) {
			return fmt.Errorf("rank %s: %w", p.id, err)
		}
		w.judge.decided(p, w.at, way, kind, w.would.offers)
	}
	if way == nil || p.abandon && len(p.tried) == 0 {
		w.done(p, w.at)
		return nil
	}
	p.decision = w.chosen.decision
	w.attempt(p, way, w.chosen.offers[0])
	return nil
}

// attempt lets the truth decide what an attempt meets, and schedules what follows.
func (w *world) attempt(p *payment, way *cell, o offer) {
	number := p.number<<8 | natural(len(p.tried))
	rng := w.rnd.of(forAttempt, natural(p.stream), number)
	if p.angry != nil {
		rng = w.rnd.of(forAttempt, 1<<31|natural(p.stream), number)
	}
	u := rng.Float64()
	lost, twice := rng.Float64() < w.s.Reports.Lost, rng.Float64() < w.s.Reports.Duplicate
	w.fates.meet(way, where{at: w.at, gateway: p.gateway, replica: p.replica}, "", &w.fate)
	z := rng.NormFloat64()
	outcome, code := w.fate.pick(u)
	if p.angry != nil && w.s.Truth[p.angry.index].Selector.matchesCell(&w.s.Traffic[p.stream], way) {
		outcome, code = statemachine.ChannelFailed, nil
	}
	latency := w.fate.latencyOf(outcome).draw(z)
	t := tried{channel: o.channel, account: o.account, attempt: o.attempt, outcome: outcome, kind: o.kind}
	money := outcome.Money()
	if code != nil {
		t.code, money = code.Code, code.money
	}
	if p.tried == nil {
		p.tried = p.room[:0]
	}
	p.tried = append(p.tried, t)
	w.judge.attempted(p, w.at, way, &t)
	end := w.at + latency
	if q := w.fate.pending; q != nil && rng.Float64() < q.Share {
		answer := t
		answer.outcome, answer.code = statemachine.Pending, ""
		w.report(p, way, &answer, latency, lost, twice, rng)
		latency += q.After.draw(rng.NormFloat64())
		end, lost, twice = w.at+latency, rng.Float64() < w.s.Reports.Lost, false
	}
	w.report(p, way, &t, latency, lost, twice, rng)
	if money == statemachine.MoneyReroutable && len(p.tried) < w.s.Reroute.MaxAttempts {
		w.agenda.push(event{at: int64(end), kind: evPay, payment: p})
		return
	}
	w.done(p, end)
}

// report schedules a report of an attempt, latency after its start, and its repetition.
func (w *world) report(p *payment, way *cell, t *tried, latency time.Duration, lost, twice bool, rng *rand.Rand) {
	if lost {
		return
	}
	r := &report{
		payment: p.id, decision: p.decision, attempt: t.attempt, channel: t.channel, account: t.account,
		stream: &w.s.Traffic[p.stream], outcome: t.outcome, code: t.code, latency: latency, started: w.now(),
		payer: p.payer, gateway: w.gateways[p.gateway-1],
	}
	if isBad(t.outcome) {
		r.reason = w.fate.reason
	}
	if t.code != "" {
		r.outcome = statemachine.OutcomeUnspecified
	} else {
		r.code = w.replyCode(r)
	}
	at := w.at + latency + w.s.Reports.Delay.draw(rng.NormFloat64())
	if due, ok := w.s.Reports.arrives(at, p.gateway); ok {
		w.judge.reportDue(way, w.at, due)
		w.agenda.push(event{at: int64(due), kind: evReport, report: r, payment: p})
	}
	if !twice {
		return
	}
	at += w.s.Reports.Delay.draw(rng.NormFloat64()) + time.Millisecond
	if due, ok := w.s.Reports.arrives(at, p.gateway); ok {
		w.agenda.push(event{at: int64(due), kind: evReport, report: r, payment: p})
	}
}

// replyCode is the raw code of an outcome that only a reply of the channel can bring: what a gateway would have read. The
// reason stands for it, as long as the channel's table does not give it another meaning.
func (w *world) replyCode(r *report) string {
	switch r.outcome {
	case statemachine.Succeeded, statemachine.Pending, statemachine.UserDeclined, statemachine.Rejected,
		statemachine.ChannelFailed, statemachine.AccountFailed, statemachine.Throttled:
	case statemachine.OutcomeUnspecified, statemachine.NetworkFailed, statemachine.TimedOut, statemachine.OutcomeUnmapped,
		statemachine.NumOutcomes:
		return ""
	}
	code := r.reason
	if code == "" {
		code = r.outcome.String()
	}
	if m, ok := w.p.known.codes[r.channel][code]; ok && m.outcome != r.outcome {
		return ""
	}
	return code
}

// done ends a payment.
func (w *world) done(p *payment, at time.Duration) {
	if w.p.Payments {
		w.agenda.push(event{at: int64(at), kind: evDone, payment: p})
	}
}
