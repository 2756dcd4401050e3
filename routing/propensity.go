package routing

import (
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Propensities returns, by index in the ranking, the probability with which the policy sends a payment like this one to each
// candidate: over all payment ids, for the same table, request and second. The rest to one is the probability of a refusal.
//
// Random to a payment are the draws of splits, weights and exploration, and whether a ramp's share admits it. What is no
// choice of the policy is taken as it was: limits, throttles, quotas and probe tokens, told by the admission. So a
// candidate that a limit vetoed has 0, and of a payment that a probe lifted the lifted one has 1. It is nil where nothing was
// ranked, or where the payment as a whole was refused. It is for decisions that are logged: it allocates and takes its time.
func Propensities(t *Table, q *Request, second int64, a Admission) []float64 {
	var rk Ranking
	Rank(t, q, second, &rk)
	if t == nil || rk.ranked == 0 || rk.decided >= 0 || rk.refusal != RefusalNone {
		return nil
	}
	a = rk.bounded(a)
	if a.MerchantLimited {
		return nil
	}
	out := make([]float64, rk.ranked)
	if a.Lifted >= 0 {
		out[a.Lifted] = 1
		return out
	}
	admits := make([]float64, rk.ranked)
	for i := range admits {
		admits[i] = rk.admits(i, a)
	}
	var c Chances
	rk.Chances(&c)
	if len(c.Groups) == 0 { // an original's
		c.Groups = [][]Weighted{{{Index: 0, Weight: 1}}}
	}
	exploit := bundled(c.Groups)
	explored := c.Explore.Fraction()
	first(exploit, admits, 1-explored, out)
	if explored > 0 {
		for k, p := range c.choices(exploit) {
			first(exploring(exploit, &c, c.Eligible[k].Index), admits, explored*p, out)
		}
	}
	return out
}

// admits is the probability that a candidate is admitted when it is asked.
func (rk *Ranking) admits(i int, a Admission) float64 {
	c := &rk.list[i]
	vetoed := a.Vetoed&(1<<i) != 0
	if c.phase == statemachine.Disabled || vetoed && (c.phase != statemachine.Ramping || a.Why(i) != VetoState) {
		return 0
	}
	if c.phase != statemachine.Ramping {
		return 1
	}
	share := statemachine.FullShare
	at := rk.items(c)
	var buf [maxHot]int32
	for _, h := range rk.table.hotOf(c.channel, &at, buf[:0]) {
		if s := &rk.table.hot[h]; s.phase == statemachine.Ramping {
			share = min(share, s.share) // all have to admit: no more than the least does
		}
	}
	return share.Fraction()
}

// bundle is a channel's place in a group, with the candidates that stand there one after the other: its accounts.
type bundle struct {
	weight  float64
	members []int
}

// bundled puts candidates without a weight of their own behind the one before them.
func bundled(groups [][]Weighted) [][]bundle {
	out := make([][]bundle, len(groups))
	for g, list := range groups {
		for _, w := range list {
			if n := len(out[g]); w.Weight == 0 && n > 0 {
				out[g][n-1].members = append(out[g][n-1].members, w.Index)
				continue
			}
			out[g] = append(out[g], bundle{weight: float64(max(w.Weight, 1)), members: []int{w.Index}})
		}
	}
	return out
}

// exploring returns the groups as a payment ranks them whose exploration chose a candidate: it stands where the first eligible
// one of its order stands, wherever that is drawn to.
func exploring(groups [][]bundle, c *Chances, chosen int) [][]bundle {
	var out [][]bundle
	for _, group := range groups {
		found := false
		next := make([]bundle, len(group))
		for i, b := range group {
			next[i] = b
			for at, m := range b.members {
				if c.eligible(m) {
					next[i].members, found = slices.Concat(b.members[:at], []int{chosen}, b.members[at:]), true // twice does no harm: it is admitted or not
					break
				}
			}
		}
		out = append(out, next)
		if found {
			break
		}
	}
	return append(out, groups[min(len(out), len(groups)):]...)
}

func (c *Chances) eligible(index int) bool {
	for i := range c.Eligible {
		if c.Eligible[i].Index == index {
			return true
		}
	}
	return false
}

// first adds to out, for each candidate, the probability that it is the first that is admitted, times mass.
func first(groups [][]bundle, admits []float64, mass float64, out []float64) {
	for _, group := range groups {
		some := make([]float64, len(group)) // that some member of the bundle is admitted
		for i, b := range group {
			none := 1.0
			for _, m := range b.members {
				none *= 1 - admits[m]
			}
			some[i] = 1 - none
		}
		left := mass
		for i, b := range group {
			if some[i] == 0 {
				continue
			}
			p := mass * leads(group, some, i)
			left -= p
			rest := p / some[i]
			for _, m := range b.members {
				out[m] += rest * admits[m]
				rest *= 1 - admits[m]
			}
		}
		if mass = max(0, left); mass < 1e-15 {
			return
		}
	}
}

// exactBundles is how many uncertain bundles are enumerated; of more, the integral is taken in so many steps.
const (
	exactBundles  = 12
	integralSteps = 4096
)

// leads is the probability that a bundle is the first in a weighted draw without replacement among those that admit, where
// each admits with its probability, independently of the others.
func leads(group []bundle, some []float64, i int) float64 {
	certain := 0.0
	var uncertain []int
	for j, b := range group {
		switch {
		case j == i || some[j] == 0:
		case some[j] == 1:
			certain += b.weight
		default:
			uncertain = append(uncertain, j)
		}
	}
	own := group[i].weight
	if len(uncertain) > exactBundles {
		return some[i] * integral(group, some, i)
	}
	sum := 0.0
	for set := range 1 << len(uncertain) {
		p, weight := 1.0, certain+own
		for n, j := range uncertain {
			if set>>n&1 == 1 {
				p *= some[j]
				weight += group[j].weight
			} else {
				p *= 1 - some[j]
			}
		}
		sum += p * own / weight
	}
	return some[i] * sum
}

// integral is the probability that no other bundle precedes one that admits: with exponential clocks of the bundles' weights,
// ∫ Π (1 − s·(1 − v^(w/own))) dv over v from 0 to 1, by Simpson's rule.
func integral(group []bundle, some []float64, i int) float64 {
	at := func(v float64) float64 {
		p := 1.0
		for j, b := range group {
			if j != i {
				p *= 1 - some[j]*(1-math.Pow(v, b.weight/group[i].weight))
			}
		}
		return p
	}
	sum := at(0) + at(1)
	for n := 1; n < integralSteps; n++ {
		sum += at(float64(n)/integralSteps) * float64(2+2*(n%2))
	}
	return sum / (3 * integralSteps)
}
