package monitor

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

var (
	scoredBank  = statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}
	scoredOther = statemachine.Instrument{Method: "QUICKPAY", Bank: "ABC", CardType: "DEBIT"}
)

const scoresBegin = int64(1_772_424_000)

// scoreBench feeds a scorer second by second.
type scoreBench struct {
	*Scorer

	second int64
	fleet  statemachine.Fleet
	rule   FeedbackRule
	quotas []QuotaScore
	ours   bool
}

func newScoreBench() *scoreBench {
	return &scoreBench{
		Scorer: NewScorer(), second: scoresBegin, rule: DefaultFeedback(),
		fleet: statemachine.Fleet{States: map[statemachine.Scope]statemachine.State{}},
	}
}

// tally is what one instrument of a channel saw in a second.
type scoreTally struct {
	channel  string
	in       statemachine.Instrument
	outcomes [statemachine.NumOutcomes]int32
	repeats  uint32 // of the bad: from payers that failed before
	latency  uint32 // milliseconds of each
}

// observe seals one second; the channel's own counts are the sum.
func (b *scoreBench) observe(tallies ...scoreTally) {
	sum := SecondCounts{Second: b.second}
	channels := map[string]*ItemCounts{}
	for _, t := range tallies {
		c := ItemCounts{Item: statemachine.InstrumentScope(t.channel, t.in)}
		e := &c.Evidence[statemachine.KindNormal]
		for i, n := range t.outcomes {
			o := statemachine.Outcome(i)
			c.Totals[o] += n
			if n < 0 {
				continue // a correction is no evidence
			}
			e.Outcomes[o] += uint32(n)
			c.Latency[latencyBucket(t.latency)] += uint32(n)
			c.LatencyMillis += uint64(n) * uint64(t.latency)
			if o.Health() == statemachine.HealthBad {
				e.Bad += uint32(n)
			}
		}
		e.BadPayers = e.Bad - t.repeats
		sum.Items = append(sum.Items, c)
		if channels[t.channel] == nil {
			channels[t.channel] = &ItemCounts{Item: statemachine.ChannelScope(t.channel)}
		}
		channels[t.channel].add(&c)
	}
	for _, c := range channels {
		sum.Items = append(sum.Items, *c)
	}
	slices.SortFunc(sum.Items, func(a, b ItemCounts) int { return a.Item.Compare(b.Item) })
	b.Observe(&sum, &b.fleet, b.ours)
	b.second++
}

func results1(channel string, in statemachine.Instrument, good, bad int32) scoreTally {
	return scoreTally{channel: channel, in: in, latency: 300, outcomes: [statemachine.NumOutcomes]int32{statemachine.Succeeded: good, statemachine.ChannelFailed: bad}}
}

// run observes the same second n times.
func (b *scoreBench) run(n int, tallies ...scoreTally) {
	for range n {
		b.observe(tallies...)
	}
}

func (b *scoreBench) around() Around {
	return Around{Fleet: &b.fleet, Feedback: func(string) FeedbackRule { return b.rule }, Quotas: b.quotas}
}

func (b *scoreBench) all() []Score {
	next, _ := b.Scores(b.around(), nil)
	return next
}

func (b *scoreBench) score(t *testing.T, item statemachine.Scope) Score {
	t.Helper()
	for _, s := range b.all() {
		if s.Item == item {
			return s
		}
	}
	t.Fatalf("no score of %s in %+v", item, b.all())
	return Score{}
}

func (b *scoreBench) set(scope statemachine.Scope, phase statemachine.Phase) {
	st := statemachine.NewState(scope)
	st.Phase = phase
	if phase != statemachine.Healthy {
		st.Share = 0
	}
	states := maps.Clone(b.fleet.States)
	states[scope] = st
	b.fleet.States = states
}

func within(t *testing.T, what string, got statemachine.Share, low, high float64) {
	t.Helper()
	if f := got.Fraction(); f < low || f > high {
		t.Errorf("%s: %.4f, want %.4f to %.4f", what, f, low, high)
	}
}

func TestScoresOfWhatSucceeds(t *testing.T) {
	t.Parallel()
	item := statemachine.InstrumentScope("a", scoredBank)
	for _, test := range []struct {
		name      string
		tally     scoreTally
		low, high float64
	}{
		{"successes and failures", results1("a", scoredBank, 9, 1), 0.895, 0.905},
		{"payers' declines and rejections say nothing", scoreTally{channel: "a", in: scoredBank, outcomes: [statemachine.NumOutcomes]int32{
			statemachine.Succeeded: 9, statemachine.ChannelFailed: 1, statemachine.UserDeclined: 40, statemachine.Rejected: 20,
		}}, 0.895, 0.905},
		{"throttling, our accounts and what is pending say nothing", scoreTally{channel: "a", in: scoredBank, outcomes: [statemachine.NumOutcomes]int32{
			statemachine.Succeeded: 9, statemachine.ChannelFailed: 1, statemachine.Throttled: 9, statemachine.AccountFailed: 9, statemachine.Pending: 9,
		}}, 0.895, 0.905},
		{"a timeout that a later result corrects is none", scoreTally{channel: "a", in: scoredBank, outcomes: [statemachine.NumOutcomes]int32{
			statemachine.Succeeded: 19, statemachine.ChannelFailed: 1, statemachine.TimedOut: 0,
		}}, 0.945, 0.955},
		{"a payer's repeated failures count once", scoreTally{channel: "a", in: scoredBank, repeats: 9, outcomes: [statemachine.NumOutcomes]int32{
			statemachine.Succeeded: 9, statemachine.ChannelFailed: 10,
		}}, 0.895, 0.905},
		{"an unmapped code is half a failure", scoreTally{channel: "a", in: scoredBank, outcomes: [statemachine.NumOutcomes]int32{
			statemachine.Succeeded: 9, statemachine.OutcomeUnmapped: 2,
		}}, 0.895, 0.905},
	} {
		b := newScoreBench()
		b.run(3600, test.tally)
		within(t, test.name, b.score(t, item).SuccessRate, test.low, test.high)
	}
}

func TestScoresFollowWhatHappensNow(t *testing.T) {
	t.Parallel()
	item := statemachine.InstrumentScope("a", scoredBank)
	b := newScoreBench()
	b.run(4*3600, results1("a", scoredBank, 19, 1))
	within(t, "well", b.score(t, item).SuccessRate, 0.945, 0.955)
	b.run(120, results1("a", scoredBank, 0, 20))
	within(t, "two minutes of an outage", b.score(t, item).SuccessRate, 0, 0.92)
	b.run(2*3600, results1("a", scoredBank, 19, 1))
	within(t, "two hours later", b.score(t, item).SuccessRate, 0.94, 0.955)

	quiet := newScoreBench() // a result a minute: the last hours decide less, what is known longer more
	for i := range 2 * 24 * 60 {
		bad := int32(0)
		if i%20 == 0 {
			bad = 1
		}
		quiet.observe(results1("a", scoredBank, 1-bad, bad))
		quiet.second += 59
	}
	within(t, "quiet", quiet.score(t, item).SuccessRate, 0.93, 0.965)
	quiet.observe(results1("a", scoredBank, 0, 1))
	quiet.observe(results1("a", scoredBank, 0, 1))
	within(t, "two failures in quiet traffic", quiet.score(t, item).SuccessRate, 0.90, 0.95)
}

func TestScoresArePooledUpwards(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	b.run(3600, results1("a", scoredBank, 16, 4), results1("b", scoredBank, 19, 1))
	within(t, "channel a", b.score(t, statemachine.ChannelScope("a")).SuccessRate, 0.795, 0.805)
	b.observe(results1("a", scoredOther, 1, 0), results1("b", scoredOther, 1, 0))
	a, other := b.score(t, statemachine.InstrumentScope("a", scoredOther)), b.score(t, statemachine.InstrumentScope("b", scoredOther))
	within(t, "an instrument with one result has its channel's rate, low", a.SuccessRate, 0.78, 0.83)
	within(t, "an instrument with one result has its channel's rate, high", other.SuccessRate, 0.93, 0.97)
	if known := b.score(t, statemachine.InstrumentScope("a", scoredBank)); a.Deviation < 2*known.Deviation || a.Samples >= known.Samples {
		t.Errorf("one result: %+v; thousands: %+v: want the first less certain", a, known)
	}
	b.observe(results1("c", scoredBank, 1, 0))
	within(t, "a new channel is as the others are", b.score(t, statemachine.ChannelScope("c")).SuccessRate, 0.85, 0.92)
	var rest []Score
	for range 20 * 24 { // three weeks without results of the one instrument
		b.second += 3600
		b.observe(results1("a", scoredOther, 19, 1))
		rest = b.all()
	}
	if slices.ContainsFunc(rest, func(s Score) bool { return s.Item == statemachine.InstrumentScope("a", scoredBank) }) {
		t.Error("an instrument without results keeps a score of its own: its channel says more")
	}
}

func TestScoresOfNegativeFeedback(t *testing.T) {
	t.Parallel()
	item := statemachine.InstrumentScope("a", scoredBank)
	for _, test := range []struct {
		name      string
		good, bad int32 // a second, over ten
		rule      FeedbackRule
		want      uint32
	}{
		{"no failure", 5, 0, DefaultFeedback(), 10_000},
		{"exactly 10 % and exactly ten", 9, 1, DefaultFeedback(), 10_000},
		{"more than ten, less than 10 %", 98, 2, DefaultFeedback(), 9_800},
		{"more than 10 %, few", 0, 1, DefaultFeedback(), 0},
		{"half", 1, 1, DefaultFeedback(), 5_000},
		{"the rule is the owner's: count", 98, 2, FeedbackRule{Count: 20, Ratio: 0.1}, 10_000},
		{"the rule is the owner's: ratio", 1, 1, FeedbackRule{Count: 10, Ratio: 0.5}, 10_000},
	} {
		b := newScoreBench()
		b.rule = test.rule
		b.second -= b.second % sliceSeconds
		b.run(10, results1("a", scoredBank, test.good, test.bad))
		for _, item := range []statemachine.Scope{item, statemachine.ChannelScope("a")} {
			if got := b.score(t, item).Feedback; got != test.want {
				t.Errorf("%s: %s: %d, want %d", test.name, item, got, test.want)
			}
		}
		b.run(10)
		if got := b.score(t, item).Feedback; got != FullFeedback {
			t.Errorf("%s: ten seconds later: %d", test.name, got)
		}
	}
}

func TestScoresAreFrozenInAnIncident(t *testing.T) {
	t.Parallel()
	item := statemachine.InstrumentScope("a", scoredBank)
	for _, test := range []struct {
		name   string
		closed statemachine.Scope // unspecified: our own side fails
		frozen bool
	}{
		{"the item", item, true},
		{"its channel", statemachine.ChannelScope("a"), true},
		{"its method", statemachine.MethodScope("a", "QUICKPAY"), true},
		{"its failure domain", statemachine.DomainScope("net"), true},
		{"our own side", statemachine.Scope{}, true},
		{"another instrument", statemachine.InstrumentScope("a", scoredOther), false},
		{"another channel", statemachine.ChannelScope("b"), false},
	} {
		b := newScoreBench()
		b.fleet.Channels = map[string]statemachine.ChannelFacts{"a": {Domains: []string{"net"}}, "b": {}}
		well := results1("a", scoredBank, 19, 1)
		b.run(3600, well)
		before := b.score(t, item)
		if test.frozen {
			b.run(20, results1("a", scoredBank, 0, 20)) // until it is cut
		}
		if test.closed.Kind == statemachine.ScopeUnspecified {
			b.ours = true
		} else {
			b.set(test.closed, statemachine.Disabled)
		}
		b.run(600, results1("a", scoredBank, 0, 20))
		got := b.score(t, item)
		if got.Frozen != test.frozen {
			t.Errorf("%s is not healthy: frozen %t", test.name, got.Frozen)
		}
		if !test.frozen {
			within(t, test.name+": what is open goes on learning", got.SuccessRate, 0, 0.9)
			continue
		}
		within(t, test.name+": as before", got.SuccessRate, before.SuccessRate.Fraction()-0.003, before.SuccessRate.Fraction()+0.003)
		if got.Feedback != FullFeedback {
			t.Errorf("%s: feedback %d while frozen", test.name, got.Feedback)
		}
		b.second += 3 * 86400 // however long it lasts
		b.run(1)
		b.ours = false
		if test.closed.Kind != statemachine.ScopeUnspecified {
			b.set(test.closed, statemachine.Healthy)
		}
		b.run(60, well)
		got = b.score(t, item)
		within(t, test.name+": well again", got.SuccessRate, before.SuccessRate.Fraction()-0.005, before.SuccessRate.Fraction()+0.005)
		if got.Frozen || got.Samples < before.Samples/10*9 {
			t.Errorf("%s: well again, but %+v: before %+v", test.name, got, before)
		}
	}
}

func TestScoresOfResultTime(t *testing.T) {
	t.Parallel()
	item := statemachine.InstrumentScope("a", scoredBank)
	b := newScoreBench()
	b.run(1, results1("a", scoredBank, 5, 0))
	if got := b.score(t, item).ResultTimeMillis; got != 0 {
		t.Errorf("after five results: %d ms, want not known", got)
	}
	b.run(100, results1("a", scoredBank, 10, 0))
	if got := b.score(t, item).ResultTimeMillis; got < 200 || got > 400 {
		t.Errorf("all of 300 ms: %d", got)
	}
	slow := results1("a", scoredBank, 10, 0)
	slow.latency = 3000
	b.run(1200, slow)
	if got := b.score(t, item).ResultTimeMillis; got < 1600 || got > 3200 {
		t.Errorf("after twenty minutes of 3 s: %d", got)
	}
	timeouts := scoreTally{channel: "a", in: scoredBank, latency: 30_000, outcomes: [statemachine.NumOutcomes]int32{statemachine.TimedOut: 10}}
	b.run(600, timeouts)
	if got := b.score(t, item).ResultTimeMillis; got > 3200 {
		t.Errorf("timeouts made it %d: they tell how long the gateway waits", got)
	}
}

func TestScoresOfHeadroom(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	b.fleet.Pools = []statemachine.Pool{{Name: "a", PerSecond: 100, Load: 25}, {Name: "a/main", PerSecond: 10, Load: 9}, {Name: "open"}, {Name: "over", PerSecond: 10, Load: 30}}
	b.fleet.Lanes = []statemachine.LaneMembers{{Members: []statemachine.Member{
		{Channel: "a", Account: "main", Pools: []int{0, 1}},
		{Channel: "a", Account: "second", Pools: []int{0, 2}},
		{Channel: "b", Account: "main", Pools: []int{2}},
		{Channel: "c", Account: "main", Pools: []int{3}},
	}}}
	b.run(10, results1("a", scoredBank, 1, 0), results1("b", scoredBank, 1, 0))
	for item, want := range map[statemachine.Scope]statemachine.Share{
		statemachine.ChannelScope("a"):           750_000,
		statemachine.AccountScope("a", "main"):   100_000,
		statemachine.AccountScope("a", "second"): 750_000,
		statemachine.ChannelScope("b"):           statemachine.FullShare,
		statemachine.ChannelScope("c"):           0,
	} {
		if got := b.score(t, item).Headroom; got != want {
			t.Errorf("%s: headroom %s, want %s", item, got, want)
		}
	}
}

func TestScoresOfQuotas(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	b.quotas = []QuotaScore{
		{Item: statemachine.ChannelScope("a"), LeftPPM: 347_000},
		{Item: statemachine.AccountScope("a", "main"), LeftPPM: 9_999},
		{Item: statemachine.ChannelScope("b"), LeftPPM: 1_000_000, CommitmentPPM: 125_000},
	}
	b.run(10, results1("a", scoredBank, 1, 0))
	for item, want := range map[statemachine.Scope][2]statemachine.Share{
		statemachine.ChannelScope("a"):                {340_000, 0},
		statemachine.AccountScope("a", "main"):        {0, 0},
		statemachine.ChannelScope("b"):                {statemachine.FullShare, 120_000},
		statemachine.InstrumentScope("a", scoredBank): {statemachine.FullShare, 0},
	} {
		if got := b.score(t, item); got.QuotaLeft != want[0] || got.Commitment != want[1] || got.Feedback != FullFeedback {
			t.Errorf("%s: %+v, want %s left, %s behind", item, got, want[0], want[1])
		}
	}
	b.quotas = []QuotaScore{{Item: statemachine.ChannelScope("b"), LeftPPM: 1_000_000}}
	for _, s := range b.all() {
		if s.Item == statemachine.ChannelScope("b") {
			t.Errorf("a channel of which nothing is known: %+v", s)
		}
	}
}

func TestScoresAreQuiet(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	random := rand.New(rand.NewPCG(1, 2))
	var inForce []Score
	publications := 0
	for i := range 3600 {
		bad := int32(0)
		for range 20 {
			if random.Float64() < 0.05 {
				bad++
			}
		}
		b.rule = FeedbackRule{Count: 1000, Ratio: 1}
		b.observe(results1("a", scoredBank, 20-bad, bad))
		if i%ScoresEvery != 0 {
			continue
		}
		next, changed := b.Scores(b.around(), inForce)
		if changed {
			publications++
			inForce = next
		}
	}
	if publications > 150 {
		t.Errorf("%d publications in an hour in which nothing happened, of 720 possible", publications)
	}
	inForce, _ = b.Scores(b.around(), inForce)
	if _, changed := b.Scores(b.around(), inForce); changed {
		t.Error("the same scores are published twice")
	}
	b.run(60, results1("a", scoredBank, 0, 20))
	if _, changed := b.Scores(b.around(), inForce); !changed {
		t.Error("an outage changes nothing")
	}
}

// A figure that moved little is not published anew: each has its own measure, and beyond that it is.
func TestScoresHoldWhatMovedLittle(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	b.run(20, results1("a", scoredBank, 19, 1))
	inForce, _ := b.Scores(b.around(), nil)
	at := slices.IndexFunc(inForce, func(s Score) bool { return s.Item == statemachine.InstrumentScope("a", scoredBank) })
	if at < 0 || inForce[at].Deviation/5 <= rateStep {
		t.Fatalf("want a rate that moves by chance further than the step: %+v", inForce)
	}
	for name, edit := range map[string]struct{ little, much func(*Score) }{
		"rate": {
			func(s *Score) { s.SuccessRate -= s.Deviation / 5 },
			func(s *Score) { s.SuccessRate -= s.Deviation / 3 },
		},
		"deviation": {
			func(s *Score) { s.Deviation = s.Deviation * 9 / 10 },
			func(s *Score) { s.Deviation = s.Deviation * 8 / 10 },
		},
		"samples": {
			func(s *Score) { s.Samples = s.Samples * 3 / 4 },
			func(s *Score) { s.Samples = s.Samples * 3 / 5 },
		},
		"result time": {
			func(s *Score) { s.ResultTimeMillis = s.ResultTimeMillis * 9 / 10 },
			func(s *Score) { s.ResultTimeMillis = s.ResultTimeMillis * 8 / 10 },
		},
	} {
		for far, change := range map[bool]func(*Score){false: edit.little, true: edit.much} {
			before := slices.Clone(inForce)
			change(&before[at])
			next, changed := b.Scores(b.around(), before)
			if changed != far || !far && next[at] != before[at] || far && next[at] != inForce[at] {
				t.Errorf("%s, far %t: %+v in force, %+v next", name, far, before[at], next[at])
			}
		}
	}
}

func TestScoresAreRestored(t *testing.T) {
	t.Parallel()
	b := newScoreBench()
	b.run(7200, results1("a", scoredBank, 19, 1), results1("b", scoredBank, 16, 4))
	before := b.all()
	again := newScoreBench()
	again.Restore(Scores{Second: b.second - 1, List: before})
	again.second = b.second - 5
	again.run(5, results1("a", scoredBank, 0, 20)) // seconds that went into what was published
	again.run(1)
	for i, s := range again.all() {
		within(t, s.Item.String(), s.SuccessRate, before[i].SuccessRate.Fraction()-0.003, before[i].SuccessRate.Fraction()+0.003)
		if s.Item != before[i].Item || s.Samples == 0 || s.ResultTimeMillis == 0 {
			t.Errorf("restored %+v, was %+v", s, before[i])
		}
	}
}

// Whatever is counted, scores stay within their ranges and sorted, and the same seconds give the same scores.
func TestScoresStayInRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one, two := newScoreBench(), newScoreBench()
		var inForce []Score
		for range rapid.IntRange(1, 40).Draw(t, "seconds") {
			var tallies []scoreTally
			for _, channel := range []string{"a", "b"} {
				for _, in := range []statemachine.Instrument{scoredBank, scoredOther} {
					outcomes := [statemachine.NumOutcomes]int32{}
					for o := range statemachine.NumOutcomes {
						outcomes[o] = rapid.Int32Range(-3, 20).Draw(t, "n")
					}
					tallies = append(tallies, scoreTally{channel: channel, in: in, outcomes: outcomes, latency: rapid.Uint32().Draw(t, "latency")})
				}
			}
			phase := rapid.SampledFrom([]statemachine.Phase{statemachine.Healthy, statemachine.Disabled}).Draw(t, "phase")
			for _, b := range []*scoreBench{one, two} {
				b.set(statemachine.ChannelScope("a"), phase)
				b.observe(tallies...)
				b.second += 100
			}
			next, _ := one.Scores(one.around(), inForce)
			other, _ := two.Scores(two.around(), inForce)
			if !slices.Equal(next, other) {
				t.Fatalf("the same seconds gave %+v and %+v", next, other)
			}
			if !slices.IsSortedFunc(next, func(a, b Score) int { return a.Item.Compare(b.Item) }) {
				t.Fatalf("not sorted: %+v", next)
			}
			for _, s := range next {
				if s.SuccessRate > statemachine.FullShare || s.Headroom > statemachine.FullShare || s.Feedback > FullFeedback || s.Deviation > maxDeviation {
					t.Fatalf("out of range: %+v", s)
				}
			}
			inForce = next
		}
	})
}

func TestLadderForgetsAtItsPaces(t *testing.T) {
	t.Parallel()
	var l ladder
	l.at = scoresBegin
	l.add(scoresBegin, 90, 100)
	l.age(scoresBegin + int64(levelLife[0]))
	for i, life := range levelLife {
		want := 100 * math.Exp(-levelLife[0]/life)
		if math.Abs(l.n[i]-want) > 1e-9 || math.Abs(l.good[i]-0.9*want) > 1e-9 {
			t.Errorf("level %d: %.3f of %.3f, want %.3f", i, l.good[i], l.n[i], want)
		}
	}
	l.remove(scoresBegin, 90, 100)
	for i := range l.n {
		if l.n[i] > 1e-9 {
			t.Errorf("level %d: %.3g left of what was taken back", i, l.n[i])
		}
	}
}
