package routing

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// explores lets the strategy of a catalogue explore.
func explores(c *configv1.Catalog, share uint32, choice configv1.ExplorationChoice, gap uint32) *configv1.Catalog {
	c.GetStrategies()[0].Exploration = &configv1.Exploration{SharePpm: share, Choice: choice, MaxGapPpm: gap}
	return c
}

const (
	byDraw  = configv1.ExplorationChoice_EXPLORATION_CHOICE_DRAW
	uniform = configv1.ExplorationChoice_EXPLORATION_CHOICE_UNIFORM
)

// tally routes n payments and counts who is first, and who was explored.
func tally(tb testing.TB, table *Table, n int, edit ...func(*Request)) (first, explored map[string]float64) {
	tb.Helper()
	first, explored = map[string]float64{}, map[string]float64{}
	var d Decision
	for i := range n {
		r := newRequest(append(edit, func(r *Request) { r.PaymentID = fmt.Sprint("pay-", i) })...)
		if err := decide(table, r, noon, &d); err != nil {
			tb.Fatal(err)
		}
		first[d.Candidates[0].Channel]++
		for i := range d.Candidates {
			if c := &d.Candidates[i]; c.Why == WhyExploration {
				explored[c.Channel]++
				if i != 0 && d.Candidates[0].Kind == statemachine.KindNormal {
					tb.Fatalf("%s explored at place %d", c.Channel, i+1)
				}
			}
		}
	}
	return first, explored
}

func TestUniformExplorationTakesItsShare(t *testing.T) {
	c := explores(three(noFacts, noFacts, noFacts, feedback(0), successRate(0)), 30_000, uniform, 0)
	table := scoredTable(t, c, channelScores(970_000, 960_000, 950_000)...)
	const n = 200_000
	first, explored := tally(t, table, n)
	binomial(t, "not explored", first["a"], n, 0.97)
	for _, id := range []string{"b", "c"} {
		binomial(t, id, explored[id], n, 0.015)
		if first[id] != explored[id] {
			t.Errorf("%s first %v times, explored %v", id, first[id], explored[id])
		}
	}
	if len(explored) != 2 {
		t.Errorf("the best is not explored: %v", explored)
	}
}

// TestDrawsFollowUncertainty holds the draws of two channels to the normal distribution: the one that is worse by two standard
// deviations of the difference is drawn above the other in 2.3 % of the payments that draw.
func TestDrawsFollowUncertainty(t *testing.T) {
	c := explores(three(noFacts, noFacts, noFacts, feedback(0), successRate(5000)), 500_000, byDraw, 0)
	deviate := func(d statemachine.Share) func(string, *Score) {
		return func(id string, s *Score) {
			if s.Deviation = d; id == "c" {
				s.Feedback = 9999
			}
		}
	}
	const n = 200_000
	table := scoredTable(t, c, channelScores(970_000, 970_000-56_569, 970_000, deviate(20_000))...) // 2·20,000·√2
	first, explored := tally(t, table, n)
	binomial(t, "b", explored["b"], n, 0.5*0.02275)
	if first["a"]+explored["b"] != n || explored["c"] > 0 {
		t.Errorf("first %v, explored %v", first, explored)
	}
	if _, explored = tally(t, scoredTable(t, c, channelScores(970_000, 960_000, 950_000, deviate(0))...), 1000); len(explored) > 0 {
		t.Errorf("nothing is uncertain, explored %v", explored)
	}
	// of two that the band finds equal a draw brings up the second in half of the payments that draw
	banded := scoredTable(t, c, channelScores(970_000, 970_000, 0, deviate(20_000))...)
	first, explored = tally(t, banded, n, func(r *Request) { r.Exclude = []string{"c"} })
	binomial(t, "explored of equals", explored["a"]+explored["b"], n, 0.25)
	binomial(t, "first of equals", first["a"], n, 0.5)
}

// TestExplorationOfExpectedValue draws the rate, not the fee: at a wide margin it explores, at a narrow one the fee decides.
func TestExplorationOfExpectedValue(t *testing.T) {
	const n = 20_000
	for margin, want := range map[uint32]float64{10_000: 0.5 * 0.3085, 60: 0} { // half a standard deviation of the difference
		c := explores(three(fees(0, 50, ""), fees(0, 50, ""), fees(0, 99, ""), expectedValue(margin, 0)), 500_000, byDraw, 0)
		table := scoredTable(t, c, channelScores(800_000, 800_000-14_142, 1, func(_ string, s *Score) { s.Deviation = 20_000 })...)
		_, explored := tally(t, table, n, func(r *Request) { r.Amount = 1_000_000 })
		if want > 0 {
			binomial(t, "explored", explored["b"], n, want)
		}
		if explored["c"] > 0 {
			t.Errorf("margin %d: c is worth less at any rate", margin)
		}
	}
}

// TestNoExploration of what is sick, badly spoken of, frozen, too far behind, told apart by a criterion before, and none
// without alternative or after an attempt.
func TestNoExploration(t *testing.T) {
	all := channelScores(970_000, 960_000, 950_000)
	only := func(edit func(*Score)) []Score {
		return channelScores(970_000, 960_000, 950_000, func(id string, s *Score) {
			if id != "a" {
				edit(s)
			}
		})
	}
	sick := []statemachine.State{
		inPhase(statemachine.InstrumentScope("b", icbc), statemachine.Ramping, 500_000),
		inPhase(statemachine.AccountScope("c", "main"), statemachine.Probing, 0),
	}
	for name, tt := range map[string]struct {
		scores  []Score
		states  []statemachine.State
		gap     uint32
		request func(*Request)
		catalog func(*configv1.Catalog)
	}{
		"sick":        {scores: all, states: sick},
		"feedback":    {scores: only(func(s *Score) { s.Feedback = 9999 })},
		"frozen":      {scores: only(func(s *Score) { s.Frozen = true })},
		"far behind":  {scores: all, gap: 9999},
		"alone":       {scores: all, request: func(r *Request) { r.Exclude = []string{"b", "c"} }},
		"one account": {scores: all, request: func(r *Request) { r.Exclude = []string{"b", "c"} }, catalog: secondAccount},
		"after an attempt": {scores: all, request: func(r *Request) {
			r.Attempts = []Attempt{{Channel: "c", Account: "main", Outcome: statemachine.NetworkFailed}}
		}},
		"a criterion before": {scores: all, catalog: func(c *configv1.Catalog) {
			c.Channels[0].Weight = 101
			c.Strategies[0].Criteria = []*configv1.Criterion{greatWeight(0), successRate(0)}
		}},
		"another payment": {scores: all, catalog: func(c *configv1.Catalog) {
			onlyWhen(c.GetStrategies()[0].GetCriteria()[0], &configv1.Condition{UserTiers: []string{"GOLD"}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, choice := range []configv1.ExplorationChoice{uniform, byDraw} {
				c := explores(three(noFacts, noFacts, noFacts, successRate(0)), 1_000_000, choice, tt.gap)
				if tt.catalog != nil {
					tt.catalog(c)
				}
				table := mustPlan(t, c).Table(Revision{1, 1}, tt.states, scores(tt.scores...))
				var edit []func(*Request)
				if tt.request != nil {
					edit = append(edit, tt.request)
				}
				if _, explored := tally(t, table, 500, edit...); len(explored) > 0 {
					t.Errorf("%s: explored %v", choice, explored)
				}
			}
		})
	}
}

func secondAccount(c *configv1.Catalog) {
	c.Channels[0].Accounts = append(c.Channels[0].Accounts, &configv1.Account{Id: "second", Entity: "e-1"})
}

// TestExplorationLeavesTheRestInOrder: what is before the best fit candidate stays there, and the others keep their order.
func TestExplorationLeavesTheRestInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c, sc := anyCatalog(rt)
		plain := proto.CloneOf(c)
		plain.GetStrategies()[0].Exploration = nil
		r := anyRequest(rt)
		var d, e Decision
		err := decide(mustPlan(t, plain).Table(Revision{1, 1}, nil, sc), r, noon, &d)
		if again := decide(mustPlan(t, c).Table(Revision{1, 1}, nil, sc), r, noon, &e); err != nil || again != nil {
			return // every channel was tried or is excluded
		}
		name := func(c Candidate) string { return c.Channel + "/" + c.Account }
		was, is := placesOf(d.Candidates, name), placesOf(e.Candidates, name)
		at := slices.IndexFunc(e.Candidates, func(c Candidate) bool { return c.Why == WhyExploration })
		if at < 0 {
			if !slices.Equal(was, is) {
				rt.Errorf("%s, without exploration %s", is, was)
			}
			return
		}
		from := slices.Index(was, is[at])
		if from <= at || len(r.Attempts) > 0 {
			rt.Fatalf("explored from place %d to %d after %d attempts", from+1, at+1, len(r.Attempts))
		}
		if !slices.Equal(slices.Delete(was, from, from+1), slices.Delete(is, at, at+1)) {
			rt.Errorf("%s, without exploration %s", is, was)
		}
	})
}

func placesOf(list []Candidate, name func(Candidate) string) []string {
	var out []string
	for _, c := range list {
		out = append(out, name(c))
	}
	return out
}

// TestNormalDraws are normal enough: mean 0, deviation 1, and tails of their size.
func TestNormalDraws(t *testing.T) {
	const n = 1_000_000
	sum, squares, beyond := 0.0, 0.0, 0.0
	hash := uint64(1)
	for range n {
		hash = next(hash)
		z := float64(normal(hash)) / normalScale
		sum, squares = sum+z, squares+z*z
		if z > 2 {
			beyond++
		}
	}
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.005 || math.Abs(deviation-1) > 0.005 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	if part := beyond / n; math.Abs(part-0.02275) > 0.001 {
		t.Errorf("%v beyond two deviations", part)
	}
}

// TestChancesPredictDecisions: what is told of the chances agrees with what payments do.
func TestChancesPredictDecisions(t *testing.T) {
	c := explores(three(noFacts, noFacts, noFacts, successRate(5000), percentages(0,
		&configv1.SplitPart{Channel: "a", Part: 3}, &configv1.SplitPart{Channel: "b", Part: 1})), 100_000, uniform, 0)
	table := scoredTable(t, c, channelScores(970_000, 970_000, 960_000)...)
	const n = 100_000
	first, _ := tally(t, table, n)
	sum := map[string]float64{}
	var d Decision
	for i := range 2000 {
		r := newRequest(func(r *Request) { r.PaymentID = fmt.Sprint("pay-", i) })
		if err := decide(table, r, noon, &d); err != nil {
			t.Fatal(err)
		}
		var ch Chances
		d.ranking.Chances(&ch)
		if len(ch.Groups) != 2 || len(ch.Groups[0]) != 2 || len(ch.Eligible) != 3 || ch.Explore != 100_000 || !ch.Uniform {
			t.Fatalf("%+v", ch)
		}
		id := func(index int) string { return table.plan.heads[d.ranking.list[index].channel].id }
		total := ch.Groups[0][0].Weight + ch.Groups[0][1].Weight
		for _, w := range ch.Groups[0] {
			sum[id(w.Index)] += 0.9 * float64(w.Weight) / float64(total)
		}
		if best := id(ch.Groups[0][0].Index); best != id(ch.Eligible[0].Index) {
			t.Fatalf("%s is best, %s eligible first", best, id(ch.Eligible[0].Index))
		}
		for _, x := range ch.Eligible[1:] {
			sum[id(x.Index)] += 0.1 / 2
		}
	}
	for id, s := range sum {
		if got, want := first[id]/n, s/2000; math.Abs(got-want) > 0.006 {
			t.Errorf("%s: %v of the payments, %v by chances", id, got, want)
		}
	}
}
