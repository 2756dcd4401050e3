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
	const draws = 10_000
	r := rand.New(rand.NewPCG(1979, uint64(len(own)))) //nolint:gosec // it must be the same each time
	ratios := make([]float64, draws)
	for i := range ratios {
		a, b := 0.0, 0.0
		for range own {
			k := r.IntN(len(own))
			a, b = a+own[k], b+other[k]
		}
		ratios[i] = a / b
	}
	slices.Sort(ratios)
	return Mean(own) / Mean(other), ratios[draws*25/1000], ratios[draws*975/1000]
}

// Loss is what tuning makes small: the geometric mean over volumes of the mean regret, so that every volume counts alike.
func Loss(byVolume [][]float64) float64 {
	sum := 0.0
	for _, regrets := range byVolume {
		sum += math.Log(Mean(regrets))
	}
	return math.Exp(sum / float64(len(byVolume)))
}
