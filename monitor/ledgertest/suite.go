package ledgertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
)

// Fixture is a fresh ledger under test, and what a test may do to it from outside.
type Fixture struct {
	Ledger monitor.Ledger
	// Peer returns another replica's ledger on the same store.
	Peer func(t *testing.T, replica string) monitor.Ledger
	// Lead makes a replica lead and returns when it does; another leader has resigned before.
	Lead func(*testing.T, monitor.Ledger)
	// Resign ends a replica's leadership and returns when it is over.
	Resign func(*testing.T, monitor.Ledger)
	// Tamper changes the stored bytes of a journal entry behind the ledger's back: edit gets them and returns the new
	// ones, nil to remove the entry.
	Tamper func(t *testing.T, sequence uint64, edit func([]byte) []byte)
}

// Run holds a ledger to its contract. open returns a fresh one; what it needs is released by t.Cleanup.
func Run(t *testing.T, open func(*testing.T) Fixture) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Fixture)
	}{
		{"Fresh", fresh},
		{"WhatIsCommittedIsRead", roundTrip},
		{"EtagIsOfTheScope", etags},
		{"Conflict", conflict},
		{"DuplicateRequest", duplicateRequest},
		{"Fenced", fenced},
		{"UnknownOutcome", unknownOutcome},
		{"WithoutAuthorOrReason", unattributed},
		{"TooManyScopes", tooManyScopes},
		{"SameScopeTwice", sameScopeTwice},
		{"Catalog", catalog},
		{"CatalogOfTheLoser", catalogOfTheLoser},
		{"CatalogTooLarge", catalogTooLarge},
		{"CatalogsKept", catalogsKept},
		{"LoserIsNoRevision", loserIsNoRevision},
		{"Scores", scores},
		{"ScoresAlone", scoresAlone},
		{"ScoresAreSignalled", scoresAreSignalled},
		{"JournalPages", journalPages},
		{"Invariant14_EveryChangeJournalledAndChained", chained},
		{"Invariant15_DamagedOrForeignEntryRefused", tampered},
		{"RevisionsGrow", revisionsGrow},
		{"ChangedIsSignalled", changed},
		{"IncidentRetention", incidentRetention},
		{"Checkpoints", checkpoints},
		{"CheckpointsInParts", checkpointsInParts},
		{"CancelledContext", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func read(t *testing.T, l monitor.Ledger) *monitor.View {
	t.Helper()
	v, err := l.Read(t.Context())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return v
}

func commit(t *testing.T, l monitor.Ledger, c monitor.Change) int64 {
	t.Helper()
	rev, err := l.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("commit %q: %v", c.Entry.Reason, err)
	}
	return rev
}

// refused commits and expects an error that means nothing was written.
func refused(t *testing.T, l monitor.Ledger, c monitor.Change, want error) {
	t.Helper()
	before := read(t, l)
	if _, err := l.Commit(t.Context(), c); !errors.Is(err, want) {
		t.Fatalf("commit %q: got %v, want %v", c.Entry.Reason, err, want)
	}
	after := read(t, l)
	if before.Revision != after.Revision || before.Head != after.Head {
		t.Fatalf("a refused change moved head from %+v to %+v", before.Head, after.Head)
	}
}

func journal(t *testing.T, l monitor.Ledger) []monitor.JournalEntry {
	t.Helper()
	entries, err := l.Journal(t.Context(), 0, 1000)
	if err != nil {
		t.Fatalf("journal: %v", err)
	}
	return entries
}

func await(t *testing.T, l monitor.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-l.Changed():
	case <-ctx.Done():
		t.Fatal("Changed was not signalled")
	}
}
