package routing

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestExplanationsOfStrategies tell what each criterion saw of a candidate, and which decided.
func TestExplanationsOfStrategies(t *testing.T) {
	both := func(a, b facts) facts { return func(c *configv1.Channel) { a(c); b(c) } }
	everything := []*configv1.Criterion{
		feedback(0), onlyWhen(lowFee(0), &configv1.Condition{UserTiers: []string{"GOLD"}}), prefers(choices()[1]), headroom(0), quotaLeft(), commitment(),
		resultTime(0), settlementTime(), attribute(func(c *configv1.AttributeCriterion) {
			c.Attribute, c.Order = "carbon", configv1.AttributeOrder_ATTRIBUTE_ORDER_LOWEST_FIRST
		}), priorityFirst(), greatWeight(0), percentages(0, &configv1.SplitPart{Channel: "b", Part: 5}),
	}
	for name, tt := range map[string]struct {
		catalog *configv1.Catalog
		request func(*Request)
	}{
		"strategy": {
			three(fees(10, 30, ""), fees(0, 20, ""), fees(5, 0, "USD"), feedback(0), successRate(5000), lowFee(0)), func(*Request) {},
		},
		"expected-value": {
			three(fees(10, 30, ""), fees(0, 20, ""), fees(5, 0, "USD"), expectedValue(100, 0)), func(*Request) {},
		},
		"explored": {
			explores(three(noFacts, noFacts, noFacts, successRate(0)), 1_000_000, uniform, 0), func(*Request) {},
		},
		"every-criterion": {
			three(both(carbon(5), takes(time.Second, time.Hour)), weighs(7), noFacts, everything...), func(r *Request) { r.Exclude = []string{"c"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			sick := inPhase(statemachine.ChannelScope("b"), statemachine.Ramping, 250_000)
			states := []statemachine.State{sick}
			if name == "explored" {
				states = nil
			}
			table := mustPlan(t, tt.catalog).Table(Revision{1, 100}, states, scores(
				rated(statemachine.ChannelScope("a"), 970_000), rated(statemachine.InstrumentScope("c", icbc), 968_000, func(s *Score) { s.Frozen = true })))
			if name == "explored" {
				table = scoredTable(t, tt.catalog, channelScores(970_000, 960_000, 950_000)...)
			}
			e := Explain(table, newRequest(tt.request), noon, Admission{Lifted: -1})
			golden(t, filepath.Join("testdata", "explain-"+name+".txt"), e.String())
			for i := range e.Candidates {
				if c := &e.Candidates[i]; c.Drop == DropNone && (c.Strategy != "s" || len(c.Values) == 0 || (c.Decided == "") != (c.Criterion == 0)) {
					t.Errorf("%s: %+v", c.Channel, c)
				}
			}
		})
	}
}

// TestStaticOrderFollowsTheStrategy as far as it speaks without scores: priority, the choice of others, fee, parts.
func TestStaticOrderFollowsTheStrategy(t *testing.T) {
	for name, tt := range map[string]struct {
		criteria []*configv1.Criterion
		want     string
	}{
		"none":               {nil, "[c b a]"},
		"fee":                {[]*configv1.Criterion{successRate(0), lowFee(0)}, "[b a c]"},
		"expected value":     {[]*configv1.Criterion{expectedValue(100, 0)}, "[b a c]"},
		"preference":         {[]*configv1.Criterion{prefers(choices()...)}, "[a c b]"},
		"parts":              {[]*configv1.Criterion{percentages(0, &configv1.SplitPart{Channel: "b", Part: 5}, &configv1.SplitPart{Channel: "a", Part: 3})}, "[b a c]"},
		"settlement":         {[]*configv1.Criterion{settlementTime()}, "[b c a]"},
		"for some payments":  {[]*configv1.Criterion{onlyWhen(lowFee(0), &configv1.Condition{UserTiers: []string{"GOLD"}})}, "[c b a]"},
		"result time, equal": {[]*configv1.Criterion{resultTime(0), feedback(0), headroom(0), quotaLeft(), commitment()}, "[c b a]"},
	} {
		t.Run(name, func(t *testing.T) {
			c := level(newCatalog(newChannel("a", fees(0, 20, ""), weighs(1)), newChannel("b", fees(30, 0, "USD"), weighs(2), takes(0, time.Hour)),
				newChannel("c", fees(0, 30, ""), weighs(3))))
			c.GetRoutes()[0].Members[2].Priority = 0
			c.GetChannels()[1].Fee.Fixed = 15
			if tt.criteria != nil {
				withStrategy(c, tt.criteria...)
			}
			orders := NewSnapshot(mustTable(t, c), "test", time.Unix(noon, 0)).GetStaticOrder()
			if len(orders) != 1 || fmt.Sprint(orders[0].GetChannels()) != tt.want {
				t.Errorf("%v, want %s", orders, tt.want)
			}
		})
	}
}
