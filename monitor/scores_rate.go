package monitor

import (
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

// A success rate is learned at several paces at once. Each level forgets at its own pace, and its results (without those of
// the quicker levels) are a sample around what the slower level says; the slowest around what the channel says, the channel's
// around what all channels say. Each step is a normal approximation to Bayesian shrinkage: the slower estimate counts as so
// many results as its own error and the usual change between the two levels amount to. Where results are many, the quick
// levels decide and follow the hours; where they are few, the slow ones and the pool do. No setting depends on the volume.
const (
	numLevels  = 3
	priorRate  = 0.9 // of a channel of which nothing is known, among channels of which nothing is known
	priorCount = 10  // results that it weighs
	poolCount  = 100 // most results that one channel weighs in the mean of all
	poolSpread = 50  // results that the mean of all may weigh against a channel's own: how much channels differ
	itemSpread = 200 // the same of a channel against one of its instruments
	leastVar   = 0.02
)

// levelLife are the mean lives (seconds) of results in each level, levelSpread how many results the next slower level may
// weigh against it: the variance of one result by the variance of the usual change between the levels.
var (
	levelLife   = [numLevels]float64{3600, 6 * 3600, 36 * 3600} //nolint:gochecknoglobals // read-only table
	levelSpread = [numLevels]float64{50, 50, math.MaxFloat64}   //nolint:gochecknoglobals // read-only table
)

// ladder holds discounted results at every pace; level 0 is the quickest.
type ladder struct {
	n, good [numLevels]float64
	at      int64 // second it is discounted to
}

// restored is a ladder that says about what was published. How many of its results were of the last hour is seen by how certain
// the rate was.
func restored(p *Score, at int64) ladder {
	l, rate, samples := ladder{at: at}, p.SuccessRate.Fraction(), float64(p.Samples)
	spread := max(1, float64(p.Deviation)) / float64(statemachine.FullShare) / sharpen
	quick := min(samples, max(0, max(leastVar, rate*(1-rate))/(spread*spread)-levelSpread[0]/2))
	for i := range l.n {
		l.n[i] = max(quick, samples*levelLife[i]/levelLife[numLevels-1])
		l.good[i] = rate * l.n[i]
	}
	return l
}

// age discounts up to a second.
func (l *ladder) age(second int64) {
	d := float64(second - l.at)
	if d <= 0 {
		return
	}
	l.at = second
	for i := range l.n {
		if l.n[i] == 0 && l.good[i] == 0 {
			continue
		}
		keep := math.Exp(-d / levelLife[i])
		l.n[i] *= keep
		l.good[i] *= keep
	}
}

// add counts results of a second. A correction may be negative; what is known never is.
func (l *ladder) add(second int64, good, n float64) {
	if n == 0 && good == 0 {
		return
	}
	l.age(second)
	for i := range l.n {
		l.n[i] = max(0, l.n[i]+n)
		l.good[i] = min(l.n[i], max(0, l.good[i]+good))
	}
}

// remove takes back results that were added at a second; the ladder has been aged since.
func (l *ladder) remove(second int64, good, n float64) {
	d := float64(l.at - second)
	for i := range l.n {
		keep := math.Exp(-d / levelLife[i])
		l.n[i] = max(0, l.n[i]-n*keep)
		l.good[i] = min(l.n[i], max(0, l.good[i]-good*keep))
	}
}

// without is the ladder less another one, of which it is a sum.
func (l *ladder) without(o *ladder) ladder {
	out := *l
	for i := range out.n {
		out.n[i] = max(0, l.n[i]-o.n[i])
		out.good[i] = min(out.n[i], max(0, l.good[i]-o.good[i]))
	}
	return out
}

// samples are the results behind a ladder, discounted at the slowest pace.
func (l *ladder) samples() float64 { return l.n[numLevels-1] }

// belief is a rate and how many results it is worth.
type belief struct{ rate, n float64 }

// weakened is the belief about something that may differ from what it is about by as much as one result in spread.
func (b belief) weakened(spread float64) belief { return belief{b.rate, 1 / (1/b.n + 1/spread)} }

// under is what the ladder says, given what is believed without it.
func (l *ladder) under(b belief) belief {
	for i := numLevels - 1; i >= 0; i-- {
		n, good := l.n[i], l.good[i]
		if i > 0 {
			n, good = max(0, n-l.n[i-1]), max(0, good-l.good[i-1])
		}
		b = b.weakened(levelSpread[i])
		b = belief{(b.rate*b.n + min(good, n)) / (b.n + n), b.n + n}
	}
	return b
}

// sharpen is the part of the standard error that exploration draws with. Drawing with all of it tries channels that are
// known to be worse more often than pays (Chapelle and Li 2011 sharpen their posterior likewise).
const sharpen = 0.36

// deviation is what exploration draws the rate with: a part of its standard error.
func (b belief) deviation() float64 { return sharpen * math.Sqrt(max(leastVar, b.rate*(1-b.rate))/b.n) }

// share rounds a rate.
func share(x float64) statemachine.Share { return statemachine.ShareOf(min(1, max(0, x))) }
