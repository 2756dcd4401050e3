package monitor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Input is something that happened to a scope: a Verdict or StepEvidence. Ticks need no input, orders go through Order.
type Input struct {
	Scope statemachine.Scope
	Event statemachine.Event
}

// Result is what a call did.
type Result struct {
	Leads     bool   // this replica led when it read
	Revision  int64  // head revision of the (last) change this call made or found made, 0 = none
	Sequence  uint64 // of its journal entry
	Moves     []Move // sorted by scope
	Incidents []statemachine.Incident
	Alerts    []statemachine.Alert
	Rulings   []ScopeRuling        // what guards were asked, in order
	Unfounded []statemachine.Scope // cuts withheld because no evidence came with them
	Carried   int                  // proposals that wait for the next call
	Dropped   []Input              // proposals given up after five attempts
	Replayed  bool                 // the request id was used before: this is what the first call did
	Shadowed  []statemachine.Scope // closed wider scopes, because of which an opening order lets nothing through
	Catalog   uint64               // number of the catalogue it put in force, or found in force; 0 = it was about none
}

// proposal is an input and how often it was tried.
type proposal struct {
	Input
	tries   int
	attempt uint64 // the attempt it was last part of
}

// Submit makes one attempt to commit what the inputs and the passing of time amount to, if this replica leads; if not, inputs
// are forgotten, since the leader sees the same. All changes go into one transaction, sorted by scope, at most MaxScopes. What
// could not be committed is carried over to the next call, at most five times. An error tells why nothing was committed; the
// Result is valid beside it.
func (c *Control) Submit(ctx context.Context, inputs []Input, fleet *statemachine.Fleet, now time.Time) (Result, error) {
	var r Result
	if err := c.lock(ctx); err != nil {
		return r, err
	}
	defer c.unlock()
	view, err := c.ready(ctx, now, &r)
	if err != nil {
		c.carry(&r, c.queue(inputs))
		return r, err
	}
	if r.Leads = view.Leader != 0; !r.Leads {
		c.carried = nil
		return r, nil
	}
	queue := c.queue(inputs)
	b := c.batch(view, fleet, now)
	took, left := b.run(queue, c.limit)
	c.guarded(b)
	r.Rulings, r.Unfounded = b.rulings, b.unfounded
	if len(b.states) == 0 {
		c.carry(&r, left)
		return r, nil
	}
	rev, err := c.commit(ctx, view, b.change("automation/"+c.replica, true))
	if err != nil {
		c.failed(err)
		if errors.Is(err, ErrNotLeader) {
			c.carried = nil
			return r, err
		}
		c.carry(&r, append(took, left...))
		return r, err
	}
	c.limit = MaxScopes
	r.take(rev, view.Head.Sequence+1, b.moves, b.incidents, b.alerts)
	c.carry(&r, left)
	_, err = c.read(ctx, now)
	return r, err
}

// ready returns a fresh view and, in r, what unanswered attempts of earlier calls turned out to have done.
func (c *Control) ready(ctx context.Context, now time.Time, r *Result) (*View, error) {
	view, err := c.fresh(ctx, now)
	if err != nil {
		return nil, err
	}
	happened, err := c.settle(ctx, view)
	happened = append(c.found, happened...)
	c.found = nil
	for _, h := range happened {
		r.take(h.entry.Revision, h.entry.Sequence, h.entry.Moves, h.entry.Incidents, h.entry.Alerts)
		c.carried = slices.DeleteFunc(c.carried, func(p proposal) bool { return p.attempt == h.attempt })
	}
	return view, err
}

func (r *Result) take(revision int64, sequence uint64, moves []Move, incidents []statemachine.Incident, alerts []statemachine.Alert) {
	r.Revision, r.Sequence = revision, sequence
	r.Moves = append(r.Moves, moves...)
	r.Incidents = append(r.Incidents, incidents...)
	r.Alerts = append(r.Alerts, alerts...)
}

// queue joins the carried proposals and the new inputs; a new one of the same kind replaces what was known before.
func (c *Control) queue(inputs []Input) []proposal {
	queue := c.carried
	c.carried = nil
	for _, in := range inputs {
		at := slices.IndexFunc(queue, func(p proposal) bool { return p.Scope == in.Scope && sameKind(p.Event, in.Event) })
		if at < 0 {
			queue = append(queue, proposal{Input: in})
			continue
		}
		queue[at].Input = in
	}
	return queue
}

func sameKind(a, b statemachine.Event) bool {
	switch a.(type) {
	case statemachine.Verdict:
		_, same := b.(statemachine.Verdict)
		return same
	case statemachine.StepEvidence:
		_, same := b.(statemachine.StepEvidence)
		return same
	case statemachine.Tick, statemachine.Order:
	}
	return false
}

// carry keeps proposals for the next call and gives up those that were tried too often.
func (c *Control) carry(r *Result, proposals []proposal) {
	for _, p := range proposals {
		if p.tries++; p.tries >= maxAttempts {
			r.Dropped = append(r.Dropped, p.Input)
			continue
		}
		p.attempt = c.attempts
		c.carried = append(c.carried, p)
	}
	r.Carried = len(c.carried)
	c.count(func(n *ControlCounters) {
		n.Carried += uint64(len(c.carried))
		n.Dropped += uint64(len(r.Dropped))
	})
}

// failed learns from an error of the ledger.
func (c *Control) failed(err error) {
	if errors.Is(err, ErrTooLarge) {
		c.limit = max(1, c.limit/2)
	}
}

func (c *Control) guarded(b *batch) {
	c.count(func(n *ControlCounters) {
		for _, r := range b.rulings {
			if r.Ruling.Answer != statemachine.Allow {
				n.GuardsNo++
			}
		}
		n.Unfounded += uint64(len(b.unfounded))
	})
}

// run steps all scopes in order: first time passes, then the proposals. It returns those whose scopes changed, and those it
// did not come to because the transaction is full.
func (b *batch) run(queue []proposal, limit int) (took, left []proposal) {
	by := make(map[statemachine.Scope][]proposal, len(queue))
	for _, p := range queue {
		by[p.Scope] = append(by[p.Scope], p)
	}
	ticking := b.ticking()
	for _, scope := range together(ticking, by) {
		if len(b.states) >= limit {
			left = append(left, by[scope]...)
			continue
		}
		changed := false
		if _, ticks := slices.BinarySearchFunc(ticking, scope, statemachine.Scope.Compare); ticks {
			changed = b.step(scope, statemachine.Tick{})
		}
		for _, p := range by[scope] {
			changed = b.step(scope, p.Event) || changed
		}
		if changed {
			took = append(took, by[scope]...)
		}
	}
	return took, left
}
