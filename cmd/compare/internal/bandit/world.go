// Package bandit is a simulated week of payments over five channels, bandit algorithms that choose among them, and Sluice's own
// scorer and ranking beside them.
package bandit

import (
	"math"
	"math/rand/v2"
)

// Channels is how many channels a payment may take.
const Channels = 5

// A week, in the steps in which success rates and traffic change.
const (
	Week        = 7 * 24 * 3600 // seconds
	stepSeconds = 60
	steps       = Week / stepSeconds
	hour        = 3600.0
	day         = 24 * hour
)

// World is one week of five channels. Each has a success rate of its own that swings once a day, at an hour of its own. One
// of them, the best of the others on average, has an outage; another one starts badly and ends as the best of all. Traffic
// swings once a day as well.
type World struct {
	seed    uint64
	rates   [steps][Channels]float64
	best    [steps]float64
	traffic [steps]float64 // payments of a step, by those of an average one

	Starter, Out      int     // the slow starter, and the channel with the outage
	OutFrom, OutUntil float64 // seconds
}

// between draws evenly from a range.
func between(r *rand.Rand, low, high float64) float64 { return low + (high-low)*r.Float64() }

// NewWorld draws a week. The same seed gives the same week, whatever the volume.
func NewWorld(seed uint64) *World {
	r := rand.New(rand.NewPCG(seed, 0x5eed)) //nolint:gosec // it must be the same each time
	w := &World{seed: seed, Starter: r.IntN(Channels)}
	var base, swing, phase [Channels]float64
	w.Out = -1
	for c := range Channels {
		base[c], swing[c], phase[c] = between(r, 0.86, 0.96), between(r, 0.005, 0.03), between(r, 0, 2*math.Pi)
		if c != w.Starter && (w.Out < 0 || base[c] > base[w.Out]) {
			w.Out = c
		}
	}
	base[w.Starter] = min(0.97, base[w.Out]+between(r, 0.005, 0.02))
	begin, grown := between(r, 0.5, 0.85), between(r, 1.5*day, 3*day)
	w.OutFrom = between(r, 1*day, 6*day)
	w.OutUntil = w.OutFrom + between(r, 2*hour, 6*hour)
	left, peak := between(r, 0, 0.2), between(r, 0, 2*math.Pi)
	for s := range steps {
		at := float64(s) * stepSeconds
		angle := 2 * math.Pi * at / day
		w.traffic[s] = 1 + 0.6*math.Sin(angle+peak)
		for c := range Channels {
			p := base[c] + swing[c]*math.Sin(angle+phase[c])
			if c == w.Starter {
				p *= min(1, begin+(1-begin)*at/grown)
			}
			if c == w.Out && at >= w.OutFrom && at < w.OutUntil {
				p *= left
			}
			w.rates[s][c] = min(0.995, p)
			w.best[s] = max(w.best[s], w.rates[s][c])
		}
	}
	return w
}

// Rate is the success rate of a channel at a second of the week.
func (w *World) Rate(second float64, channel int) float64 {
	return w.rates[int(second)/stepSeconds][channel]
}

// Policy chooses channels and learns from results.
type Policy interface {
	// Choose returns the channel of the payment with the given number that comes at a second of the week.
	Choose(payment uint64, second float64) int
	// Learn tells how the payment that was chosen for last ended.
	Learn(second float64, channel int, succeeded bool)
}

// Outcome is what became of one week.
type Outcome struct {
	Payments int
	Failed   int
	Regret   float64 // expected failures beyond those of the channel that is best at each moment
	Chosen   [Channels]int
}

// Run decides a week of so many payments (on average). Payments, and the luck of each, are the same for every policy: a
// payment that succeeds on a channel succeeds on every better one as well.
func (w *World) Run(volume int, p Policy) Outcome {
	r := rand.New(rand.NewPCG(w.seed, uint64(volume))) //nolint:gosec // it must be the same each time
	var out Outcome
	gap := Week / float64(volume)
	for at := 0.0; ; {
		at += gap * r.ExpFloat64() / w.traffic[min(steps-1, int(at)/stepSeconds)]
		luck := r.Float64()
		if at >= Week {
			return out
		}
		s := int(at) / stepSeconds
		c := p.Choose(uint64(out.Payments), at) //nolint:gosec // not negative
		succeeded := luck < w.rates[s][c]
		out.Payments++
		out.Chosen[c]++
		out.Regret += w.best[s] - w.rates[s][c]
		if !succeeded {
			out.Failed++
		}
		p.Learn(at, c, succeeded)
	}
}
