package routing

import (
	"fmt"
	"math"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestDealIsExact: over hashes that cover their range evenly, each value of 0..total-1 comes up equally often.
func TestDealIsExact(t *testing.T) {
	for _, total := range []uint64{1, 2, 3, 100, 1000, 64_000_000} {
		n := total * max(1, 100_000/total) // a multiple of total
		counts := map[uint64]uint64{}
		for i := range n {
			// The middle of the i-th of n equal parts of the range.
			counts[deal(math.MaxUint64/n*i+math.MaxUint64/n/2, total)]++
			if total > 1000 && i > 1000 {
				break
			}
		}
		for v, c := range counts {
			if v >= total || total <= 1000 && c != n/total {
				t.Fatalf("total %d: %d came up %d times of %d", total, v, c, n)
			}
		}
	}
}

// splitCatalog has one priority with splits 70, 29, 1 and a last resort without split.
func splitCatalog() *configv1.Catalog {
	c := newCatalog(newChannel("a"), newChannel("b"), newChannel("c"), newChannel("d"))
	for i, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = 0, []uint32{70, 29, 1, 0}[i]
	}
	return c
}

// share routes n payments and returns each channel's part of the first places.
func share(t *testing.T, table *Table, n int, edit ...func(*Request)) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	var d Decision
	for i := range n {
		q := newRequest(edit...)
		q.PaymentID = fmt.Sprintf("payment-%d", i)
		if err := decide(table, q, noon, &d); err != nil {
			t.Fatal(err)
		}
		got[d.Candidates[0].Channel] += 1 / float64(n)
	}
	return got
}

func TestSplitProportions(t *testing.T) {
	const n = 50_000
	c := splitCatalog()
	near := func(name string, got, want map[string]float64) {
		t.Helper()
		for id := range want {
			// Five standard deviations of a binomial: a fair hash misses once in two million.
			if w := want[id]; math.Abs(got[id]-w) > 5*math.Sqrt(w*(1-w)/n)+1e-9 {
				t.Errorf("%s: %s gets %.4f, want %.4f", name, id, got[id], w)
			}
		}
	}
	near("all", share(t, mustTable(t, c), n), map[string]float64{"a": 0.70, "b": 0.29, "c": 0.01, "d": 0})
	near("a is off: its part goes to the others by their weights",
		share(t, mustTable(t, c, off(statemachine.ChannelScope("a"))), n), map[string]float64{"a": 0, "b": 29.0 / 30, "c": 1.0 / 30, "d": 0})
	near("last resort", share(t, mustTable(t, c, off(statemachine.ChannelScope("a")), off(statemachine.ChannelScope("b")), off(statemachine.ChannelScope("c"))), n),
		map[string]float64{"d": 1})
	weights := newCatalog(newChannel("a", func(c *configv1.Channel) { c.Weight = 300 }), newChannel("b"))
	for _, m := range weights.GetRoutes()[0].GetMembers() {
		m.Priority = 0
	}
	near("by weight", share(t, mustTable(t, weights), n), map[string]float64{"a": 0.75, "b": 0.25})
}

// TestSplitIsSticky: a payment keeps its channel when another one's state changes, and is dealt anew by a new generation.
func TestSplitIsSticky(t *testing.T) {
	c := splitCatalog()
	before, cut := mustTable(t, c), mustTable(t, c, off(statemachine.ChannelScope("b")))
	c.Routes[0].SplitGeneration++
	anew := mustTable(t, c)
	moved := 0
	for i := range 2000 {
		q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint("p", i) })
		var x, y, z Decision
		if decide(before, q, noon, &x) != nil || decide(cut, q, noon, &y) != nil || decide(anew, q, noon, &z) != nil {
			t.Fatal("refused")
		}
		if x.Candidates[0].Channel != "b" && x.Candidates[0].Channel != y.Candidates[0].Channel {
			t.Fatalf("payment %d moved from %s to %s when b was cut", i, x.Candidates[0].Channel, y.Candidates[0].Channel)
		}
		if x.Candidates[0].Channel != z.Candidates[0].Channel {
			moved++
		}
	}
	if moved < 600 || moved > 1200 { // 1 − (0.7² + 0.29² + 0.01²) = 43 %
		t.Errorf("a new generation moved %d of 2000", moved)
	}
}
