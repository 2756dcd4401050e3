package monitor

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// How far a figure moves before it is published anew: small changes make no new revision.
const (
	rateStep      = 500    // ppm, to which rates are rounded
	rateHold      = 0.25   // of the deviation: a rate that moved less stays as it is
	deviationHold = 1.15   // factor
	samplesHold   = 1.5    // factor
	timeHold      = 1.15   // factor
	headroomStep  = 50_000 // ppm, to which headroom is rounded
	quotaStep     = 10_000 // ppm, to which quotas and commitments are rounded down
	feedbackStep  = 100    // of FullFeedback
)

// Around is what scores are made of beside results.
type Around struct {
	Fleet    *statemachine.Fleet               // capacities and their load
	Feedback func(channel string) FeedbackRule // when a channel gets negative feedback
	Quotas   []QuotaScore                      // sorted by item
}

// Scores returns the scores of everything with results, declared capacity or a quota, given those in force: what has moved
// little stays as it is there, and items that are frozen are as before. changed says whether anything differs from those in
// force.
func (s *Scorer) Scores(a Around, before []Score) (next []Score, changed bool) {
	next = withQuotas(s.measured(a.Fleet, a.Feedback), a.Quotas)
	next = slices.DeleteFunc(next, func(c Score) bool { return c == blank(c.Item) })
	next = most(next)
	at := 0
	for i := range next {
		n, found := slices.BinarySearchFunc(before[at:], next[i].Item, func(p Score, item statemachine.Scope) int { return p.Item.Compare(item) })
		if at += n; found {
			next[i].settle(&before[at])
		} else {
			next[i].round()
		}
	}
	return next, !slices.Equal(next, before)
}

// blank is the score of an item of which nothing is known.
func blank(item statemachine.Scope) Score {
	return Score{Item: item, Feedback: FullFeedback, Headroom: statemachine.FullShare, QuotaLeft: statemachine.FullShare}
}

// withQuotas enters what quotas say, in the order of items.
func withQuotas(list []Score, quotas []QuotaScore) []Score {
	for i := range quotas {
		q := &quotas[i]
		at, found := slices.BinarySearchFunc(list, q.Item, func(s Score, item statemachine.Scope) int { return s.Item.Compare(item) })
		if !found {
			list = slices.Insert(list, at, blank(q.Item))
		}
		list[at].QuotaLeft = min(statemachine.FullShare, statemachine.Share(q.LeftPPM))
		list[at].Commitment = min(statemachine.FullShare, statemachine.Share(q.CommitmentPPM))
	}
	return list
}

// most leaves the items with most results where there are too many.
func most(list []Score) []Score {
	if len(list) <= MaxScores {
		return list
	}
	slices.SortFunc(list, func(a, b Score) int { return cmp.Or(cmp.Compare(b.Samples, a.Samples), a.Item.Compare(b.Item)) })
	list = list[:MaxScores]
	slices.SortFunc(list, func(a, b Score) int { return a.Item.Compare(b.Item) })
	return list
}

// measured returns every item as it is now, sorted.
func (s *Scorer) measured(f *statemachine.Fleet, rule func(channel string) FeedbackRule) []Score {
	beliefs := s.beliefs()
	rooms := headrooms(f)
	pool := beliefs[""].weakened(poolSpread)
	out := make([]Score, 0, len(s.items)+len(s.channels)+len(rooms))
	next := 0
	for _, id := range slices.Sorted(maps.Keys(s.channels)) {
		c := s.channels[id]
		out = append(out, s.scoreOf(statemachine.ChannelScope(id), c, beliefs[id], rule(id), rooms))
		for next < len(s.order) && s.order[next].item.Channel < id { // every instrument's channel is there
			next++
		}
		for ; next < len(s.order) && s.order[next].item.Channel == id; next++ {
			it := s.order[next]
			if !it.frozen {
				it.rate.age(s.now)
			}
			if it.rate.samples() < leastSamples && !it.frozen {
				continue // the channel says as much
			}
			rest := c.rate.without(&it.rate)
			own := it.rate.under(rest.under(pool).weakened(itemSpread))
			out = append(out, s.scoreOf(it.item, &it.grounds, own, rule(id), nil))
		}
	}
	for item, room := range rooms { // those without results
		sc := blank(item)
		sc.Headroom = room
		out = append(out, sc)
	}
	slices.SortFunc(out, func(a, b Score) int { return a.Item.Compare(b.Item) }) // already sorted without such
	return out
}

// leastSamples is how many discounted results an instrument needs for a score of its own.
const leastSamples = 0.5

// beliefs returns what is believed of each channel, and of all under the empty name.
func (s *Scorer) beliefs() map[string]belief {
	pool := belief{priorRate, priorCount}
	ids := slices.Sorted(maps.Keys(s.channels)) // sums of floats hang on their order
	for _, id := range ids {
		c := s.channels[id]
		if !c.frozen {
			c.rate.age(s.now)
		}
		if n := c.rate.samples(); n > 0 {
			weight := min(n, poolCount)
			pool = belief{(pool.rate*pool.n + weight*c.rate.good[numLevels-1]/n) / (pool.n + weight), pool.n + weight}
		}
	}
	out := make(map[string]belief, len(ids)+1)
	out[""] = pool
	for _, id := range ids {
		out[id] = s.channels[id].rate.under(pool.weakened(poolSpread))
	}
	return out
}

// scoreOf is the score of an item by its grounds and what is believed of its rate; it takes its headroom out of rooms.
func (s *Scorer) scoreOf(item statemachine.Scope, g *grounds, b belief, rule FeedbackRule, rooms map[statemachine.Scope]statemachine.Share) Score {
	sc := blank(item)
	sc.SuccessRate, sc.Deviation, sc.Samples = share(b.rate), min(maxDeviation, share(b.deviation())), uint32(g.rate.samples()+0.5)
	sc.Feedback, sc.ResultTimeMillis, sc.Frozen = g.feedback.score(s.now, rule), g.times.millis(), g.frozen
	if room, ok := rooms[item]; ok {
		sc.Headroom = room
		delete(rooms, item)
	}
	return sc
}

// headrooms returns the capacity that is left to channels and accounts with a declared capacity: the least of their pools. A
// channel draws from the pools of all its accounts alike.
func headrooms(f *statemachine.Fleet) map[statemachine.Scope]statemachine.Share {
	if len(f.Pools) == 0 {
		return nil
	}
	type draws struct {
		pools []int
		seen  bool
	}
	channels := map[string]*draws{}
	out := map[statemachine.Scope]statemachine.Share{}
	for i := range f.Lanes {
		for j := range f.Lanes[i].Members {
			m := &f.Lanes[i].Members[j]
			account := statemachine.AccountScope(m.Channel, m.Account)
			if _, done := out[account]; done {
				continue
			}
			out[account] = room(f, m.Pools)
			c := channels[m.Channel]
			if c == nil {
				c = &draws{}
				channels[m.Channel] = c
			}
			if !c.seen {
				c.pools, c.seen = slices.Clone(m.Pools), true
				continue
			}
			c.pools = slices.DeleteFunc(c.pools, func(p int) bool { return !slices.Contains(m.Pools, p) })
		}
	}
	for id, c := range channels {
		out[statemachine.ChannelScope(id)] = room(f, c.pools)
	}
	maps.DeleteFunc(out, func(_ statemachine.Scope, s statemachine.Share) bool { return s == statemachine.FullShare })
	return out
}

// room is the least part that is left of pools, full without a declared capacity.
func room(f *statemachine.Fleet, pools []int) statemachine.Share {
	left := 1.0
	for _, i := range pools {
		if i >= 0 && i < len(f.Pools) && f.Pools[i].PerSecond > 0 {
			left = min(left, 1-f.Pools[i].Load/f.Pools[i].PerSecond)
		}
	}
	return share(left)
}

// round brings figures into the steps in which they are published.
func (s *Score) round() {
	s.SuccessRate = min(statemachine.FullShare, steps(s.SuccessRate, rateStep))
	s.Headroom = min(statemachine.FullShare, steps(s.Headroom, headroomStep))
	s.QuotaLeft -= s.QuotaLeft % quotaStep
	s.Commitment -= s.Commitment % quotaStep
	s.Feedback = steps(s.Feedback, feedbackStep)
	s.Deviation = statemachine.Share(digits(uint32(s.Deviation)))
	s.Samples, s.ResultTimeMillis = digits(s.Samples), digits(s.ResultTimeMillis)
}

// settle rounds, and keeps what was published before where it has moved little; of a frozen item, all of it.
func (s *Score) settle(before *Score) {
	if s.Frozen && before.Frozen {
		*s = *before
		return
	}
	measured := *s
	s.round()
	if s.Frozen {
		s.Headroom, s.QuotaLeft, s.Commitment = before.Headroom, before.QuotaLeft, before.Commitment
		return
	}
	if hold := max(rateStep, rateHold*float64(before.Deviation)); math.Abs(float64(measured.SuccessRate)-float64(before.SuccessRate)) < hold {
		s.SuccessRate = before.SuccessRate
	}
	if near(uint32(measured.Deviation), uint32(before.Deviation), deviationHold) {
		s.Deviation = before.Deviation
	}
	if near(measured.Samples, before.Samples, samplesHold) {
		s.Samples = before.Samples
	}
	if near(measured.ResultTimeMillis, before.ResultTimeMillis, timeHold) {
		s.ResultTimeMillis = before.ResultTimeMillis
	}
	if math.Abs(float64(measured.Headroom)-float64(before.Headroom)) < headroomStep {
		s.Headroom = before.Headroom
	}
}

// near reports whether two figures differ by less than a factor.
func near(a, b uint32, factor float64) bool {
	return a == b || a > 0 && b > 0 && max(float64(a)/float64(b), float64(b)/float64(a)) < factor
}

func steps[T ~uint32](x, step T) T { return (x + step/2) / step * step }

// digits rounds to two significant digits.
func digits(x uint32) uint32 {
	step := uint32(1)
	for x/step >= 100 {
		step *= 10
	}
	return steps(x, step)
}
