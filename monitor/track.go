package monitor

import (
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	designs       = 5             // failure rates that a track tests for at once
	designRatio   = 1.3           // a design rate closer to the normal one tells nothing
	leastDesign   = 0.06          // the lowest design rate
	thresholdMin  = 7             // log of the statistic that an alarm takes at least
	coolThreshold = 1.5           // a CUSUM grows to so many thresholds, or it would take thousands of successes to drain
	suspectPart   = 0.5           // part of the threshold at which an item is suspected, and nothing is learned
	mostPower     = 1 << 16       // results of a second up to which powers are taken by squares
	leadPart      = 0.6           // part of the threshold that the CUSUM must reach beside an alarm
	secondsADay   = 86_400        // seconds
	leastADay     = 100           // seconds with results a day that the budget counts at least
	memory        = 10 * 60       // seconds over which the traffic is averaged
	staleAfter    = 45 * 60       // seconds after which evidence weighs half
	budgetScale   = 200           // false-alarm budget in days of a channel with one result a second
	budgetLeast   = 15            // days
	budgetUsual   = 30            // days up to which it grows with the traffic, not with its square
	budgetMost    = 1000          // days
	budgetPart    = 5             // a channel's other items get so many times its budget
	partLeast     = 450           // days, of these
	probationRisk = math.Ln10 * 2 // log of the inverse risk of a false alarm during a probation: 1 %
)

// designRates are the failure rates tested for, besides three times the normal one.
var designRates = [designs - 1]float64{0.1, 0.2, 0.5, 0.98} //nolint:gochecknoglobals // read-only table

// designWeights are the parts of the designs in the mixture; they sum to their number. What fails half or wholly is told in a few
// results, and by one more in place of chance; what is mild takes hundreds, and comes late or never.
var designWeights = [designs]float64{1.25, 1.25, 1.25, 0.75, 0.5} //nolint:gochecknoglobals // read-only table

// track is the sequential test of one item. For each design rate q of weight v it keeps the Shiryaev-Roberts statistic
// R ← (R + v)·Λ and the CUSUM W ← max(0, W + ln Λ), where Λ is the likelihood ratio of a closed second with n results, f of
// them bad: (q/p)^f · ((1−q)/(1−p))^(n−f), p the upper end of the normal rate. ΣR/designs minus the number of seconds is a
// martingale at p and a supermartingale below, so the mean number of seconds with results between two false alarms is at
// least e^threshold (Pollak 1985; Shin, Ramdas, Rinaldo, e-detectors). W tells since when the item fails, and which design
// leads.
type track struct {
	expects *expectation
	base    baseline
	prior   float64 // rate of the wider item
	normal  float64
	ok      [designs]float64 // ln (1−q)/(1−p), what a good result says; zero for a design that is not used
	factor  [designs]float64 // e^ok
	sr, w   [designs]float64
	since   [designs]int64 // second in which W left zero, where it is not zero
	crossed int64          // second in which the running alarm began, 0 = none
	ended   int64          // second in which the fault seemed to have ended, 0 = it lasts
	well    int64          // the newest of these, whatever came since

	threshold float64 // log of the statistic that is an alarm
	limit     float64 // the same for the sum of sr
	traffic   traffic
}

// traffic averages an item's results over ten minutes.
type traffic struct {
	results, active, seconds float64
	rate                     float64 // results a second at the end of the last minute
}

func newTrack(x *expectation) track {
	t := track{expects: x}
	t.aim(math.Log(secondsADay * budgetUsual))
	t.tune(x.prior)
	return t
}

// aim sets the threshold.
func (t *track) aim(threshold float64) {
	t.threshold, t.limit = threshold, designs*math.Exp(threshold)
}

// alarms reports whether the statistic is over the threshold.
func (t *track) alarms() bool { return t.sum() >= t.limit }

// sum is that of the Shiryaev-Roberts statistics.
func (t *track) sum() (sum float64) {
	for _, r := range t.sr {
		sum += r
	}
	return sum
}

// highest is the greatest CUSUM.
func (t *track) highest() (most float64) {
	for _, w := range t.w {
		if w > most { // none is NaN: the built-in max is slower
			most = w
		}
	}
	return most
}

// calm reports whether there is neither an alarm nor suspicion.
func (t *track) calm() bool {
	return !t.alarms() && t.highest() < suspectPart*t.threshold
}

// tune computes the weights of a result anew.
func (t *track) tune(prior float64) {
	t.prior = prior
	t.normal = t.base.normal(prior, t.expects)
	for i, q := range designsFor(t.normal) {
		if q == 0 {
			t.ok[i], t.factor[i], t.w[i], t.sr[i] = 0, 0, 0, 0
			continue
		}
		t.ok[i] = math.Log((1 - q) / (1 - t.normal))
		t.factor[i] = math.Exp(t.ok[i])
	}
}

// observe takes the results of one closed second, and reports whether the item is calm then.
func (t *track) observe(second int64, n, bad float64) (calm bool) {
	t.base.add(n, bad)
	t.traffic.results += n
	t.traffic.active++
	if whole := uint(n); bad == 0 && float64(whole) == n && n <= mostPower {
		return t.good(n, whole)
	}
	most := coolThreshold * t.threshold
	alarm := t.limit / designs
	highest := alarm * math.Sqrt(alarm) // e^most
	for i, q := range designsFor(t.normal) {
		if q == 0 {
			continue
		}
		if t.w[i] == 0 {
			t.since[i] = second
		}
		llr := bad*math.Log(q/t.normal) + (n-bad)*t.ok[i]
		t.w[i] = min(most, max(0, t.w[i]+llr))
		t.sr[i] = min(highest, (t.sr[i]+designWeights[i])*math.Exp(min(llr, most)))
	}
	return t.calm()
}

// good takes a second without a failure: nearly every one is, and it needs no exponential.
func (t *track) good(n float64, whole uint) (calm bool) {
	sum, most := 0.0, 0.0
	for i := range designs {
		ok := t.ok[i]
		if ok == 0 {
			continue
		}
		if w := t.w[i]; w != 0 { // nothing lifts it from zero
			t.w[i] = max(0, w+n*ok)
			most = max(most, t.w[i])
		}
		r := (t.sr[i] + designWeights[i]) * power(t.factor[i], whole)
		t.sr[i] = r
		sum += r
	}
	return sum < t.limit && most < suspectPart*t.threshold
}

// power is x to a whole number, by squares.
func power(x float64, n uint) float64 {
	y := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			y *= x
		}
		x *= x
	}
	return y
}

// roll ends a minute: learn, unless the item's channel is suspected, forget a little, and set the threshold by the traffic.
func (t *track) roll(now int64, prior, budgetDays float64, suspected bool) {
	const fade = 60.0 / memory
	t.base.roll(now, prior, suspected)
	t.tune(prior)
	t.traffic.seconds += 60
	day := secondsADay * min(1, t.traffic.active/t.traffic.seconds)
	t.aim(max(thresholdMin, math.Log(max(leastADay, day)*budgetDays)))
	t.traffic.rate = t.traffic.results / t.traffic.seconds
	keep := 1 - fade
	t.traffic.results *= keep
	t.traffic.active *= keep
	t.traffic.seconds *= keep
	half := math.Exp2(-60.0 / max(staleAfter, 20/max(t.perSecond(), 1e-6)))
	for i := range designs {
		t.sr[i] *= half
		t.w[i] *= half
	}
}

// perSecond is the results a second of the last ten minutes.
func (t *track) perSecond() float64 {
	if t.traffic.seconds == 0 {
		return t.traffic.results / 60 // its first minute
	}
	return t.traffic.rate
}

// budget is the days between false alarms of a channel with so many results a second, and of each of its other items. A false cut
// costs payments in proportion to the traffic, a late one costs the same number at any; so the busier, the stricter. Of a quiet
// channel only itself is allowed more: it has many parts, and few of its faults are one part's.
func budget(p *statemachine.Policy, perSecond float64) (channel, part float64) {
	if p.FalseAlarmDays > 0 {
		return p.FalseAlarmDays, budgetPart * p.FalseAlarmDays
	}
	channel = min(budgetUsual, budgetScale*perSecond)
	channel = min(budgetMost, max(budgetLeast, channel, budgetScale*perSecond*perSecond))
	return channel, max(partLeast, budgetPart*channel)
}

// statistic is the log of the weighted mean of the designs' Shiryaev-Roberts statistics.
func (t *track) statistic() float64 {
	sum := t.sum()
	if sum <= 0 {
		return 0
	}
	return math.Log(sum / designs)
}

// suspicion is the greatest CUSUM in parts of the threshold.
func (t *track) suspicion() float64 {
	return t.highest() / t.threshold
}

// leads reports whether the CUSUM supports an alarm: it is what stored evidence can be checked against.
func (t *track) leads(threshold float64) bool {
	return t.highest() >= leadPart*threshold
}

// explained is the greatest log likelihood ratio of results over the designs.
func (t *track) explained(n, bad float64) float64 { return explained(n, bad, t.normal) }

func explained(n, bad, normal float64) float64 {
	best := 0.0
	for _, q := range designsFor(normal) {
		if q > 0 {
			best = max(best, statemachine.Odds(n, bad, q, normal))
		}
	}
	return best
}

// designsFor are the rates tested for against a normal one, 0 where one is too close to it.
func designsFor(normal float64) [designs]float64 {
	rates := [designs]float64{min(max(3*normal, leastDesign), designRates[designs-2])}
	copy(rates[1:], designRates[:])
	for i, q := range rates {
		if q < designRatio*normal {
			rates[i] = 0
		}
	}
	return rates
}

// began is the second in which the leading design left zero: where the fault most likely began. 0 without suspicion.
func (t *track) began() int64 {
	lead := 0
	for i := range designs {
		if t.w[i] > t.w[lead] {
			lead = i
		}
	}
	if t.w[lead] == 0 {
		return 0
	}
	return t.since[lead]
}

// reset forgets the evidence, and the minutes that are not believed yet: what they showed was dealt with, or was not the
// item's fault.
func (t *track) reset() {
	t.sr, t.w, t.since, t.crossed, t.ended = [designs]float64{}, [designs]float64{}, [designs]int64{}, 0, 0
	t.base.drop()
}

// ratio is the log likelihood ratio of results at a failure rate of q, or 1.5 times the normal one if that is more, against
// the normal one.
func (t *track) ratio(n, bad, q float64) float64 {
	return logRatio(n, bad, q, t.normal)
}

func logRatio(n, bad, q, p float64) float64 {
	return statemachine.Odds(n, bad, min(0.99, max(q, 1.5*p)), p)
}
