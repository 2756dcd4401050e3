package routing

import (
	"math/bits"

	"github.com/sluice-pay/sluice/statemachine"
)

// exploration says which payments explore, and how.
type exploration struct {
	share   statemachine.Share // of payments, 0 = none
	uniform bool
	gap     statemachine.Share // 0 = any
}

// explore lets a payment of the exploration's share choose among the candidates that are fit for it: healthy in every scope
// that applies, without negative feedback, not frozen, and equal to the best of these by all criteria before the one that
// learns. It takes that best one's place. Without two channels that are fit nothing is explored.
func (rk *Ranking) explore(s *strategy, route int32) {
	c := rk.learns(s)
	if c == nil {
		return
	}
	hash := rk.scratch.split(rk.table.plan.routes[route].explored, rk.request.PaymentID)
	if deal(hash, uint64(statemachine.FullShare)) >= uint64(s.explore.share) {
		return
	}
	fit := rk.fit(s, c)
	if len(fit) < 2 {
		return
	}
	var chosen uint8
	if s.explore.uniform {
		chosen = fit[1+deal(next(hash), word(int64(len(fit)-1)))]
	} else {
		chosen = rk.drawn(c, fit, hash)
	}
	if chosen == fit[0] {
		return
	}
	x := rk.list[chosen]
	x.why, x.by = WhyExploration, 0
	copy(rk.list[fit[0]+1:], rk.list[fit[0]:chosen])
	rk.list[fit[0]] = x
	rk.sorting.from, rk.sorting.to = chosen, fit[0]
}

// learns is the criterion for whose sake payments explore: the first that reads success rates and sorts for this payment.
func (rk *Ranking) learns(s *strategy) *criterion {
	for i := range s.criteria {
		if c := &s.criteria[i]; c.kind.learned() && c.when.holds(rk.request) {
			return c
		}
	}
	return nil
}

// fit lists the candidates that are fit for exploration, by their place, each channel once, the best one first.
func (rk *Ranking) fit(s *strategy, c *criterion) []uint8 {
	by := &rk.sorting
	fit := by.fit[:0]
	best := statemachine.Share(0)
	for i := range rk.ranked {
		x := &rk.list[i]
		if x.closing >= 0 || by.merits[x.entry]&explorable == 0 || rk.listed(fit, x.channel) {
			continue
		}
		if len(fit) > 0 && !by.equalBefore(c, rk.list[fit[0]].entry, x.entry) {
			break // sorted: nobody after it is equal
		}
		fit = append(fit, u8(i))
		best = max(best, rateOf(by.merits[x.entry]))
	}
	if s.explore.gap == 0 {
		return fit
	}
	near := fit[:0]
	for n, i := range fit {
		if n == 0 || best-rateOf(by.merits[rk.list[i].entry]) <= s.explore.gap {
			near = append(near, i)
		}
	}
	return near
}

func (rk *Ranking) listed(fit []uint8, channel int32) bool {
	for _, i := range fit {
		if rk.list[i].channel == channel {
			return true
		}
	}
	return false
}

// equalBefore reports whether all criteria before c find two candidates equal.
func (by *sorting) equalBefore(c *criterion, a, b uint8) bool {
	for w := range c.word {
		if by.keys[w][a] != by.keys[w][b] {
			return false
		}
	}
	if c.mask == 0 {
		return true
	}
	return bits.Len64(by.keys[c.word][a]^by.keys[c.word][b]) <= bits.Len64(c.mask) // of a word shared by several, what goes before
}

// drawn draws a success rate around each candidate's own, as wide as that is uncertain, and returns the one whose draw is
// greatest: the first of equals. Draws are made of integers, so that every machine makes the same.
func (rk *Ranking) drawn(c *criterion, fit []uint8, hash uint64) uint8 {
	chosen, most := fit[0], int64(-1<<63)
	for _, i := range fit {
		merit := rk.sorting.merits[rk.list[i].entry]
		z := normal(next(hash ^ rk.table.plan.merits[rk.list[i].channel].hash))
		value := int64(rateOf(merit)) + z*int64(deviationOf(merit))/normalScale
		if c.kind == byExpectedValue {
			v, ok := rk.valueOf(c, int(rk.list[i].entry), value)
			if !ok {
				continue
			}
			value = v
		}
		if value > most {
			chosen, most = i, value
		}
	}
	return chosen
}

// normalScale is one standard deviation of normal.
const normalScale = 20_902

// normal makes a draw of the normal distribution of a hash, in units of one over normalScale: the sum of its eight bytes, whose
// standard deviation is √(8·(256²−1)/12) = 209.02, about its mean 1020.
func normal(hash uint64) int64 {
	const low = 0x00ff00ff00ff00ff
	pairs := hash&low + hash>>8&low
	return int64(pairs*0x0001000100010001>>48)*100 - 102_000
}
