package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

func withCatalog(base int64, catalog []byte) monitor.Change {
	c := SampleChange(base)
	c.Catalog = catalog
	return c
}

func catalog(t *testing.T, f Fixture) {
	first := bytes.Repeat([]byte("channel "), 100_000)
	rev := commit(t, f.Ledger, withCatalog(read(t, f.Ledger).Revision, first))
	peer := f.Peer(t, "peer")
	if v := read(t, peer); v.Head.Catalog != 1 || !bytes.Equal(v.Catalog, first) {
		t.Fatalf("got catalogue %d of %d bytes", v.Head.Catalog, len(v.Catalog))
	}
	rev = commit(t, peer, SampleChange(rev, 1)) // leaves it alone
	if v := read(t, f.Ledger); v.Head.Catalog != 1 || !bytes.Equal(v.Catalog, first) {
		t.Fatalf("got catalogue %d of %d bytes", v.Head.Catalog, len(v.Catalog))
	}
	commit(t, peer, withCatalog(rev, []byte("second")))
	if v := read(t, f.Ledger); v.Head.Catalog != 2 || string(v.Catalog) != "second" {
		t.Fatalf("got catalogue %d: %.20q", v.Head.Catalog, v.Catalog)
	}
	var numbers []uint64
	for _, e := range journal(t, f.Ledger) {
		numbers = append(numbers, e.Catalog)
	}
	if !slices.Equal(numbers, []uint64{1, 0, 2}) {
		t.Errorf("the journal names catalogues %v, want [1 0 2]", numbers)
	}
}

// The head never points to the content of a catalogue whose transaction lost.
func catalogOfTheLoser(t *testing.T, f Fixture) {
	base := read(t, f.Ledger).Revision
	peer := f.Peer(t, "peer")
	commit(t, f.Ledger, withCatalog(base, []byte("winner")))
	refused(t, peer, withCatalog(base, []byte("loser")), monitor.ErrConflict)
	if v := read(t, f.Peer(t, "third")); string(v.Catalog) != "winner" || v.Head.Catalog != 1 {
		t.Errorf("got catalogue %d: %q", v.Head.Catalog, v.Catalog)
	}
}

func catalogTooLarge(t *testing.T, f Fixture) {
	noise := make([]byte, monitor.MaxCatalogBytes+1)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must be the same each time
	for i := range noise {
		noise[i] = byte(random.Uint32()) //nolint:gosec // truncation is meant
	}
	refused(t, f.Ledger, withCatalog(read(t, f.Ledger).Revision, noise), monitor.ErrTooLarge)
}

func journalPages(t *testing.T, f Fixture) {
	rev := read(t, f.Ledger).Revision
	for n := range 7 {
		rev = commit(t, f.Ledger, SampleChange(rev, n))
	}
	var got []uint64
	for after := uint64(0); ; {
		page, err := f.Ledger.Journal(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 3 {
			t.Fatalf("asked for 3 entries, got %d", len(page))
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, e.Sequence)
		}
		after = got[len(got)-1]
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("got sequences %v", got)
	}
}

func chained(t *testing.T, f Fixture) {
	rev := read(t, f.Ledger).Revision
	for n := range 5 {
		rev = commit(t, f.Ledger, SampleChange(rev, n))
	}
	v := read(t, f.Ledger)
	entries := journal(t, f.Ledger)
	if err := monitor.CheckJournal(monitor.Head{}, v.Head, entries); err != nil || len(entries) != 5 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}
	if entries[0].Previous != [32]byte{} {
		t.Error("the first entry has a previous hash")
	}
	for _, e := range entries {
		if e.Author == "" || e.Reason == "" || e.At == 0 {
			t.Errorf("entry %d: author %q, reason %q, at %d", e.Sequence, e.Author, e.Reason, e.At)
		}
	}
	if err := f.Ledger.Verify(t.Context()); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func tampered(t *testing.T, f Fixture) {
	rev := read(t, f.Ledger).Revision
	for n := range 4 {
		rev = commit(t, f.Ledger, SampleChange(rev, n))
	}
	stored := map[uint64][]byte{}
	for seq := uint64(1); seq <= 4; seq++ {
		f.Tamper(t, seq, func(b []byte) []byte { stored[seq] = bytes.Clone(b); return b })
	}
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // it must be the same each time
	for seq := uint64(1); seq <= 4; seq++ {
		tests := map[string][]byte{
			"removed":   nil,
			"cut short": stored[seq][:len(stored[seq])-1],
			"another's": stored[seq%4+1],
		}
		for range 5 {
			altered := bytes.Clone(stored[seq])
			at := random.IntN(len(altered))
			altered[at] ^= 1 << random.IntN(8)
			tests[fmt.Sprintf("byte %d altered", at)] = altered
		}
		for name, altered := range tests {
			f.Tamper(t, seq, func([]byte) []byte { return altered })
			if err := f.Ledger.Verify(t.Context()); err == nil {
				t.Errorf("entry %d %s: the journal still verifies", seq, name)
			}
			f.Tamper(t, seq, func([]byte) []byte { return stored[seq] })
		}
	}
	if err := f.Ledger.Verify(t.Context()); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func incidentRetention(t *testing.T, f Fixture) {
	rev := read(t, f.Ledger).Revision
	old, recent, open := SampleIncident(1), SampleIncident(2), SampleIncident(3)
	old.Closed = Noon.Add(-monitor.IncidentRetention - time.Minute)
	recent.Closed = Noon.Add(-monitor.IncidentRetention + time.Minute)
	open.Opened = Noon.Add(-2 * monitor.IncidentRetention)
	c := SampleChange(rev)
	c.Incidents = []statemachine.Incident{old, recent, open}
	rev = commit(t, f.Ledger, c)
	commit(t, f.Ledger, SampleChange(rev, 4))
	var ids []string
	for _, i := range read(t, f.Ledger).Incidents {
		ids = append(ids, i.ID)
	}
	if !slices.Equal(ids, []string{"i-4", "i-2", "i-3"}) {
		t.Errorf("kept %v; want the open one and the one closed within the retention, beside the new one", ids)
	}
}

func checkpoints(t *testing.T, f Fixture) {
	store, ok := f.Ledger.(monitor.Checkpoints)
	if !ok {
		t.Fatalf("%T keeps no checkpoints", f.Ledger)
	}
	if got, err := store.LoadCheckpoint(t.Context(), "windows"); got != nil || err != nil {
		t.Errorf("before any: %q, %v", got, err)
	}
	if err := store.SaveCheckpoint(t.Context(), "windows", Noon, []byte("learned")); err == nil {
		t.Error("saved without leading")
	}
	f.Lead(t, f.Ledger)
	head := read(t, f.Ledger).Revision
	for _, data := range []string{"learned", "learned more"} {
		if err := store.SaveCheckpoint(t.Context(), "windows", Noon, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.LoadCheckpoint(t.Context(), "windows"); string(got) != "learned more" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if read(t, f.Ledger).Revision != head {
		t.Error("a checkpoint moved head")
	}
	if err := store.SaveCheckpoint(t.Context(), "windows", Noon, make([]byte, monitor.MaxCheckpointPart+1)); !errors.Is(err, monitor.ErrTooLarge) {
		t.Errorf("a value over the limit: %v, want ErrTooLarge", err)
	}
	if err := store.SaveCheckpoint(t.Context(), "full", Noon, make([]byte, monitor.MaxCheckpointPart)); err != nil {
		t.Errorf("a value of the limit: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.SaveCheckpoint(cancelled, "windows", Noon, []byte("x")); err == nil {
		t.Error("saved although cancelled")
	}
	if _, err := store.LoadCheckpoint(cancelled, "windows"); err == nil {
		t.Error("loaded although cancelled")
	}
}

// A checkpoint larger than a value travels in parts; a new leader goes on from it, and the old one can no longer replace it.
func checkpointsInParts(t *testing.T, f Fixture) {
	store, ok := f.Ledger.(monitor.Checkpoints)
	if !ok {
		t.Fatalf("%T keeps no checkpoints", f.Ledger)
	}
	f.Lead(t, f.Ledger)
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // it must be the same each time
	data := make([]byte, 3*monitor.MaxCheckpointPart)
	for i := range data {
		data[i] = byte(random.Uint32()) //nolint:gosec // truncation is meant
	}
	for second := range int64(3) { // places alternate
		if _, err := (monitor.Saved{At: Noon, Second: second, Data: data[second:]}).SaveIn(t.Context(), store, "learned"); err != nil {
			t.Fatal(err)
		}
	}
	peer, ok := f.Peer(t, "peer").(interface {
		monitor.Ledger
		monitor.Checkpoints
	})
	if !ok {
		t.Fatal("a peer keeps no checkpoints")
	}
	loaded := func(of monitor.Checkpoints, second int64) {
		t.Helper()
		got, size, err := monitor.LoadSaved(t.Context(), of, "learned")
		if err != nil || got == nil || got.At != Noon || got.Second != second || !bytes.Equal(got.Data, data[second:]) || size < len(data) {
			t.Errorf("got %d bytes stored (%v), want what was saved at second %d", size, err, second)
		}
	}
	loaded(peer, 2)
	if _, err := (monitor.Saved{At: Noon, Second: 3, Data: data}).SaveIn(t.Context(), peer, "learned"); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("saved by one that does not lead: %v", err)
	}
	loaded(store, 2)
}
