package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// bigCatalog has n channels in clusters of ten, each cluster with its own entities' lanes: per lane ten candidates in two
// priorities. Lanes = clusters × entities × banks × 2 card types.
func bigCatalog(channels, entities, banks int) *configv1.Catalog {
	c := &configv1.Catalog{Name: "big"}
	for e := range entities {
		c.Entities = append(c.Entities, &configv1.Entity{Id: fmt.Sprintf("e-%d", e)})
	}
	var names []string
	for b := range banks {
		names = append(names, fmt.Sprintf("BANK%03d", b))
	}
	for i := range channels {
		method := fmt.Sprintf("METHOD%04d", i/10)
		ch := &configv1.Channel{
			Id: fmt.Sprintf("channel-%05d", i), Provider: "p", BusinessTypes: []configv1.BusinessType{collect, refund},
			Instruments: []*configv1.Instrument{{
				Method: method, Banks: names, CardTypes: []configv1.CardType{1, 2},
				Limits: []*configv1.AmountLimit{{Currency: "CNY", Min: 1, Max: 5_000_000}},
			}},
			Currencies: []string{"CNY", "USD"},
		}
		for e := range entities {
			ch.Accounts = append(ch.Accounts, &configv1.Account{Id: fmt.Sprintf("acc-%d", e), Entity: fmt.Sprintf("e-%d", e)})
		}
		c.Channels = append(c.Channels, ch)
		if i%10 == 0 {
			c.Routes = append(c.Routes, &configv1.Route{Id: "route-" + method, BusinessType: collect, Method: method})
		}
		r := c.GetRoutes()[len(c.GetRoutes())-1]
		r.Members = append(r.Members, &configv1.RouteMember{Channel: ch.GetId(), Priority: uint32(i % 2), Split: uint32(10 + i%7)})
	}
	return c
}

// bigRequests asks for lanes of the plan, a few of them most of the time.
func bigRequests(p *Plan, n int) []Request {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.2, 1, uint64(len(p.lanes)-1))
	perm := rng.Perm(len(p.lanes))
	out := make([]Request, n)
	for i := range out {
		l := p.lanes[perm[zipf.Uint64()]]
		out[i] = Request{
			PaymentID: fmt.Sprintf("2026112200001%07d", i), Merchant: "m-1", Entity: l.Entity, Business: l.Business,
			Instrument: l.Instrument, Amount: 12000, Currency: "CNY", UserTier: "STANDARD", PayerKey: uint64(i),
		}
	}
	return out
}

// forty is 40,000 lanes of ten candidates over 1,000 channels.
func forty(tb testing.TB) *Plan {
	tb.Helper()
	return mustPlan(tb, bigCatalog(1000, 4, 50))
}

func BenchmarkDecide40000Rules(b *testing.B) {
	p := forty(b)
	if len(p.lanes) != 40_000 || p.rows[0].nSlots != 10 {
		b.Fatalf("%d lanes of %d", len(p.lanes), p.rows[0].nSlots)
	}
	requests := bigRequests(p, 1<<14)
	t := p.Table(Revision{1, 7}, nil, nil)
	var d Decision
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := Decide(t, &requests[i&(1<<14-1)], noon, Admission{Lifted: -1}, &d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoute40000Rules(b *testing.B) {
	p := forty(b)
	requests := bigRequests(p, 1<<14)
	r := NewRouter()
	r.Swap(p.Table(Revision{1, 7}, nil, nil))
	var d Decision
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := r.Route(&requests[i&(1<<14-1)], noon, &d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecideChannels shows how little the size of the catalogue matters: ten candidates each, skewed lanes.
func BenchmarkDecideChannels(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			p := mustPlan(b, bigCatalog(n, 1, 10))
			requests := bigRequests(p, 1<<12)
			t := p.Table(Revision{1, 7}, nil, nil)
			var d Decision
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := Decide(t, &requests[i&(1<<12-1)], noon, Admission{Lifted: -1}, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAttribute(b *testing.B) {
	p := forty(b)
	requests := bigRequests(p, 1<<14)
	t := p.Table(Revision{1, 7}, nil, nil)
	type report struct {
		channel, account string
		in               statemachine.Instrument
	}
	reports := make([]report, len(requests))
	var d Decision
	for i := range requests {
		if err := Decide(t, &requests[i], noon, Admission{Lifted: -1}, &d); err != nil {
			b.Fatal(err)
		}
		reports[i] = report{d.Candidates[0].Channel, d.Candidates[0].Account, requests[i].Instrument}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x := &reports[i&(1<<14-1)]
		if _, err := t.Attribute(x.channel, x.account, statemachine.Collect, x.in, 7); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTable makes the table of 1,000 channels, 100 of which have a bank that is ramping.
func BenchmarkTable(b *testing.B) {
	p := forty(b)
	states := rampingStates(p, 100)
	b.ReportAllocs()
	for b.Loop() {
		p.Table(Revision{1, 7}, states, nil)
	}
}

func rampingStates(p *Plan, n int) []statemachine.State {
	var states []statemachine.State
	for i := range n {
		ch := &p.channels[i*len(p.channels)/n]
		in := p.facts[ch.id].Instruments[0]
		states = append(states, inPhase(statemachine.InstrumentScope(ch.id, in), statemachine.Ramping, 100_000))
	}
	slices.SortFunc(states, func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) })
	return states
}

// BenchmarkSwapUnderLoad compares the tail of Route with and without a table of 1,000 channels swapped in every 100 ms.
func BenchmarkSwapUnderLoad(b *testing.B) {
	p := forty(b)
	requests := bigRequests(p, 1<<14)
	states := rampingStates(p, 100)
	for _, swap := range []bool{false, true} {
		b.Run(fmt.Sprintf("swap=%t", swap), func(b *testing.B) {
			r := NewRouter()
			r.Swap(p.Table(Revision{1, 7}, states, nil))
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for rev := int64(8); swap; rev++ {
					select {
					case <-stop:
						return
					case <-tick.C:
						r.Swap(p.Table(Revision{1, rev}, states, nil))
					}
				}
			}()
			var d Decision
			took := make([]time.Duration, 0, 1<<20)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				_ = r.Route(&requests[i&(1<<14-1)], noon, &d) // a ramp of the only candidate may refuse
				if len(took) < cap(took) {
					took = append(took, time.Since(start))
				}
			}
			close(stop)
			<-done
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[len(took)*999/1000]), "p99.9-ns")
		})
	}
}

func BenchmarkCompilePlan(b *testing.B) {
	c := bigCatalog(1000, 4, 50)
	b.ReportAllocs()
	for b.Loop() {
		mustPlan(b, c)
	}
}

func BenchmarkDrain(b *testing.B) {
	p := forty(b)
	requests := bigRequests(p, 1<<12)
	r := NewRouter()
	r.Swap(p.Table(Revision{1, 7}, nil, nil))
	var d Decision
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		for j := range requests {
			_ = r.Route(&requests[j], noon, &d)
		}
		b.StartTimer()
		r.Drain(int64(i))
	}
}
