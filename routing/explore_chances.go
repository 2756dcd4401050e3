package routing

import "github.com/sluice-pay/sluice/statemachine"

// Chances says how a ranking came about, as far as hashes decided it: from it the probability with which a payment like this
// one takes each channel can be computed. Index counts the ranked candidates, as the bits of Admission do.
type Chances struct {
	// Groups are the ranked candidates as a payment that does not explore ranks them, best first. The order within a group of
	// more than one is drawn by weights, one after the other without replacement; a weight of 0 goes after the others.
	Groups [][]Weighted
	// Explore is the share of payments that explore, 0 if this one could not. Uniform: each of Eligible but the first alike;
	// else the one whose draw is greatest. It takes the place of the first of Eligible, the others keep theirs.
	Explore  statemachine.Share
	Uniform  bool
	Eligible []Drawn
}

// Weighted is a candidate whose place a hash draws.
type Weighted struct {
	Index  int
	Weight uint64
}

// Drawn is a candidate that a payment may explore: a draw is Mean + z · Deviation, z as normal makes it. The unit is ppm of a
// success rate, or ten thousandths of a minor unit of an expected value.
type Drawn struct {
	Index           int
	Mean, Deviation int64
}

// Chances fills out with the chances of a ranking that Rank or Decide made. It allocates: it is for decisions that are logged.
func (rk *Ranking) Chances(out *Chances) {
	*out = Chances{}
	if rk.lane < 0 || rk.ranked == 0 {
		return
	}
	s := rk.strategy()
	was := *rk // as the payment would rank if it did not explore
	index := make([]int, rk.ranked)
	for i := range index {
		index[i] = i
	}
	if from, to := int(rk.sorting.from), int(rk.sorting.to); s != nil && from != to {
		copy(was.list[to:from], rk.list[to+1:from+1])
		was.list[from] = rk.list[to]
		copy(index[to:from], index[to+1:from+1])
		index[from] = to
	}
	for i := range rk.ranked {
		if i == 0 || !was.drawnAlike(s, i-1, i) {
			out.Groups = append(out.Groups, nil)
		}
		last := len(out.Groups) - 1
		out.Groups[last] = append(out.Groups[last], Weighted{index[i], was.weight(s, i)})
	}
	was.eligible(out, s, index)
}

// strategy returns the strategy that ranked, nil if none did.
func (rk *Ranking) strategy() *strategy {
	if rk.route < 0 {
		return nil
	}
	if s := rk.table.plan.routes[rk.route].strategy; s >= 0 {
		return &rk.table.plan.strategies[s]
	}
	return nil
}

// drawnAlike reports whether a hash decided the order of two neighbours.
func (rk *Ranking) drawnAlike(s *strategy, i, j int) bool {
	a, b := &rk.list[i], &rk.list[j]
	if s != nil {
		for w := range s.words {
			if rk.partBy(s, w, a) > 0 && rk.partBy(s, w, b) > 0 {
				return true
			}
			if rk.sorting.keys[w][a.entry] != rk.sorting.keys[w][b.entry] {
				return false
			}
		}
	}
	return rk.groupOf(a) == rk.groupOf(b)
}

// groupOf is the group of the row that a candidate ranks in without a strategy.
func (rk *Ranking) groupOf(c *ranked) *group {
	groups := rk.table.plan.groups[rk.row.group : rk.row.group+int32(rk.row.nGroups)]
	for i := range groups {
		if c.slot < groups[i].first+groups[i].n {
			return &groups[i]
		}
	}
	return nil
}

// partBy is a candidate's part of the split that makes a word of the key, 0 if none does.
func (rk *Ranking) partBy(s *strategy, w int, c *ranked) uint32 {
	if s.words[w].static >= 0 {
		return 0
	}
	by := &s.criteria[s.words[w].criterion]
	if by.kind != bySplit || !by.when.holds(rk.request) {
		return 0
	}
	return partOf(by.parts, c.channel)
}

// weight is what a candidate weighs in its group. Further accounts of a channel follow the first.
func (rk *Ranking) weight(s *strategy, i int) uint64 {
	c := &rk.list[i]
	if i > 0 && rk.list[i-1].slot == c.slot {
		return 0
	}
	if s != nil {
		for w := range s.words {
			if part := rk.partBy(s, w, c); part > 0 {
				return uint64(part)
			}
		}
	}
	return uint64(rk.table.plan.slotsOf(rk.row)[c.slot].weight)
}

// eligible says among whom a payment like this would explore.
func (rk *Ranking) eligible(out *Chances, s *strategy, index []int) {
	if s == nil || s.explore.share == 0 || len(rk.request.Attempts) > 0 {
		return
	}
	c := rk.learns(s)
	if c == nil {
		return
	}
	fit := rk.fit(s, c)
	if len(fit) < 2 {
		return
	}
	out.Explore, out.Uniform = s.explore.share, s.explore.uniform
	for _, i := range fit {
		entry := int(rk.list[i].entry)
		merit := rk.sorting.merits[entry]
		d := Drawn{Index: index[i], Mean: int64(rateOf(merit)), Deviation: int64(deviationOf(merit))}
		if c.kind == byExpectedValue {
			mean, ok := rk.valueOf(c, entry, d.Mean)
			if !ok {
				continue
			}
			d.Mean, d.Deviation = mean, worth(d.Deviation, c.margin.of(amountOf(rk.request), anyCurrency, false), 0)
		}
		out.Eligible = append(out.Eligible, d)
	}
}
