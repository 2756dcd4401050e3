package bandit

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Mean is the mean of values.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Ratio is the mean of own by that of other, of the same weeks, with the ends of its 95 % interval: the percentile bootstrap
// over weeks (Efron 1979), which keeps the pairs together. The same values give the same interval.
func Ratio(own, other []float64) (ratio, low, high float64) {
	return Overall([][]float64{own}, [][]float64{other})
}

// Overall is the ratio of Loss, own by other, with the ends of its 95 % interval.
func Overall(own, other [][]float64) (ratio, low, high float64) {
	const draws = 10_000
	r := rand.New(rand.NewPCG(1979, uint64(len(own[0])))) //nolint:gosec // it must be the same each time
	ratios := make([]float64, draws)
	for i := range ratios {
		sum := 0.0
		for v := range own {
			a, b := 0.0, 0.0
			mine, theirs := own[v], other[v]
			for range mine {
				k := r.IntN(len(mine))
				a, b = a+mine[k], b+theirs[k]
			}
			sum += math.Log(a / b)
		}
		ratios[i] = math.Exp(sum / float64(len(own)))
	}
	slices.Sort(ratios)
	return Loss(own) / Loss(other), ratios[draws*25/1000], ratios[draws*975/1000]
}

// Loss is what tuning makes small: the geometric mean over volumes of the mean regret, so that every volume counts alike.
func Loss(byVolume [][]float64) float64 {
	sum := 0.0
	for _, regrets := range byVolume {
		sum += math.Log(Mean(regrets))
	}
	return math.Exp(sum / float64(len(byVolume)))
}
