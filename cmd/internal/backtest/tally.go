package backtest

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// draws is a sequence of random numbers that depends on nothing but its seed.
type draws struct{ state uint64 }

// drawsFor returns the sequence of one scope and second: the same recording gives the same replay.
func drawsFor(s statemachine.Scope, second int64) *draws {
	return &draws{state: xxhash.Sum64String(s.String()) ^ uint64(second)*0x9e3779b97f4a7c15} //nolint:gosec // a seed
}

// next returns a number in [0, 1) (splitmix64).
func (d *draws) next() float64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// part returns how many of n are kept when each is with probability p.
func (d *draws) part(n uint32, p float64) uint32 {
	switch {
	case p <= 0:
		return 0
	case p >= 1:
		return n
	case n > 256: // the spread does not matter any more
		whole, rest := math.Modf(float64(n) * p)
		if d.next() < rest {
			whole++
		}
		return uint32(whole)
	}
	kept := uint32(0)
	for range n {
		if d.next() < p {
			kept++
		}
	}
	return kept
}

// pick keeps m of the things counted, each as likely as any other.
func (d *draws) pick(counts []uint32, m uint32) {
	left := uint32(0)
	for _, n := range counts {
		left += n
	}
	m = min(m, left)
	for i, n := range counts {
		kept := uint32(0)
		for range n {
			if m > 0 && d.next()*float64(left) < float64(m) {
				kept++
				m--
			}
			left--
		}
		counts[i] = kept
	}
}

// pickTally keeps m of the results with a meaning for health.
func (d *draws) pickTally(t monitor.Tally, m uint32) monitor.Tally {
	if m >= t.Answered() {
		return t
	}
	classes := []uint32{t.Good(), t.Bad, t.Half}
	d.pick(classes, m)
	var out monitor.Tally
	for o := range t.Outcomes {
		outcome := statemachine.Outcome(o)
		switch outcome.Health() {
		case statemachine.HealthGood:
			out.Outcomes[o] = scaled(t.Outcomes[o], classes[0], t.Good())
		case statemachine.HealthHalf:
			out.Outcomes[o] = scaled(t.Outcomes[o], classes[2], t.Half)
		case statemachine.HealthBad, statemachine.HealthAccountBad:
			out.Outcomes[o] = scaled(t.Outcomes[o], classes[1], t.Bad)
		case statemachine.HealthNone:
		}
	}
	settle(&out, classes[0])
	out.Bad, out.BadPayers, out.CodedBad = classes[1], scaled(t.BadPayers, classes[1], t.Bad), scaled(t.CodedBad, classes[1], t.Bad)
	out.Half, out.HalfPayers = classes[2], scaled(t.HalfPayers, classes[2], t.Half)
	if classes[1] > 0 {
		out.Reporters = t.Reporters
	}
	return out
}

// settle makes the good outcomes add up to n again after rounding.
func settle(t *monitor.Tally, n uint32) {
	good := t.Good()
	if good <= n {
		t.Outcomes[statemachine.Succeeded] += n - good
		return
	}
	for _, o := range []statemachine.Outcome{statemachine.Rejected, statemachine.UserDeclined, statemachine.Succeeded} {
		less := min(t.Outcomes[o], good-n)
		t.Outcomes[o] -= less
		good -= less
	}
}

// scaled is n × part / whole, rounded.
func scaled(n, part, whole uint32) uint32 {
	if whole == 0 {
		return 0
	}
	return uint32((2*uint64(n)*uint64(part) + uint64(whole)) / (2 * uint64(whole))) //nolint:gosec // at most n where part ≤ whole
}

// scaleTally scales every count, without chance.
func scaleTally(t monitor.Tally, part, whole uint32) monitor.Tally {
	for o := range t.Outcomes {
		t.Outcomes[o] = scaled(t.Outcomes[o], part, whole)
	}
	for _, n := range []*uint32{&t.Bad, &t.BadPayers, &t.Half, &t.HalfPayers, &t.CodedBad} {
		*n = scaled(*n, part, whole)
	}
	return t
}

// less takes u off t, never below zero.
func less(t, u *monitor.Tally) {
	for o := range t.Outcomes {
		t.Outcomes[o] -= min(t.Outcomes[o], u.Outcomes[o])
	}
	t.Bad -= min(t.Bad, u.Bad)
	t.BadPayers -= min(t.BadPayers, u.BadPayers)
	t.Half -= min(t.Half, u.Half)
	t.HalfPayers -= min(t.HalfPayers, u.HalfPayers)
	t.CodedBad -= min(t.CodedBad, u.CodedBad)
}

// weighed is what results amount to: how many, and how many of them bad (half weight counts half).
func weighed(t *monitor.Tally) (answered, bad float64) {
	return float64(t.Answered()), float64(t.Bad) + float64(t.Half)/2
}
