package monitor

import (
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	poolSeconds   = 300   // how far back others are looked at
	poolFresh     = 10    // seconds of others that count however short the fault is
	poolJoined    = 2.0   // log likelihood ratio from which on others fail too
	poolPrior     = 0.2   // odds that what fails here fails elsewhere, before looking
	poolDoubt     = 0.002 // odds up to which it does not
	poolCalm      = -1.0  // log likelihood ratio up to which an item does not fail
	poolCalmRate  = 0.3   // failure rate that a calm item would not show
	restFails     = 2.5   // log likelihood ratio from which on the rest of an item fails
	poolWait      = 60    // longest wait for evidence of others, seconds
	poolLeastRate = 0.15
	poolMostRate  = 0.95
)

// looked is what other items show while one fails.
type looked struct {
	ratio   float64 // log likelihood ratio of the fault's rate against the normal ones, since the fault began
	suffix  float64 // the greatest of the newest seconds alone: the fault may have reached the others just now
	bad     float64 // failures in those seconds
	sick    int     // items that share them
	members int     // items with results

	coincides bool // one of them alone fails beyond doubt in the same moment
}

// joined reports whether the others fail too.
func (l looked) joined() bool {
	return l.coincides || l.ratio >= poolJoined || l.lately() && (l.sick >= 2 || l.members == 1)
}

// lately reports whether the newest seconds alone show failures.
func (l looked) lately() bool { return l.bad >= 2 && l.suffix >= poolJoined }

// calm reports whether the others are shown to be well.
func (l looked) calm() bool { return l.ratio <= poolCalm && !l.joined() }

// doubtful reports whether the others may fail too: no fresh evidence is no proof of health.
func (l looked) doubtful() bool { return l.joined() || poolPrior*math.Exp(l.ratio) > poolDoubt }

// counted says what of a tally speaks: all results, or only failures without a coded reply.
type counted func(*Tally) (answered, bad float64)

// pool tests what items show since second from against their normal rates, by the likelihood ratio of the fault's own rate.
// Looks at the newest seconds alone are not diluted by what succeeded before the fault. A window longer than the fault is
// old, or than poolFresh, would be.
func (h *History) pool(items []statemachine.Scope, from int64, rate float64, speaks counted) looked {
	var out looked
	from = max(from-1, h.now-poolSeconds+1)
	rate = min(poolMostRate, max(poolLeastRate, rate))
	rates := [...]float64{rate, max(0.1, 0.6*rate), 0.5}
	whole := h.ratios(items, from, rates[:2], speaks, nil)
	out.ratio = math.Log((math.Exp(min(700, whole[0])) + math.Exp(min(700, whole[1]))) / 2)
	reach := max(poolFresh, h.now-from+1)
	for _, length := range [...]int64{1, 2, 3, 5, 10, 20, 30, 60, 120, poolSeconds} {
		if length > reach {
			break
		}
		var tally looked
		for _, r := range h.ratios(items, h.now-length+1, rates[:], speaks, &tally) {
			if r > out.suffix {
				out.suffix, out.bad, out.sick = r, tally.bad, tally.sick
			}
		}
		out.members = max(out.members, tally.members)
	}
	return out
}

// ratios adds up the log likelihood ratios of items from a second to now, for each rate.
func (h *History) ratios(items []statemachine.Scope, from int64, rates []float64, speaks counted, tally *looked) []float64 {
	sums := make([]float64, len(rates))
	for _, item := range items {
		s := h.items[item]
		if s == nil {
			continue
		}
		t := s.sum(from, h.now)
		n, bad := speaks(&t)
		if n == 0 {
			continue
		}
		for i, q := range rates {
			sums[i] += s.track.ratio(n, bad, q)
		}
		if tally != nil {
			tally.members++
			tally.bad += bad
			if bad > 0 {
				tally.sick++
			}
		}
	}
	return sums
}
