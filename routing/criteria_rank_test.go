package routing

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestWhatCriteriaFindEqual is ranked as without a strategy, hash by hash.
func TestWhatCriteriaFindEqual(t *testing.T) {
	plain := newCatalog(newChannel("a"), newChannel("b"), newChannel("c"), newChannel("d"))
	for i, m := range plain.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = uint32(i/3), uint32(10*(i+1))
	}
	ranked := withStrategy(proto.CloneOf(plain), feedback(0), successRate(0), lowFee(0))
	without, with := mustTable(t, plain), mustTable(t, ranked)
	var d, e Decision
	for i := range 1000 {
		r := newRequest(func(r *Request) { r.PaymentID = fmt.Sprint("pay-", i) })
		if err := cmp.Or(decide(without, r, noon, &d), decide(with, r, noon, &e)); err != nil {
			t.Fatal(err)
		}
		if got, want := string(e.AppendBytes(nil)), string(d.AppendBytes(nil)); got != want {
			t.Fatalf("%s, want %s", names(&e), names(&d))
		}
	}
}

// TestMostSpecificScore is used: of channel × instrument, then method, business type, channel.
func TestMostSpecificScore(t *testing.T) {
	c := three(noFacts, noFacts, noFacts, successRate(0))
	list := []Score{
		rated(statemachine.ChannelScope("a"), 990_000),
		rated(statemachine.InstrumentScope("a", icbc), 910_000),
		rated(statemachine.BusinessScope("b", statemachine.Collect), 920_000),
		rated(statemachine.ChannelScope("b"), 990_000),
		rated(statemachine.MethodScope("c", "QUICKPAY"), 930_000, func(s *Score) { s.Frozen = true }),
		rated(statemachine.BusinessScope("c", statemachine.Collect), 990_000),
		{Item: statemachine.InstrumentScope("c", icbc), Headroom: 5}, // says nothing of the rate
	}
	table := scoredTable(t, c, list...)
	var d Decision
	if err := decide(table, newRequest(), noon, &d); err != nil || names(&d) != "c b a" {
		t.Errorf("%s, %v", names(&d), err)
	}
	other := newRequest(func(r *Request) { r.Instrument.CardType = "CREDIT" })
	if err := decide(table, other, noon, &d); err != nil || names(&d) != "a c b" {
		t.Errorf("another instrument: %s, %v", names(&d), err)
	}
}

// TestNewScoresRankAnew on the same plan, and equal ones are not worked out again.
func TestNewScoresRankAnew(t *testing.T) {
	p := mustPlan(t, three(noFacts, noFacts, noFacts, successRate(0)))
	var d Decision
	for i, want := range []string{"a b c", "c b a", "a b c"} {
		list := channelScores(970_000, 960_000, 950_000)
		if i == 1 {
			list = channelScores(950_000, 960_000, 970_000)
		}
		table := p.Table(Revision{1, int64(i + 1)}, nil, scores(list...))
		if err := decide(table, newRequest(), noon, &d); err != nil || names(&d) != want {
			t.Errorf("%s, %v, want %s", names(&d), err, want)
		}
		again := p.Table(Revision{1, int64(i + 2)}, []statemachine.State{off(statemachine.ChannelScope("b"))}, scores(slices.Clone(list)...))
		if again.scored != table.scored {
			t.Error("worked out twice")
		}
	}
}

// TestAccountsAreRankedByWhatIsLeft ranks accounts of one channel apart, each by the lesser of its own and the channel's.
func TestAccountsAreRankedByWhatIsLeft(t *testing.T) {
	twoAccounts := func(c *configv1.Channel) {
		c.Accounts = []*configv1.Account{{Id: "x", Entity: "e-1"}, {Id: "y", Entity: "e-1"}}
	}
	c := withStrategy(level(newCatalog(newChannel("a", twoAccounts), newChannel("b"))), headroom(0), successRate(0))
	left := func(s statemachine.Scope, headroom statemachine.Share) Score {
		return Score{Item: s, Headroom: headroom, QuotaLeft: statemachine.FullShare}
	}
	table := scoredTable(t, c, left(statemachine.AccountScope("a", "x"), 300_000), left(statemachine.ChannelScope("b"), 400_000),
		left(statemachine.ChannelScope("a"), 500_000), left(statemachine.AccountScope("a", "y"), 900_000))
	var d Decision
	if err := decide(table, newRequest(), noon, &d); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range d.Candidates {
		got = append(got, c.Channel+"/"+c.Account)
	}
	if want := "a/y b/main a/x"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSplitOfAStrategy gives each channel its part among those that flow in, and moves only the payments of one that leaves.
func TestSplitOfAStrategy(t *testing.T) {
	parts := []*configv1.SplitPart{{Channel: "a", Part: 700}, {Channel: "b", Part: 299}, {Channel: "c", Part: 1}}
	c := withStrategy(newCatalog(newChannel("a"), newChannel("b"), newChannel("c"), newChannel("d")), feedback(0), percentages(0, parts...))
	table := scoredTable(t, c)
	moved := proto.CloneOf(c)
	moved.GetStrategies()[0].GetCriteria()[1].GetSplit().Generation = 1
	anew := scoredTable(t, moved)
	const n = 200_000
	first, second, same := map[string]float64{}, map[string]float64{}, 0.0
	var d, e Decision
	for i := range n {
		r := newRequest(func(r *Request) { r.PaymentID = fmt.Sprint("pay-", i) })
		if err := cmp.Or(decide(table, r, noon, &d), decide(anew, r, noon, &e)); err != nil {
			t.Fatal(err)
		}
		first[d.Candidates[0].Channel]++
		if d.Candidates[0].Channel == e.Candidates[0].Channel {
			same++
		}
		if d.Candidates[3].Channel != "d" {
			t.Fatalf("%s: d has no part", names(&d))
		}
		if i < n/10 { // without the first the others keep their order
			r.Exclude = []string{"a"}
			left := strings.ReplaceAll(names(&d), "a ", "") + " a:EXCLUDED"
			if err := decide(table, r, noon, &e); err != nil || names(&e) != left {
				t.Fatalf("%s, want %s", names(&e), left)
			}
			second[e.Candidates[0].Channel]++
		}
	}
	binomial(t, "a", first["a"], n, 0.7)
	binomial(t, "b", first["b"], n, 0.299)
	binomial(t, "c", first["c"], n, 0.001)
	binomial(t, "b without a", second["b"], n/10, 299.0/300)
	binomial(t, "dealt anew alike", same, n, 0.7*0.7+0.299*0.299+0.001*0.001)
}

// binomial holds a count to five standard deviations of its expectation.
func binomial(tb testing.TB, what string, got, n, p float64) {
	tb.Helper()
	if off := math.Abs(got - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
		tb.Errorf("%s: %v of %v, want %v", what, got, n, n*p)
	}
}

func TestLogarithmOfSplits(t *testing.T) {
	logs := newLogTable()
	rapid.Check(t, func(rt *rapid.T) {
		hash := rapid.Uint64().Draw(rt, "hash")
		got := float64(logs.minusLog2(hash)) / (1 << logFraction)
		want := 64 - math.Log2(float64(hash)+1)
		if math.Abs(got-want) > 3e-6+1e-9*want {
			rt.Errorf("−log₂ of %#x is %v, want %v", hash, got, want)
		}
	})
	if logs.minusLog2(math.MaxUint64) != 0 || logs.minusLog2(0) != 64<<logFraction {
		t.Error("the ends are off")
	}
}

// anyCatalog draws a catalogue with a strategy of any criteria, scores, and what makes requests differ.
func anyCatalog(rt *rapid.T) (*configv1.Catalog, *Scores) {
	n := rapid.IntRange(1, 24).Draw(rt, "channels")
	var channels []*configv1.Channel
	var list []Score
	step := func(name string, of uint32) uint32 { return rapid.Uint32Range(0, 4).Draw(rt, name) * of }
	for i := range n {
		id := fmt.Sprintf("ch-%02d", i)
		ch := newChannel(id, fees(int64(step("fixed", 10)), step("points", 10), ""), weighs(1+step("weight", 1)),
			takes(time.Second*time.Duration(1+step("result", 1)), time.Hour*time.Duration(step("settlement", 1))), carbon(int64(step("carbon", 1))))
		if rapid.Bool().Draw(rt, "two accounts") {
			ch.Accounts = append(ch.Accounts, &configv1.Account{Id: "second", Entity: "e-1"})
			list = append(list, Score{Item: statemachine.AccountScope(id, "second"), Headroom: statemachine.Share(step("left", 250_000)), QuotaLeft: statemachine.FullShare})
		}
		channels = append(channels, ch)
		if rapid.Bool().Draw(rt, "scored") {
			s := rated(statemachine.ChannelScope(id), statemachine.Share(900_000+step("rate", 20_000)))
			s.Feedback -= step("feedback", 1000)
			s.Headroom -= statemachine.Share(step("headroom", 250_000))
			s.Commitment = statemachine.Share(step("commitment", 100_000))
			s.Frozen = rapid.Bool().Draw(rt, "frozen")
			list = append(list, s)
		}
	}
	c := newCatalog(channels...)
	for _, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority = rapid.Uint32Range(0, 1000).Draw(rt, "priority")
	}
	kinds := []*configv1.Criterion{
		feedback(1000), successRate(25_000), lowFee(0), lowFee(5), greatWeight(2), headroom(500_000), expectedValue(100, 5), commitment(), quotaLeft(),
		resultTime(2 * time.Second), settlementTime(), priorityFirst(), successRate(0, 950_000),
		prefers(&configv1.Preference{Merchants: []string{"m-1"}, Channels: []string{"ch-00"}}),
		percentages(0, &configv1.SplitPart{Channel: "ch-00", Part: 3}),
		onlyWhen(expectedValue(100, 0), &configv1.Condition{Currency: "CNY", MaxAmount: 5000}),
		attribute(func(a *configv1.AttributeCriterion) {
			a.Attribute, a.Order = "carbon", configv1.AttributeOrder_ATTRIBUTE_ORDER_HIGHEST_FIRST
		}),
	}
	chosen := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, maxCriteria-1).Draw(rt, "criteria")
	withStrategy(c, append(chosen, successRate(10_000))...)
	if rapid.Bool().Draw(rt, "explores") {
		c.GetStrategies()[0].Exploration = &configv1.Exploration{
			SharePpm: 500_000, Choice: configv1.ExplorationChoice(rapid.IntRange(0, 2).Draw(rt, "choice")),
		}
	}
	return c, scores(list...)
}

func anyRequest(rt *rapid.T) *Request {
	return newRequest(func(r *Request) {
		r.PaymentID = rapid.StringMatching(`p-[0-9]{6}`).Draw(rt, "payment")
		r.Amount = rapid.Int64Range(0, 20_000).Draw(rt, "amount")
		r.Merchant = rapid.SampledFrom([]string{"m-1", "m-2"}).Draw(rt, "merchant")
		if rapid.Bool().Draw(rt, "tried") {
			r.Attempts = []Attempt{{Channel: "ch-00", Account: "main", Outcome: statemachine.NetworkFailed}}
		}
	})
}

// TestOrderOfTheCatalogueDoesNotMatter permutes channels, members and parts: where no two members have the same priority,
// nothing is left to the order in which they are written.
func TestOrderOfTheCatalogueDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c, sc := anyCatalog(rt)
		seen := map[uint32]bool{}
		for _, m := range c.GetRoutes()[0].GetMembers() {
			for seen[m.GetPriority()] {
				m.Priority = (m.GetPriority() + 1) % 1000
			}
			seen[m.GetPriority()] = true
		}
		other := proto.CloneOf(c)
		other.Channels = rapid.Permutation(other.GetChannels()).Draw(rt, "order of channels")
		route := other.GetRoutes()[0]
		route.Members = rapid.Permutation(route.GetMembers()).Draw(rt, "order of members")
		r := anyRequest(rt)
		one, two := mustPlan(t, c).Table(Revision{1, 1}, nil, sc), mustPlan(t, other).Table(Revision{1, 1}, nil, sc)
		var d, e Decision
		if a, b := decide(one, r, noon, &d), decide(two, r, noon, &e); !errors.Is(a, b) && (a == nil || b == nil || a.Error() != b.Error()) {
			rt.Fatalf("%v and %v", a, b)
		}
		if string(d.AppendBytes(nil)) != string(e.AppendBytes(nil)) {
			rt.Errorf("%s and %s", names(&d), names(&e))
		}
	})
}

// TestRankingIsATotalOrder: each candidate once, none before one whose key is lower, and the same again from a snapshot.
func TestRankingIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c, sc := anyCatalog(rt)
		table := mustPlan(t, c).Table(Revision{1, 1}, nil, sc)
		r := anyRequest(rt)
		var rk Ranking
		Rank(table, r, noon, &rk)
		s := rk.strategy()
		seen := map[[2]int32]bool{}
		moved := rk.sorting.from != rk.sorting.to
		for i := range rk.ranked {
			x := &rk.list[i]
			if key := [2]int32{x.channel, x.account}; seen[key] {
				rt.Errorf("%d twice", x.channel)
			} else {
				seen[key] = true
			}
			if i > 0 && !moved && rk.sorting.compare(rk.list[i-1].entry, x.entry, len(s.words)) > 0 {
				rt.Errorf("%d is out of order", i)
			}
		}
		each := slices.Sorted(slices.Values(rk.sorting.order[:rk.sorting.n]))
		if len(slices.Compact(each)) != rk.sorting.n || rk.ranked+rk.dropped != rk.sorting.n {
			rt.Errorf("%d ranked and %d dropped of %d", rk.ranked, rk.dropped, rk.sorting.n)
		}
		snapshot := NewSnapshot(table, "test", time.Unix(noon, 0))
		if snapshot.GetFeatureBits()&FeatureStrategies == 0 {
			rt.Error("an older reader would take the snapshot")
		}
		raw, err := proto.Marshal(snapshot)
		if err != nil {
			rt.Fatal(err)
		}
		back := &configv1.Snapshot{}
		if err := proto.Unmarshal(raw, back); err != nil {
			rt.Fatal(err)
		}
		again, err := OpenSnapshot(back, "test", nil)
		if err != nil {
			rt.Fatal(err)
		}
		var d, e Decision
		if fmt.Sprint(decide(table, r, noon, &d)) != fmt.Sprint(decide(again, r, noon, &e)) || d.Digest() != e.Digest() {
			rt.Errorf("%s, from the snapshot %s", names(&d), names(&e))
		}
	})
}

// TestManyCandidatesAreSorted as few are: sorting by insertion and in O(n log n) agree.
func TestManyCandidatesAreSorted(t *testing.T) {
	var channels []*configv1.Channel
	var list []Score
	for i := range MaxCandidates {
		id := fmt.Sprintf("ch-%02d", i)
		channels = append(channels, newChannel(id, weighs(uint32(1+i%5))))
		list = append(list, rated(statemachine.ChannelScope(id), statemachine.Share(900_000+i*37%10*1000)))
	}
	table := scoredTable(t, withStrategy(newCatalog(channels...), successRate(3000), greatWeight(0)), list...)
	var d Decision
	if err := decide(table, newRequest(), noon, &d); err != nil || len(d.Candidates) != MaxCandidates {
		t.Fatalf("%d candidates, %v", len(d.Candidates), err)
	}
	for i := 1; i < len(d.Candidates); i++ {
		a, b := d.Candidates[i-1], d.Candidates[i]
		key := func(c *Candidate) []int {
			at := int(c.channel)
			return []int{(1_000_000 - 900_000 - at*37%10*1000) / 3000, -(1 + at%5), at}
		}
		if slices.Compare(key(&a), key(&b)) >= 0 {
			t.Errorf("%s before %s", a.Channel, b.Channel)
		}
	}
	r := newRequest()
	if allocs := testing.AllocsPerRun(100, func() { _ = Decide(table, r, noon, Admission{Lifted: -1}, &d) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
