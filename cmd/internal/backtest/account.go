package backtest

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	wellAround  = 30   // seconds on either side over which a scope is well or not
	wellFactor  = 2.0  // well: fails at most so many times as often as its baseline …
	wellMargin  = 0.02 // … or so much more often
	enough      = 20.0 // results without which nothing is said of a rate
	falseFactor = 1.5  // looks false: failed while closed at most so many times as often as its baseline …
	falseMargin = 0.01 // … or so much more often
)

// Judgement of a closure, from what was recorded of the scope while it would have been closed.
const (
	JudgedRight   = "right"   // it failed clearly more often than its baseline
	JudgedFalse   = "false"   // it failed as often as ever
	JudgedUnclear = "unclear" // too few payments went there: the recording had it closed, too, or it is quiet
)

// moment is one second of a closure: what was recorded of the scope, and the part that would have gone elsewhere.
type moment struct {
	second int64
	count
	off  float64 // part kept off, 0..1
	alts float64 // failure rate of the alternatives, 1 if there are none
}

// account is what one closure comes to.
type account struct {
	closure
	moments []moment

	failed    float64 // bad results recorded on the scope while it would have been closed
	avoided   float64 // failures that the alternatives would have spared
	movedWell float64 // payments that would have been kept off while the scope was well
	rate      float64
	baseline  float64 // -1 = unknown
	judgement string
}

// settle computes what the closure comes to, given the scope's baseline.
func (a *account) settle(base count) {
	a.judgement, a.baseline = JudgedUnclear, -1
	var closed count
	for i := range a.moments {
		m := &a.moments[i]
		closed.add(m.answered, m.bad)
		a.failed += m.bad * m.off
		a.avoided += m.bad * m.off * (1 - m.alts)
	}
	a.rate, _ = closed.rate()
	if base.answered < enough {
		return
	}
	a.baseline, _ = base.rate()
	a.movedWell = a.well()
	if closed.answered < enough {
		return
	}
	a.judgement = JudgedRight
	if a.rate <= max(falseFactor*a.baseline, a.baseline+falseMargin) {
		a.judgement = JudgedFalse
	}
}

// well adds up the payments kept off in seconds around which the scope failed no more than it always does.
func (a *account) well() (moved float64) {
	limit := max(wellFactor*a.baseline, a.baseline+wellMargin)
	var around count
	from, to := 0, 0
	for i := range a.moments {
		m := &a.moments[i]
		for ; to < len(a.moments) && a.moments[to].second <= m.second+wellAround; to++ {
			around.add(a.moments[to].answered, a.moments[to].bad)
		}
		for ; a.moments[from].second < m.second-wellAround; from++ {
			around.add(-a.moments[from].answered, -a.moments[from].bad)
		}
		if rate, ok := around.rate(); ok && rate <= limit {
			moved += m.answered * m.off
		}
	}
	return moved
}

// net is what the closure saved: failures avoided less payments moved while the scope was well.
func (a *account) net() float64 { return a.avoided - a.movedWell }

// alternatives are the items that would carry the payments of a closed scope: the same instrument on the channels beside it.
func alternatives(s statemachine.Scope, f *statemachine.Fleet) []statemachine.Scope {
	var out, scopes []statemachine.Scope
	for i := range f.Lanes {
		lane := &f.Lanes[i]
		var rest []statemachine.Scope
		covered := false
		for _, m := range lane.Members {
			if scopes = m.Scopes(lane.Lane, scopes[:0]); slices.Contains(scopes, s) {
				covered = true
				continue
			}
			rest = append(rest, statemachine.InstrumentScope(m.Channel, lane.Lane.Instrument))
		}
		if covered {
			out = append(out, rest...)
		}
	}
	slices.SortFunc(out, statemachine.Scope.Compare)
	return slices.Compact(out)
}
