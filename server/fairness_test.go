package server

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// The bound is the greatest at which all together get no more than there is room for.
func TestLevelIsMaxMinFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.Uint32Range(1, 500), 1, 40).Draw(t, "counts")
		slices.Sort(counts)
		room := rapid.Float64Range(0, 6000).Draw(t, "room")
		sum := func(bound int64) (all float64) {
			for _, n := range counts {
				all += float64(min(int64(n), bound))
			}
			return all
		}
		switch bound := level(counts, room); {
		case bound == 0 && sum(1<<40) > room && sum(1) <= room:
			t.Fatalf("no bound for %v in %v", counts, room)
		case bound > 0 && sum(bound) > room:
			t.Fatalf("%d lets %v through, room %v", bound, sum(bound), room)
		case bound > 0 && sum(bound+1) <= room:
			t.Fatalf("%d is not the greatest for %v in %v", bound, counts, room)
		}
	})
}

// flow asks for merchants at their rates a second, for some seconds of virtual time, and returns what was refused of each. ask
// takes one request of a merchant.
func flow(from time.Time, seconds int, perSecond map[string]int, ask func(merchant string, now time.Time) bool) map[string]int {
	const ticks = 1000
	refused := map[string]int{}
	names := make([]string, 0, len(perSecond))
	for name := range perSecond {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range seconds * ticks {
		now := from.Add(time.Duration(i) * time.Second / ticks)
		for _, name := range names {
			n := perSecond[name]
			for range (i+1)*n/ticks - i*n/ticks {
				if !ask(name, now) {
					refused[name]++
				}
			}
		}
	}
	return refused
}

func merchants(n, each int) map[string]int {
	all := map[string]int{}
	for i := range n {
		all[fmt.Sprint("m-", i)] = each
	}
	return all
}

// One merchant at 50 times its rate takes what its caller may ask: it alone is refused, and what is left is used.
func TestAFloodLeavesTheOthersTheirCallersRate(t *testing.T) {
	const others, each, limit = 20, 10, 300
	l := limitsOf(&Config{PerSecond: limit}, &Identity{})
	all := merchants(others, each)
	all["flood"] = 50 * each
	let := 0
	refused := flow(epoch, 30, all, func(m string, now time.Time) bool {
		ok := l.pace.take(func() uint64 { return xxhash.Sum64String(m) }, now, l.rate.low(now)) && l.rate.take(now) == 0
		if ok {
			let++
		}
		return ok
	})
	if len(refused) != 1 || refused["flood"] == 0 {
		t.Errorf("refused %v", refused)
	}
	if least := 29 * limit * 9 / 10; let < least {
		t.Errorf("%d let through, want at least %d", let, least)
	}
}

// Without pressure nobody is refused and nothing is counted; a caller with one merchant has its burst and its rate.
func TestPaceOfOneMerchant(t *testing.T) {
	p := newPace(100)
	if refused := flow(epoch, 3, merchants(10, 100), func(_ string, now time.Time) bool {
		return p.take(func() uint64 { t.Fatal("counted"); return 0 }, now, false)
	}); len(refused) > 0 {
		t.Errorf("refused %v", refused)
	}
	l := limitsOf(&Config{PerSecond: 100, Burst: 500}, &Identity{})
	let := 0
	flow(epoch, 10, map[string]int{"m": 1000}, func(_ string, now time.Time) bool {
		ok := l.pace.take(func() uint64 { return 7 }, now, l.rate.low(now)) && l.rate.take(now) == 0
		if ok {
			let++
		}
		return ok
	})
	if let < 1490 || let > 1510 {
		t.Errorf("%d let through in 10 s at 100 a second and a burst of 500", let)
	}
}

// While the replica is late only merchants far above the middle one are held, whatever the reason; afterwards all are let through.
func TestAFloodOfALateReplica(t *testing.T) {
	p := newPace(0)
	all := merchants(20, 100)
	all["flood"] = 5000
	ask := func(late bool) func(string, time.Time) bool {
		return func(m string, now time.Time) bool {
			return p.take(func() uint64 { return xxhash.Sum64String(m) }, now, late)
		}
	}
	if refused := flow(epoch, 5, all, ask(true)); len(refused) != 1 || refused["flood"] < 5*5000/2 {
		t.Errorf("late: refused %v", refused)
	}
	if refused := flow(epoch.Add(5*time.Second), 5, all, ask(false)); len(refused) > 1 || refused["flood"] > 5*5000/2 {
		t.Errorf("late no more: refused %v", refused)
	}
	if refused := flow(epoch.Add(10*time.Second), 2, all, ask(false)); len(refused) > 0 || p.awake.Load() {
		t.Errorf("long after: refused %v, awake %t", refused, p.awake.Load())
	}
	if refused := flow(epoch.Add(20*time.Second), 5, merchants(20, 100), ask(true)); len(refused) > 0 {
		t.Errorf("late without a flood: refused %v", refused)
	}
	hiccup := func(m string, now time.Time) bool {
		return ask(now.Sub(epoch) < 30*time.Second+100*time.Millisecond)(m, now)
	}
	if refused := flow(epoch.Add(30*time.Second), 5, all, hiccup); len(refused) > 0 {
		t.Errorf("late for a tenth of a second: refused %v", refused)
	}
}

func TestLateness(t *testing.T) {
	bounds := []float64{0, 1e-6, 1e-3, lateAfter, 1e-2}
	l := &lateness{}
	for i, tt := range []struct {
		counts []uint64
		late   bool
	}{
		{[]uint64{0, 0, 0, 900}, false},    // what was before
		{[]uint64{95, 0, 0, 905}, false},   // 5 of 100
		{[]uint64{100, 0, 0, 990}, true},   // 85 of 90
		{[]uint64{110, 0, 0, 1000}, false}, // too few to tell
		{[]uint64{200, 0, 0, 1000}, false},
	} {
		if got := l.judge(tt.counts, bounds); got != tt.late {
			t.Errorf("%d: %t", i, got)
		}
	}
	if l := (&lateness{}); l.now(epoch) || l.due.Load() != epoch.Add(lateEvery).UnixNano() {
		t.Error("an idle program is late")
	}
}

// Of the requests under way a flood leaves room for the others: a merchant's, a business type's, and that of reports.
func TestFloodsLeavePlaces(t *testing.T) {
	route := func(merchant string, b configv1.BusinessType) *sluicev1.RouteRequest {
		return &sluicev1.RouteRequest{Payment: &sluicev1.Payment{Merchant: merchant, BusinessType: b}}
	}
	const most = 400
	collect, payout := configv1.BusinessType_BUSINESS_TYPE_COLLECT, configv1.BusinessType_BUSINESS_TYPE_PAYOUT
	for _, tt := range []struct {
		name  string
		flood func(i int) any
		least int64 // that the flood gets
		left  int64 // that it leaves
		other any
	}{
		{"merchant", func(int) any { return route("flood", collect) }, most / 2, most * 3 / 8, route("m", collect)},
		{"many merchants of a business type", func(i int) any { return route(strconv.Itoa(i), payout) }, most * 3 / 4, most / 8, route("m", collect)},
		{"reports", func(int) any { return &sluicev1.ReportResultsRequest{} }, most / 2, most * 3 / 8, route("m", collect)},
	} {
		f := newFairness(most)
		if err := f.register(NewMetrics().registry); err != nil {
			t.Fatal(err)
		}
		var held []places
		for i := range 2 * most {
			if p, err := f.enter(tt.flood(i), int64(len(held))+1); err == nil {
				held = append(held, p)
			}
		}
		n := int64(len(held))
		if n < tt.least || most-n < tt.left {
			t.Errorf("%s: %d of %d places taken", tt.name, n, most)
		}
		for range most - n {
			p, err := f.enter(tt.other, int64(len(held))+1)
			if err != nil && int64(len(held)) < n+(most-n)/2 {
				t.Errorf("%s: another is refused with %d under way", tt.name, len(held))
				break
			}
			held = append(held, p)
		}
		for i := range held {
			held[i].leave()
		}
		wantNoPlaces(t, f)
	}
}

// wantNoPlaces expects that nothing is under way.
func wantNoPlaces(t *testing.T, f *fairness) {
	t.Helper()
	for i := range f.merchants[0] {
		if f.merchants[0][i].Load() != 0 || f.merchants[1][i].Load() != 0 {
			t.Fatal("places of merchants are kept")
		}
	}
	for i := range f.businesses {
		if f.businesses[i].Load() != 0 {
			t.Fatal("places of business types are kept")
		}
	}
	if f.reports.Load() != 0 {
		t.Fatal("places of reports are kept")
	}
}

// Who is refused is told what it took too much of, and when to ask again; others are served.
func TestAFloodIsTold(t *testing.T) {
	s := newStand(t, func(c *Config) { c.PerSecond, c.Burst = 20, 20 })
	ask := func(merchant string) error {
		m := payment("p1")
		m.Payment.Merchant = merchant
		_, err := s.routing().Route(as(t, Cashier), m)
		return err
	}
	var told error
	for second := range 6 {
		for i := range 40 {
			if err := ask("flood"); err != nil && second > 1 {
				told = err
			}
			if i%10 == 0 && second > 1 {
				if err := ask("m-1"); err != nil {
					t.Fatalf("second %d: %v", second, err)
				}
			} else if i%10 == 0 {
				_ = ask("m-1")
			}
		}
		s.second.Add(1)
	}
	if delay := wantRetry(t, told); delay != lateEvery {
		t.Errorf("retry after %v", delay)
	}
	wantError(t, told, codes.ResourceExhausted, "OVERLOADED")
	if n := valueOf(t, s.server.fair.refused[shareCaller]); n == 0 {
		t.Error("not in the metrics")
	}
}
