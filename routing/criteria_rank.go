package routing

import (
	"cmp"
	"math/bits"
	"slices"
)

// fewCandidates are sorted by insertion, more of them in O(n log n).
const fewCandidates = 16

// sorting is what a row with a strategy is sorted by. Entry i has channel, account and slot i; its key is word w of keys[w][i].
type sorting struct {
	n       int
	entries [MaxCandidates]entry
	keys    [maxCriteria][MaxCandidates]uint64
	merits  [MaxCandidates]uint64
	order   [MaxCandidates]uint8 // entries, sorted
	base    [MaxCandidates]uint8 // place of an entry without a strategy, where it matters
	fit     [MaxCandidates]uint8 // see Ranking.fit

	from, to uint8 // the explored candidate went from one place to a better one; equal = none was
}

// entry is a candidate before it is known whether the payment may have it.
type entry struct {
	channel int32
	account int32 // -1 = none found
	slot    uint8
	group   uint8
}

// byStrategy ranks a row by its route's strategy. What no criterion tells apart is ranked as without one.
func (rk *Ranking) byStrategy(w *row) {
	p := rk.table.plan
	s := &p.strategies[p.routes[w.route].strategy]
	rk.sorting.from, rk.sorting.to = 0, 0
	rk.enter(w)
	rk.staticWords(s, w)
	for i := range s.words {
		if s.words[i].static < 0 {
			rk.dynamicWord(s, &s.words[i], i, w.route)
		}
	}
	hash := uint64(0)
	if rk.sort(len(s.words)) {
		hash = rk.deal(w)
		rk.sortTies(len(s.words))
	}
	rk.take(s, w, hash)
	if s.explore.share > 0 && len(rk.request.Attempts) == 0 {
		rk.explore(s, w.route)
	}
}

// enter lists the entries of a row: each channel with each account that may serve the merchant, those that name it first.
func (rk *Ranking) enter(w *row) {
	p, by := rk.table.plan, &rk.sorting
	by.n = 0
	slots := p.slotsOf(w)
	for g, group := range p.groups[w.group : w.group+int32(w.nGroups)] {
		for i := group.first; i < group.first+group.n; i++ {
			e := entry{channel: slots[i].channel, account: slots[i].account, slot: i, group: u8(g)}
			if e.account >= 0 {
				by.add(e)
				continue
			}
			set := &p.sets[^e.account]
			named := set.named[rk.request.Merchant]
			if len(named)+len(set.general) == 0 {
				e.account = -1
				by.add(e)
			}
			for _, e.account = range named {
				by.add(e)
			}
			for _, e.account = range set.general {
				by.add(e)
			}
		}
	}
}

// add appends an entry. A row never has more than the array: CompilePlan saw to it.
func (by *sorting) add(e entry) {
	if by.n < len(by.entries) {
		by.entries[by.n] = e
		by.n++
	}
}

// staticWords takes over what was made with the table, without the criteria that do not sort for this payment.
func (rk *Ranking) staticWords(s *strategy, w *row) {
	by, t := &rk.sorting, rk.table
	words := t.scored.keys[w.key : int(w.key)+int(w.nSlots)*s.stride]
	entries := by.entries[:by.n]
	for k := range s.words {
		if st := int(s.words[k].static); st >= 0 {
			word := by.keys[k][:len(entries)]
			for i := range word {
				word[i] = words[int(entries[i].slot)*s.stride+st]
			}
		}
	}
	if s.learned {
		for i := range entries {
			by.merits[i] = words[int(entries[i].slot)*s.stride+s.statics]
		}
	}
	if s.account {
		rk.accountWords(s, w)
	}
	if s.whens {
		rk.mask(s)
	}
}

// accountWords makes the static words of channels with a choice of accounts, by account.
func (rk *Ranking) accountWords(s *strategy, w *row) {
	p, by := rk.table.plan, &rk.sorting
	slots := p.slotsOf(w)
	var own [maxCriteria + 1]uint64
	for i := range by.n {
		e := &by.entries[i]
		if slots[e.slot].account >= 0 || e.account < 0 {
			continue
		}
		rk.table.scored.words(p, s, &slots[e.slot], e.account, p.groups[w.group+int32(e.group)].priority, own[:s.stride])
		for k := range s.words {
			if st := s.words[k].static; st >= 0 {
				by.keys[k][i] = own[st]
			}
		}
	}
}

// mask takes static criteria out of the keys that do not sort for this payment.
func (rk *Ranking) mask(s *strategy) {
	for i := range s.criteria {
		if c := &s.criteria[i]; c.kind.static() && !c.when.holds(rk.request) {
			word := rk.sorting.keys[c.word][:rk.sorting.n]
			for j := range word {
				word[j] &^= c.mask
			}
		}
	}
}

// dynamicWord makes the word of a criterion that depends on the payment.
func (rk *Ranking) dynamicWord(s *strategy, kw *keyWord, at int, route int32) {
	c := &s.criteria[kw.criterion]
	by := &rk.sorting
	word := by.keys[at][:by.n]
	if !c.when.holds(rk.request) {
		clear(word)
		return
	}
	p, r := rk.table.plan, rk.request
	switch c.kind {
	case byFee:
		band := unit(amountOf(r), c.step)
		for i := range word {
			word[i] = p.merits[by.entries[i].channel].fee.of(amountOf(r), rk.money, r.Currency != "")
			if band > 1 && word[i] != unknownCost {
				word[i] /= band
			}
		}
	case byExpectedValue:
		for i := range word {
			word[i] = rk.expected(c, i, int64(rateOf(by.merits[i])))
		}
	case byPreference:
		list := c.choice.list(r.Merchant)
		for i := range word {
			word[i] = uint64(u8(indexOf(list, by.entries[i].channel)))
		}
	case bySplit:
		hash := rk.scratch.split(p.routes[route].dealt[c.dealt], r.PaymentID)
		for i := range word {
			ch := by.entries[i].channel
			word[i] = s.logs.wait(next(hash^p.merits[ch].hash), partOf(c.parts, ch))
		}
	case byFeedback, bySuccessRate, byResultTime, bySettlementTime, byWeight, byHeadroom, byCommitment, byQuota, byAttribute,
		byPriority, numCriterionKinds:
	}
}

// expected is the word of an entry's expected value at a success rate.
func (rk *Ranking) expected(c *criterion, i int, rate int64) uint64 {
	value, ok := rk.valueOf(c, i, rate)
	if !ok {
		return unknownCost
	}
	if c.step > 0 {
		value = floorDiv(value, signed(unit(amountOf(rk.request), c.step)))
	}
	return descending(value)
}

// valueOf is the expected value of an entry in ten thousandths of a minor unit; false if its fee cannot be compared.
func (rk *Ranking) valueOf(c *criterion, i int, rate int64) (int64, bool) {
	r := rk.request
	cost := rk.table.plan.merits[rk.sorting.entries[i].channel].fee.of(amountOf(r), rk.money, r.Currency != "")
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

// sort brings the entries into the order of their keys, and reports whether some have the same.
func (rk *Ranking) sort(words int) (ties bool) {
	by := &rk.sorting
	order := by.order[:by.n]
	for i := range order {
		order[i] = uint8(i)
	}
	if len(order) > fewCandidates {
		slices.SortFunc(order, func(a, b uint8) int { return by.compare(a, b, words) })
		for i := 1; i < len(order) && !ties; i++ {
			ties = by.compare(order[i-1], order[i], words) == 0
		}
		return ties
	}
	first := &by.keys[0]
	for i := 1; i < len(order); i++ {
		x, j := order[i], i
		key := first[x%MaxCandidates]
		for ; j > 0; j-- {
			y := order[j-1]
			if before := first[y%MaxCandidates]; before < key {
				break
			} else if before == key {
				c := by.compare(y, x, words)
				ties = ties || c == 0
				if c <= 0 {
					break
				}
			}
			order[j] = y
		}
		order[j] = x
	}
	return ties
}

// compare compares the keys of two entries.
func (by *sorting) compare(a, b uint8, words int) int {
	for w := range words {
		if x, y := by.keys[w][a%MaxCandidates], by.keys[w][b%MaxCandidates]; x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

// deal gives the entries their places without a strategy and returns the hash that did.
func (rk *Ranking) deal(w *row) uint64 {
	p, by := rk.table.plan, &rk.sorting
	hash := rk.scratch.split(p.routes[w.route].salt, rk.request.PaymentID)
	all := p.slotsOf(w)
	for _, g := range p.groups[w.group : w.group+int32(w.nGroups)] {
		order := rk.order[:g.n]
		draw(hash, all[g.first:g.first+g.n], g.total, order)
		for at, i := range order {
			by.base[g.first+i] = g.first + u8(at)
		}
	}
	return hash
}

// sortTies brings entries with the same key into their order without a strategy.
func (rk *Ranking) sortTies(words int) {
	by := &rk.sorting
	slices.SortStableFunc(by.order[:by.n], func(a, b uint8) int {
		return cmp.Or(by.compare(a, b, words), cmp.Compare(by.base[by.entries[a].slot], by.base[by.entries[b].slot]), cmp.Compare(a, b))
	})
}

// take takes the entries over in order, and notes which criterion set each candidate apart from the one before it, the first
// from the second.
func (rk *Ranking) take(s *strategy, w *row, hash uint64) {
	p, by := rk.table.plan, &rk.sorting
	slots := p.slotsOf(w)
	for _, i := range by.order[:by.n] {
		e := &by.entries[i]
		g, sl := &p.groups[w.group+int32(e.group)], &slots[e.slot]
		c := ranked{channel: e.channel, account: e.account, combo: sl.combo, closing: -1, priority: g.priority, why: g.why, slot: e.slot, entry: i}
		if g.n > 1 {
			c.hash = hash
		}
		if c.drop = rk.dropOf(sl); e.account < 0 {
			c.drop = DropNoAccount
		}
		n := rk.ranked
		if c.drop == DropNone && n > 0 {
			if c.by = by.decided(s, rk.list[n-1].entry, i); c.by > 0 {
				c.why = WhyCriterion
			}
			if n == 1 && c.by > 0 {
				rk.list[0].why, rk.list[0].by = WhyCriterion, c.by
			}
		}
		rk.add(&c)
	}
}

// decided returns the first criterion that sets two entries apart, plus one; 0 if none does.
func (by *sorting) decided(s *strategy, a, b uint8) uint8 {
	for w := range s.words {
		if differ := by.keys[w][a] ^ by.keys[w][b]; differ != 0 {
			return s.words[w].decides[63-bits.LeadingZeros64(differ)] + 1
		}
	}
	return 0
}
