package bandit

import (
	"math"
	"math/rand/v2"
	"testing"
)

// always chooses one channel; clairvoyant the best at each moment.
type always int

func (a always) Choose(uint64, float64) int { return int(a) }
func (always) Learn(float64, int, bool)     {}

type clairvoyant struct{ w *World }

func (c clairvoyant) Choose(_ uint64, at float64) int {
	best := 0
	for i := range Channels {
		if c.w.Rate(at, i) > c.w.Rate(at, best) {
			best = i
		}
	}
	return best
}
func (clairvoyant) Learn(float64, int, bool) {}

func TestWorld(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := NewWorld(seed)
		if w.Out == w.Starter || w.OutFrom < day || w.OutUntil > Week {
			t.Fatalf("seed %d: channel %d is out from %.0f to %.0f, %d starts slowly", seed, w.Out, w.OutFrom, w.OutUntil, w.Starter)
		}
		if in := w.Rate((w.OutFrom+w.OutUntil)/2, w.Out); in > 0.25 {
			t.Errorf("seed %d: %.2f of the payments succeed in the outage", seed, in)
		}
		if first, last := w.Rate(0, w.Starter), w.Rate(Week-1, w.Starter); first > 0.9 || last < 0.85 {
			t.Errorf("seed %d: the slow starter goes from %.2f to %.2f", seed, first, last)
		}
		for c := range Channels {
			low, high := 1.0, 0.0
			for hourOfDay := range 24 {
				p := w.Rate(6.2*day+float64(hourOfDay)*600, c)
				low, high = min(low, p), max(high, p)
			}
			if high > 1 || low < 0 || high-low < 1e-6 {
				t.Errorf("seed %d: channel %d between %.3f and %.3f", seed, c, low, high)
			}
		}
	}
}

func TestRegretIsWhatTheBestChannelWouldHaveWon(t *testing.T) {
	t.Parallel()
	w := NewWorld(7)
	best := w.Run(20_000, clairvoyant{w})
	if best.Regret > 1e-6 {
		t.Errorf("the clairvoyant regrets %g", best.Regret)
	}
	again := w.Run(20_000, clairvoyant{w})
	if again != best {
		t.Errorf("the same week twice: %+v and %+v", best, again)
	}
	if d := math.Abs(float64(best.Payments)-20_000) / 20_000; d > 0.05 {
		t.Errorf("%d payments, want about 20,000", best.Payments)
	}
	for c := range Channels {
		out := w.Run(20_000, always(c))
		if out.Payments != best.Payments || out.Chosen[c] != out.Payments {
			t.Errorf("channel %d met other payments: %+v", c, out)
		}
		if more := float64(out.Failed - best.Failed); more < 0 || math.Abs(more-out.Regret) > 0.15*out.Regret+40 {
			t.Errorf("channel %d: %g more failures, regret %.0f", c, more, out.Regret)
		}
	}
}

// Each algorithm finds the better of two channels that never change, and one that forgets follows when they change places.
func TestRivalsLearn(t *testing.T) {
	t.Parallel()
	for _, c := range []Contestant{newGreedy(0.05, 0.01), newUCB1(0.5), newSliding(0.03, 1000), newDiscounted(0.01, 1000), newThompson(1, 0), newThompson(1, 1000)} {
		r := rand.New(rand.NewPCG(3, 4))
		p := c.make(1)
		play := func(good, n int) (chosen int) {
			for i := range n {
				k := p.Choose(uint64(i), 0)
				rate := 0.6
				if k == good {
					rate = 0.9
				}
				p.Learn(0, k, r.Float64() < rate)
				if k == good {
					chosen++
				}
			}
			return chosen
		}
		if play(3, 4000); play(3, 1000) < 700 {
			t.Errorf("%s %s does not find the best channel", c.Name, c.Parameters)
		}
		if c.Name == "UCB1" || c.Name == "Thompson sampling" {
			continue // they never forget
		}
		if play(1, 6000); play(1, 1000) < 700 {
			t.Errorf("%s %s does not follow when another one is best", c.Name, c.Parameters)
		}
	}
}

func TestGammaHasItsMeanAndVariance(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, shape := range []float64{0.3, 1, 4.5, 200} {
		const n = 200_000
		sum, square := 0.0, 0.0
		for range n {
			x := gamma(r, shape)
			sum, square = sum+x, square+x*x
		}
		mean := sum / n
		if variance := square/n - mean*mean; math.Abs(mean/shape-1) > 0.02 || math.Abs(variance/shape-1) > 0.05 {
			t.Errorf("shape %g: mean %.3f, variance %.3f", shape, mean, variance)
		}
	}
}

func TestSlidingWindowHoldsTheLastPayments(t *testing.T) {
	t.Parallel()
	u := &sliding{width: 0.1, last: make([]int8, 100)}
	r := rand.New(rand.NewPCG(7, 8))
	var last []int8
	for range 1000 {
		c, ok := r.IntN(Channels), r.IntN(2) == 1
		u.Learn(0, c, ok)
		last = append(last, int8(2*c+int(reward(ok))))
	}
	var n, s [Channels]float64
	for _, x := range last[len(last)-100:] {
		n[x/2]++
		s[x/2] += float64(x & 1)
	}
	if n != u.n || s != u.s {
		t.Errorf("window holds %v of %v, want %v of %v", u.s, u.n, s, n)
	}
}

// Sluice's own scorer and ranking lose far fewer payments than chance.
func TestSluiceRanks(t *testing.T) {
	t.Parallel()
	own, err := Sluice()
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld(11)
	out, err := own.Run(w, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	again, err := own.Run(w, 20_000)
	if err != nil || again != out {
		t.Errorf("the same week gave %+v and %+v (%v)", out, again, err)
	}
	chance := newUniform()
	random, _ := chance.Run(w, 20_000)
	if out.Regret > 0.4*random.Regret {
		t.Errorf("regret %.0f, by chance %.0f", out.Regret, random.Regret)
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	var own, other []float64
	for range 50 {
		x := 100 + 50*r.Float64()
		own, other = append(own, 0.8*x*(0.95+0.1*r.Float64())), append(other, x)
	}
	ratio, low, high := Ratio(own, other)
	if math.Abs(ratio-0.8) > 0.02 || low > ratio || high < ratio || high-low > 0.05 {
		t.Errorf("%.3f from %.3f to %.3f, want about 0.8: weeks are paired", ratio, low, high)
	}
	if loss := Loss([][]float64{{10, 10}, {1000, 1000}}); math.Abs(loss-100) > 1e-9 {
		t.Errorf("loss %g, want the geometric mean 100", loss)
	}
}
