package monitor

import (
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// closedBy is how many results stand behind the rate of a fault at the moment it closed a scope: often more, but where chance
// had its part in the cut they show the worst of it.
const closedBy = 5

// A fault is young, and not known to be none of many, until it is youngFault old; on quiet scopes, where few payments show its
// good times, until it has seen youngPayments, youngQuiet at most. youngSettle is how long a scope with a young fault must be well
// before its probes may pass: one that breaks and heals by turns would be opened in each of its good times.
const (
	youngFault    = 60 * time.Second
	youngPayments = 20
	youngQuiet    = 4 * time.Minute
	youngSettle   = 25 * time.Second
	mostSettle    = time.Minute
	longerSpell   = 1.25 // over the longest good time that ended
	settleRate    = 0.5  // a fault that fails less breaks and heals at every payment
)

// comeback is what was learned of a scope since it was closed. It outlives the steps.
type comeback struct {
	closed  int64         // second in which it was first seen closed
	tried   Tally         // results of the probings that failed
	from    int64         // since when results speak for its end, 0 = they do not
	well    bool          // these would pass a probing
	longest time.Duration // of such times that ended
}

// failed takes the results of a probing that failed. One that would have passed, had it lasted, shows good times as well: they
// say nothing about the rate of the fault.
func (c *comeback) failed(results *Tally, well bool) {
	if !well {
		c.tried.Add(results)
	}
}

// rate is the failure rate of the fault for which a scope was closed at a rate of base, with one result more of either kind
// half weighted (Jeffreys 1946); 0 where nobody measured it.
func (c *comeback) rate(base statemachine.Share) float64 {
	own := base.Fraction()
	if own == 0 {
		return 0
	}
	answered, bad := c.tried.Weighted()
	return (closedBy*own + bad + 0.5) / (closedBy + answered + 1)
}

// lasts takes since when results speak for the end of the fault, and whether they would pass a probing.
func (c *comeback) lasts(from int64, well bool) { c.from, c.well = from, c.well || well }

// ended takes that the scope fails again.
func (c *comeback) ended(now int64) {
	if c.well {
		c.longest = max(c.longest, c.calm(now))
	}
	c.from, c.well = 0, false
}

// calm is how long results have spoken for the end.
func (c *comeback) calm(now int64) time.Duration {
	if c.from == 0 {
		return 0
	}
	return time.Duration(now-c.from) * time.Second
}

// young is how old a fault must be to be so no longer, on a scope of so many payments a second.
func young(perSecond float64) time.Duration {
	if perSecond*youngQuiet.Seconds() <= youngPayments {
		return youngQuiet
	}
	return max(youngFault, time.Duration(youngPayments/perSecond*float64(time.Second)))
}

// settle is how long that must be before probes may pass, for a fault of a rate, on a scope of so many payments a second.
func (c *comeback) settle(rate, perSecond float64, now int64) (need time.Duration) {
	if rate < settleRate {
		return 0
	}
	if c.longest > 0 || time.Duration(now-c.closed)*time.Second < young(perSecond) {
		need = youngSettle
	}
	return min(mostSettle, max(need, time.Duration(longerSpell*float64(c.longest))))
}

// newest are the newest of a step's results, and the odds, in nats, that they speak for a scope that is well against its fault: of
// all that end now, those that do most (Page 1954). Results from before its end say nothing about whether it has ended. Where
// none speak for it, the results are those since they last did most.
func newest(points []point, normal, fault float64) (sum Tally, from int64, best float64) {
	var since Tally
	var at int64
	most := 0.0
	for i := range points {
		p := &points[i]
		if best == 0 {
			sum, from, most = Tally{}, p.second, 0
		}
		if best >= most {
			since, at, most = Tally{}, p.second, best
		}
		sum.Add(&p.tally)
		since.Add(&p.tally)
		answered, bad := p.tally.Weighted()
		best = min(passHard, max(0, best+statemachine.Odds(answered, bad, normal, fault)))
	}
	if best == 0 {
		return since, at, 0
	}
	return sum, from, best
}

// probes returns the newest results of a probing that speak for a scope that is well, and tells e how clearly, and since when.
func (st *step) probes(points []point, e *statemachine.StepEvidence, policy statemachine.Policy, normal float64, now int64) (Tally, int64) {
	c, fails := &st.comeback, fault(e.Fault, normal, faultLeast)
	results, from, odds := newest(points, normal, fails)
	well := odds >= passLevel(fails, e.PerSecond, policy)
	st.well = st.well || well
	if odds > 0 {
		c.lasts(from, well)
	} else {
		c.ended(now)
	}
	e.Odds, e.Settle = odds, c.settle(e.Fault, e.PerSecond, now)
	if well {
		e.Calm = c.calm(now)
	}
	return results, from
}
