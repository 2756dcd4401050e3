package monitor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestOrder(t *testing.T) {
	b := newBench(t, 3)
	b.memory.Resign() // operators need no leader
	s := wholeChannel(0)
	q := b.order(statemachine.ActionOff, time.Hour, s)
	q.RequestID = "r-1"
	r := b.mustGive(q)
	if len(r.Moves) != 1 || r.Revision == 0 {
		t.Fatalf("got %+v", r)
	}
	if phase, _ := b.state(s).Effective(); phase != statemachine.Disabled {
		t.Errorf("effective phase %s", phase)
	}
	e := b.journal()[0]
	if e.Author != "ann" || e.Reason != "the bank phoned" || e.Cause != statemachine.Operator || e.RequestID != "r-1" {
		t.Errorf("entry %+v", e)
	}
}

func TestOrderIsIdempotentByRequestID(t *testing.T) {
	b := newBench(t, 3)
	q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(0))
	q.RequestID = "r-1"
	first := b.mustGive(q)
	b.mustGive(b.order(statemachine.ActionRelease, 0, wholeChannel(0)))
	again := b.mustGive(q)
	if !again.Replayed || again.Revision != first.Revision || len(again.Moves) != 1 || again.Moves[0].After != first.Moves[0].After {
		t.Errorf("the repeat answers %+v, the first did %+v", again, first)
	}
	if b.state(wholeChannel(0)).Off.Set() {
		t.Error("the repeat closed the channel again")
	}
	other := b.order(statemachine.ActionOff, time.Hour, wholeChannel(1))
	other.RequestID = "r-1"
	if _, err := b.give(other); !errors.Is(err, monitor.ErrRequestReused) {
		t.Errorf("another order under the same id: %v", err)
	}
}

func TestOrderRefusals(t *testing.T) {
	b := newBench(t, 2)
	cut := b.mustGive(b.order(statemachine.ActionOff, time.Hour, wholeChannel(0)))
	tests := map[string]struct {
		change func(*monitor.OrderRequest)
		want   error
	}{
		"no scope":    {func(q *monitor.OrderRequest) { q.Scopes = nil }, statemachine.ErrScope},
		"bad scope":   {func(q *monitor.OrderRequest) { q.Scopes[0].Channel = "" }, statemachine.ErrScope},
		"no reason":   {func(q *monitor.OrderRequest) { q.Order.Reason = "" }, statemachine.ErrReasonMissing},
		"no author":   {func(q *monitor.OrderRequest) { q.Order.Author = "" }, statemachine.ErrAuthorMissing},
		"no expiry":   {func(q *monitor.OrderRequest) { q.Order.For = 0 }, statemachine.ErrExpiryMissing},
		"last usable": {func(q *monitor.OrderRequest) { q.Scopes[0] = wholeChannel(1) }, monitor.ErrRefused},
		"suspend last": {func(q *monitor.OrderRequest) {
			q.Scopes[0] = wholeChannel(1)
			q.Order.Action, q.Order.For = statemachine.ActionSuspend, 0
		}, monitor.ErrRefused},
		"stale etag": {func(q *monitor.OrderRequest) { q.Etag = cut.Revision - 1 }, monitor.ErrStaleEtag},
	}
	before := len(b.journal())
	for name, test := range tests {
		q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(0))
		test.change(&q)
		if _, err := b.give(q); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if len(b.journal()) != before {
		t.Error("a refused order left an entry")
	}
	var refused *monitor.RefusedError
	q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(1))
	if _, err := b.give(q); !errors.As(err, &refused) || refused.Ruling.Guard != statemachine.GuardLastUsable {
		t.Fatalf("got %v", err)
	}
	q.Overrides = []string{statemachine.GuardLastUsable, statemachine.GuardCapacity}
	b.mustGive(q)
	if phase, _ := b.state(wholeChannel(1)).Effective(); phase != statemachine.Disabled {
		t.Error("the override was not obeyed")
	}
}

func TestOrderEtag(t *testing.T) {
	b := newBench(t, 3)
	b.mustGive(b.order(statemachine.ActionHold, 0, wholeChannel(0)))
	etag := b.state(wholeChannel(0)).Modified
	b.mustGive(b.order(statemachine.ActionHold, 0, wholeChannel(1))) // moves head, not this state
	q := b.order(statemachine.ActionRelease, 0, wholeChannel(0))
	q.Etag = etag
	b.mustGive(q)
	if _, err := b.give(q); !errors.Is(err, monitor.ErrStaleEtag) {
		t.Errorf("the same etag again: %v", err)
	}
}

// A bank without card type is several scopes: all of them or none.
func TestOrderOnSeveralScopes(t *testing.T) {
	b := newBench(t, 2)
	r := b.mustGive(b.order(statemachine.ActionHold, 0, wholeChannel(1), wholeChannel(0), wholeChannel(1)))
	if len(r.Moves) != 2 || len(b.journal()) != 1 {
		t.Errorf("%d moves in %d entries, want two in one", len(r.Moves), len(b.journal()))
	}
	q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(0), wholeChannel(1)) // each alone would be allowed
	if _, err := b.give(q); !errors.Is(err, monitor.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if b.state(wholeChannel(0)).Off.Set() || len(b.journal()) != 1 {
		t.Error("half an order was carried out")
	}
}

func TestOrderValidateOnly(t *testing.T) {
	b := newBench(t, 3)
	q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(0))
	q.ValidateOnly = true
	r := b.mustGive(q)
	if len(r.Moves) != 1 || len(r.Rulings) != 1 || r.Revision != 0 || len(b.journal()) != 0 {
		t.Errorf("got %+v and %d entries", r, len(b.journal()))
	}
}

func TestOrderSaysWhichWiderScopeIsClosed(t *testing.T) {
	b := newBench(t, 3)
	b.submit(failing(onChannel(0)))
	b.mustGive(b.order(statemachine.ActionOff, time.Hour, wholeChannel(0)))
	r := b.mustGive(b.order(statemachine.ActionOn, 0, onChannel(0)))
	if len(r.Shadowed) != 1 || r.Shadowed[0] != wholeChannel(0) {
		t.Errorf("shadowed by %v", r.Shadowed)
	}
}

func TestOrderRetries(t *testing.T) {
	tests := map[string]struct {
		faults []ledgertest.Fault
		want   error
	}{
		"conflicts":          {[]ledgertest.Fault{ledgertest.Conflict, ledgertest.Conflict, ledgertest.Conflict, ledgertest.Conflict}, nil},
		"conflicts for ever": {[]ledgertest.Fault{ledgertest.Conflict, ledgertest.Conflict, ledgertest.Conflict, ledgertest.Conflict, ledgertest.Conflict}, monitor.ErrConflict},
		"lost":               {[]ledgertest.Fault{ledgertest.Lost, ledgertest.Lost}, nil},
		"unanswered":         {[]ledgertest.Fault{ledgertest.Unanswered}, nil},
		"late":               {[]ledgertest.Fault{ledgertest.Late}, nil},
	}
	for name, test := range tests {
		for _, id := range []string{"", "r-1"} {
			b := newBench(t, 3)
			b.ledger.Plan(test.faults...)
			q := b.order(statemachine.ActionOff, time.Hour, wholeChannel(0))
			q.RequestID = id
			r, err := b.give(q)
			if !errors.Is(err, test.want) {
				t.Errorf("%s, id %q: got %v, want %v", name, id, err, test.want)
			}
			if entries := b.journal(); err == nil && (len(entries) != 1 || len(r.Moves) != 1 || r.Revision != entries[0].Revision) {
				t.Errorf("%s, id %q: %d entries, result %+v", name, id, len(entries), r)
			}
			if _, left := b.ledger.Commits(); left != 0 {
				t.Errorf("%s: %d faults never fired", name, left)
			}
		}
	}
}

// An expiry is found by the leader and told with the operator's name.
func TestOverrideExpires(t *testing.T) {
	b := newBench(t, 3)
	b.mustGive(b.order(statemachine.ActionOff, time.Minute, wholeChannel(0)))
	b.now = b.now.Add(59 * time.Second)
	if r := b.submit(); len(r.Moves) != 0 {
		t.Fatalf("too early: %+v", r.Moves)
	}
	b.now = b.now.Add(time.Second)
	r := b.submit()
	if len(r.Moves) != 1 || r.Moves[0].Cause != statemachine.Expired || r.Moves[0].After.Phase != statemachine.Probing {
		t.Fatalf("got %+v", r.Moves)
	}
	if e := b.journal()[1]; e.Cause != statemachine.Expired || e.Author != "automation/r1" {
		t.Errorf("entry %+v", e)
	}
}

func TestApplyCatalog(t *testing.T) {
	b := newBench(t, 3)
	apply := func(q monitor.CatalogRequest) (monitor.Result, error) {
		return b.control.ApplyCatalog(t.Context(), q, b.now)
	}
	q := monitor.CatalogRequest{Catalog: []byte("one"), Author: "ann", Reason: "first start", RequestID: "c-1"}
	if r, err := apply(q); err != nil || r.Revision == 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if v := b.control.View(); v.Head.Catalog != 1 || string(v.Catalog) != "one" {
		t.Errorf("view holds catalogue %d: %s", v.Head.Catalog, v.Catalog)
	}
	if r, err := apply(monitor.CatalogRequest{Catalog: []byte("one"), Author: "ann", Reason: "again"}); err != nil || r.Revision != 0 {
		t.Errorf("the same again: %+v, %v", r, err)
	}
	if r, err := apply(q); err != nil || !r.Replayed {
		t.Errorf("the same request: %+v, %v", r, err)
	}
	if _, err := apply(monitor.CatalogRequest{Catalog: []byte("two"), Author: "ann", Reason: "stale", Number: 7}); !errors.Is(err, monitor.ErrStaleEtag) {
		t.Errorf("stale number: %v", err)
	}
	if _, err := apply(monitor.CatalogRequest{Catalog: []byte("two"), Author: "ann"}); !errors.Is(err, monitor.ErrUnattributed) {
		t.Errorf("no reason: %v", err)
	}
	if _, err := apply(monitor.CatalogRequest{Author: "ann", Reason: "empty"}); err == nil {
		t.Error("an empty catalogue was taken")
	}
	if e := b.journal(); len(e) != 1 || e[0].Catalog != 1 {
		t.Errorf("journal %+v", e)
	}
}

func TestAnnotate(t *testing.T) {
	b := newBench(t, 3)
	id := b.submit(failing(onChannel(0))).Incidents[0].ID
	r, err := b.control.Annotate(t.Context(), monitor.AnnotateRequest{ID: id, Note: "bank confirms", Author: "ann"}, b.now)
	if err != nil || len(r.Incidents) != 1 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if i := b.view().Incidents[0]; i.Note != "bank confirms" || i.Evidence.Answered != 40 {
		t.Errorf("incident %+v", i)
	}
	b.walk(onChannel(0), statemachine.Healthy)
	if i := b.view().Incidents[0]; i.Note != "bank confirms" || i.Closed == 0 {
		t.Errorf("after it closed: %+v", i)
	}
	if _, err := b.control.Annotate(t.Context(), monitor.AnnotateRequest{ID: "none", Note: "x", Author: "ann"}, b.now); !errors.Is(err, monitor.ErrNoIncident) {
		t.Errorf("unknown incident: %v", err)
	}
}

// Operators and the tick at once: nothing is lost, nothing is done twice.
func TestControlConcurrently(t *testing.T) {
	b := newBench(t, 40)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if _, err := b.control.Order(t.Context(), b.order(statemachine.ActionHold, 0, wholeChannel(n)), b.fleet, b.now); err != nil {
				t.Errorf("order %d: %v", n, err)
			}
		})
		all.Go(func() {
			if _, err := b.control.Submit(t.Context(), []monitor.Input{failing(wholeChannel(20 + n))}, b.fleet, b.now); err != nil {
				t.Errorf("submit %d: %v", n, err)
			}
			b.control.View()
			b.control.Counters()
		})
	}
	all.Wait()
	if n := len(b.view().States); n != 40 {
		t.Errorf("%d scopes changed, want 40", n)
	}
	if err := b.memory.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever waits for another change gives up with its context.
func TestOrderWaitsNoLongerThanItsContext(t *testing.T) {
	b := newBench(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.control.Order(ctx, b.order(statemachine.ActionHold, 0, wholeChannel(0)), b.fleet, b.now); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
