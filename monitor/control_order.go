package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// OrderRequest is an operator's order on one scope, or on several that are moved together or not at all (a bank without card
// type).
type OrderRequest struct {
	Scopes       []statemachine.Scope
	Order        statemachine.Order
	RequestID    string   // repeating it answers what the first did; empty = none
	Etag         int64    // VersionedState.Modified the operator saw, the greatest of several scopes, Unwritten if none was written yet; 0 = not compared
	Overrides    []string // guards the operator overrides by name
	ValidateOnly bool     // say what would happen, change nothing
}

// Unwritten is the OrderRequest.Etag of an operator who saw scopes without any stored state.
const Unwritten int64 = -1

// RefusedError says which guard refuses an order on which scope. It wraps ErrRefused.
type RefusedError struct {
	Scope  statemachine.Scope
	Ruling statemachine.Ruling
}

// Error names the scope, the guard and its reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Scope, e.Ruling.Guard, e.Ruling.Reason)
}

// Unwrap returns ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Order carries out an operator's order, on any replica. Errors: those of State.Check, statemachine.ErrScope, ErrStaleEtag,
// *RefusedError, ErrRequestReused, ErrTooLarge; ErrConflict or ErrUnknownOutcome after five attempts (repeat with the same
// request id). An order that changes nothing is no error: its Result has no moves.
func (c *Control) Order(ctx context.Context, q OrderRequest, fleet *statemachine.Fleet, now time.Time) (Result, error) {
	scopes, err := q.scopes()
	if err != nil {
		return Result{}, err
	}
	r, err := c.operate(ctx, now, q.RequestID, func(view *View) (*batch, Change, error) {
		b, err := q.decide(view, scopes, fleet, now)
		change := b.change(q.Order.Author, false)
		change.Entry.Reason = q.Order.Reason
		change.RequestID = q.RequestID
		if q.ValidateOnly {
			change.Base = 0
		}
		return b, change, err
	})
	if r.Replayed && !q.like(&r) {
		return Result{}, fmt.Errorf("%w: %s", ErrRequestReused, q.RequestID)
	}
	c.count(func(n *ControlCounters) {
		switch {
		case errors.Is(err, ErrRefused):
			n.OrdersNo++
		case err == nil && !q.ValidateOnly && !r.Replayed:
			n.Orders++
		}
	})
	return r, err
}

// scopes returns the scopes of the order, sorted, each once.
func (q *OrderRequest) scopes() ([]statemachine.Scope, error) {
	if len(q.Scopes) == 0 {
		return nil, fmt.Errorf("%w: an order needs a scope", statemachine.ErrScope)
	}
	for _, s := range q.Scopes {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("order: %w", err)
		}
	}
	scopes := slices.SortedFunc(slices.Values(q.Scopes), statemachine.Scope.Compare)
	if scopes = slices.Compact(scopes); len(scopes) > MaxScopes {
		return nil, fmt.Errorf("%w: an order on %d scopes, at most %d", ErrTooLarge, len(scopes), MaxScopes)
	}
	return scopes, nil
}

// decide steps all scopes, or says why not.
func (q *OrderRequest) decide(view *View, scopes []statemachine.Scope, fleet *statemachine.Fleet, now time.Time) (*batch, error) {
	b := newBatch(view, fleet, now)
	if err := q.fits(view, scopes); err != nil {
		return b, err
	}
	for _, scope := range scopes {
		if err := b.fleet.State(scope).Check(q.Order, b.fleet.Policy(scope.Channel), now); err != nil {
			return b, fmt.Errorf("%s: %w", scope, err)
		}
		if err := q.guard(b, scope); err != nil {
			return b, err
		}
		b.step(scope, q.Order)
	}
	return b, nil
}

// fits compares the etag.
func (q *OrderRequest) fits(view *View, scopes []statemachine.Scope) error {
	if q.Etag == 0 {
		return nil
	}
	var newest int64
	for i := range view.States {
		if slices.Contains(scopes, view.States[i].Scope) {
			newest = max(newest, view.States[i].Modified)
		}
	}
	if newest != max(q.Etag, 0) {
		return fmt.Errorf("%w: etag %d, now %d", ErrStaleEtag, q.Etag, newest)
	}
	return nil
}

// guard asks about orders that close.
func (q *OrderRequest) guard(b *batch, scope statemachine.Scope) error {
	if q.Order.Action != statemachine.ActionOff && q.Order.Action != statemachine.ActionSuspend {
		return nil
	}
	p := statemachine.Proposal{Scope: scope, Cause: statemachine.Operator, Overrides: q.Overrides}
	ruling := statemachine.Guard(b.fleet, p, b.now)
	b.rulings = append(b.rulings, ScopeRuling{Scope: scope, Ruling: ruling})
	if ruling.Answer != statemachine.Allow {
		return &RefusedError{Scope: scope, Ruling: ruling}
	}
	return nil
}

// like tells whether what a request id did before can have been this order.
func (q *OrderRequest) like(r *Result) bool {
	for i := range r.Moves {
		if !slices.Contains(q.Scopes, r.Moves[i].After.Scope) {
			return false
		}
	}
	return true
}

// operate reads, decides and commits, at most five times, and answers a request that was made before with what it did.
// A change with Base 0 is not committed.
func (c *Control) operate(ctx context.Context, now time.Time, requestID string, decide func(*View) (*batch, Change, error)) (Result, error) {
	if err := c.lock(ctx); err != nil {
		return Result{}, err
	}
	defer c.unlock()
	mine := c.attempts
	var last error
	for range maxAttempts {
		view, err := c.read(ctx, now)
		if err != nil {
			return Result{}, errors.Join(err, last)
		}
		if r, done, err := c.before(ctx, view, requestID, mine); done || err != nil {
			return r, err
		}
		b, change, err := decide(view)
		r := Result{Leads: view.Leader != 0, Rulings: b.rulings, Shadowed: b.shadowed()}
		if err != nil {
			return r, err
		}
		if change.Base == 0 || len(change.States)+len(change.Incidents) == 0 && change.Catalog == nil {
			r.Moves, r.Incidents, r.Alerts = b.moves, b.incidents, b.alerts
			return r, nil
		}
		rev, err := c.commit(ctx, view, change)
		if err == nil {
			r.take(rev, view.Head.Sequence+1, b.moves, b.incidents, b.alerts)
			if change.Catalog != nil {
				r.Catalog = view.Head.Catalog + 1
			}
			c.stale = true
			_, _ = c.read(ctx, now) // the order is carried out; a view that could not be read stays stale
			return r, nil
		}
		last = err
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrDuplicateRequest) {
			return r, err
		}
	}
	return Result{}, last
}

// before tells whether the request was carried out: by its id, or by an unanswered attempt of this call.
func (c *Control) before(ctx context.Context, view *View, requestID string, since uint64) (Result, bool, error) {
	happened, err := c.settle(ctx, view)
	if err != nil {
		return Result{}, false, err
	}
	for _, h := range happened {
		if h.attempt > since {
			r := Result{Leads: view.Leader != 0, Catalog: h.entry.Catalog}
			r.take(h.entry.Revision, h.entry.Sequence, h.entry.Moves, h.entry.Incidents, h.entry.Alerts)
			return r, true, nil
		}
		c.found = append(c.found, h)
	}
	if requestID == "" {
		return Result{}, false, nil
	}
	sequence, err := c.ledger.Request(ctx, requestID)
	if err != nil || sequence == 0 {
		return Result{}, false, err //nolint:wrapcheck // names itself
	}
	entries, err := c.ledger.Journal(ctx, sequence-1, 1)
	if err != nil {
		return Result{}, false, err //nolint:wrapcheck // names itself
	}
	c.count(func(n *ControlCounters) { n.Replays++ })
	r := Result{Leads: view.Leader != 0, Replayed: true, Sequence: sequence}
	if len(entries) == 1 && entries[0].Sequence == sequence { // else it was exported
		e := &entries[0]
		r.Catalog = e.Catalog
		r.take(e.Revision, e.Sequence, e.Moves, e.Incidents, e.Alerts)
	}
	return r, true, nil
}

// shadowed lists the closed wider scopes of those this batch opened, sorted.
func (b *batch) shadowed() []statemachine.Scope {
	var out []statemachine.Scope
	for _, scope := range b.states {
		if phase, _ := b.fleet.States[scope].Effective(); phase == statemachine.Disabled {
			continue
		}
		for _, wider := range b.wider(scope) {
			if phase, _ := b.fleet.State(wider).Effective(); phase == statemachine.Disabled && !slices.Contains(out, wider) {
				out = append(out, wider)
			}
		}
	}
	slices.SortFunc(out, statemachine.Scope.Compare)
	return out
}

// wider lists the scopes that hold all of a scope's traffic.
func (b *batch) wider(s statemachine.Scope) []statemachine.Scope {
	if s.Kind == statemachine.ScopeDomain {
		return nil
	}
	var out []statemachine.Scope
	for _, d := range b.fleet.Channels[s.Channel].Domains {
		out = append(out, statemachine.DomainScope(d))
	}
	if s.Kind == statemachine.ScopeChannel {
		return out
	}
	out = append(out, statemachine.ChannelScope(s.Channel))
	if i, err := statemachine.ParseInstrument(s.Of); err == nil && s.Kind == statemachine.ScopeInstrument {
		out = append(out, statemachine.MethodScope(s.Channel, i.Method))
	}
	return out
}
