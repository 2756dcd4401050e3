package ledgertest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

func fresh(t *testing.T, f Fixture) {
	v := read(t, f.Ledger)
	if v.Revision <= 0 || v.Head != (monitor.Head{Epoch: 1}) {
		t.Errorf("got revision %d, head %+v; want epoch 1 and nothing else", v.Revision, v.Head)
	}
	if len(v.States)+len(v.Incidents)+len(v.Catalog)+len(journal(t, f.Ledger)) != 0 || v.Leader != 0 {
		t.Errorf("a fresh ledger holds %+v", v)
	}
	if err := f.Ledger.Verify(t.Context()); err != nil {
		t.Errorf("verify: %v", err)
	}
	if seq, err := f.Ledger.Request(t.Context(), "never"); seq != 0 || err != nil {
		t.Errorf("unknown request: got %d, %v", seq, err)
	}
}

func roundTrip(t *testing.T, f Fixture) {
	base := read(t, f.Ledger).Revision
	c := SampleChange(base, 2, 1)
	c.RequestID = "r-1"
	rev := commit(t, f.Ledger, c)
	v := read(t, f.Ledger)
	if rev <= base || v.Revision != rev || v.Head.Sequence != 1 || v.Head.Epoch != 1 {
		t.Fatalf("committed %d on %d; read revision %d, head %+v", rev, base, v.Revision, v.Head)
	}
	want := []monitor.VersionedState{{State: SampleState(1), Modified: rev}, {State: SampleState(2), Modified: rev}}
	if !reflect.DeepEqual(v.States, want) {
		t.Errorf("states, sorted by scope:\ngot  %+v\nwant %+v", v.States, want)
	}
	if incidents := []statemachine.Incident{SampleIncident(2), SampleIncident(1)}; !reflect.DeepEqual(v.Incidents, incidents) {
		t.Errorf("incidents, newest first:\ngot  %+v\nwant %+v", v.Incidents, incidents)
	}
	entries := journal(t, f.Ledger)
	if len(entries) != 1 {
		t.Fatalf("got %d entries", len(entries))
	}
	e := c.Entry
	e.Sequence, e.RequestID, e.Revision, e.Hash = 1, "r-1", rev, v.Head.Hash
	if !reflect.DeepEqual(entries[0], e) {
		t.Errorf("entry:\ngot  %+v\nwant %+v", entries[0], e)
	}
}

func etags(t *testing.T, f Fixture) {
	first := commit(t, f.Ledger, SampleChange(read(t, f.Ledger).Revision, 1, 2))
	second := commit(t, f.Ledger, SampleChange(first, 2))
	v := read(t, f.Ledger)
	if v.States[0].Modified != first || v.States[1].Modified != second {
		t.Errorf("got etags %d, %d; want %d, %d", v.States[0].Modified, v.States[1].Modified, first, second)
	}
}

func conflict(t *testing.T, f Fixture) {
	peer := f.Peer(t, "peer")
	base := read(t, f.Ledger).Revision
	if base != read(t, peer).Revision {
		t.Fatal("two replicas read different revisions")
	}
	commit(t, peer, SampleChange(base, 1))
	// At once, so that nothing but the transaction itself can notice.
	if _, err := f.Ledger.Commit(t.Context(), SampleChange(base, 2)); !errors.Is(err, monitor.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	refused(t, f.Ledger, SampleChange(base, 2), monitor.ErrConflict)
	refused(t, f.Ledger, SampleChange(base+1000, 2), monitor.ErrConflict)
	if v := read(t, f.Ledger); len(v.States) != 1 || v.States[0].Scope != SampleState(1).Scope {
		t.Errorf("got %+v, want the winner's state alone", v.States)
	}
}

func duplicateRequest(t *testing.T, f Fixture) {
	base := read(t, f.Ledger).Revision
	c := SampleChange(base, 1)
	c.RequestID = "order/7"
	rev := commit(t, f.Ledger, c)
	refused(t, f.Ledger, c, monitor.ErrDuplicateRequest) // on the old base: it was done, whatever happened since
	c.Base = rev
	refused(t, f.Peer(t, "peer"), c, monitor.ErrDuplicateRequest)
	if seq, err := f.Ledger.Request(t.Context(), "order/7"); seq != 1 || err != nil {
		t.Errorf("got sequence %d, %v; want 1", seq, err)
	}
	c.RequestID = "order/8"
	commit(t, f.Ledger, c)
}

func fenced(t *testing.T, f Fixture) {
	c := SampleChange(read(t, f.Ledger).Revision, 1)
	c.Fenced = true
	refused(t, f.Ledger, c, monitor.ErrNotLeader)
	f.Lead(t, f.Ledger)
	v := read(t, f.Ledger)
	if v.Leader == 0 {
		t.Fatal("the view does not say that this replica leads")
	}
	peer := f.Peer(t, "peer")
	if read(t, peer).Leader != 0 {
		t.Fatal("two replicas believe that they lead")
	}
	refused(t, peer, c, monitor.ErrNotLeader)
	c.Base = v.Revision
	c.Base = commit(t, f.Ledger, c)
	f.Resign(t, f.Ledger)
	f.Lead(t, peer)
	refused(t, f.Ledger, c, monitor.ErrNotLeader)
	if later := read(t, peer).Leader; later <= v.Leader {
		t.Errorf("the leader's revision went from %d to %d", v.Leader, later)
	}
	commit(t, peer, c)
}

func unknownOutcome(t *testing.T, f Fixture) {
	faulty := NewFaulty(f.Ledger)
	base := read(t, faulty).Revision
	c := SampleChange(base, 1)
	faulty.Plan(Lost, Unanswered)
	if _, err := faulty.Commit(t.Context(), c); !errors.Is(err, monitor.ErrUnknownOutcome) {
		t.Fatalf("got %v", err)
	}
	if v := read(t, faulty); v.Revision != base {
		t.Fatal("a lost change was made")
	}
	if _, err := faulty.Commit(t.Context(), c); !errors.Is(err, monitor.ErrUnknownOutcome) { // the same transaction again
		t.Fatalf("got %v", err)
	}
	if v := read(t, faulty); v.Head.Sequence != 1 {
		t.Fatalf("got head %+v; want the unanswered change made", v.Head)
	}
	refused(t, faulty, c, monitor.ErrConflict) // a third time it cannot happen
}

func unattributed(t *testing.T, f Fixture) {
	for _, change := range []func(*monitor.JournalEntry){
		func(e *monitor.JournalEntry) { e.Author = "" },
		func(e *monitor.JournalEntry) { e.Reason = "" },
	} {
		c := SampleChange(read(t, f.Ledger).Revision, 1)
		change(&c.Entry)
		refused(t, f.Ledger, c, monitor.ErrUnattributed)
	}
}

func tooManyScopes(t *testing.T, f Fixture) {
	var numbers []int
	for n := range monitor.MaxScopes {
		numbers = append(numbers, n)
	}
	rev := commit(t, f.Ledger, SampleChange(read(t, f.Ledger).Revision, numbers...))
	if n := len(read(t, f.Ledger).States); n != monitor.MaxScopes {
		t.Errorf("got %d states, want %d", n, monitor.MaxScopes)
	}
	refused(t, f.Ledger, SampleChange(rev, append(numbers, monitor.MaxScopes)...), monitor.ErrTooLarge)
}

func sameScopeTwice(t *testing.T, f Fixture) {
	refused(t, f.Ledger, SampleChange(read(t, f.Ledger).Revision, 3, 3), statemachine.ErrScope)
}

func revisionsGrow(t *testing.T, f Fixture) {
	peer := f.Peer(t, "peer")
	last := read(t, f.Ledger)
	for n := range 10 {
		l := f.Ledger
		if n%3 == 0 {
			l = peer
		}
		commit(t, l, SampleChange(last.Revision, n%4))
		v := read(t, f.Ledger)
		if v.Revision <= last.Revision || v.Head.Sequence != last.Head.Sequence+1 || v.Head.Epoch != 1 || v.Head.Hash == last.Head.Hash {
			t.Fatalf("head went from %d %+v to %d %+v", last.Revision, last.Head, v.Revision, v.Head)
		}
		last = v
	}
}

func changed(t *testing.T, f Fixture) {
	peer := f.Peer(t, "peer")
	for range 3 {
		commit(t, f.Ledger, SampleChange(read(t, f.Ledger).Revision, 1))
		await(t, f.Ledger)
		await(t, peer)
	}
}

func cancelled(t *testing.T, f Fixture) {
	base := read(t, f.Ledger).Revision
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Ledger.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("read: got %v", err)
	}
	if _, err := f.Ledger.Commit(ctx, SampleChange(base, 1)); err == nil {
		t.Error("a cancelled commit went well")
	}
}
