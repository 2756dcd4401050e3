package routing

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// FuzzRecorderCodec feeds the codec anything: it reads it or says no, never more memory than bytes warrant, and what it reads
// it writes and reads again alike.
func FuzzRecorderCodec(f *testing.F) {
	full := newRequest(func(q *Request) {
		q.UserTier, q.Deadline, q.PayerKey, q.Enrolled, q.Exclude = "gold", noon*1000, 7, []string{"a", "b"}, []string{"c"}
		q.Original = Original{Channel: "a", Account: "main", Attempt: "x/0"}
		q.Attempts = []Attempt{{Channel: "b", Account: "main", Attempt: "y/1", Outcome: statemachine.NetworkFailed, Code: "E1"}}
	})
	f.Add(appendRequest(nil, full))
	f.Add(appendRequest(nil, newRequest()))
	f.Add(appendRequest(nil, &Request{}))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var q, again Request
		if decodeRequest(data, &q) != nil {
			return
		}
		if len(q.Attempts)+len(q.Enrolled)+len(q.Exclude) > len(data) {
			t.Fatalf("%d bytes became %+v", len(data), q)
		}
		if err := decodeRequest(appendRequest(nil, &q), &again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(plain(q), plain(again)) {
			t.Fatalf("%+v came back as %+v", q, again)
		}
	})
}

// TestKeepersAndReadersMeet lets several routers keep while others ask: nobody sees half a request.
func TestKeepersAndReadersMeet(t *testing.T) {
	rec, plan := NewRecorder(RecorderOptions{Requests: 256}), mustPlan(t, newCatalog(newChannel("a"), newChannel("b")))
	router := NewRouter()
	router.Swap(plan.Table(Revision{1, 1}, nil, nil))
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			var d Decision
			for i := range 1500 {
				q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint(g, "-", i) })
				if err := router.Route(q, noon, &d); err != nil {
					t.Error(err)
				}
				rec.Keep(q, &d)
				if i%50 == 0 {
					rec.KeepTable(router.Table())
				}
			}
		})
	}
	wg.Go(func() {
		for n := range 100 {
			router.Swap(plan.Table(Revision{1, int64(n + 2)}, nil, nil))
		}
	})
	wg.Go(func() {
		for range 30 {
			rec.walk(func(recorderEntry) bool { return true }, func(k *Kept) bool {
				var g byte
				var i int
				if _, err := fmt.Sscanf(k.Request.PaymentID, "%c-%d", &g, &i); err != nil || k.Request.Merchant != "m-1" {
					t.Errorf("kept %+v", k.Request)
				}
				if r := rec.Replay(*k); r.Table != nil && !r.Same {
					t.Errorf("%s came out otherwise", k.Request.PaymentID)
				}
				return true
			})
			_ = rec.Stats()
		}
	})
	wg.Wait()
	if s := rec.Stats(); s.Requests != 256 || !s.Full() {
		t.Errorf("%+v", s)
	}
}
