package simulate

import (
	"math"
	"math/rand/v2"
	"time"
)

// purpose separates random streams, so that drawing more for one purpose changes no other.
type purpose uint64

const (
	forArrival purpose = iota + 1
	forPayment
	forAttempt
	forWander
)

// draws gives random numbers by address: the same seed, purpose, stream and number give the same draws, in whatever
// order they are asked for. It is one generator that is seeded anew for each address.
type draws struct {
	seed uint64
	pcg  rand.PCG
	rng  *rand.Rand
}

func newDraws(seed uint64) *draws {
	d := &draws{seed: seed}
	d.rng = rand.New(&d.pcg) //nolint:gosec // a simulation must be repeatable
	return d
}

// of seeds the generator for one address.
func (d *draws) of(p purpose, stream, number uint64) *rand.Rand {
	d.pcg.Seed(mix(d.seed^mix(uint64(p)<<32|stream)), mix(number))
	return d.rng
}

// natural converts an index, a count or a duration that is never negative.
func natural[T ~int | ~int64](n T) uint64 {
	return uint64(n)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw returns a duration of the spread for a standard normal z.
func (s *Spread) draw(z float64) time.Duration {
	if s.sigma == 0 {
		return s.P50
	}
	return time.Duration(float64(s.P50) * math.Exp(s.sigma*z))
}

// arrivals draws the instants of one stream: a Poisson process thinned to the shape.
type arrivals struct {
	stream *Stream
	rng    *rand.Rand
	start  time.Time
	run    time.Duration
	at     time.Duration
}

func newArrivals(s *Scenario, stream int, seed uint64) *arrivals {
	src := rand.NewPCG(mix(seed^mix(uint64(forArrival)<<32|natural(stream))), 0)
	return &arrivals{
		stream: &s.Traffic[stream], start: s.Start, run: s.Duration,
		rng: rand.New(src), //nolint:gosec // a simulation must be repeatable
	}
}

// next returns the next arrival, false at the end of the run.
func (a *arrivals) next() (time.Duration, bool) {
	most := a.stream.Rate * a.stream.Shape.most()
	for {
		gap := a.rng.ExpFloat64() / most
		if gap > (a.run - a.at).Seconds() {
			return 0, false
		}
		a.at += time.Duration(gap * float64(time.Second))
		x := a.rng.Float64() * most / a.stream.Rate
		if x <= a.stream.Shape.bound(a.at) && x <= a.stream.Shape.at(a.at, a.start, a.run) && a.at < a.run {
			return a.at, true
		}
	}
}
