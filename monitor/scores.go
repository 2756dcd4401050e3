package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Bounds of scores.
const (
	ScoresEvery  = 5         // seconds between two publications, at least
	MaxScores    = 8000      // items that are published, those with most results first
	FullFeedback = 10_000    // no negative feedback
	maxDeviation = 300_000   // ppm: nothing is known
	MaxScoresLen = 512 << 10 // bytes of published scores
)

// Score is what ranking may know about one item.
type Score struct {
	Item statemachine.Scope // a channel or channel × instrument; an account for its headroom alone
	// SuccessRate is the part of payments that succeed of those that succeed or fail: payers' declines, rejections, throttling
	// and failures of our own accounts are left out.
	SuccessRate      statemachine.Share
	Deviation        statemachine.Share // of SuccessRate, for exploration to draw with: a part of its standard error
	Samples          uint32             // results behind it, older ones discounted; 0 = only what others tell
	Feedback         uint32             // negative feedback, 0 to FullFeedback = none
	Headroom         statemachine.Share // capacity left of the declared capacity; full where none is declared
	QuotaLeft        statemachine.Share // of the hard quota with least left; full where there is none
	Commitment       statemachine.Share // how far behind its minimum commitment; 0 where there is none
	ResultTimeMillis uint32             // 90th percentile of the time until results come back; 0 = not known
	Frozen           bool               // kept as before an incident of the item, or while our own side fails
}

// Scores are the scores of all items with traffic or declared capacity, sorted by item.
type Scores struct {
	Second int64 // newest second that went in
	List   []Score
}

// Scorer turns sealed seconds into scores. Every replica feeds one alike, so that a new leader goes on where the last one
// was; Restore begins from what was published last. It is deterministic, knows no clock and is not safe for concurrent use.
type Scorer struct {
	now      int64
	items    map[statemachine.Scope]*scored // instruments
	order    []*scored                      // the same, sorted
	channels map[string]*grounds            // sums of their instruments, and what is counted of them as a whole
	closed   []statemachine.Scope           // not healthy, sorted
	ours     bool                           // our own side fails
}

// grounds are what a score is made of: what is learned of a channel or of one of its instruments.
type grounds struct {
	rate     ladder
	feedback slices10
	times    resultTimes
	frozen   bool
}

// scored is what is known of channel × instrument.
type scored struct {
	grounds

	item   statemachine.Scope
	lately recent // what went into rate in the last minute: an incident takes it back
}

// NewScorer returns a scorer that knows nothing.
func NewScorer() *Scorer {
	return &Scorer{items: map[statemachine.Scope]*scored{}, channels: map[string]*grounds{}}
}

// Second is the newest second observed, 0 before the first.
func (s *Scorer) Second() int64 { return s.now }

// Restore begins from published scores; only a scorer that has observed nothing takes them.
func (s *Scorer) Restore(published Scores) {
	if s.now != 0 {
		return
	}
	s.now = published.Second
	for i := range published.List {
		p := &published.List[i]
		if p.Item.Kind != statemachine.ScopeInstrument && p.Item.Kind != statemachine.ScopeChannel {
			continue
		}
		g := grounds{rate: restored(p, s.now), frozen: p.Frozen}
		g.times.restore(p.ResultTimeMillis, s.now)
		if p.Item.Kind == statemachine.ScopeInstrument {
			s.keep(&scored{grounds: g, item: p.Item})
			continue
		}
		s.channels[p.Item.Channel] = &g
	}
}

// Observe takes the sum of one sealed second, in order of time; a second that is not newer than the last is ignored. ours
// says that our own side fails: then nothing is learned.
func (s *Scorer) Observe(sum *SecondCounts, f *statemachine.Fleet, ours bool) {
	if sum.Second <= s.now {
		return
	}
	s.now = sum.Second
	s.follow(f, ours)
	if ours {
		return
	}
	for i := range sum.Items {
		c := &sum.Items[i]
		switch c.Item.Kind {
		case statemachine.ScopeInstrument:
			s.instrument(c, f)
		case statemachine.ScopeChannel:
			ch := s.channel(c.Item.Channel)
			if !ch.frozen {
				ch.count(s.now, c)
			}
		case statemachine.ScopeUnspecified, statemachine.ScopeDomain, statemachine.ScopeBusiness, statemachine.ScopeMethod, statemachine.ScopeAccount:
		}
	}
}

// instrument learns from the results of channel × instrument.
func (s *Scorer) instrument(c *ItemCounts, f *statemachine.Fleet) {
	it := s.items[c.Item]
	if it == nil {
		it = &scored{item: c.Item, grounds: grounds{rate: ladder{at: s.now}, frozen: s.within(c.Item, f)}}
		s.keep(it)
	}
	if it.frozen {
		return
	}
	good, n := results(c)
	ch := s.channel(c.Item.Channel)
	it.rate.add(s.now, good, n)
	ch.rate.add(s.now, good, n)
	it.lately.add(s.now, good, n)
	it.count(s.now, c)
}

// count takes the feedback and the result times of a second; rates are added by instrument alone.
func (g *grounds) count(second int64, c *ItemCounts) {
	g.feedback.add(second, &c.Evidence[statemachine.KindNormal])
	g.times.add(second, c)
}

// keep adds an item, and its channel.
func (s *Scorer) keep(it *scored) {
	s.items[it.item] = it
	s.channel(it.item.Channel)
	at, _ := slices.BinarySearchFunc(s.order, it.item, func(o *scored, item statemachine.Scope) int { return o.item.Compare(item) })
	s.order = slices.Insert(s.order, at, it)
}

// channel returns what is known of a channel, beginning with nothing.
func (s *Scorer) channel(id string) *grounds {
	c := s.channels[id]
	if c == nil {
		c = &grounds{rate: ladder{at: s.now}}
		s.channels[id] = c
	}
	return c
}

// results are the successes of one item and second, and the successes and failures, corrections included. An unmapped code
// is half a failure. Of one payer's repeated failures within two minutes only the first counts.
func results(c *ItemCounts) (good, n float64) {
	t := &c.Totals
	good = float64(t[statemachine.Succeeded])
	bad := float64(t[statemachine.ChannelFailed]+t[statemachine.NetworkFailed]+t[statemachine.TimedOut]+t[statemachine.OutcomeUnspecified]) +
		0.5*float64(t[statemachine.OutcomeUnmapped])
	for k := range c.Evidence {
		e := &c.Evidence[k]
		bad -= float64(e.Bad-e.BadPayers) + 0.5*float64(e.Half-e.HalfPayers)
	}
	return good, good + bad
}
