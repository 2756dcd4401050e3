package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
)

// Every catalogue that was put in force can be read again with who did it and why, until KeptCatalogs newer ones were.
func catalogsKept(t *testing.T, f Fixture) {
	none(t, f.Ledger, 0, 1)
	if list, err := f.Ledger.Catalogs(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("before the first: %v, %v", list, err)
	}
	rev := read(t, f.Ledger).Revision
	const last = monitor.KeptCatalogs + 3
	var want []monitor.CatalogRevision
	for n := uint64(1); n <= last; n++ {
		c := withCatalog(rev, fmt.Appendf(nil, "catalogue %d", n))
		c.Version, c.Entry.Author, c.Entry.Reason = fmt.Sprintf("v%d", n), "li", fmt.Sprintf("reason %d", n)
		if n == last {
			c.Entry.RollbackOf = 7
		}
		rev = commit(t, f.Ledger, c)
		want = append(want, c.Revision(n, n))
	}
	commit(t, f.Ledger, SampleChange(rev, 1)) // no catalogue
	peer := f.Peer(t, "peer")
	wantKept(t, peer, want)
	none(t, peer, 0, 1, 2, 3, last+1)
	if e := journal(t, f.Ledger)[last-1]; e.Catalog != last || e.RollbackOf != 7 {
		t.Errorf("the journal tells of catalogue %d, rollback of %d", e.Catalog, e.RollbackOf)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := peer.Catalog(cancelled, last); err == nil {
		t.Error("read although cancelled")
	}
	if _, err := peer.Catalogs(cancelled); err == nil {
		t.Error("listed although cancelled")
	}
}

// wantKept expects that the newest of the revisions are kept, each with its catalogue.
func wantKept(t *testing.T, peer monitor.Ledger, want []monitor.CatalogRevision) {
	t.Helper()
	last := len(want)
	list, err := peer.Catalogs(t.Context())
	if err != nil || len(list) != monitor.KeptCatalogs {
		t.Fatalf("%d revisions, %v; want the newest %d", len(list), err, monitor.KeptCatalogs)
	}
	for i, got := range list {
		number := want[last-1-i].Number
		if got != want[last-1-i] {
			t.Errorf("listed %+v, want %+v", got, want[last-1-i])
		}
		catalog, revision, err := peer.Catalog(t.Context(), number)
		if err != nil || string(catalog) != fmt.Sprintf("catalogue %d", number) || revision != got {
			t.Errorf("catalogue %d: %q, %+v, %v", number, catalog, revision, err)
		}
	}
	if oldest := list[len(list)-1].Number; oldest != monitor.KeptFrom(uint64(last)) {
		t.Errorf("the oldest kept is %d", oldest)
	}
}

// A catalogue whose change has lost was never in force: nobody can go back to it.
func loserIsNoRevision(t *testing.T, f Fixture) {
	base := read(t, f.Ledger).Revision
	c := withCatalog(base, []byte("loser"))
	c.RequestID = "r-1"
	first := SampleChange(base, 1)
	first.RequestID = "r-1"
	base = commit(t, f.Ledger, first)
	c.Base = base
	refused(t, f.Ledger, c, monitor.ErrDuplicateRequest)
	none(t, f.Ledger, 1)
	if list, err := f.Ledger.Catalogs(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("listed %v, %v", list, err)
	}
}

// none expects that no such catalogue is kept.
func none(t *testing.T, l monitor.Ledger, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		if catalog, _, err := l.Catalog(t.Context(), n); !errors.Is(err, monitor.ErrNoRevision) {
			t.Errorf("catalogue %d: %q, %v; want ErrNoRevision", n, catalog, err)
		}
	}
}
