package routing

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// fewCandidates are sorted by insertion, more of them in O(n log n).
const fewCandidates = 16

// keys are the words by which candidates are sorted: word w of candidate i is keys[w][i].
type keys [maxCriteria][MaxCandidates]uint64

// byStrategy sorts the ranked candidates of a row by its route's strategy. They come in the order without one, and keep it
// where no criterion tells them apart.
func (rk *Ranking) byStrategy(w *row) {
	if rk.ranked < 2 {
		return
	}
	p := rk.table.plan
	s := &p.strategies[p.routes[w.route].strategy]
	rk.staticWords(s, w)
	for i := range s.words {
		if s.words[i].static < 0 {
			rk.dynamicWord(s, &s.words[i], i, w.route)
		}
	}
	rk.sort(len(s.words))
	rk.tell(s)
	if s.explore.share > 0 && len(rk.request.Attempts) == 0 {
		rk.explore(s, w.route)
	}
}

// staticWords takes over what was made with the table, without the criteria that do not sort for this payment.
func (rk *Ranking) staticWords(s *strategy, w *row) {
	slots := rk.table.plan.slotsOf(w)
	var own [maxCriteria + 1]uint64
	for i := range rk.ranked {
		c := &rk.list[i]
		at := int(w.key) + int(c.slot)*s.stride
		words := rk.table.scored.keys[at : at+s.stride]
		if s.account && slots[c.slot].account < 0 {
			words = own[:s.stride]
			rk.table.scored.words(rk.table.plan, s, &slots[c.slot], c.account, c.priority, words)
		}
		for k := range s.words {
			if st := s.words[k].static; st >= 0 {
				rk.keys[k][i] = words[st]
			}
		}
		if s.learned {
			rk.merits[i] = words[s.statics]
		}
	}
	if s.whens {
		rk.mask(s)
	}
}

// mask takes static criteria out of the keys that do not sort for this payment.
func (rk *Ranking) mask(s *strategy) {
	for i := range s.criteria {
		if c := &s.criteria[i]; c.kind.static() && !c.when.holds(rk.request) {
			word := rk.keys[c.word][:rk.ranked]
			for j := range word {
				word[j] &^= c.mask
			}
		}
	}
}

// dynamicWord makes the word of a criterion that depends on the payment.
func (rk *Ranking) dynamicWord(s *strategy, kw *keyWord, at int, route int32) {
	c := &s.criteria[kw.criterion]
	word := rk.keys[at][:rk.ranked]
	if !c.when.holds(rk.request) {
		clear(word)
		return
	}
	p, r := rk.table.plan, rk.request
	switch c.kind {
	case byFee:
		by := unit(amountOf(r), c.step)
		for i := range word {
			word[i] = p.merits[rk.list[i].channel].fee.of(amountOf(r), rk.money, r.Currency != "")
			if by > 1 && word[i] != unknownCost {
				word[i] /= by
			}
		}
	case byExpectedValue:
		for i := range word {
			word[i] = rk.expected(c, i, rateOf(rk.merits[i]))
		}
	case byPreference:
		list := c.choice.list(r.Merchant)
		for i := range word {
			word[i] = uint64(u8(indexOf(list, rk.list[i].channel)))
		}
	case bySplit:
		hash := rk.scratch.split(p.routes[route].dealt[c.dealt], r.PaymentID)
		for i := range word {
			ch := rk.list[i].channel
			word[i] = s.logs.wait(next(hash^p.merits[ch].hash), partOf(c.parts, ch))
		}
	case byFeedback, bySuccessRate, byResultTime, bySettlementTime, byWeight, byHeadroom, byCommitment, byQuota, byAttribute,
		byPriority, numCriterionKinds:
	}
}

// expected is the word of a candidate's expected value at a success rate.
func (rk *Ranking) expected(c *criterion, i int, rate statemachine.Share) uint64 {
	value, ok := rk.valueOf(c, i, rate)
	if !ok {
		return unknownCost
	}
	if c.step > 0 {
		value = floorDiv(value, signed(unit(amountOf(rk.request), c.step)))
	}
	return descending(value)
}

// valueOf is the expected value of a candidate in ten thousandths of a minor unit; false if its fee cannot be compared.
func (rk *Ranking) valueOf(c *criterion, i int, rate statemachine.Share) (int64, bool) {
	r := rk.request
	cost := rk.table.plan.merits[rk.list[i].channel].fee.of(amountOf(r), rk.money, r.Currency != "")
	if cost == unknownCost {
		return 0, false
	}
	return worth(rate, c.margin.of(amountOf(r), anyCurrency, false), cost), true
}

// amountOf is the amount of a request; requests are checked at the edge, what nobody checked costs nothing.
func amountOf(r *Request) uint64 { return word(max(0, r.Amount)) }

// indexOf is the position of a channel in a list, its length if it is not there.
func indexOf(list []int32, channel int32) int {
	for i, c := range list {
		if c == channel {
			return i
		}
	}
	return len(list)
}

// partOf is a channel's part of a split, 0 if it has none.
func partOf(parts []part, channel int32) uint32 {
	for i := range parts {
		if parts[i].channel == channel {
			return parts[i].part
		}
	}
	return 0
}

// sort brings the candidates into the order of their keys; equal ones stay as they were.
func (rk *Ranking) sort(words int) {
	n := rk.ranked
	order := rk.order[:n]
	for i := range order {
		order[i] = u8(i)
	}
	if n > fewCandidates {
		slices.SortFunc(order, func(a, b uint8) int { return cmp.Or(rk.compare(a, b, words), cmp.Compare(a, b)) })
	} else {
		for i := 1; i < n; i++ {
			x, j := order[i], i
			for ; j > 0 && rk.compare(order[j-1], x, words) > 0; j-- {
				order[j] = order[j-1]
			}
			order[j] = x
		}
	}
	for i, at := range order {
		rk.sorted[i] = rk.list[at]
	}
	copy(rk.list[:n], rk.sorted[:n])
}

// compare compares the keys of two candidates.
func (rk *Ranking) compare(a, b uint8, words int) int {
	for w := range words {
		if x, y := rk.keys[w][a%MaxCandidates], rk.keys[w][b%MaxCandidates]; x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

// tell notes which criterion set each candidate apart from the one before it, the first from the second.
func (rk *Ranking) tell(s *strategy) {
	for i := range rk.ranked {
		a, b := rk.order[max(i, 1)-1], rk.order[max(i, 1)]
		for w := range s.words {
			if differ := rk.keys[w][a] ^ rk.keys[w][b]; differ != 0 {
				rk.list[i].by = s.words[w].decides[63-bits.LeadingZeros64(differ)] + 1
				rk.list[i].why = WhyCriterion
				break
			}
		}
	}
}
