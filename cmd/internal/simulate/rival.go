package simulate

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// rivalReplica turns the world's words into those of Replica, and what a rival closes into moves that the judge reads.
type rivalReplica struct {
	Rival

	p     *Prepared
	to    sink
	would preferrer
	names map[string]int // gateways
	now   time.Time
	ask   Question
	order answer
	said  Report

	states map[statemachine.Scope]statemachine.State
	seq    uint64
	rows   map[statemachine.Scope]*row
}

// row is how many payments in a row that prefer a scope were kept off it, or not.
type row struct {
	off, on int
	closed  bool
}

// rival returns the build of a policy beside the production node's.
func rival(start Build) build {
	return func(ctx context.Context, p *Prepared, to sink) (*fleet, error) {
		would, err := newShadow(p.Catalog)
		if err != nil {
			return nil, err
		}
		r := &rivalReplica{
			p: p, to: to, would: would, names: map[string]int{}, now: p.Scenario.Start,
			states: map[statemachine.Scope]statemachine.State{}, rows: map[statemachine.Scope]*row{},
		}
		for i := range p.Scenario.Gateways {
			r.names[gatewayName(i)] = i + 1
		}
		if r.Rival, err = start(ctx, p, r); err != nil {
			return nil, err
		}
		return &fleet{replicas: []replica{r}, would: would, watch: true}, nil
	}
}

// Tick implements replica.
func (r *rivalReplica) Tick(ctx context.Context, now time.Time) error {
	r.now = now
	return r.Rival.Tick(ctx, now)
}

// Route implements replica.
func (r *rivalReplica) Route(q *question, now time.Time, out *answer) error {
	r.now = now
	if err := r.would.Prefer(q, now, &r.order); err != nil {
		return err
	}
	ask := &r.ask
	ask.Payment, ask.Stream, ask.Payer, ask.Attempts, ask.of, ask.payment = q.payment, q.stream, q.payer, len(q.attempts), q.world, q.of
	ask.Gateway, ask.Ways = q.of.gateway, ask.Ways[:0]
	ask.Abandoned = q.of.abandon && len(q.attempts) == 0
	for _, o := range r.order.offers {
		ask.Ways = append(ask.Ways, Way{Channel: o.channel, Account: o.account})
	}
	choice, err := r.Rival.Route(ask, now)
	if err != nil {
		return err
	}
	if choice.Way >= len(ask.Ways) {
		return fmt.Errorf("way %d of %d: %w", choice.Way, len(ask.Ways), ErrScenario)
	}
	if len(q.attempts) == 0 {
		r.derive(q, choice)
	}
	out.offers = out.offers[:0]
	if choice.Way < 0 {
		return errRefused
	}
	way := ask.Ways[choice.Way]
	out.decision, out.offers = "", append(out.offers, offer{channel: way.Channel, account: way.Account, kind: choice.Kind})
	return nil
}

// Report implements replica.
func (r *rivalReplica) Report(m *report, now time.Time) error {
	r.now = now
	r.said = Report{
		Payment: m.payment, Way: Way{Channel: m.channel, Account: m.account}, Stream: m.stream, Payer: m.payer,
		Gateway: r.names[m.gateway], Outcome: m.outcome, Code: m.code, Latency: m.latency, Started: m.started,
	}
	if m.outcome == statemachine.OutcomeUnspecified {
		r.said.Outcome = r.p.known.meaningOf(m.channel, m.code).outcome
	}
	return r.Rival.Report(&r.said, now)
}

// Order implements replica: rivals have no operators.
func (*rivalReplica) Order(context.Context, *command, time.Time) error { return ErrNotSupported }

// inRow is how many payments in a row make a gate that nobody told of.
const inRow = 3

// derive watches what becomes of payments that prefer a scope.
func (r *rivalReplica) derive(q *question, choice Answer) {
	var s statemachine.Scope
	switch r.Derive {
	case statemachine.ScopeChannel:
		s = statemachine.ChannelScope(r.ask.Ways[0].Channel)
	case statemachine.ScopeInstrument:
		s = statemachine.InstrumentScope(r.ask.Ways[0].Channel, q.stream.Instrument)
	case statemachine.ScopeUnspecified, statemachine.ScopeBusiness, statemachine.ScopeMethod, statemachine.ScopeAccount, statemachine.ScopeDomain:
		return
	}
	row := r.rows[s]
	if row == nil {
		row = newRow()
		r.rows[s] = row
	}
	if choice.Way == 0 {
		row.on, row.off = row.on+1, 0
	} else {
		row.on, row.off = 0, row.off+1
	}
	switch {
	case !row.closed && row.off >= inRow:
		row.closed = true
		r.Close(s, "three payments in a row were kept off")
	case row.closed && row.on >= inRow:
		row.closed = false
		r.Open(s)
	}
}

func newRow() *row { return &row{} }

// Close implements Gates.
func (r *rivalReplica) Close(s statemachine.Scope, reason string) {
	r.move(s, statemachine.Disabled, 0, reason)
}

// Lower implements Gates.
func (r *rivalReplica) Lower(s statemachine.Scope, share float64, reason string) {
	r.move(s, statemachine.Ramping, share, reason)
}

// Try implements Gates.
func (r *rivalReplica) Try(s statemachine.Scope) { r.move(s, statemachine.Probing, 0, "tried") }

// Open implements Gates.
func (r *rivalReplica) Open(s statemachine.Scope) { r.move(s, statemachine.Healthy, 1, "opened") }

// move tells the judge of a change, as an entry of the journal.
func (r *rivalReplica) move(s statemachine.Scope, to statemachine.Phase, share float64, reason string) {
	before, ok := r.states[s]
	if !ok {
		before = statemachine.NewState(s)
	}
	after := before
	after.Phase, after.Share = to, statemachine.ShareOf(share)
	if after.Phase == before.Phase && after.Share == before.Share {
		return
	}
	after.Generation++
	if to != statemachine.Healthy {
		after.Incident, after.Kind = "rival", statemachine.Cut
	} else {
		after.Incident = ""
	}
	r.states[s] = after
	r.seq++
	r.to.entry(&monitor.JournalEntry{
		Sequence: r.seq, At: statemachine.At(r.now), Cause: statemachine.Automation,
		Moves: []monitor.Move{{Before: before, After: after, Reason: reason}},
	})
}
