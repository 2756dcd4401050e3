package client

import (
	"testing"

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
