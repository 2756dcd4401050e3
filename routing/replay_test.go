package routing

import (
	"reflect"
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// TestReplayTellsWhatComesOutOtherwise: a kept request that was tampered with, or is not the one that was decided, does not
// replay as the same, and one whose table is gone says so.
func TestReplayTellsWhatComesOutOtherwise(t *testing.T) {
	rec := NewRecorder(RecorderOptions{Requests: 64})
	keepAll(t, rec, mustTable(t, newCatalog(newChannel("a"), newChannel("b"))), 0, 1)
	kept := rec.FindPayment("pay-0", 1)[0]
	if r := rec.Replay(kept); !r.Same || r.Table == nil {
		t.Fatalf("as it was kept: %+v", r)
	}
	for what, edit := range map[string]func(*Kept){
		"bytes":   func(k *Kept) { k.Digest++ },
		"id":      func(k *Kept) { k.ID.Hash++ },
		"second":  func(k *Kept) { k.ID.Second++ },
		"payment": func(k *Kept) { k.Request.PaymentID = "pay-1" },
		"exclude": func(k *Kept) { k.Request.Exclude = []string{"a"} },
		"vetoed":  func(k *Kept) { k.ID.Admission.Vetoed = 1 },
	} {
		k := kept
		edit(&k)
		if r := rec.Replay(k); r.Same || r.Table == nil {
			t.Errorf("another %s: same %t, table %t", what, r.Same, r.Table != nil)
		}
	}
	kept.ID.Revision++
	if r := rec.Replay(kept); r.Same || r.Table != nil {
		t.Errorf("a revision that is not kept: same %t, table %t", r.Same, r.Table != nil)
	}
}

// TestWhatIsKeptSharesNoMemory: what a caller does with its buffers later, or with one of several decisions, leaves the others as
// they are.
func TestWhatIsKeptSharesNoMemory(t *testing.T) {
	router, rec := NewRouter(), NewRecorder(RecorderOptions{Requests: 64})
	router.Swap(mustTable(t, newCatalog(newChannel("a"), newChannel("b"), newChannel("c"))))
	q := newRequest(func(r *Request) {
		r.Exclude, r.Enrolled = []string{"b"}, []string{"c"}
		r.Attempts = []Attempt{{Channel: "c", Outcome: statemachine.ChannelFailed}}
	})
	var d Decision
	for s := range int64(3) {
		if err := router.Route(q, noon+s, &d); err != nil {
			t.Fatal(err)
		}
		rec.Keep(q, &d)
	}
	before := *q
	before.Exclude, before.Enrolled, before.Attempts = slices.Clone(q.Exclude), slices.Clone(q.Enrolled), slices.Clone(q.Attempts)
	k, table := KeptOf(q, &d)
	q.Exclude[0], q.Enrolled[0], q.Attempts[0].Channel = "x", "x", "x"
	if !reflect.DeepEqual(k.Request, before) || table != router.Table() {
		t.Errorf("%+v, want %+v", k.Request, before)
	}
	found := rec.FindPayment(q.PaymentID, 8)
	if len(found) != 3 {
		t.Fatalf("%d decisions are kept, want 3", len(found))
	}
	for i := range found {
		r := &found[i].Request
		if !reflect.DeepEqual(*r, before) {
			t.Errorf("decision %d: %+v, want %+v", i, *r, before)
		}
		r.Exclude[0], r.Enrolled[0], r.Attempts[0].Channel = "x", "x", "x"
	}
}

// TestAnAnswerWithoutATableIsNotKept: there is nothing to make it again from.
func TestAnAnswerWithoutATableIsNotKept(t *testing.T) {
	rec, q := NewRecorder(RecorderOptions{Requests: 64}), newRequest()
	var d Decision
	if err := NewRouter().Route(q, noon, &d); err == nil {
		t.Fatal("a router without a table decides")
	}
	rec.Keep(q, &d)
	if s := rec.Stats(); s.Requests != 0 || s.Tables != 0 {
		t.Errorf("%d requests and %d tables are kept", s.Requests, s.Tables)
	}
}
