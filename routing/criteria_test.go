package routing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// facts are what a test says of a channel.
type facts func(*configv1.Channel)

func fees(fixed int64, points uint32, currency string) facts {
	return func(c *configv1.Channel) {
		c.Fee = &configv1.Fee{Fixed: fixed, BasisPoints: points, Currency: currency}
	}
}

func weighs(w uint32) facts { return func(c *configv1.Channel) { c.Weight = w } }

func takes(result, settlement time.Duration) facts {
	return func(c *configv1.Channel) {
		if result > 0 {
			c.ResultTime = durationpb.New(result)
		}
		if settlement > 0 {
			c.SettlementTime = durationpb.New(settlement)
		}
	}
}

func carbon(n int64) facts {
	return func(c *configv1.Channel) { c.Attributes = map[string]int64{"carbon": n} }
}

func tier(text string) facts {
	return func(c *configv1.Channel) { c.Tags = map[string]string{"tier": text} }
}

func noFacts(*configv1.Channel) {}

// three has the channels a, b and c, all at one priority, ranked by the criteria.
func three(a, b, c facts, criteria ...*configv1.Criterion) *configv1.Catalog {
	return withStrategy(level(newCatalog(newChannel("a", a), newChannel("b", b), newChannel("c", c))), criteria...)
}

func attribute(edit func(*configv1.AttributeCriterion)) *configv1.Criterion {
	c := &configv1.AttributeCriterion{}
	edit(c)
	return &configv1.Criterion{Kind: &configv1.Criterion_Attribute{Attribute: c}}
}

func prefers(list ...*configv1.Preference) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Preference{Preference: &configv1.PreferenceCriterion{Preferences: list}}}
}

func resultTime(step time.Duration, bounds ...time.Duration) *configv1.Criterion {
	c := &configv1.ResultTimeCriterion{}
	if step > 0 {
		c.Step = durationpb.New(step)
	}
	for _, b := range bounds {
		c.Bounds = append(c.Bounds, durationpb.New(b))
	}
	return &configv1.Criterion{Kind: &configv1.Criterion_ResultTime{ResultTime: c}}
}

func settlementTime() *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_SettlementTime{SettlementTime: &configv1.SettlementTimeCriterion{}}}
}

func commitment() *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Commitment{Commitment: &configv1.CommitmentCriterion{}}}
}

func quotaLeft(bounds ...uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Quota{Quota: &configv1.QuotaCriterion{BoundsPpm: bounds}}}
}

func onlyWhen(c *configv1.Criterion, when *configv1.Condition) *configv1.Criterion {
	c.When = when
	return c
}

// channelScores are scores of the channels a, b and c with these success rates.
func channelScores(a, b, c statemachine.Share, edit ...func(id string, s *Score)) []Score {
	var out []Score
	for i, id := range []string{"a", "b", "c"} {
		s := rated(statemachine.ChannelScope(id), []statemachine.Share{a, b, c}[i])
		for _, f := range edit {
			f(id, &s)
		}
		out = append(out, s)
	}
	return out
}

// standings edits the score of one channel.
func standings(channel string, f func(*Score)) func(string, *Score) {
	return func(id string, s *Score) {
		if id == channel {
			f(s)
		}
	}
}

func TestCriteria(t *testing.T) {
	byCarbon := func(order configv1.AttributeOrder, step int64, bounds ...int64) *configv1.Criterion {
		return attribute(func(c *configv1.AttributeCriterion) {
			c.Attribute, c.Order, c.Step, c.Bounds = "carbon", order, step, bounds
		})
	}
	highest, lowest := configv1.AttributeOrder_ATTRIBUTE_ORDER_HIGHEST_FIRST, configv1.AttributeOrder_ATTRIBUTE_ORDER_LOWEST_FIRST
	last := greatWeight(0) // with weights 1, 2, 3: what is equal before comes as c, b, a
	plain := []facts{weighs(1), weighs(2), weighs(3)}
	and := func(a, b facts) facts { return func(c *configv1.Channel) { a(c); b(c) } }
	for name, tt := range map[string]struct {
		facts    []facts
		criteria []*configv1.Criterion
		scores   []Score
		request  func(*Request)
		want     string // channel by criterion that decided
	}{
		"feedback, least first": {
			plain,
			[]*configv1.Criterion{feedback(0), last},
			channelScores(1, 1, 1, standings("c", func(s *Score) { s.Feedback = 4000 }), standings("b", func(s *Score) { s.Feedback = 4001 })),
			nil, "a:1 b:1 c:1",
		},
		"feedback in bands": {
			plain,
			[]*configv1.Criterion{feedback(5000), last},
			channelScores(1, 1, 1, standings("c", func(s *Score) { s.Feedback = 4000 }), standings("b", func(s *Score) { s.Feedback = 4999 })),
			nil, "a:1 c:1 b:2",
		},
		"success rate": {plain, []*configv1.Criterion{successRate(0), last}, channelScores(970_000, 980_000, 975_000), nil, "b:1 c:1 a:1"},
		"success rate in steps": {
			plain, []*configv1.Criterion{successRate(10_000), last}, channelScores(981_000, 990_000, 989_999), nil, "c:2 b:2 a:2",
		},
		"success rate on both sides of a step": {
			plain, []*configv1.Criterion{successRate(10_000), last}, channelScores(990_001, 990_000, 980_000), nil, "a:1 b:1 c:1",
		},
		"success rate in bounds": {
			plain, []*configv1.Criterion{successRate(0, 980_000, 900_000), last}, channelScores(899_999, 980_000, 900_000), nil, "b:1 c:1 a:1",
		},
		"success rate of nobody known": {plain, []*configv1.Criterion{successRate(0), last}, nil, nil, "c:2 b:2 a:2"},
		"success rate, prior": {
			plain,
			[]*configv1.Criterion{successRate(0), last},
			[]Score{rated(statemachine.ChannelScope("a"), 900_001), rated(statemachine.ChannelScope("c"), 899_999)},
			nil, "a:1 b:1 c:1",
		},
		"fee for the amount": {
			[]facts{fees(0, 60, ""), fees(50, 0, ""), fees(20, 29, "CNY")},
			[]*configv1.Criterion{lowFee(0), last},
			nil,
			func(r *Request) { r.Amount = 10_000 }, "c:1 b:1 a:1",
		},
		"fee for a small amount": {
			[]facts{fees(0, 60, ""), fees(50, 0, ""), fees(20, 30, "CNY")},
			[]*configv1.Criterion{lowFee(0)},
			nil,
			func(r *Request) { r.Amount = 100 }, "a:1 c:1 b:1",
		},
		"fee below a minor unit": {
			[]facts{fees(0, 31, ""), fees(0, 30, ""), fees(0, 29, "")},
			[]*configv1.Criterion{lowFee(0)},
			nil,
			func(r *Request) { r.Amount = 1 }, "c:1 b:1 a:1",
		},
		"fee in steps": {
			[]facts{and(plain[0], fees(0, 30, "")), and(plain[1], fees(0, 39, "")), and(plain[2], fees(0, 40, ""))},
			[]*configv1.Criterion{lowFee(10), last},
			nil, nil, "b:2 a:2 c:1",
		},
		"fee in another currency": {
			[]facts{fees(1, 0, "USD"), fees(0, 99, "USD"), fees(5000, 99, "CNY")}, []*configv1.Criterion{lowFee(0)}, nil, nil, "b:1 c:1 a:1",
		},
		"fee of a great amount": {
			[]facts{fees(0, 60, ""), fees(0, 61, ""), fees(50, 1, "")},
			[]*configv1.Criterion{lowFee(0)},
			nil,
			func(r *Request) { r.Amount = 1 << 62 }, "c:1",
		},
		"result time, published and declared": {
			[]facts{takes(3*time.Second, 0), takes(time.Second, 0), noFacts},
			[]*configv1.Criterion{resultTime(0)},
			channelScores(1, 1, 1, standings("b", func(s *Score) { s.ResultTimeMillis = 3001 })), nil, "a:1 b:1 c:1",
		},
		"result time in bounds": {
			[]facts{and(plain[0], takes(2*time.Second, 0)), and(plain[1], takes(1999*time.Millisecond, 0)), and(plain[2], takes(time.Second, 0))},
			[]*configv1.Criterion{resultTime(0, 2*time.Second, time.Minute), last},
			nil, nil, "c:2 b:2 a:1",
		},
		"settlement time": {
			[]facts{noFacts, takes(0, 48*time.Hour), takes(0, 24*time.Hour)}, []*configv1.Criterion{settlementTime()}, nil, nil, "c:1 b:1 a:1",
		},
		"weight":              {[]facts{weighs(5), weighs(7), weighs(6)}, []*configv1.Criterion{greatWeight(0)}, nil, nil, "b:1 c:1 a:1"},
		"merchant's choice":   {plain, []*configv1.Criterion{prefers(choices()...), last}, nil, nil, "b:1 a:1 c:1"},
		"choice of others":    {plain, []*configv1.Criterion{prefers(choices()...), last}, nil, func(r *Request) { r.Merchant = "m-9" }, "a:1 c:1 b:2"},
		"nobody has a choice": {plain, []*configv1.Criterion{prefers(choices()[0]), last}, nil, func(r *Request) { r.Merchant = "m-9" }, "c:2 b:2 a:2"},
		"headroom": {
			plain,
			[]*configv1.Criterion{headroom(250_000), last},
			channelScores(1, 1, 1, standings("c", func(s *Score) { s.Headroom = 100_000 })), nil, "b:2 a:2 c:1",
		},
		"commitment": {
			plain,
			[]*configv1.Criterion{commitment(), last},
			channelScores(1, 1, 1, standings("a", func(s *Score) { s.Commitment = 300_000 })), nil, "a:1 c:1 b:2",
		},
		"quota": {
			plain,
			[]*configv1.Criterion{quotaLeft(500_000, 100_000), last},
			channelScores(1, 1, 1, standings("c", func(s *Score) { s.QuotaLeft = 99_999 }), standings("b", func(s *Score) { s.QuotaLeft = 100_000 })),
			nil, "a:1 b:1 c:1",
		},
		"attribute, lowest":  {[]facts{carbon(7), carbon(-3), noFacts}, []*configv1.Criterion{byCarbon(lowest, 0)}, nil, nil, "b:1 a:1 c:1"},
		"attribute, highest": {[]facts{carbon(7), carbon(-3), noFacts}, []*configv1.Criterion{byCarbon(highest, 0)}, nil, nil, "a:1 b:1 c:1"},
		"attribute in steps": {
			[]facts{and(plain[0], carbon(10)), and(plain[1], carbon(19)), and(plain[2], carbon(20))},
			[]*configv1.Criterion{byCarbon(lowest, 10), last},
			nil, nil, "b:2 a:2 c:1",
		},
		"attribute in bounds": {
			[]facts{and(plain[0], carbon(10)), and(plain[1], carbon(9)), and(plain[2], carbon(99))},
			[]*configv1.Criterion{byCarbon(highest, 0, 10), last},
			nil, nil, "c:2 a:2 b:1",
		},
		"tag": {
			[]facts{tier("silver"), tier("gold"), tier("lead")}, []*configv1.Criterion{attribute(func(c *configv1.AttributeCriterion) {
				c.Tag, c.Values = "tier", []string{"gold", "silver"}
			})}, nil, nil, "b:1 a:1 c:1",
		},
		"expected value": { // 12000: a 0.97·240−36, b 0.95·240−24, c 0.99·240−48
			[]facts{fees(0, 30, ""), fees(0, 20, ""), fees(0, 40, "")},
			[]*configv1.Criterion{expectedValue(200, 0)},
			channelScores(970_000, 950_000, 990_000), nil, "b:1 a:1 c:1",
		},
		"expected value, wide margin": { // a 0.97·1200−36 = 1128, b 1116, c 1140
			[]facts{fees(0, 30, ""), fees(0, 20, ""), fees(0, 40, "")},
			[]*configv1.Criterion{expectedValue(1000, 0)},
			channelScores(970_000, 950_000, 990_000), nil, "c:1 a:1 b:1",
		},
		"expected value below zero and in steps": { // of the amount: a −0.30 %, b −0.20 %, c −0.21 %
			[]facts{and(plain[0], fees(0, 130, "")), and(plain[1], fees(0, 120, "")), and(plain[2], fees(0, 121, ""))},
			[]*configv1.Criterion{expectedValue(100, 10), last},
			channelScores(1_000_000, 1_000_000, 1_000_000), nil, "b:1 c:1 a:2",
		},
		"only for some amounts": {
			plain,
			[]*configv1.Criterion{onlyWhen(successRate(0), &configv1.Condition{Currency: "CNY", MinAmount: 12_001}), last},
			channelScores(980_000, 960_000, 940_000), nil, "c:2 b:2 a:2",
		},
		"for these amounts": {
			plain,
			[]*configv1.Criterion{onlyWhen(successRate(0), &configv1.Condition{Currency: "CNY", MinAmount: 12_000, MaxAmount: 12_000}), last},
			channelScores(980_000, 960_000, 940_000), nil, "a:1 b:1 c:1",
		},
		"only for a merchant": {
			plain, []*configv1.Criterion{onlyWhen(prefers(choices()[1]), &configv1.Condition{Merchants: []string{"m-9"}}), last}, nil, nil, "c:2 b:2 a:2",
		},
		"only for a tier": {
			plain,
			[]*configv1.Criterion{onlyWhen(lowFee(0), &configv1.Condition{UserTiers: []string{"GOLD"}}), last},
			nil,
			func(r *Request) { r.UserTier = "SILVER" }, "c:2 b:2 a:2",
		},
		"one after the other": {
			[]facts{and(plain[0], fees(0, 30, "")), and(plain[1], fees(0, 30, "")), and(plain[2], fees(0, 20, ""))},
			[]*configv1.Criterion{feedback(0), successRate(10_000), lowFee(0), last},
			channelScores(985_000, 986_000, 979_000), nil, "b:4 a:4 c:2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := scoredTable(t, three(tt.facts[0], tt.facts[1], tt.facts[2], tt.criteria...), tt.scores...)
			r := newRequest()
			if tt.request != nil {
				tt.request(r)
			}
			var d Decision
			if err := decide(table, r, noon, &d); err != nil {
				t.Fatal(err)
			}
			if got := decidedBy(&d); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// choices are: m-1 wants b, then a; all others want a.
func choices() []*configv1.Preference {
	return []*configv1.Preference{{Merchants: []string{"m-1"}, Channels: []string{"b", "a"}}, {Channels: []string{"a"}}}
}

// decidedBy renders the usable channels with the criterion that decided.
func decidedBy(d *Decision) string {
	var out []string
	for _, c := range d.Candidates {
		if (c.Criterion > 0) != (c.Why == WhyCriterion) {
			return fmt.Sprintf("%s has criterion %d and reason %s", c.Channel, c.Criterion, c.Why)
		}
		out = append(out, fmt.Sprintf("%s:%d", c.Channel, c.Criterion))
	}
	return strings.Join(out, " ")
}
