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
	poolWait      = 60    // longest wait for evidence of others, seconds …
	poolLongest   = 180   // … and while they show hardly any
	poolScarce    = 0.02  // odds that it fails elsewhere, beyond which that is so
	poolRates     = 3     // rates that the newest seconds are tested for
	poolLeastRate = 0.15
	poolMostRate  = 0.95
)

// looked is what other items show while one fails.
type looked struct {
	ratio   float64 // log likelihood ratio of the fault's rate against the normal ones, since the fault began
	since   float64 // the same without the successes that say nothing of the time in which it was seen: see poolUntil
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
func (l looked) calm() bool { return l.since <= poolCalm && !l.joined() }

// doubtful reports whether the others may fail too: no fresh evidence is no proof of health.
func (l looked) doubtful() bool { return l.joined() || poolPrior*math.Exp(l.since) > poolDoubt }

// patience is how many seconds an alarm waits for more of the others: longest while acting on what they show would be a gamble.
func (l looked) patience() int64 {
	if poolPrior*math.Exp(l.since) > poolScarce {
		return poolLongest
	}
	return poolWait
}

// counted says what of a tally speaks: all results, or only failures without a coded reply.
type counted func(*Tally) (answered, bad float64)

// pool tests what items show since second from against their normal rates, by the likelihood ratio of the fault's own rate.
// Looks at the newest seconds alone are not diluted by what succeeded before the fault. A window longer than the fault is
// old, or than poolFresh, would be.
func (h *History) pool(items []statemachine.Scope, from int64, rate float64, speaks counted) looked {
	return h.poolUntil(items, from, h.now, rate, speaks)
}

// poolUntil is pool for a fault that was seen last in a second: successes that were on their way when it began, or were sent after
// that, say nothing about whether the items failed with it.
func (h *History) poolUntil(items []statemachine.Scope, from, until int64, rate float64, speaks counted) looked {
	var out looked
	began := from
	from = max(from-1, h.now-poolSeconds+1)
	rate = min(poolMostRate, max(poolLeastRate, rate))
	rates := [poolRates]float64{rate, max(0.1, 0.6*rate), 0.5}
	list := make([]pooled, 0, len(items))
	for _, item := range items {
		if s := h.items[item]; s != nil {
			list = append(list, pooled{series: s, from: len(s.points)})
		}
	}
	var whole, since [2]float64
	for i := range list {
		s := list[i].series
		t := s.sum(from, h.now)
		n, bad := speaks(&t)
		if n == 0 {
			continue
		}
		answers := h.answersIn(s.item.Channel)
		during := s.sum(max(from, began+answers), until+answers)
		nDuring, badDuring := speaks(&during)
		for k, q := range rates[:2] {
			whole[k] += s.track.ratio(n, bad, q)
			since[k] += s.track.ratio(bad+nDuring-badDuring, bad, q)
		}
	}
	out.ratio, out.since = meanRatio(whole), meanRatio(since)
	reach := max(poolFresh, h.now-from+1)
	for _, length := range [...]int64{1, 2, 3, 5, 10, 20, 30, 60, 120, poolSeconds} {
		if length > reach {
			break
		}
		var tally looked
		var sums [len(rates)]float64
		for i := range list {
			p := &list[i]
			if p.reach(h.now-length+1, &rates, speaks); p.n == 0 {
				continue
			}
			for k := range rates {
				sums[k] += p.ratios[k]
			}
			tally.members++
			tally.bad += p.bad
			if p.bad > 0 {
				tally.sick++
			}
		}
		for _, r := range sums {
			if r > out.suffix {
				out.suffix, out.bad, out.sick = r, tally.bad, tally.sick
			}
		}
		out.members = max(out.members, tally.members)
	}
	return out
}

// meanRatio is the log of the mean of two likelihood ratios.
func meanRatio(logs [2]float64) float64 {
	return math.Log((math.Exp(min(700, logs[0])) + math.Exp(min(700, logs[1]))) / 2)
}

// pooled is what one item shows in its newest seconds.
type pooled struct {
	*series
	from   int // point from which on they are counted
	tally  Tally
	n, bad float64
	ratios [poolRates]float64 // log likelihood ratio for each rate
}

// reach counts the seconds back to a second as well.
func (p *pooled) reach(second int64, rates *[poolRates]float64, speaks counted) {
	before := p.from
	for p.from > 0 && p.points[p.from-1].second >= second {
		p.from--
		p.tally.Add(&p.points[p.from].tally)
	}
	if p.from == before {
		return
	}
	if p.n, p.bad = speaks(&p.tally); p.n == 0 {
		return
	}
	for k, q := range rates {
		p.ratios[k] = p.track.ratio(p.n, p.bad, q)
	}
}
