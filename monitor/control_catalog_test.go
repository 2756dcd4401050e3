package monitor_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
)

// catalogs applies catalogues to a bench.
type catalogs struct{ *bench }

func (c catalogs) apply(q monitor.CatalogRequest) (monitor.Result, error) {
	if q.Author == "" {
		q.Author, q.Reason = "ann", "because"
	}
	return c.control.ApplyCatalog(c.t.Context(), q, c.now)
}

func (c catalogs) mustApply(q monitor.CatalogRequest) monitor.Result {
	c.t.Helper()
	r, err := c.apply(q)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// What people do wrong with catalogues changes nothing, and says what is the matter.
func TestMistakes_Catalogues(t *testing.T) {
	noise := make([]byte, monitor.MaxCatalogBytes+1)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	stranded := errors.New("an order is stranded")
	for name, test := range map[string]struct {
		q    monitor.CatalogRequest
		want error
	}{
		"a stale etag":                    {monitor.CatalogRequest{Catalog: []byte("three"), Number: 1}, monitor.ErrStaleEtag},
		"an etag of the future":           {monitor.CatalogRequest{Catalog: []byte("three"), Number: 9}, monitor.ErrStaleEtag},
		"too large":                       {monitor.CatalogRequest{Catalog: noise}, monitor.ErrTooLarge},
		"too large, only asking":          {monitor.CatalogRequest{Catalog: noise, ValidateOnly: true}, monitor.ErrTooLarge},
		"back to the one in force":        {monitor.CatalogRequest{Catalog: []byte("two"), RollbackOf: 2}, monitor.ErrInForce},
		"refused by a check":              {monitor.CatalogRequest{Catalog: []byte("three"), Check: func(*monitor.View) error { return stranded }}, stranded},
		"the request id of another":       {monitor.CatalogRequest{Catalog: []byte("three"), RequestID: "c-1"}, monitor.ErrRequestReused},
		"the request id of a rollback":    {monitor.CatalogRequest{Catalog: []byte("one"), RequestID: "c-1", RollbackOf: 1}, monitor.ErrRequestReused},
		"the request id of an annotation": {monitor.CatalogRequest{Catalog: []byte("three"), RequestID: "n-1"}, monitor.ErrRequestReused},
	} {
		t.Run(name, func(t *testing.T) {
			c := catalogs{newBench(t, 3)}
			id := c.submit(failing(onChannel(0))).Incidents[0].ID
			if _, err := c.control.Annotate(t.Context(), monitor.AnnotateRequest{ID: id, Note: "bank confirms", Author: "ann", RequestID: "n-1"}, c.now); err != nil {
				t.Fatal(err)
			}
			c.mustApply(monitor.CatalogRequest{Catalog: []byte("one"), RequestID: "c-1"})
			c.mustApply(monitor.CatalogRequest{Catalog: []byte("two")})
			if _, err := c.apply(test.q); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if v := c.view(); v.Head.Catalog != 2 || string(v.Catalog) != "two" || len(c.journal()) != 4 {
				t.Errorf("catalogue %d: %q, %d entries", v.Head.Catalog, v.Catalog, len(c.journal()))
			}
		})
	}
}

// The check is asked about the view that the change is based on, also when another change came first.
func TestApplyCatalog_CheckSeesTheViewOfTheChange(t *testing.T) {
	c := catalogs{newBench(t, 3)}
	c.ledger.Plan(ledgertest.Conflict)
	var seen []int64
	r := c.mustApply(monitor.CatalogRequest{Catalog: []byte("one"), Check: func(v *monitor.View) error {
		seen = append(seen, v.Revision)
		return nil
	}})
	if len(seen) != 2 || r.Catalog != 1 || r.Revision == 0 {
		t.Errorf("checked at %v, got %+v", seen, r)
	}
}

// A repeated request answers with the number of the first, whatever is in force by now; so does one whose answer was lost.
func TestApplyCatalog_HappensOnce(t *testing.T) {
	c := catalogs{newBench(t, 3)}
	c.ledger.Plan(ledgertest.Unanswered)
	q := monitor.CatalogRequest{Catalog: []byte("one"), RequestID: "c-1"}
	if r := c.mustApply(q); r.Catalog != 1 || r.Revision == 0 {
		t.Fatalf("an unanswered change that was made: %+v", r)
	}
	c.mustApply(monitor.CatalogRequest{Catalog: []byte("two")})
	q.Number = 0
	if r := c.mustApply(q); !r.Replayed || r.Catalog != 1 || c.view().Head.Catalog != 2 {
		t.Errorf("repeated: %+v, catalogue %d in force", r, c.view().Head.Catalog)
	}
	q.Check = func(*monitor.View) error { return errors.New("it would be refused today") }
	if r := c.mustApply(q); !r.Replayed {
		t.Errorf("a repeated request is not judged anew: %+v", r)
	}
	if n := len(c.journal()); n != 2 {
		t.Errorf("%d journal entries, want 2", n)
	}
}

// Of two who start from the same catalogue one is told that somebody was faster; the journal has both attempts' truth.
func TestApplyCatalog_Concurrent(t *testing.T) {
	c := catalogs{newBench(t, 3)}
	c.mustApply(monitor.CatalogRequest{Catalog: []byte("one")})
	other := monitor.NewControl(c.memory.Peer("r2"), "r2")
	errs := make(chan error, 2)
	for i, control := range []*monitor.Control{c.control, other} {
		go func() {
			_, err := control.ApplyCatalog(t.Context(), monitor.CatalogRequest{
				Catalog: fmt.Appendf(nil, "of %d", i), Author: "ann", Reason: "because", Number: 1,
			}, c.now)
			errs <- err
		}()
	}
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), monitor.ErrStaleEtag) {
		t.Errorf("got %v and %v, want one ErrStaleEtag", first, second)
	}
	if v := c.view(); v.Head.Catalog != 2 {
		t.Errorf("catalogue %d in force, want 2", v.Head.Catalog)
	}
}

// TestInvariant14_CatalogueChangesAreJournalled: a rollback is a new revision that says who went back to what, and why.
func TestInvariant14_CatalogueChangesAreJournalled(t *testing.T) {
	c := catalogs{newBench(t, 3)}
	c.mustApply(monitor.CatalogRequest{Catalog: []byte("one"), Version: "v1"})
	c.mustApply(monitor.CatalogRequest{Catalog: []byte("two"), Version: "v2"})
	r := c.mustApply(monitor.CatalogRequest{Catalog: []byte("one"), Version: "v1", RollbackOf: 1, Author: "li", Reason: "v2 loses ICBC"})
	if r.Catalog != 3 || string(c.view().Catalog) != "one" {
		t.Fatalf("got %+v", r)
	}
	e := c.journal()[2]
	if e.Catalog != 3 || e.RollbackOf != 1 || e.Author != "li" || e.Reason != "v2 loses ICBC" {
		t.Errorf("entry %+v", e)
	}
	list, err := c.memory.Catalogs(t.Context())
	if err != nil || len(list) != 3 || list[0].Version != "v1" || list[0].RollbackOf != 1 || list[0].Sequence != 3 || list[2].Author != "ann" {
		t.Errorf("revisions %+v, %v", list, err)
	}
	if err := c.memory.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if got := c.control.Counters().Catalogs; got != 3 {
		t.Errorf("%d counted, want 3", got)
	}
}
