package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	openSeconds = 64 // attempts are followed so long; what has not answered by then is not waited for
	slowAges    = 2  // an attempt hangs when it is older than so many times the learned 99.9th percentile of answers
)

// Silence finds the attempts that nobody answers, before their timeouts return: of each second's decisions it takes, once
// they are older than the channel's answers ever are, how many were answered and how many not. An answer is any result,
// PENDING included, so that what the payer does afterwards plays no part. Decisions that were never attempted look the
// same; their usual part is the baseline that the detector learns.
type Silence struct {
	flights []*flight // sorted by item
	delays  map[string]*lateness
	under   [openSeconds]int64 // revision of each second
	out     SecondCounts
}

// flight is what one item has on its way.
type flight struct {
	item       statemachine.Scope
	sent, open [openSeconds]uint32 // by second: decisions, and those of them not answered yet
	last       int64               // newest second that sent any
	at         int64               // newest second that is kept
}

// lateness learns how late the slowest answers of a channel come.
type lateness struct {
	ages  [NumAgeBuckets]float64
	total float64
}

// NewSilence returns one that has seen nothing.
func NewSilence() *Silence { return &Silence{delays: map[string]*lateness{}} }

// Observe takes the sum of one sealed second and returns the second whose attempts are now old enough to be judged, as counts:
// answered ones as succeeded, the others as timed out. They count under the revision of the second they were sent in.
func (s *Silence) Observe(sum *SecondCounts, f *statemachine.Fleet) *SecondCounts {
	now := sum.Second
	s.under[now%openSeconds] = sum.Revision
	at := 0
	for i := range sum.Items {
		at = s.take(&sum.Items[i], at, now)
	}
	s.out.Items = s.out.Items[:0]
	s.out.Second, s.out.Revision = now, 0
	channel, limit := "", int64(0)
	for _, fl := range s.flights {
		if fl.item.Channel != channel {
			policy := f.Policy(fl.item.Channel)
			channel, limit = fl.item.Channel, s.limit(fl.item.Channel, &policy)
		}
		s.ripe(fl, now, limit)
	}
	s.flights = slices.DeleteFunc(s.flights, func(fl *flight) bool { return now-fl.last >= openSeconds })
	return &s.out
}

// take enters what one item sent and got back in a second. at is where to look for its flight, which comes sorted.
func (s *Silence) take(c *ItemCounts, at int, now int64) int {
	if c.Item.Kind == statemachine.ScopeChannel {
		s.learn(c)
	}
	sent := c.Sent[statemachine.KindNormal]
	found := at < len(s.flights) && s.flights[at].item == c.Item // mostly the next is meant
	if !found {
		var n int
		n, found = slices.BinarySearchFunc(s.flights[at:], c.Item, func(fl *flight, item statemachine.Scope) int { return fl.item.Compare(item) })
		at += n
	}
	switch {
	case !found && sent == 0:
		return at
	case !found:
		s.flights = slices.Insert(s.flights, at, &flight{item: c.Item, at: now - 1})
	}
	fl := s.flights[at]
	fl.advance(now)
	fl.sent[now%openSeconds], fl.open[now%openSeconds] = sent, sent
	if sent > 0 {
		fl.last = now
	}
	fl.answer(now, &c.Ages)
	fl.answered(now, unaged(c))
	return at + 1
}

// unaged is the number of first results whose age is not known: reports without a decision.
func unaged(c *ItemCounts) uint32 {
	var all, aged uint32
	for _, n := range c.Latency {
		all += n
	}
	for _, n := range c.Ages {
		aged += n
	}
	return all - min(all, aged)
}

// answered takes results of unknown age off the oldest attempts.
func (fl *flight) answered(now int64, n uint32) {
	for age := int64(openSeconds - 1); n > 0 && age >= 0; age-- {
		n = fl.took(now-age, n)
	}
}

// ripe takes what was sent limit seconds ago.
func (s *Silence) ripe(fl *flight, now, limit int64) {
	fl.advance(now)
	at := (now - limit) % openSeconds
	sent := fl.sent[at]
	if sent == 0 {
		return
	}
	c := ItemCounts{Item: fl.item}
	t := &c.Evidence[statemachine.KindNormal]
	silent := fl.open[at]
	t.Outcomes[statemachine.Succeeded], t.Outcomes[statemachine.TimedOut] = sent-silent, silent
	t.Bad, t.BadPayers = silent, silent
	s.out.Items = append(s.out.Items, c)
	s.out.Revision = s.under[at]
}

// advance empties the seconds since the last.
func (fl *flight) advance(now int64) {
	for second := max(fl.at+1, now-openSeconds+1); second <= now; second++ {
		fl.sent[second%openSeconds], fl.open[second%openSeconds] = 0, 0
	}
	fl.at = now
}

// answer takes results off the attempts of their age, in seconds since the decision's own; where a bucket holds several
// seconds, off the oldest. A decision just after a full second may have been counted in the second before.
func (fl *flight) answer(now int64, ages *[NumAgeBuckets]uint32) {
	youngest := int64(0)
	for bucket, n := range ages {
		oldest := int64(openSeconds - 2)
		if bucket < len(AgeBounds) {
			oldest = min(oldest, int64(AgeBounds[bucket]))
		}
		for age := oldest; n > 0 && age >= youngest; age-- {
			n = fl.took(now-age, n)
		}
		fl.took(now-oldest-1, n)
		youngest = oldest + 1
	}
}

// took closes up to n attempts of a second, and returns how many there were not.
func (fl *flight) took(second int64, n uint32) uint32 {
	closed := min(n, fl.open[second%openSeconds])
	fl.open[second%openSeconds] -= closed
	return n - closed
}

// learn takes the ages of a channel's answers.
func (s *Silence) learn(c *ItemCounts) {
	if c.Ages == [NumAgeBuckets]uint32{} || c.Totals[statemachine.TimedOut] > 0 {
		return // silence that was given up says when it was given up
	}
	l := s.delays[c.Item.Channel]
	if l == nil {
		l = &lateness{}
		s.delays[c.Item.Channel] = l
	}
	for b, n := range c.Ages {
		l.ages[b] += float64(n)
		l.total += float64(n)
	}
	const most = 20_000
	if l.total > most {
		for b := range l.ages {
			l.ages[b] /= 2
		}
		l.total /= 2
	}
}

// limit is the age in seconds from which on an attempt of a channel hangs.
func (s *Silence) limit(channel string, p *statemachine.Policy) int64 {
	const slow, unknown = 0.999, 12 // part; seconds
	least, most := seconds(p.HangAfterMin), int64(openSeconds-4)
	age, known := s.delays[channel].within(slow)
	if !known {
		return min(most, max(least, unknown))
	}
	return min(most, max(least, slowAges*age))
}

// within is the age in seconds by which a part of a channel's answers has come, openSeconds where it is more than all buckets
// tell, and whether enough answers are known to say so.
func (l *lateness) within(part float64) (age int64, known bool) {
	const enough = 200 // results
	if l == nil || l.total < enough {
		return 0, false
	}
	seen := 0.0
	for b, bound := range AgeBounds {
		if seen += l.ages[b]; seen >= part*l.total {
			return int64(bound), true
		}
	}
	return openSeconds, true
}

// usual is the age in whole seconds that nine in ten of a channel's answers do not exceed.
func (s *Silence) usual(channel string) int64 {
	const nearly, unknown = 0.9, 1 // part; seconds
	if age, known := s.delays[channel].within(nearly); known {
		return age
	}
	return unknown
}

// onItsWay is the number of attempts of an item that were sent since a second, are not answered, and are not yet so old that
// they hang.
func (s *Silence) onItsWay(item statemachine.Scope, since, now int64, p *statemachine.Policy) (n uint32) {
	at, found := slices.BinarySearchFunc(s.flights, item, func(fl *flight, item statemachine.Scope) int { return fl.item.Compare(item) })
	if !found {
		return 0
	}
	for second := max(since, now-s.limit(item.Channel, p)+1); second <= now; second++ {
		n += s.flights[at].open[second%openSeconds]
	}
	return n
}
