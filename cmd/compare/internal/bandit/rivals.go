package bandit

import (
	"math"
	"math/rand/v2"
)

// uniform spreads payments evenly.
type uniform struct{ r *rand.Rand }

func (u *uniform) Choose(uint64, float64) int { return u.r.IntN(Channels) }
func (u *uniform) Learn(float64, int, bool)   {}

// first returns the channel with the greatest value; of equal ones the first after a start that moves on.
func first(value *[Channels]float64, start int) int {
	best := start
	for i := 1; i < Channels; i++ {
		if c := (start + i) % Channels; value[c] > value[best] {
			best = c
		}
	}
	return best
}

// greedy is ε-greedy (Sutton and Barto 2018, sections 2.2 to 2.5): the channel with the best estimate, but with probability
// explore any. Estimates move by a constant step, so that older results weigh less; they begin at start.
type greedy struct {
	r             *rand.Rand
	explore, step float64
	value         [Channels]float64
}

func (g *greedy) Choose(n uint64, _ float64) int {
	if g.r.Float64() < g.explore {
		return g.r.IntN(Channels)
	}
	return first(&g.value, int(n%Channels))
}

func (g *greedy) Learn(_ float64, c int, ok bool) { g.value[c] += g.step * (reward(ok) - g.value[c]) }

func reward(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

// ucb1 is UCB1 (Auer, Cesa-Bianchi and Fischer 2002): mean + sqrt(width · ln t / n); the paper's width is 2.
type ucb1 struct {
	width float64
	t     float64
	n, s  [Channels]float64
}

func (u *ucb1) Choose(uint64, float64) int { return upper(u.width*math.Log(u.t), &u.n, &u.s) }

// upper returns the channel with the greatest mean + sqrt(bonus / n); one without results comes first.
func upper(bonus float64, n, s *[Channels]float64) int {
	best, most := 0, math.Inf(-1)
	for c := range Channels {
		if n[c] < 1e-9 {
			return c
		}
		if v := s[c]/n[c] + math.Sqrt(bonus/n[c]); v > most {
			best, most = c, v
		}
	}
	return best
}

func (u *ucb1) Learn(_ float64, c int, ok bool) {
	u.t++
	u.n[c]++
	u.s[c] += reward(ok)
}

// sliding is sliding-window UCB (Garivier and Moulines 2011): UCB over the last window payments, with the bonus
// sqrt(width · ln min(t, window) / n).
type sliding struct {
	width float64
	last  []int8 // 2·channel + success, a ring
	t     int
	n, s  [Channels]float64
}

func (u *sliding) Choose(uint64, float64) int {
	return upper(u.width*math.Log(float64(min(u.t, len(u.last)))), &u.n, &u.s)
}

func (u *sliding) Learn(_ float64, c int, ok bool) {
	at := &u.last[u.t%len(u.last)]
	if u.t >= len(u.last) {
		u.n[*at/2]--
		u.s[*at/2] -= float64(*at & 1)
	}
	*at = int8(2*c + int(reward(ok))) //nolint:gosec // at most 9
	u.t++
	u.n[c]++
	u.s[c] += reward(ok)
}

// discounted is discounted UCB (Kocsis and Szepesvári 2006; Garivier and Moulines 2011): results lose weight with every
// payment, by the factor keep; the bonus is 2·sqrt(width · ln Σn / n).
type discounted struct {
	width, keep float64
	n, s        [Channels]float64
}

func (u *discounted) Choose(uint64, float64) int {
	total := 0.0
	for _, n := range u.n {
		total += n
	}
	return upper(4*u.width*math.Log(max(1, total)), &u.n, &u.s)
}

func (u *discounted) Learn(_ float64, c int, ok bool) {
	for i := range Channels {
		u.n[i] *= u.keep
		u.s[i] *= u.keep
	}
	u.n[c]++
	u.s[c] += reward(ok)
}

// thompson is Thompson sampling with Beta posteriors (Thompson 1933; Chapelle and Li 2011), whose width is scaled by
// dividing both counts by scale (their α), and with keep < 1 its discounted form (Raj and Kalyani 2017).
type thompson struct {
	r              *rand.Rand
	good, bad      float64 // of the prior
	scale, keep    float64
	success, fails [Channels]float64
}

func (t *thompson) Choose(uint64, float64) int {
	best, most := 0, -1.0
	for c := range Channels {
		a, b := gamma(t.r, (t.success[c]+t.good)/t.scale), gamma(t.r, (t.fails[c]+t.bad)/t.scale)
		if v := a / (a + b); v > most {
			best, most = c, v
		}
	}
	return best
}

func (t *thompson) Learn(_ float64, c int, ok bool) {
	if t.keep < 1 {
		for i := range Channels {
			t.success[i] *= t.keep
			t.fails[i] *= t.keep
		}
	}
	if ok {
		t.success[c]++
	} else {
		t.fails[c]++
	}
}

// gamma draws from the gamma distribution of a shape and scale 1 (Marsaglia and Tsang 2000).
func gamma(r *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(r, shape+1) * math.Pow(1-r.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		u := 1 - r.Float64()
		if u < 1-0.0331*x*x*x*x || math.Log(u) < 0.5*x*x+d*(1-v+math.Log(v)) {
			return d * v
		}
	}
}
