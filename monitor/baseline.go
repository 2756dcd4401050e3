package monitor

import "math"

const (
	learnedCap   = 50_000 // results a baseline remembers: older ones fade
	priorResults = 200    // results that the wider item's rate counts for, beside an item's own
	coldResults  = 100    // results below which an item is cold
	normalFloor  = 0.005  // no item is taken to be better than this
	coldPrior    = 2.5    // but not further than so many times the wider item's rate
	upperErrors  = 1.64   // standard errors above the estimate: one-sided 95 %
	upperSpread  = 1.5    // standard deviations of a wandering rate above its mean
	spreadMemory = 300    // minutes after which the measure of wandering has faded to 1/e
	outlier      = 9      // squared deviations by chance that a minute counts for at most
	riseAnHour   = 1.2    // factor by which a learned rate may grow in an hour
	riseResults  = 5000   // results from which on this is enforced: fewer move by chance
)

// expectation is what a stream of results may be before it was seen.
type expectation struct {
	prior float64 // failure rate of a channel that nobody has seen yet
	cold  float64 // a cold item's failures are taken for normal at least up to this rate
	ceil  float64 // and nothing beyond this: a fault that creeps in must not become normal
}

// Results fail rarely; of attempts, any part may be given up before it begins.
var (
	resultsExpected = expectation{prior: 0.02, cold: 0.04, ceil: 0.3} //nolint:gochecknoglobals // read-only
	silenceExpected = expectation{prior: 0.1, cold: 0.3, ceil: 0.6}   //nolint:gochecknoglobals // read-only
)

// baseline learns the failure rate that is normal for an item, from whole minutes. A minute is believed one minute late, and
// only if the item was not suspected meanwhile: a fault must not teach that failing is normal. It is the same whether the
// rate is high or low: learning only while all is calm would learn that nothing ever fails.
type baseline struct {
	n, bad   float64 // believed results, and the bad ones among them; n ≤ learnedCap
	run      minuteCount
	pending  minuteCount
	spread   spread
	hour     float64 // rate at the beginning of the hour
	hourEnds int64   // 0 = not enforced yet
}

// minuteCount is what a minute held.
type minuteCount struct{ n, bad float64 }

// spread measures how much more the rate of a minute varies than chance alone would have it.
type spread struct {
	square  float64 // Σ (bad − n·p)²
	chance  float64 // Σ n·p·(1 − p): what the squares sum up to by chance
	mean    float64 // Σ (n·p)²
	doubt   float64 // Σ variance of the squares
	minutes float64
}

func (b *baseline) add(n, bad float64) {
	b.run.n += n
	b.run.bad += bad
}

// roll ends a minute. prior is the rate of the wider item, suspected says that the item may be failing: what is pending waits.
func (b *baseline) roll(now int64, prior float64, suspected bool) {
	if suspected {
		b.pending.n += b.run.n
		b.pending.bad += b.run.bad
		b.run = minuteCount{}
		return
	}
	if b.run.n > 0 { // what came under suspicion, in one lump, is no measure of wandering
		b.spread.add(b.run, b.rate(prior))
	}
	b.believe(b.pending, now)
	b.pending, b.run = b.run, minuteCount{}
}

// believe takes a minute into the baseline.
func (b *baseline) believe(m minuteCount, now int64) {
	if m.n <= 0 {
		return
	}
	before := b.bad / max(1, b.n)
	if b.n < riseResults { // not enforced yet
		before = math.Inf(1)
	}
	b.n += m.n
	b.bad += m.bad
	if b.n > learnedCap {
		b.bad *= learnedCap / b.n
		b.n = learnedCap
	}
	if b.n < riseResults {
		return
	}
	rate := b.bad / b.n
	if now >= b.hourEnds {
		b.hour, b.hourEnds = min(before, rate), now+3600
	}
	if most := max(normalFloor, b.hour) * riseAnHour; rate > most {
		b.bad = most * b.n
	}
}

// drop forgets the minutes that are not believed yet.
func (b *baseline) drop() { b.run, b.pending = minuteCount{}, minuteCount{} }

// rate is the learned failure rate, with the prior for what is missing.
func (b *baseline) rate(prior float64) float64 {
	return (b.bad + prior*priorResults) / (b.n + priorResults)
}

// normal is the upper end of what is normal: the learned rate, its error and its wandering, between normalFloor and
// the ceiling. The detector's false-alarm budget holds for every true rate up to it (the likelihood ratio is then a
// supermartingale), so it need not be exact, only high enough.
func (b *baseline) normal(prior float64, x *expectation) float64 {
	p := b.rate(prior)
	up := p + upperErrors*math.Sqrt(p*(1-p)/(b.n+priorResults)) + upperSpread*p*b.spread.relative()
	if b.n < coldResults {
		up = max(up, min(x.cold, coldPrior*prior))
	}
	return min(x.ceil, max(normalFloor, up))
}

func (s *spread) add(m minuteCount, p float64) {
	const keep = 1 - 1.0/spreadMemory
	expected := m.n * p
	// A minute that stands out is more likely a fault that nobody noticed than the way the rate wanders.
	// A single failure never does.
	square := min((m.bad-expected)*(m.bad-expected), max(1, outlier*expected*(1-p)))
	s.square = s.square*keep + square
	s.chance = s.chance*keep + expected*(1-p)
	s.mean = s.mean*keep + expected*expected
	s.doubt = s.doubt*keep + expected + 2*expected*expected
	s.minutes = s.minutes*keep + 1
}

// relative is the standard deviation of the rate itself over its mean, 0 unless two standard errors of the estimate speak
// for more than chance, and at most 1.5.
func (s *spread) relative() float64 {
	const minutes, failures, most = 30, 10, 1.5
	if s.minutes < minutes || s.chance < failures {
		return 0
	}
	return min(most, math.Sqrt(max(0, (s.square-s.chance-2*math.Sqrt(s.doubt))/s.mean)))
}
