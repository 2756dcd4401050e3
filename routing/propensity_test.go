package routing

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// chancesOf returns propensities by channel and account, and their sum.
func chancesOf(t *Table, q *Request, a Admission) (map[string]float64, float64) {
	var rk Ranking
	Rank(t, q, noon, &rk)
	out, sum := map[string]float64{}, 0.0
	for i, p := range Propensities(t, q, noon, a) {
		c := rk.candidate(&rk.list[i], i)
		out[c.Channel+"/"+c.Account] = p
		sum += p
	}
	return out, sum
}

// TestPropensitiesAreWhatHappens routes many payments that differ in their id alone, over random catalogues with splits, weights,
// strategies and exploration: each channel is taken as often as its propensity says.
func TestPropensitiesAreWhatHappens(t *testing.T) {
	const payments = 2500
	d := dice{rand.New(rand.NewPCG(11, 3))}
	spread, explored := 0, 0
	for range 80 {
		plan := d.plan(t, nil)
		table := plan.Table(Revision{1, 9}, nil, d.scores(plan))
		q := newRequest(func(q *Request) { q.UserTier = pickOf(d, "", "gold") })
		want, _ := chancesOf(table, q, Admission{Lifted: -1})
		got := map[string]float64{}
		var out Decision
		for i := range payments {
			q.PaymentID = fmt.Sprint("pay-", i)
			if decide(table, q, noon, &out) == nil {
				got[out.Candidates[0].Channel+"/"+out.Candidates[0].Account] += 1.0 / payments
				if out.Candidates[0].Why == WhyExploration {
					explored++
				}
			}
		}
		for who := range got {
			if _, ok := want[who]; !ok {
				t.Errorf("%s is taken, and has no propensity", who)
			}
		}
		for who, p := range want {
			if p > 0 && p < 1 {
				spread++
			}
			if limit := 5*math.Sqrt(p*(1-p)/payments) + 0.0005; math.Abs(got[who]-p) > limit {
				t.Errorf("%s: propensity %.4f, taken by %.4f of the payments", who, p, got[who])
			}
		}
		if t.Failed() {
			t.Fatalf("all: want %v, got %v", want, got)
		}
	}
	if spread < 30 || explored < 300 {
		t.Errorf("%d channels had a chance, %d payments explored: this test sees too little", spread, explored)
	}
}

// TestPropensitiesDoNotHangOnThePayment: two payments that differ in their id alone have the same propensities.
func TestPropensitiesDoNotHangOnThePayment(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(12, 3))}
	for range 100 {
		plan := d.plan(t, nil)
		table := plan.Table(Revision{1, 9}, d.states(plan), d.scores(plan))
		q := newRequest()
		first, sum := chancesOf(table, q, Admission{Lifted: -1})
		if sum > 1+1e-9 {
			t.Fatalf("the propensities %v add up to %v", first, sum)
		}
		for i := range 5 {
			q.PaymentID = fmt.Sprint("other-", i)
			other, _ := chancesOf(table, q, Admission{Lifted: -1})
			for who, p := range first {
				if math.Abs(other[who]-p) > 1e-3 {
					t.Fatalf("%s has %v and %v: %v, %v", who, p, other[who], first, other)
				}
			}
		}
	}
}

// ramps is a catalogue of three channels dealt 50 : 30 : 20, then a fourth.
func ramps() *configv1.Catalog {
	c := newCatalog(newChannel("a"), newChannel("b"), newChannel("c"), newChannel("d"))
	for i, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = 0, []uint32{50, 30, 20, 0}[i]
	}
	return c
}

func TestPropensitiesOfRampsAreWhatHappens(t *testing.T) {
	ramp := func(channel string, share statemachine.Share) statemachine.State {
		return inPhase(statemachine.ChannelScope(channel), statemachine.Ramping, share)
	}
	for name, states := range map[string][]statemachine.State{
		"one":   {ramp("a", 200_000)},
		"two":   {ramp("a", 200_000), ramp("b", 500_000)},
		"three": {ramp("a", 200_000), ramp("b", 500_000), ramp("c", 730_000)},
		"down":  {ramp("a", 200_000), off(statemachine.ChannelScope("b"))},
		"last":  {ramp("d", 200_000), off(statemachine.ChannelScope("a")), off(statemachine.ChannelScope("b")), off(statemachine.ChannelScope("c"))},
	} {
		t.Run(name, func(t *testing.T) {
			const payments = 10_000
			table := mustTable(t, ramps(), states...)
			router := NewRouter()
			router.Swap(table)
			got := map[string]float64{}
			var out Decision
			q := newRequest()
			for i := range payments {
				q.PaymentID = fmt.Sprint("pay-", i)
				if router.Route(q, noon, &out) == nil {
					got[out.Candidates[0].Channel+"/main"] += 1.0 / payments
				}
			}
			want, _ := chancesOf(table, q, Admission{Lifted: -1})
			for who, p := range want {
				if math.Abs(got[who]-p) > 0.02 {
					t.Errorf("%s: propensity %.4f, taken by %.4f of the payments", who, p, got[who])
				}
			}
		})
	}
}

func TestPropensitiesTakeLimitsAndProbesAsTheyWere(t *testing.T) {
	table := mustTable(t, ramps(), inPhase(statemachine.ChannelScope("d"), statemachine.Probing, 0))
	q := newRequest()
	var rk Ranking
	Rank(table, q, noon, &rk)
	limited := Admission{Lifted: -1}
	limited.Veto(0, VetoConcurrency)
	p := Propensities(table, q, noon, limited)
	if p[0] != 0 || math.Abs(p[1]+p[2]+p[3]-1) > 1e-9 {
		t.Errorf("a channel that is full has %v", p)
	}
	if p := Propensities(table, q, noon, Admission{Lifted: 3}); p[3] != 1 || p[0]+p[1]+p[2] != 0 {
		t.Errorf("a lifted probe has %v", p)
	}
	if p := Propensities(table, q, noon, Admission{Lifted: -1, MerchantLimited: true}); p != nil {
		t.Errorf("a payment of a merchant above its rate has %v", p)
	}
	q.Exclude = []string{"a", "b", "c", "d"}
	if p := Propensities(table, q, noon, Admission{Lifted: -1}); p != nil {
		t.Errorf("a refused payment has %v", p)
	}
}

// TestTheIntegralIsTheSum holds the integral for many uncertain channels against the sum for few.
func TestTheIntegralIsTheSum(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 3))}
	for range 12 {
		var group []bundle
		var some []float64
		for range 2 + d.IntN(8) {
			group, some = append(group, bundle{weight: float64(1 + d.IntN(100))}), append(some, d.Float64())
		}
		if a, b := leads(group, some, 0), some[0]*integral(group, some, 0); math.Abs(a-b) > 1e-3 {
			t.Errorf("the sum says %v, the integral %v: %v %v", a, b, group, some)
		}
	}
}
