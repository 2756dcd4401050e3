package simulate

import (
	"context"
	"io"
	"testing"
	"time"
)

// idle is a replica that answers at once: what is left is the cost of the world itself.
type idle struct{ fakeNode }

func (*idle) Report(*report, time.Time) error { return nil }

func (i *idle) Route(q *question, _ time.Time, out *answer) error {
	way := &i.p.cells[i.p.ways[0][0]]
	for k := range i.p.Scenario.Traffic {
		if &i.p.Scenario.Traffic[k] == q.stream {
			way = &i.p.cells[i.p.ways[k][0]]
		}
	}
	out.decision, out.offers = "d", append(out.offers[:0], offer{channel: way.channel, account: way.account, attempt: "a"})
	return nil
}

// BenchmarkWorldHour is an hour at 30 payments/s without the node.
func BenchmarkWorldHour(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p := preparedB(b)
		_, err := Run(b.Context(), p, io.Discard, func(_ context.Context, p *Prepared, to sink) (*fleet, error) {
			n := &idle{fakeNode{p: p, to: to}}
			return &fleet{replicas: []replica{n}, would: n}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func preparedB(b *testing.B) *Prepared {
	b.Helper()
	return prepared(b, "healthy-hour", func(s *Scenario) {
		for i := range s.Traffic {
			s.Traffic[i].Rate = 10
		}
	})
}
