package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// world is one run.
type world struct {
	p      *Prepared
	s      *Scenario
	fleet  *fleet
	log    *eventLog
	judge  *judge
	fates  *fates
	rnd    *draws
	agenda agenda
	at     time.Duration // virtual time since the start

	arrivals []*arrivals
	counts   []uint64 // payments by stream
	chosen   answer
	would    answer
	ask      question
	fate     fate
	truth    fate     // for oracles
	gateways []string // names
}

// Run simulates a prepared scenario and writes its event log; the last line, the summary, is returned as well.
func Run(ctx context.Context, p *Prepared, out io.Writer, start build) (*Summary, error) {
	w := newWorld(p, out)
	fl, err := start(ctx, p, sink{entry: w.entry, alert: w.alert})
	if err != nil {
		return nil, fmt.Errorf("start the node: %w", err)
	}
	w.fleet, w.judge.always = fl, fl.watch
	if len(p.Scenario.Faults) > 0 && fl.fault == nil {
		return nil, fmt.Errorf("%w: faults of the control plane: %w", ErrScenario, ErrNotSupported)
	}
	if err := w.run(ctx); err != nil {
		return nil, fmt.Errorf("simulate %s at %v: %w", p.Scenario.Name, w.at, err)
	}
	sum := w.judge.summary()
	w.log.write(sum)
	if err := w.log.close(); err != nil {
		return nil, fmt.Errorf("write the event log: %w", err)
	}
	return sum, nil
}

func newWorld(p *Prepared, out io.Writer) *world {
	s := p.Scenario
	w := &world{p: p, s: s, log: newLog(out, s.Start), rnd: newDraws(p.Seed), counts: make([]uint64, len(s.Traffic))}
	for i := range s.Gateways {
		w.gateways = append(w.gateways, gatewayName(i))
	}
	w.fates = newFates(s, p.cells, p.known, p.Seed)
	w.judge = newJudge(p, w.fates)
	w.judge.hurried = !w.log.on()
	for i := range s.Traffic {
		w.arrivals = append(w.arrivals, newArrivals(s, i, p.Seed))
		w.arrive(i)
	}
	for i := range s.Truth {
		if s.Truth[i].Burst != nil {
			w.agenda.push(event{at: int64(s.Truth[i].From), kind: evBurst, index: int32(i)})
		}
	}
	for i := range s.Operators {
		w.agenda.push(event{at: int64(s.Operators[i].At), kind: evOrder, index: int32(i)})
	}
	for i := range s.Faults {
		w.agenda.push(event{at: int64(s.Faults[i].From), kind: evFault, index: int32(i)})
		if s.Faults[i].To < s.Duration {
			w.agenda.push(event{at: int64(s.Faults[i].To), kind: evFault, index: int32(i)})
		}
	}
	return w
}

func gatewayName(i int) string { return fmt.Sprintf("gateway-%d", i+1) }

// unwell reports whether a way is inside a labelled fault for a payment now.
func (w *world) unwell(p *payment, way Way) bool {
	c := w.p.cell(p.stream, way.Channel, way.Account)
	if c == nil {
		return false
	}
	w.fates.meet(c, where{at: w.at, gateway: p.gateway, replica: p.replica}, "", &w.truth)
	return w.truth.unwell
}

func (w *world) now() time.Time { return w.s.Start.Add(w.at) }

// run alternates between what happens within a second and the nodes' tick at its end.
func (w *world) run(ctx context.Context) error {
	seconds := int64((w.s.Duration + time.Second - 1) / time.Second)
	for s := range seconds + 1 {
		limit := min(s*int64(time.Second), int64(w.s.Duration))
		if err := w.until(ctx, limit); err != nil {
			return err
		}
		w.at = time.Duration(limit)
		if err := w.tick(ctx); err != nil {
			return err
		}
		if w.log.on() && s > 0 && (s%60 == 0 || s == seconds) {
			w.judge.minute(w.log, w.at)
		}
	}
	return nil
}

func (w *world) tick(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, r := range w.fleet.replicas {
		if err := r.Tick(ctx, w.now()); err != nil {
			return fmt.Errorf("replica %d: %w", i+1, err)
		}
	}
	return nil
}

// until handles every event before limit.
func (w *world) until(ctx context.Context, limit int64) error {
	for {
		e, ok := w.agenda.pop(limit)
		if !ok {
			return nil
		}
		w.at = time.Duration(e.at)
		if err := w.handle(ctx, &e); err != nil {
			return err
		}
	}
}

func (w *world) handle(ctx context.Context, e *event) error {
	switch e.kind {
	case evArrive:
		p := w.payment(int(e.index))
		w.arrive(int(e.index))
		w.judge.arrived(p, w.at)
		return w.pay(p)
	case evPay:
		return w.pay(e.payment)
	case evReport:
		return w.deliver(e.report, e.payment)
	case evDone:
		w.log.payment(w.at, e.payment)
	case evBurst:
		w.burst(int(e.index))
	case evOrder:
		w.order(ctx, int(e.index))
	case evFault:
		f := &w.s.Faults[e.index]
		return w.fleet.fault(ctx, f, w.at == f.From, w.now())
	}
	return nil
}

// arrive schedules the next payment of a stream.
func (w *world) arrive(stream int) {
	if at, ok := w.arrivals[stream].next(); ok {
		w.agenda.push(event{at: int64(at), kind: evArrive, index: int32(stream)}) //nolint:gosec // as many as the file has
	}
}

// order carries out an operator's order; a refusal is an alert, like everything people must know.
func (w *world) order(ctx context.Context, index int) {
	o := &w.s.Operators[index]
	scopes := w.p.known.scopes(o.Scope)
	err := w.fleet.replicas[0].Order(ctx, &command{
		action: o.Action, scopes: scopes, author: "simulated-operator", reason: o.Reason, lasts: o.For,
		requestID: fmt.Sprintf("%s-order-%d", w.s.Name, index),
	}, w.now())
	if err != nil {
		w.alert(statemachine.Alert{
			Kind: "ORDER_REFUSED", Severity: statemachine.Warning, Scope: scopes[0], At: w.now(),
			Message: fmt.Sprintf("%s: %v", o.Action, err),
		})
	}
}

// entry takes one committed change.
func (w *world) entry(e *monitor.JournalEntry) {
	for i := range e.Moves {
		m := &e.Moves[i]
		w.judge.moved(e, m, w.at)
		w.log.transition(w.at, e, m)
	}
	w.judge.count(len(e.Moves))
	for i := range e.Alerts {
		w.alert(e.Alerts[i])
	}
}

func (w *world) alert(a statemachine.Alert) {
	w.judge.alerted(a)
	w.log.alert(w.at, &a)
}

// deliver hands a report to the replica of its payment.
func (w *world) deliver(r *report, p *payment) error {
	err := w.first(p, func(n replica) error { return n.Report(r, w.now()) })
	if err != nil && !errors.Is(err, errUnreachable) {
		return fmt.Errorf("report of %s: %w", r.attempt, err)
	}
	return nil
}

// first asks the replica of a payment, and the next ones while they are down.
func (w *world) first(p *payment, ask func(replica) error) error {
	n := len(w.fleet.replicas)
	for i := range n {
		if err := ask(w.fleet.replicas[(p.replica-1+i)%n]); !errors.Is(err, errUnreachable) {
			return err
		}
	}
	return errUnreachable
}
