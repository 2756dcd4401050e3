package routing

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// drawAnyRequest draws any request, valid or not: the codec must not care.
func drawAnyRequest(t *rapid.T) *Request {
	text := func(label string) string { return rapid.StringN(0, 200, 300).Draw(t, label) }
	texts := func(label string) []string { return rapid.SliceOfN(rapid.StringN(0, 20, 40), 0, 5).Draw(t, label) }
	q := &Request{
		PaymentID: text("payment"), Merchant: text("merchant"), Entity: text("entity"),
		Business:   statemachine.BusinessType(rapid.Byte().Draw(t, "business")),
		Instrument: statemachine.Instrument{Method: text("method"), Bank: text("bank"), CardType: text("card")},
		Amount:     rapid.Int64().Draw(t, "amount"), Currency: text("currency"), UserTier: text("tier"), Deadline: rapid.Int64().Draw(t, "deadline"),
		PayerKey: rapid.Uint64().Draw(t, "payer"), MaxChannels: rapid.Int().Draw(t, "most"),
		Original: Original{Channel: text("channel"), Account: text("account"), Attempt: text("attempt")},
		Enrolled: texts("enrolled"), Exclude: texts("exclude"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "attempts") {
		q.Attempts = append(q.Attempts, Attempt{
			Channel: text("channel"), Account: text("account"), Attempt: text("attempt"),
			Outcome: statemachine.Outcome(rapid.Byte().Draw(t, "outcome")), Code: text("code"),
		})
	}
	return q
}

// plain makes lists without elements alike.
func plain(q Request) Request {
	if len(q.Enrolled) == 0 {
		q.Enrolled = nil
	}
	if len(q.Exclude) == 0 {
		q.Exclude = nil
	}
	if len(q.Attempts) == 0 {
		q.Attempts = nil
	}
	return q
}

func TestARequestComesBackAsItWasKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawAnyRequest(t)
		var back Request
		if err := decodeRequest(appendRequest(nil, q), &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(plain(*q), plain(back)) {
			t.Fatalf("%+v came back as %+v", q, back)
		}
	})
}

// TestTheCodecKnowsEveryField sets each field of a request in turn: one the codec forgets would be lost.
func TestTheCodecKnowsEveryField(t *testing.T) {
	var empty Request
	none := string(appendRequest(nil, &empty))
	var walk func(v reflect.Value, path string, q *Request)
	walk = func(v reflect.Value, path string, q *Request) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			if f.Kind() == reflect.Struct {
				walk(f, name+".", q)
				continue
			}
			touch(f)
			if string(appendRequest(nil, q)) == none {
				t.Errorf("%s is not kept", name)
			}
			f.SetZero()
		}
	}
	q := &Request{}
	walk(reflect.ValueOf(q).Elem(), "", q)
	q = &Request{Attempts: make([]Attempt, 1)}
	none = string(appendRequest(nil, q))
	walk(reflect.ValueOf(&q.Attempts[0]).Elem(), "Attempts.", q)
}

// touch sets a field to something else than nothing.
func touch(f reflect.Value) {
	switch f.Kind() { //nolint:exhaustive // what requests and candidates have
	case reflect.String:
		f.SetString("x")
	case reflect.Slice:
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Float64, reflect.Float32:
		f.SetFloat(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		f.SetUint(1)
	default:
		f.SetInt(1)
	}
}

// TestTheBytesHoldEveryField changes each exported field of a candidate in turn: one that the bytes leave out could differ
// between replicas unseen.
func TestTheBytesHoldEveryField(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		d := &Decision{}
		list := &d.Candidates
		if dropped {
			list = &d.Dropped
		}
		*list = make([]Candidate, 1)
		none := string(d.AppendBytes(nil))
		v := reflect.ValueOf(&(*list)[0]).Elem()
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			touch(v.Field(i))
			if string(d.AppendBytes(nil)) == none {
				t.Errorf("%s is not in the bytes", v.Type().Field(i).Name)
			}
			v.Field(i).SetZero()
		}
	}
}

// keepAll routes and keeps n payments.
func keepAll(tb testing.TB, rec *Recorder, table *Table, from, n int) {
	tb.Helper()
	router := NewRouter()
	router.Swap(table)
	var d Decision
	for i := from; i < from+n; i++ {
		q := newRequest(func(r *Request) { r.PaymentID = fmt.Sprint("pay-", i) })
		if err := router.Route(q, noon+int64(i), &d); err != nil {
			tb.Fatal(err)
		}
		rec.Keep(q, &d)
	}
}

func TestTheNewestRequestsAreKept(t *testing.T) {
	rec, table := NewRecorder(RecorderOptions{Requests: 128}), mustTable(t, newCatalog(newChannel("a"), newChannel("b")))
	keepAll(t, rec, table, 0, 300)
	next := 299
	rec.Recent(func(q *Request, second int64, _ Admission) bool {
		if want := fmt.Sprint("pay-", next); q.PaymentID != want || second != noon+int64(next) {
			t.Fatalf("got %s of second %d, want %s", q.PaymentID, second-noon, want)
		}
		next--
		return true
	})
	if next != 299-128 {
		t.Errorf("the oldest kept is %d, want %d", next+1, 299-127)
	}
	if len(rec.FindPayment("pay-171", 1)) != 0 {
		t.Error("a request that was displaced is still found")
	}
	for i := 172; i < 300; i++ {
		found := rec.FindPayment(fmt.Sprint("pay-", i), 8)
		if len(found) != 1 {
			t.Fatalf("pay-%d: %d decisions kept", i, len(found))
		}
		k, ok := rec.Find(found[0].ID)
		if !ok || k.Request.PaymentID != found[0].Request.PaymentID {
			t.Fatalf("pay-%d is not found by its decision's id", i)
		}
		if r := rec.Replay(k); !r.Same {
			t.Fatalf("pay-%d came out otherwise: %+v", i, r)
		}
	}
}

func TestRecentStopsWhenAsked(t *testing.T) {
	rec := NewRecorder(RecorderOptions{})
	keepAll(t, rec, mustTable(t, newCatalog(newChannel("a"))), 0, 10)
	n := 0
	rec.Recent(func(*Request, int64, Admission) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("%d yielded, want 3", n)
	}
}

func TestLargeRequestsMakeTheRingGrow(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a")))
	rec, router := NewRecorder(RecorderOptions{Requests: 64 * 128}), NewRouter()
	router.Swap(table)
	before := rec.Stats().Bytes
	long := strings.Repeat("x", 60)
	var d Decision
	for i := range 2 * 64 * 128 {
		q := newRequest(func(r *Request) {
			r.PaymentID = fmt.Sprint("pay-", i)
			for range 10 {
				r.Exclude = append(r.Exclude, long)
			}
		})
		_ = router.Route(q, noon, &d)
		rec.Keep(q, &d)
	}
	s := rec.Stats()
	if s.Requests != 64*128 || s.Crowded != 0 {
		t.Errorf("%d requests are kept, %d went early, want %d and none", s.Requests, s.Crowded, 64*128)
	}
	if s.Bytes <= before || s.Bytes > 64*128*(1024+96)+64*2048 {
		t.Errorf("it takes %d bytes, took %d", s.Bytes, before)
	}
	n := 0
	rec.Recent(func(q *Request, _ int64, _ Admission) bool {
		if len(q.Exclude) != 10 || q.Exclude[9] != long {
			t.Fatalf("a request came back as %+v", q)
		}
		n++
		return true
	})
	if n != s.Requests {
		t.Errorf("%d come back of %d", n, s.Requests)
	}
}

func TestKeepAllocatesNothing(t *testing.T) {
	rec, router := NewRecorder(RecorderOptions{Requests: 1024}), NewRouter()
	router.Swap(mustTable(t, newCatalog(newChannel("a"), newChannel("b"))))
	keepAll(t, rec, router.Table(), 0, 5000)
	var d Decision
	q := newRequest()
	if err := router.Route(q, noon, &d); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(2000, func() { rec.Keep(q, &d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRouteAndKeep is a decision among ten channels that is kept, as a replica makes it.
func BenchmarkRouteAndKeep(b *testing.B) {
	for _, keep := range []bool{false, true} {
		b.Run(fmt.Sprint("keep=", keep), func(b *testing.B) {
			rec, router := NewRecorder(RecorderOptions{}), NewRouter()
			router.Swap(mustTable(b, tenChannels()))
			q := newRequest(func(r *Request) { r.MaxChannels = 0 })
			var d Decision
			b.ReportAllocs()
			for b.Loop() {
				if err := router.Route(q, noon, &d); err != nil {
					b.Fatal(err)
				}
				if keep {
					rec.Keep(q, &d)
				}
			}
		})
	}
}

func tenChannels() *configv1.Catalog {
	cat := newCatalog()
	for i := range 10 {
		cat = newCatalog(append(cat.GetChannels(), newChannel(fmt.Sprint("channel-", i)))...)
	}
	return cat
}

func BenchmarkKeep(b *testing.B) {
	rec, router := NewRecorder(RecorderOptions{}), NewRouter()
	router.Swap(mustTable(b, tenChannels()))
	var d Decision
	q := newRequest(func(r *Request) { r.MaxChannels = 0 })
	if err := router.Route(q, noon, &d); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rec.Keep(q, &d)
		}
	})
}
