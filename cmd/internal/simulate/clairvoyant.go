package simulate

import (
	"math"
	"time"
)

// affected adds a payment that would have taken a labelled way to the evidence of the clairvoyant: a CUSUM that knows
// both true rates and the scope, on the outcome the payment would have had.
func (j *judge) affected(p *payment, at time.Duration, first *cell) {
	for _, l := range j.labels {
		if !l.cells[first.id] || !l.active(at) {
			continue
		}
		w := where{at: at, gateway: p.gateway, replica: p.replica}
		j.fates.meet(first, w, "", &j.fate)
		bad1 := known(j.fate.bad())
		outcome, _ := j.fate.pick(j.rnd.of(forAttempt, natural(p.stream), p.number<<8).Float64())
		j.fates.meet(first, w, l.name, &j.fate)
		bad0 := known(j.fate.bad())
		if isBad(outcome) {
			l.evidence = append(l.evidence, math.Log(bad1/bad0))
		} else {
			l.evidence = append(l.evidence, math.Log((1-bad1)/(1-bad0)))
		}
	}
}

// known keeps a rate away from certainty, which nobody has.
func known(rate float64) float64 { return min(max(rate, 0.001), 0.999) }

// detectable reports whether the clairvoyant crosses ln(payments a day · 30 days) with at least three affected payments
// to come.
func (l *label) detectable(run time.Duration) bool {
	const days, toCome, least = 30, 3, 100
	lasted := min(l.to, run) - l.from
	if lasted <= 0 {
		return false
	}
	daily := max(least, float64(len(l.evidence))/lasted.Hours()*24)
	threshold := math.Log(daily * days)
	sum := 0.0
	for i, llr := range l.evidence {
		sum = max(0, sum+llr)
		if sum >= threshold {
			return len(l.evidence)-i-1 >= toCome
		}
	}
	return false
}
