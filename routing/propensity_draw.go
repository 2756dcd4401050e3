package routing

// choices returns, by position in Eligible, the probability that a payment that explores chooses it.
func (c *Chances) choices(groups [][]bundle) []float64 {
	if !c.Uniform {
		return c.draws()
	}
	out := make([]float64, len(c.Eligible))
	best := c.best(groups)
	for k := range out {
		out[k] = (1 - best[k]) / float64(len(out)-1) // each but the best alike
	}
	return out
}

// best returns, by position in Eligible, the probability that it is the first eligible one in the order.
func (c *Chances) best(groups [][]bundle) []float64 {
	out := make([]float64, len(c.Eligible))
	for _, group := range groups {
		sum := 0.0
		leads := make([]int, len(group))
		for i, b := range group {
			if leads[i] = c.leader(b); leads[i] >= 0 {
				sum += b.weight
			}
		}
		if sum == 0 {
			continue
		}
		for i, b := range group {
			if leads[i] >= 0 {
				out[leads[i]] += b.weight / sum
			}
		}
		break
	}
	return out
}

// leader is the position in Eligible of the first eligible member of a bundle, -1 if it has none.
func (c *Chances) leader(b bundle) int {
	for _, m := range b.members {
		for k := range c.Eligible {
			if c.Eligible[k].Index == m {
				return k
			}
		}
	}
	return -1
}

// drawValues is how many values the sum of eight bytes has, of which draws are made; see normal.
const drawValues = 8*255 + 1

// byteSums returns the probability of each sum of eight bytes that are drawn alike.
func byteSums() [drawValues]float64 {
	var p [drawValues]float64
	p[0] = 1
	for range 8 {
		var next [drawValues]float64
		run := 0.0
		for s := range next {
			run += p[s]
			if s > 255 {
				run -= p[s-256] //nolint:gosec // above 255
			}
			next[s] = max(0, run/256)
		}
		p = next
	}
	return p
}

// draws returns, by position in Eligible, the probability that its draw is the greatest; of equal draws the first counts.
func (c *Chances) draws() []float64 {
	p := byteSums()
	var below [drawValues + 1]float64 // probability of a sum below s
	for s := range p {
		below[s+1] = below[s] + p[s]
	}
	values := make([][drawValues]int64, len(c.Eligible))
	for k := range values {
		for s := range values[k] {
			values[k][s] = c.Eligible[k].value(int64(s))
		}
	}
	out := make([]float64, len(values))
	for k := range values {
		wins := p
		for j := range values {
			if j != k {
				beats(&values[k], &values[j], j > k, &below, &wins)
			}
		}
		for s := range wins {
			out[k] += wins[s]
		}
	}
	return out
}

// beats multiplies, by sum of bytes, with the probability that another draw is lower, or not higher where equal ones may be.
func beats(mine, other *[drawValues]int64, equal bool, below *[drawValues + 1]float64, wins *[drawValues]float64) {
	n := 0
	for s := range mine {
		for n < drawValues && (other[n] < mine[s] || equal && other[n] == mine[s]) {
			n++
		}
		wins[s] *= below[n]
	}
}

// value is the draw that a sum of bytes makes.
func (d *Drawn) value(sum int64) int64 { return d.Mean + (sum*100-102_000)*d.Deviation/normalScale }
