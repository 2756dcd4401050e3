package routing

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// told is a report of an attempt of pay-1 on a channel.
func told(channel, attempt string, o statemachine.Outcome, edit ...func(*Result)) Result {
	r := Result{
		Entity: "e-1", Payment: "pay-1", Business: statemachine.Collect, Channel: channel, Account: "main", Attempt: attempt,
		Outcome: o, Money: o.Money(),
	}
	for _, f := range edit {
		f(&r)
	}
	return r
}

func final(r *Result)    { r.Final = true }
func known(r *Result)    { r.Known = true }
func toPayout(r *Result) { r.Business = statemachine.Payout }

// What a memory learned decides about a caller that names nothing, and about one that names its attempts.
func TestMemoryRemembersForTheForgetful(t *testing.T) {
	table := mustTable(t, outgoingCatalog())
	named := func(o statemachine.Outcome, id string) func(*Request) {
		return func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Attempt: id, Outcome: o}} }
	}
	nothing := func(*Request) {}
	for _, tt := range []struct {
		name string
		told []Result
		edit func(*Request)
		want string
	}{
		{"nothing told", nil, nothing, "a"},
		{"failed", []Result{told("a", "1", statemachine.ChannelFailed)}, nothing, "a"},
		{"in doubt", []Result{told("a", "1", statemachine.TimedOut)}, nothing, "DOUBT"},
		{"in doubt, to be sure", []Result{told("a", "1", statemachine.TimedOut, final)}, nothing, "DOUBT"},
		{"pending, then timed out", []Result{told("a", "1", statemachine.Pending), told("a", "1", statemachine.TimedOut)}, nothing, "DOUBT"},
		{"in doubt, and the caller asked the channel", []Result{told("a", "1", statemachine.TimedOut)}, named(statemachine.ChannelFailed, "1"), "b"},
		{"in doubt, and the caller says so", []Result{told("a", "1", statemachine.TimedOut)}, named(statemachine.TimedOut, "1"), "DOUBT"},
		{"named by its channel alone", []Result{told("a", "1", statemachine.TimedOut)}, named(statemachine.ChannelFailed, ""), "DOUBT"},
		{"another attempt on the channel is named", []Result{told("a", "1", statemachine.TimedOut)}, named(statemachine.ChannelFailed, "2"), "DOUBT"},
		{"failed in the end", []Result{told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.ChannelFailed, final)}, nothing, "a"},
		{"failed, but not for good", []Result{told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.ChannelFailed)}, nothing, "DOUBT"},
		{"another one failed", []Result{told("a", "1", statemachine.TimedOut), told("b", "2", statemachine.ChannelFailed, final)}, nothing, "DOUBT"},
		{"two in doubt, one failed", []Result{
			told("a", "1", statemachine.TimedOut), told("b", "2", statemachine.Pending), told("a", "1", statemachine.ChannelFailed, final),
		}, nothing, "DOUBT"},
		{"late word of what is settled", []Result{
			told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.ChannelFailed, final), told("a", "1", statemachine.TimedOut),
		}, nothing, "a"},
		{"word of what was known", []Result{told("a", "1", statemachine.Pending, known)}, nothing, "a"},
		{"paid", []Result{told("a", "1", statemachine.Succeeded)}, nothing, "PAID"},
		{"paid, and the caller thinks not", []Result{told("a", "1", statemachine.Succeeded)}, named(statemachine.ChannelFailed, "1"), "PAID"},
		{"paid after doubt", []Result{told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.Succeeded, final)}, nothing, "PAID"},
		{"doubt after paid", []Result{told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.TimedOut)}, nothing, "PAID"},
		{"paid, then taken back", []Result{told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final)}, nothing, "a"},
		{"taken back, and told once more", []Result{
			told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final), told("a", "1", statemachine.Succeeded),
		}, nothing, "a"},
		{"taken back after doubt", []Result{
			told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final),
		}, nothing, "a"},
		{"another attempt failed, this one is paid", []Result{told("a", "1", statemachine.Succeeded), told("a", "2", statemachine.ChannelFailed, final)}, nothing, "PAID"},
		{"paid for good, then contradicted", []Result{told("a", "1", statemachine.Succeeded, final), told("a", "1", statemachine.ChannelFailed, final, known)}, nothing, "PAID"},
		{"paid twice, one taken back", []Result{
			told("a", "1", statemachine.Succeeded), told("b", "2", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final),
		}, nothing, "PAID"},
		{"paid twice, both taken back", []Result{
			told("a", "1", statemachine.Succeeded), told("b", "2", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final),
			told("b", "2", statemachine.ChannelFailed, final), told("a", "1", statemachine.Succeeded),
		}, nothing, "a"},
		{"taken back, then paid for good", []Result{
			told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.ChannelFailed, final), told("a", "1", statemachine.Succeeded, final),
		}, nothing, "PAID"},
		{"another payment", []Result{told("a", "1", statemachine.TimedOut, func(r *Result) { r.Payment = "pay-2" })}, nothing, "a"},
		{"another entity", []Result{told("a", "1", statemachine.TimedOut, func(r *Result) { r.Entity = "e-2" })}, nothing, "a"},
		{"its refund", []Result{told("a", "1", statemachine.Succeeded)}, func(r *Request) {
			r.Business, r.Original = statemachine.Refund, Original{Channel: "a", Account: "main"}
		}, "a"},
		{"a query", []Result{told("a", "1", statemachine.TimedOut, func(r *Result) { r.Business = statemachine.Query })}, func(r *Request) {
			r.Business, r.Original = statemachine.Query, Original{Channel: "a", Account: "main"}
		}, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, m := NewRouter(), NewMemory(MemoryOptions{})
			r.Swap(table)
			for i := range tt.told {
				m.Learn(tt.told[i:i+1], noon)
			}
			q := newRequest(tt.edit)
			before := len(q.Attempts)
			var d, again Decision
			err := m.Route(r, q, noon, &d)
			if got := answerOf(&d, err); got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
			if p, ok := errors.AsType[*PreviousAttemptError](err); ok && p.Remembered != (p.Index >= before) {
				t.Errorf("attempt %d of %d named: remembered %t", p.Index, before, p.Remembered)
			}
			if err := Decide(table, q, noon, d.Admission, &again); fmt.Sprint(err) != fmt.Sprint(d.Err()) || again.Digest() != d.Digest() {
				t.Errorf("the request as it is kept decides otherwise: %v", err)
			}
		})
	}
}

// The refusal names the attempt to query, as it was reported.
func TestMemoryTellsWhichAttempt(t *testing.T) {
	r, m := NewRouter(), NewMemory(MemoryOptions{})
	r.Swap(mustTable(t, outgoingCatalog()))
	m.Learn([]Result{told("b", "att-7", statemachine.OutcomeUnspecified, func(r *Result) { r.Code, r.Money = "??", statemachine.MoneyInDoubt })}, noon)
	var d Decision
	p, ok := errors.AsType[*PreviousAttemptError](m.Route(r, newRequest(), noon, &d))
	if !ok || p.Attempt != (Attempt{Channel: "b", Account: "main", Attempt: "att-7", Code: "??"}) || !p.Remembered {
		t.Errorf("got %+v", p)
	}
	if s := m.Stats(); s.Doubts != 1 || s.Refused[RememberedDoubt] != 1 || s.Since != noon {
		t.Errorf("stats %+v", s)
	}
}

// An answer is no attempt: who asks again is answered again. But a payout leaves the channel it was given only after a definite
// failure was named or reported.
func TestPayoutsStayWhereTheyWereGiven(t *testing.T) {
	plan := mustPlan(t, outgoingCatalog())
	well, cut := plan.Table(Revision{1, 1}, nil, nil), plan.Table(Revision{1, 2}, []statemachine.State{off(statemachine.ChannelScope("a"))}, nil)
	r, m := NewRouter(), NewMemory(MemoryOptions{})
	ask := func(b statemachine.BusinessType, second int64, attempts ...Attempt) string {
		var d Decision
		q := newRequest(func(r *Request) { r.Business, r.Attempts = b, attempts })
		return answerOf(&d, m.Route(r, q, second, &d))
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	r.Swap(well)
	want("first", ask(statemachine.Payout, noon), "a")
	want("the same again", ask(statemachine.Payout, noon), "a")
	want("again, long after", ask(statemachine.Payout, noon+3600), "a")
	want("a collection", ask(statemachine.Collect, noon), "a")
	r.Swap(cut)
	want("elsewhere", ask(statemachine.Payout, noon+1), "DOUBT")
	want("a collection elsewhere", ask(statemachine.Collect, noon+1), "b")
	m.Learn([]Result{told("b", "x", statemachine.ChannelFailed, toPayout)}, noon)
	want("another channel failed", ask(statemachine.Payout, noon+1), "DOUBT")
	want("failed, by the caller", ask(statemachine.Payout, noon+1, Attempt{Channel: "a", Outcome: statemachine.NetworkFailed}), "b")
	want("and then forgotten", ask(statemachine.Payout, noon+1), "b")
	r.Swap(well)
	want("back to the first, forgetting the second", ask(statemachine.Payout, noon+2), "DOUBT")
	m.Learn([]Result{told("b", "y", statemachine.ChannelFailed, toPayout)}, noon)
	want("the second failed, as reported", ask(statemachine.Payout, noon+2), "a")
	if s := m.Stats(); s.Refused[RememberedGiven] != 3 {
		t.Errorf("stats %+v", s)
	}
}

// Two attempts that were both paid are somebody's mistake: people want to know.
func TestMemoryCountsWhatWasPaidTwice(t *testing.T) {
	for want, reports := range [][]Result{
		{told("a", "1", statemachine.Succeeded), told("a", "1", statemachine.Succeeded, final)},
		{told("a", "1", statemachine.Succeeded), told("b", "2", statemachine.Succeeded), told("b", "2", statemachine.Succeeded, final)},
		{
			told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.Succeeded), told("b", "2", statemachine.Succeeded),
			told("c", "3", statemachine.Succeeded), told("c", "3", statemachine.Succeeded),
		},
	} {
		m := NewMemory(MemoryOptions{})
		m.Learn(reports, noon)
		if got := m.Stats().Twice; got != uint64(want) {
			t.Errorf("%d, want %d", got, want)
		}
	}
	m := NewMemory(MemoryOptions{})
	m.Learn([]Result{told("a", "1", statemachine.Succeeded), told("b", "2", statemachine.TimedOut), told("b", "2", statemachine.Succeeded, final)}, noon)
	if got := m.Stats().Twice; got != 1 {
		t.Errorf("after doubt: %d", got)
	}
}

// A small memory holds at least the newest half of what it may, and never more than all of it.
func TestMemoryIsBounded(t *testing.T) {
	const room = 64
	r, m := NewRouter(), NewMemory(MemoryOptions{Doubts: room, Recent: room})
	r.Swap(mustTable(t, outgoingCatalog()))
	payment := func(kind string, i int) string { return fmt.Sprint(kind, "-", i) }
	for i := range 10 * room {
		m.Learn([]Result{
			told("a", "1", statemachine.TimedOut, func(r *Result) { r.Payment = payment("doubt", i) }),
			told("b", "1", statemachine.Succeeded, func(r *Result) { r.Payment = payment("paid", i) }),
		}, noon+int64(i))
		for j := max(0, i-room/2+1); j <= i; j++ {
			for kind, want := range map[string]string{"doubt": "DOUBT", "paid": "PAID"} {
				var d Decision
				q := newRequest(func(r *Request) { r.PaymentID = payment(kind, j) })
				if got := answerOf(&d, m.Route(r, q, noon, &d)); got != want {
					t.Fatalf("%s of %d: %s", q.PaymentID, i, got)
				}
			}
		}
	}
	if s := m.Stats(); s.Forgotten == 0 || s.Doubts > 4*room || s.Recent > 4*room || s.Since == noon {
		t.Errorf("stats %+v", s)
	}
}

// Writers and readers at once: what was learned before a request decides it, whatever else goes on.
func TestMemoryConcurrently(t *testing.T) {
	r, m := NewRouter(), NewMemory(MemoryOptions{Doubts: 1 << 12, Recent: 1 << 12})
	r.Swap(mustTable(t, outgoingCatalog()))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 400 {
				id := fmt.Sprint("p-", g, "-", i)
				of := func(r *Result) { r.Payment, r.Business = strings.Clone(id), statemachine.Payout }
				ask := func(want string) {
					var d Decision
					q := newRequest(func(r *Request) { r.PaymentID, r.Business = id, statemachine.Payout })
					if got := answerOf(&d, m.Route(r, q, noon, &d)); got != want {
						t.Errorf("%s: %s, want %s", id, got, want)
					}
				}
				ask("a")
				m.Learn([]Result{told("a", id, statemachine.TimedOut, of)}, noon)
				ask("DOUBT")
				m.Learn([]Result{told("a", id, statemachine.ChannelFailed, of, final)}, noon)
				ask("a")
				m.Learn([]Result{told("a", id+"x", statemachine.Succeeded, of)}, noon)
				ask("PAID")
			}
		})
	}
	wg.Wait()
}

// A request about nothing that is remembered costs no allocation, nor does one that is.
func TestMemoryAllocatesNothing(t *testing.T) {
	r, m := NewRouter(), NewMemory(MemoryOptions{})
	r.Swap(mustTable(t, outgoingCatalog()))
	m.Learn([]Result{told("a", "1", statemachine.TimedOut), told("a", "1", statemachine.Succeeded, func(r *Result) { r.Payment = "pay-2" })}, noon)
	var d Decision
	for name, edit := range map[string]func(*Request){
		"collection": func(q *Request) { q.PaymentID = "pay-3" },
		"payout":     func(q *Request) { q.PaymentID, q.Business = "pay-3", statemachine.Payout },
	} {
		q := newRequest(edit)
		_ = m.Route(r, q, noon, &d)
		if n := testing.AllocsPerRun(100, func() {
			if err := m.Route(r, q, noon, &d); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkMemoryRoute(b *testing.B) {
	r := NewRouter()
	r.Swap(mustTable(b, outgoingCatalog()))
	full := NewMemory(MemoryOptions{})
	for i := range 100_000 {
		full.Learn([]Result{told("a", "1", statemachine.Succeeded, func(r *Result) { r.Payment = fmt.Sprint("other-", i) })}, noon)
	}
	full.Learn([]Result{told("a", "1", statemachine.TimedOut, func(r *Result) { r.Payment = "doubt" })}, noon)
	for name, m := range map[string]*Memory{"none": nil, "empty": NewMemory(MemoryOptions{}), "full": full} {
		b.Run(name, func(b *testing.B) {
			q, d := newRequest(), Decision{}
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Route(r, q, noon, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMemoryLearn(b *testing.B) {
	m := NewMemory(MemoryOptions{})
	results := []Result{told("a", "1", statemachine.Succeeded)}
	id := []byte("payment-00000000")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j, n := len(id)-1, i; j > 8; j, n = j-1, n/10 {
			id[j] = '0' + byte(n%10)
		}
		results[0].Payment = string(id)
		m.Learn(results, noon)
	}
}
