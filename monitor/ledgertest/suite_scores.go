package ledgertest

import (
	"bytes"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
)

// scoresChange is a change of scores alone.
func scoresChange(base int64, scores string) monitor.Change {
	return monitor.Change{Base: base, Fenced: true, Scores: []byte(scores)}
}

// scores are published by the leader alone, against the head it saw: the table gets a new revision, the journal no entry.
func scores(t *testing.T, f Fixture) {
	peer := f.Peer(t, "peer")
	base := commit(t, f.Ledger, SampleChange(read(t, f.Ledger).Revision, 1))
	refused(t, f.Ledger, scoresChange(base, "nobody leads"), monitor.ErrNotLeader)
	f.Lead(t, f.Ledger)
	before := read(t, f.Ledger)
	refused(t, peer, scoresChange(before.Revision, "not the leader's"), monitor.ErrNotLeader)
	rev := commit(t, f.Ledger, scoresChange(before.Revision, "first"))
	for _, l := range []monitor.Ledger{f.Ledger, peer} {
		v := read(t, l)
		if v.Revision != rev || rev <= before.Revision || !bytes.Equal(v.Scores, []byte("first")) {
			t.Fatalf("read revision %d with scores %q, want %d with the first", v.Revision, v.Scores, rev)
		}
		if v.Head != before.Head || len(v.States) != 1 || v.States[0].Modified != base {
			t.Errorf("scores changed more than themselves: head %+v, states %+v", v.Head, v.States)
		}
	}
	if n := len(journal(t, f.Ledger)); n != 1 {
		t.Errorf("%d journal entries, want that of the state alone", n)
	}
	refused(t, f.Ledger, scoresChange(before.Revision, "decided against an old head"), monitor.ErrConflict)
	refused(t, peer, SampleChange(before.Revision, 2), monitor.ErrConflict) // head was rewritten: whoever decided before must look again
	commit(t, peer, SampleChange(rev, 2))
	if v := read(t, f.Ledger); !bytes.Equal(v.Scores, []byte("first")) {
		t.Errorf("a change of state made scores %q", v.Scores)
	}
	if err := f.Ledger.Verify(t.Context()); err != nil {
		t.Errorf("verify: %v", err)
	}
	f.Resign(t, f.Ledger)
	f.Lead(t, peer)
	refused(t, f.Ledger, scoresChange(read(t, peer).Revision, "led before"), monitor.ErrNotLeader)
	commit(t, peer, scoresChange(read(t, peer).Revision, "second"))
	if v := read(t, f.Ledger); !bytes.Equal(v.Scores, []byte("second")) {
		t.Errorf("read %q after the new leader's scores", v.Scores)
	}
}

// scoresAlone refuses changes that mix scores with something else, scores of anybody, and too many of them.
func scoresAlone(t *testing.T, f Fixture) {
	f.Lead(t, f.Ledger)
	base := read(t, f.Ledger).Revision
	mixed := SampleChange(base, 1)
	mixed.Fenced, mixed.Scores = true, []byte("mixed")
	refused(t, f.Ledger, mixed, monitor.ErrScores)
	open := scoresChange(base, "not fenced")
	open.Fenced = false
	refused(t, f.Ledger, open, monitor.ErrScores)
	large := scoresChange(base, "")
	large.Scores = make([]byte, monitor.MaxScoresLen+1)
	refused(t, f.Ledger, large, monitor.ErrTooLarge)
	large.Scores = large.Scores[:monitor.MaxScoresLen]
	if _, err := f.Ledger.Commit(t.Context(), large); err != nil {
		t.Errorf("scores of the greatest length: %v", err)
	}
}

// scoresAreSignalled wakes every replica: the table has changed.
func scoresAreSignalled(t *testing.T, f Fixture) {
	peer := f.Peer(t, "peer")
	f.Lead(t, f.Ledger)
	for drained := false; !drained; {
		select {
		case <-peer.Changed():
		default:
			drained = true
		}
	}
	commit(t, f.Ledger, scoresChange(read(t, f.Ledger).Revision, "new"))
	await(t, peer)
}
