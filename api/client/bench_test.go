package client

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// request is payment i as package routing has it.
func request(i int) *routing.Request {
	w := &scratch{}
	m := payment(i)
	m.MaxChannels = 0
	if err := w.read(m); err != nil {
		return nil
	}
	return &w.request
}

// BenchmarkDecide is the local decision among ten candidates into the caller's buffer: the goal is 1 µs and no allocation.
func BenchmarkDecide(b *testing.B) {
	ramp := statemachine.NewState(statemachine.ChannelScope("a"))
	ramp.Phase, ramp.Share, ramp.Generation = statemachine.Ramping, 100_000, 1
	for name, tc := range map[string]struct {
		catalog *configv1.Catalog
		states  []statemachine.State
	}{
		"healthy": {testCatalog(10), nil}, "first-ramping": {testCatalog(10), []statemachine.State{ramp}},
		"with-capacities": {testCatalog(10, capacities(100_000)), nil},
	} {
		b.Run(name, func(b *testing.B) {
			n := newNetwork()
			r := newReplica(b, n, "r1", tc.catalog)
			r.put(routing.Revision{Epoch: 1, Revision: 101}, tc.states...)
			c := newClient(b, config(n, LocalFirst))
			requests := make([]*routing.Request, 1024)
			for i := range requests {
				requests[i] = request(i)
			}
			var d routing.Decision
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.Decide(requests[i%len(requests)], &d); err != nil || len(d.Candidates) != 3 {
					b.Fatal(err, len(d.Candidates))
				}
			}
		})
	}
}

// BenchmarkRoute is the same with messages, by the client itself and by a replica in the same process.
func BenchmarkRoute(b *testing.B) {
	for _, mode := range []Mode{LocalFirst, RPCFirst} {
		b.Run(mode.String(), func(b *testing.B) {
			n := newNetwork()
			newReplica(b, n, "r1", testCatalog(10))
			c := newClient(b, config(n, mode))
			m := payment(1)
			m.MaxChannels = 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Route(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStartFromFile is the time from New to the first answer, with nobody there: the goal is 50 ms.
func BenchmarkStartFromFile(b *testing.B) {
	for _, channels := range []int{20, 1000} {
		b.Run(strconv.Itoa(channels), func(b *testing.B) {
			plan, err := routing.CompilePlan(wideCatalog(channels), nil)
			if err != nil {
				b.Fatal(err)
			}
			file := filepath.Join(b.TempDir(), "s")
			f := &snapshotFile{path: file}
			if err := f.save(routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 1, Revision: 1}, nil, nil), env, time.Now())); err != nil {
				b.Fatal(err)
			}
			n := newNetwork()
			cfg := config(n, LocalFirst)
			cfg.File = file
			for b.Loop() {
				c, err := New(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				m := payment(1)
				m.Payment.Method = "METHOD0"
				if reply, err := c.Route(b.Context(), m); err != nil || reply.GetSource() != SourceFile {
					b.Fatal(reply, err)
				}
				b.StopTimer()
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// wideCatalog has n channels in routes of ten, each with fifty banks.
func wideCatalog(n int) *configv1.Catalog {
	c := &configv1.Catalog{Entities: []*configv1.Entity{{Id: "e-1"}}}
	banks := []string{"ICBC"}
	for i := range 49 {
		banks = append(banks, fmt.Sprintf("BANK%02d", i))
	}
	for i := range n {
		method := fmt.Sprintf("METHOD%d", i/10)
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: fmt.Sprintf("channel-%d", i), Provider: "p", BusinessTypes: []configv1.BusinessType{collect}, Currencies: []string{"CNY"},
			Instruments: []*configv1.Instrument{{
				Method: method, Banks: banks, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT, configv1.CardType_CARD_TYPE_CREDIT},
			}},
			Accounts: []*configv1.Account{{Id: "main", Entity: "e-1"}},
		})
		if i%10 == 0 {
			c.Routes = append(c.Routes, &configv1.Route{Id: "route-" + method, BusinessType: collect, Method: method})
		}
		r := c.GetRoutes()[i/10]
		r.Members = append(r.Members, &configv1.RouteMember{Channel: c.GetChannels()[i].GetId(), Priority: uint32(i % 3)})
	}
	return c
}
