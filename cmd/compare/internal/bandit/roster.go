package bandit

import (
	"fmt"
	"math/rand/v2"

	"github.com/sluice-pay/sluice/routing"
)

// Contestant is a policy with its parameters.
type Contestant struct {
	Name, Parameters string
	Extra            bool // not one of those that Sluice is held against: shown for comparison
	make             func(seed uint64) Policy
}

// Run decides the week of a world. An error is Sluice's: a decision failed.
func (c *Contestant) Run(w *World, volume int) (Outcome, error) {
	p := c.make(w.seed)
	out := w.Run(volume, p)
	if s, ok := p.(*sluice); ok {
		return out, s.err
	}
	return out, nil
}

// random is a policy's own source: payments and their luck do not hang on it.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0xba9d17)) } //nolint:gosec // it must be the same each time

// Sluice is the product's own ranking.
func Sluice() (Contestant, error) {
	plan, err := routing.CompilePlan(catalog(), nil)
	if err != nil {
		return Contestant{}, fmt.Errorf("compile the catalogue: %w", err)
	}
	return Contestant{Name: "Sluice", Parameters: "as shipped", make: func(seed uint64) Policy { return newSluice(plan, seed) }}, nil
}

// Rivals are the others, each with the parameters that did best over all volumes on the seeds of tuning (see Grids).
func Rivals() []Contestant {
	return []Contestant{
		newUniform(), newGreedy(0.01, 0.01), newUCB1(1), newSliding(0.01, 3000), newDiscounted(0.001, 2000), newThompson(4, 0),
		extra(newThompson(0.2, 2000)),
	}
}

// Grids are the parameters that tuning tries, by algorithm.
func Grids() [][]Contestant {
	var greedy, ucb1, sliding, discounted, thompson, dropping []Contestant
	for _, explore := range []float64{0.01, 0.02, 0.03, 0.05} {
		for _, step := range []float64{0.002, 0.005, 0.01, 0.02, 0.03} {
			greedy = append(greedy, newGreedy(explore, step))
		}
	}
	for _, width := range []float64{2, 1, 0.5, 0.3, 0.1} {
		ucb1 = append(ucb1, newUCB1(width))
	}
	for _, width := range []float64{0.001, 0.003, 0.01, 0.03} {
		for _, window := range []int{1000, 2000, 3000, 5000, 10000} {
			sliding = append(sliding, newSliding(width, window))
		}
	}
	for _, width := range []float64{0.001, 0.002, 0.003, 0.005, 0.01} {
		for _, memory := range []float64{1000, 2000, 3000, 5000, 10000} {
			discounted = append(discounted, newDiscounted(width, memory))
		}
	}
	for _, scale := range []float64{0.3, 1, 4, 10} {
		thompson = append(thompson, newThompson(scale, 0))
	}
	for _, scale := range []float64{0.2, 0.3, 0.5, 1} {
		for _, memory := range []float64{2000, 3000, 5000, 10000} {
			dropping = append(dropping, extra(newThompson(scale, memory)))
		}
	}
	return [][]Contestant{greedy, ucb1, sliding, discounted, thompson, dropping}
}

func extra(c Contestant) Contestant {
	c.Extra = true
	return c
}

func newUniform() Contestant {
	return Contestant{Name: "uniform", make: func(seed uint64) Policy { return &uniform{random(seed)} }}
}

func newGreedy(explore, step float64) Contestant {
	return Contestant{Name: "ε-greedy", Parameters: fmt.Sprintf("ε %g, step %g", explore, step), make: func(seed uint64) Policy {
		return &greedy{r: random(seed), explore: explore, step: step, value: [Channels]float64{0.9, 0.9, 0.9, 0.9, 0.9}}
	}}
}

func newUCB1(width float64) Contestant {
	return Contestant{Name: "UCB1", Parameters: fmt.Sprintf("width %g", width), make: func(uint64) Policy { return &ucb1{width: width} }}
}

func newSliding(width float64, window int) Contestant {
	return Contestant{Name: "sliding-window UCB", Parameters: fmt.Sprintf("ξ %g, window %d", width, window), make: func(uint64) Policy {
		return &sliding{width: width, last: make([]int8, window)}
	}}
}

func newDiscounted(width, memory float64) Contestant {
	return Contestant{Name: "discounted UCB", Parameters: fmt.Sprintf("ξ %g, γ 1 − 1/%g", width, memory), make: func(uint64) Policy {
		return &discounted{width: width, keep: 1 - 1/memory}
	}}
}

// newThompson discounts by 1 − 1/memory a payment; a memory of 0 keeps everything. The prior is worth ten results of 0.9.
func newThompson(scale, memory float64) Contestant {
	name, text, keep := "Thompson sampling", fmt.Sprintf("α %g", scale), 1.0
	if memory > 0 {
		name, text, keep = "discounted Thompson", fmt.Sprintf("α %g, γ 1 − 1/%g", scale, memory), 1-1/memory
	}
	return Contestant{Name: name, Parameters: text, make: func(seed uint64) Policy {
		return &thompson{r: random(seed), good: 9, bad: 1, scale: scale, keep: keep}
	}}
}
