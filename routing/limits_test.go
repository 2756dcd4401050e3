package routing

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func limited(perSecond, concurrent uint32, pool string) func(*configv1.Channel) {
	return func(c *configv1.Channel) {
		c.Capacity = &configv1.Capacity{PaymentsPerSecond: perSecond, Concurrent: concurrent, Pool: pool}
	}
}

// TestPartsAddUp: in every second the parts of routers whose intervals fill the whole add up to the limit, and over many
// seconds each gets what its interval says, also of a limit of one.
func TestPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<40).Draw(t, "limit")
		if rapid.Bool().Draw(t, "small") {
			n %= 10
		}
		second := rapid.Int64Range(0, 1<<40).Draw(t, "second")
		cuts := rapid.SliceOfN(rapid.Uint32Range(0, unitPart), 1, 8).Draw(t, "cuts")
		sum, from := uint64(0), uint32(0)
		for _, c := range append(cuts, unitPart) {
			if c < from {
				continue
			}
			sum += Part{from, c}.Of(n, second)
			from = c
		}
		if sum != n {
			t.Fatalf("parts of %d add up to %d", n, sum)
		}
	})
	got, third := uint64(0), Part{unitPart / 3, 2 * (unitPart / 3)}
	for s := range int64(3000) {
		got += third.Of(1, noon+s)
	}
	if got < 990 || got > 1010 {
		t.Errorf("a third of one a second over 3,000 seconds is %d, want 1,000", got)
	}
}

// TestFullChannelIsSkipped: a lone router admits the rate of a channel, its account and their pool, skips what is full with its
// reason, and the decision made again from its id is the same.
func TestFullChannelIsSkipped(t *testing.T) {
	c := newCatalog(newChannel("a", limited(3, 0, "")), newChannel("b", limited(0, 2, "")), newChannel("c", limited(0, 0, "p")), newChannel("d"))
	c.Pools = []*configv1.Pool{{Id: "p", PaymentsPerSecond: 4}}
	table := mustTable(t, c)
	r := NewRouter()
	r.Swap(table)
	var d, again Decision
	var got []byte
	for i := range 12 {
		q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint("pay-", i) })
		if err := r.Route(q, noon, &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Candidates[0].Channel...)
		id, err := ParseDecisionID(d.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := Decide(table, q, noon, id.Admission, &again); err != nil || again.ID != d.ID || again.Candidates[0] != d.Candidates[0] || len(again.Dropped) != len(d.Dropped) {
			t.Fatalf("made again: %v, %+v, want %+v", err, again.Candidates, d.Candidates)
		}
	}
	if want := "aaabbccccddd"; string(got) != want {
		t.Errorf("channels %s, want %s", got, want)
	}
	want := []DropReason{DropRateLimited, DropConcurrencyLimited, DropRateLimited}
	for i, x := range d.Dropped {
		if x.Drop != want[i] {
			t.Errorf("channel %s is dropped as %s, want %s", x.Channel, x.Drop, want[i])
		}
	}
	if err := r.Route(newRequest(), noon+1, &d); err != nil || d.Candidates[0].Channel != "a" {
		t.Errorf("the next second begins with %+v, %v", d.Candidates, err)
	}
}

// TestRateUnderRace: however many goroutines ask one router, a second never admits more than the limit, and not less where
// enough ask.
func TestRateUnderRace(t *testing.T) {
	r := NewRouter()
	r.Swap(mustTable(t, newCatalog(newChannel("a", limited(100, 150, "")), newChannel("b"))))
	total := 0
	for s := range int64(2) {
		var wg sync.WaitGroup
		var sent [4]int
		for g := range sent {
			wg.Go(func() {
				var d Decision
				for i := range 60 {
					q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint(g, "-", s, "-", i) })
					if err := r.Route(q, noon+s, &d); err != nil {
						t.Error(err)
						return
					}
					if d.Candidates[0].Channel == "a" {
						sent[g]++
					}
				}
			})
		}
		wg.Wait()
		admitted := sent[0] + sent[1] + sent[2] + sent[3]
		if want := min(100, 150-total); admitted != want {
			t.Errorf("second %d admitted %d, want %d: 100 a second, 150 at once", s, admitted, want)
		}
		total += admitted
	}
}

// cluster is routers that share limits through sealed seconds, in simulated time.
type cluster struct {
	table   *Table
	routers []*Router
	sharing []*Sharing
	second  int64
	under   []underWay
	sent    int // of channel a in this second
}

type underWay struct {
	payment int
	began   int64
}

const testLag = 4

// fataler is *testing.T or *rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newCluster(t fataler, c *configv1.Catalog, n int) *cluster {
	t.Helper()
	plan, err := CompilePlan(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	cl := &cluster{table: plan.Table(Revision{1, 100}, nil, nil), second: noon}
	for range n {
		r := NewRouter()
		r.Swap(cl.table)
		cl.routers = append(cl.routers, r)
		cl.sharing = append(cl.sharing, NewSharing(testLag))
	}
	return cl
}

func routerName(i int) string { return fmt.Sprintf("r-%02d", i) }

// tick ends a second on every router: rows that are lost reach nobody, and routers that are late take up no new parts.
func (cl *cluster) tick(late, lost func(i int) bool) {
	var rows []RouterSecond
	for i, r := range cl.routers {
		row := RouterSecond{Router: routerName(i), Limits: r.Drain(cl.second).Limits}
		if lost == nil || !lost(i) {
			rows = append(rows, row)
		}
	}
	for i, r := range cl.routers {
		if len(rows) == 0 {
			cl.sharing[i].Miss(cl.second, nil)
		} else {
			cl.sharing[i].Observe(cl.second, rows, nil)
		}
		if late == nil || !late(i) {
			r.Share(cl.sharing[i].Shares(cl.table.plan, routerName(i), cl.second+2))
		}
	}
	cl.second++
	cl.sent = 0
}

func (cl *cluster) route(i, payment int, d *Decision) bool {
	q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint("pay-", payment) })
	if err := cl.routers[i].Route(q, cl.second, d); err != nil || d.Candidates[0].Channel != "a" {
		return false
	}
	cl.sent++
	cl.under = append(cl.under, underWay{payment, cl.second})
	return true
}

// end brings the result of an attempt to some router.
func (cl *cluster) end(at, router int) {
	u := cl.under[at]
	cl.under = append(cl.under[:at], cl.under[at+1:]...)
	cl.routers[router].Settle(&Settled{
		Channel: "a", Account: "main", Business: statemachine.Collect, Decided: u.began, Second: cl.second, Succeeded: true,
	})
}

// atOnce is how many payments are under way whose slot has not lapsed.
func (cl *cluster) atOnce(slotTime int64) int {
	n := 0
	for _, u := range cl.under {
		if cl.second-u.began <= slotTime {
			n++
		}
	}
	return n
}

// TestLimitsHoldOverRouters: over any number of routers, any demand on each and results that come to any router or never, no
// second admits more than the limit over all, and never are more under way at once than the limit.
func TestLimitsHoldOverRouters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "routers")
		rate, slots := rapid.Uint32Range(1, 40).Draw(t, "rate"), rapid.Uint32Range(1, 60).Draw(t, "slots")
		const slotTime = 6
		c := newCatalog(newChannel("a", limited(rate, slots, ""), func(c *configv1.Channel) {
			c.Capacity.SlotTime = durationpb.New(slotTime * time.Second)
		}), newChannel("b"))
		cl := newCluster(t, c, n)
		for range testLag + 2 {
			cl.tick(nil, nil)
		}
		var d Decision
		payment := 0
		for range rapid.IntRange(5, 40).Draw(t, "seconds") {
			for range rapid.IntRange(0, 60).Draw(t, "events") {
				i := rapid.IntRange(0, n-1).Draw(t, "router")
				if len(cl.under) > 0 && rapid.IntRange(0, 2).Draw(t, "result") == 0 {
					cl.end(rapid.IntRange(0, len(cl.under)-1).Draw(t, "which"), i)
					continue
				}
				payment++
				cl.route(i, payment, &d)
				if cl.sent > int(rate) {
					t.Fatalf("second %d admitted %d, limit %d", cl.second-noon, cl.sent, rate)
				}
				if k := cl.atOnce(slotTime); k > int(slots) {
					t.Fatalf("second %d: %d under way, limit %d", cl.second-noon, k, slots)
				}
			}
			cl.tick(nil, nil)
		}
	})
}

// TestSlotsHoldWhateverIsLost: rows that are lost and routers that are late make no payment too many, only some too few.
func TestSlotsHoldWhateverIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "routers")
		slots := rapid.Uint32Range(1, 40).Draw(t, "slots")
		c := newCatalog(newChannel("a", limited(0, slots, ""), func(c *configv1.Channel) {
			c.Capacity.SlotTime = durationpb.New(8 * time.Second)
		}), newChannel("b"))
		cl := newCluster(t, c, n)
		for range testLag + 2 {
			cl.tick(nil, nil)
		}
		var d Decision
		payment := 0
		for range rapid.IntRange(5, 40).Draw(t, "seconds") {
			for range rapid.IntRange(0, 40).Draw(t, "events") {
				i := rapid.IntRange(0, n-1).Draw(t, "router")
				if len(cl.under) > 0 && rapid.IntRange(0, 2).Draw(t, "result") == 0 {
					cl.end(rapid.IntRange(0, len(cl.under)-1).Draw(t, "which"), i)
					continue
				}
				payment++
				cl.route(i, payment, &d)
				if k := cl.atOnce(8); k > int(slots) {
					t.Fatalf("second %d: %d under way, limit %d", cl.second-noon, k, slots)
				}
			}
			late, lost := rapid.Uint8().Draw(t, "late"), rapid.Uint8().Draw(t, "lost")&rapid.Uint8().Draw(t, "lost too")
			cl.tick(func(i int) bool { return late>>i&1 != 0 }, func(i int) bool { return lost>>i&1 != 0 })
		}
	})
}

// TestLimitsAreUsed: with demand on every router, results after a second and all of them coming to other routers than decided,
// the whole limit is used, not a part of it.
func TestLimitsAreUsed(t *testing.T) {
	c := newCatalog(newChannel("a", limited(0, 30, "")), newChannel("b"))
	cl := newCluster(t, c, 3)
	var d Decision
	payment, sum := 0, 0
	for s := range 40 {
		cl.tick(nil, nil)
		for len(cl.under) > 0 && cl.under[0].began < cl.second {
			cl.end(0, payment%3)
			payment++
			for i := range 3 {
				payment++
				cl.route(i, payment, &d)
			}
		}
		for i := range 60 {
			payment++
			cl.route(i%3, payment, &d)
		}
		if s >= 10 {
			sum += cl.atOnce(100)
		}
	}
	if mean := float64(sum) / 30; mean < 27 {
		t.Errorf("%.1f under way on average, want nearly 30", mean)
	}
}

// TestSlotsNeverLeak: results that never come free their slots after the slot time, and everything is admitted again.
func TestSlotsNeverLeak(t *testing.T) {
	for _, n := range []int{1, 3} {
		c := newCatalog(newChannel("a", limited(0, 12, ""), func(c *configv1.Channel) { c.Capacity.SlotTime = durationpb.New(5 * time.Second) }), newChannel("b"))
		cl := newCluster(t, c, n)
		for range testLag + 2 {
			cl.tick(nil, nil)
		}
		var d Decision
		for round := range 4 {
			admitted := 0
			for s := range 20 {
				for p := range 30 {
					if cl.route(p%n, round*10000+s*100+p, &d) {
						admitted++
					}
				}
				cl.tick(nil, nil)
			}
			if admitted < 12 || admitted > 36 {
				t.Errorf("%d routers, round %d: %d admitted in 20 seconds, want 12 each 10 seconds or so", n, round, admitted)
			}
			for range 20 {
				cl.tick(nil, nil)
			}
		}
	}
}

// TestSlotsNeverLeakAlone: the same on a router without anybody to share with.
func TestSlotsNeverLeakAlone(t *testing.T) {
	r := NewRouter()
	r.Swap(mustTable(t, newCatalog(newChannel("a", limited(0, 12, ""), func(c *configv1.Channel) { c.Capacity.SlotTime = durationpb.New(5 * time.Second) }), newChannel("b"))))
	var d Decision
	admitted := 0
	for s := range int64(40) {
		for p := range 5 {
			if err := r.Route(newRequest(func(q *Request) { q.PaymentID = fmt.Sprint(s, p) }), noon+s, &d); err == nil && d.Candidates[0].Channel == "a" {
				admitted++
			}
		}
		r.Drain(noon + s)
	}
	if admitted < 36 || admitted > 48 {
		t.Errorf("%d admitted in 40 seconds, want 36 to 48", admitted)
	}
}

// TestDemandMovesParts: a limit goes where the payments are; a router without any keeps a part to begin with.
func TestDemandMovesParts(t *testing.T) {
	c := newCatalog(newChannel("a", limited(100, 0, "")), newChannel("b"))
	cl := newCluster(t, c, 4)
	var d Decision
	payment := 0
	for range 12 {
		cl.tick(nil, nil)
		for range 200 {
			payment++
			cl.route(2, payment, &d)
		}
	}
	if cl.sent != 85 { // four fifths by demand, and a quarter of the rest
		t.Errorf("the only busy router of four admits %d of 100 a second, want 85", cl.sent)
	}
	for range 20 {
		payment++
		cl.route(0, payment, &d)
	}
	if cl.sent != 90 {
		t.Errorf("a router that begins admits %d, want 5", cl.sent-85)
	}
}

// TestStrangersTakeOneMorePart: a router that no sealed second has seen yet has the part of one more until it is known, for
// not longer than the lag, and the rest of the time the sum is the limit.
func TestStrangersTakeOneMorePart(t *testing.T) {
	c := newCatalog(newChannel("a", limited(60, 60, "")), newChannel("b"))
	cl := newCluster(t, c, 2)
	for range testLag + 4 {
		cl.tick(nil, nil)
	}
	stranger := NewRouter()
	stranger.Swap(cl.table)
	sharing := NewSharing(testLag)
	*sharing = Sharing{
		lag: testLag, now: cl.sharing[0].now, routers: map[string]int64{routerName(0): cl.sharing[0].now, routerName(1): cl.sharing[0].now},
		names: []string{routerName(0), routerName(1)}, limits: map[string]*sharedLimit{}, throttles: map[statemachine.Scope]*throttling{}, sent: map[statemachine.Scope]*demand{},
	}
	cl.routers, cl.sharing = append(cl.routers, stranger), append(cl.sharing, sharing)
	stranger.Share(sharing.Shares(cl.table.plan, routerName(2), cl.second))
	stranger.Share(sharing.Shares(cl.table.plan, routerName(2), cl.second+1))
	var d Decision
	payment, over := 0, 0
	for s := range 15 {
		for i := range 300 {
			payment++
			cl.route(i%3, payment, &d)
		}
		if cl.sent > 80 {
			t.Errorf("second %d admitted %d, want at most 60 and a third of it", s, cl.sent)
		}
		if cl.sent > 60 {
			over = s + 1
		}
		for len(cl.under) > 0 {
			cl.end(0, 0)
		}
		cl.tick(nil, nil)
	}
	if over > testLag+2 {
		t.Errorf("more than the limit for %d seconds, want %d at most", over, testLag+2)
	}
}

// TestLateRoutersBound: whoever is late goes on with what it was dealt; the sum is never above the limit by more than the part
// of those who are late.
func TestLateRoutersBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCatalog(newChannel("a", limited(30, 0, "")), newChannel("b"))
		cl := newCluster(t, c, 3)
		for range testLag + 2 {
			cl.tick(nil, nil)
		}
		var d Decision
		payment := 0
		for range 20 {
			late := rapid.SliceOfN(rapid.Bool(), 3, 3).Draw(t, "late")
			busy := rapid.IntRange(0, 2).Draw(t, "busy")
			var by [3]int
			for i := range 3 {
				for range 10 + 60*boolInt(i == busy) {
					payment++
					if cl.route(i, payment, &d) {
						by[i]++
					}
				}
			}
			if sum := by[0] + by[1] + by[2]; sum > 30*2 {
				t.Fatalf("admitted %v of 30", by)
			}
			cl.tick(func(i int) bool { return late[i] }, nil)
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestMerchantLimit: above its rate only that merchant is refused, with the time to ask again; what it began goes on; a merchant
// that yields is served as long as capacity is left over.
func TestMerchantLimit(t *testing.T) {
	c := newCatalog(newChannel("a", limited(10, 0, "")), newChannel("b", limited(10, 0, "")))
	c.MerchantLimits = []*configv1.MerchantLimit{
		{Merchant: "m-1", PaymentsPerSecond: 2},
		{Merchant: "m-2", PaymentsPerSecond: 2, Excess: configv1.MerchantExcess_MERCHANT_EXCESS_YIELD},
	}
	r := NewRouter()
	r.Swap(mustTable(t, c))
	var d Decision
	ask := func(merchant string, edit ...func(*Request)) string {
		err := r.Route(newRequest(append(edit, func(q *Request) { q.Merchant = merchant })...), noon, &d)
		if refused, ok := err.(*Refusal); ok { //nolint:errorlint // bare
			return refused.Reason.String()
		}
		return d.Candidates[0].Channel
	}
	for i, want := range []string{"a", "a", "MERCHANT_LIMITED", "MERCHANT_LIMITED"} {
		if got := ask("m-1"); got != want {
			t.Errorf("payment %d of m-1: %s, want %s", i, got, want)
		}
	}
	if d.refusal.DeferUntil != noon+1 {
		t.Errorf("defer until %d, want the next second", d.refusal.DeferUntil)
	}
	again := func(q *Request) {
		q.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.ChannelFailed}}
	}
	if got := ask("m-1", again); got != "b" {
		t.Errorf("a further attempt of m-1: %s, want b", got)
	}
	var got []byte
	for range 20 {
		got = append(got, ask("m-2")[0])
	}
	if want := "aaaaaabbbbbbbNNNNNNN"; string(got) != want { // two of its own, then up to four fifths of each
		t.Errorf("m-2: %s, want %s", got, want)
	}
	if got := ask("m-3") + ask("m-3"); got != "aa" {
		t.Errorf("another merchant gets %s, want the fifth that is left of a", got)
	}
}

// TestHardQuotaIsHeld: what is under way is held against a quota; a failure gives it back, a success does not; routers of a
// cluster never take more than there is.
func TestHardQuotaIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 10_000
		c := newCatalog(newChannel("a"), newChannel("b"))
		c.Quotas = []*configv1.Quota{{
			Id: "daily", Members: []*configv1.QuotaMember{{Channel: "a"}}, Period: configv1.QuotaPeriod_QUOTA_PERIOD_DAY,
			Amount: total, Currency: "CNY",
		}}
		n := rapid.IntRange(1, 4).Draw(t, "routers")
		cl := newCluster(t, c, n)
		used, usedThen := int64(0), map[int64]int64{}
		type open struct{ amount, began int64 }
		var under []open
		held := int64(0)
		var d Decision
		tick := func() {
			var rows []RouterSecond
			for i, r := range cl.routers {
				rows = append(rows, RouterSecond{Router: routerName(i), Limits: r.Drain(cl.second).Limits})
			}
			usedThen[cl.second] = used
			for i, r := range cl.routers {
				cl.sharing[i].Observe(cl.second, rows, map[string]int64{"daily": used})
				r.Share(cl.sharing[i].Shares(cl.table.plan, routerName(i), cl.second+2))
			}
			cl.second++
		}
		for range testLag + 2 {
			tick()
		}
		for range rapid.IntRange(5, 30).Draw(t, "seconds") {
			for range rapid.IntRange(0, 15).Draw(t, "events") {
				i := rapid.IntRange(0, n-1).Draw(t, "router")
				if len(under) > 0 && rapid.IntRange(0, 1).Draw(t, "result") == 0 {
					at := rapid.IntRange(0, len(under)-1).Draw(t, "which")
					o := under[at]
					under = append(under[:at], under[at+1:]...)
					good := rapid.Bool().Draw(t, "good")
					held -= o.amount
					if good {
						used += o.amount
					}
					cl.routers[i].Settle(&Settled{
						Channel: "a", Account: "main", Business: statemachine.Collect, Amount: o.amount, Currency: "CNY",
						Decided: o.began, Second: cl.second, Succeeded: good,
					})
					continue
				}
				amount := rapid.Int64Range(1, 3000).Draw(t, "amount")
				q := newRequest(func(q *Request) { q.Amount = amount })
				if err := cl.routers[i].Route(q, cl.second, &d); err != nil {
					t.Fatal(err)
				}
				if d.Candidates[0].Channel == "a" {
					held += amount
					under = append(under, open{amount, cl.second})
				} else if d.Dropped[0].Drop != DropQuotaExhausted {
					t.Fatalf("dropped as %s", d.Dropped[0].Drop)
				}
				if used+held > total {
					t.Fatalf("%d used and %d under way of %d", used, held, total)
				}
			}
			tick()
		}
	})
}
