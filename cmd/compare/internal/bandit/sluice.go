package bandit

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Names of the one lane.
const (
	entity = "e-1"
	method = "QUICKPAY"
	bank   = "ICBC"
	card   = "DEBIT"
)

// Monday is the first second of the week.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Unix() //nolint:gochecknoglobals // a constant that Go cannot spell

func channelName(c int) string { return "channel-" + strconv.Itoa(c) }

// catalog has five channels alike, ranked by success rate. Every payment may explore: most draws agree with the rates.
func catalog() *configv1.Catalog {
	c := &configv1.Catalog{Name: "ranking", Entities: []*configv1.Entity{{Id: entity}}}
	route := &configv1.Route{Id: "collect", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: method, Strategy: "learned"}
	for i := range Channels {
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: channelName(i), Provider: "p", BusinessTypes: []configv1.BusinessType{configv1.BusinessType_BUSINESS_TYPE_COLLECT},
			Instruments: []*configv1.Instrument{{Method: method, Banks: []string{bank}, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT}}},
			Accounts:    []*configv1.Account{{Id: "main", Entity: entity}}, Currencies: []string{"CNY"},
		})
		route.Members = append(route.Members, &configv1.RouteMember{Channel: channelName(i)})
	}
	c.Routes = []*configv1.Route{route}
	c.Strategies = []*configv1.Strategy{{
		Id:          "learned",
		Criteria:    []*configv1.Criterion{{Kind: &configv1.Criterion_SuccessRate{SuccessRate: &configv1.SuccessRateCriterion{}}}},
		Exploration: &configv1.Exploration{SharePpm: 1_000_000},
	}}
	return c
}

// feedbackRule is set for channels whose every tenth payment fails on a good day: half of ten seconds' results. Negative
// feedback ranks nothing here; what has it is not explored.
func feedbackRule(string) monitor.FeedbackRule { return monitor.FeedbackRule{Count: 1000, Ratio: 0.5} }

// sluice ranks as the product does: its scorer is fed with sealed seconds, what it publishes every five seconds goes into the
// table that its Decide ranks from. The state machine is left out: it would cut the channel with the outage.
type sluice struct {
	plan     *routing.Plan
	fleet    statemachine.Fleet
	table    *routing.Table
	scorer   *monitor.Scorer
	scores   []monitor.Score
	revision int64
	counts   monitor.SecondCounts // of the running second
	looked   int64                // second of the last look at the scores
	request  routing.Request
	decision routing.Decision
	prefix   string
	err      error // the first decision that failed
}

func newSluice(plan *routing.Plan, seed uint64) *sluice {
	s := &sluice{plan: plan, fleet: plan.Fleet(), scorer: monitor.NewScorer(), prefix: fmt.Sprintf("%x-", seed), looked: monday}
	s.counts.Second = monday
	s.request = routing.Request{
		Merchant: "m-1", Entity: entity, Business: statemachine.Collect, Amount: 10000, Currency: "CNY",
		Instrument: statemachine.Instrument{Method: method, Bank: bank, CardType: card},
	}
	s.swap(nil)
	return s
}

func (s *sluice) swap(scores *routing.Scores) {
	s.revision++
	s.table = s.plan.Table(routing.Revision{Epoch: 1, Revision: s.revision}, nil, scores)
}

// Choose implements Policy. A payment without an answer cannot be: five channels are healthy.
func (s *sluice) Choose(n uint64, at float64) int {
	now := monday + int64(at)
	s.tick(now)
	var id [40]byte
	s.request.PaymentID = string(strconv.AppendUint(append(id[:0], s.prefix...), n, 10))
	if err := routing.Decide(s.table, &s.request, now, routing.Admission{Lifted: -1}, &s.decision); err != nil && s.err == nil {
		s.err = fmt.Errorf("payment %d: %w", n, err)
		return 0
	}
	name := s.decision.Candidates[0].Channel
	return int(name[len(name)-1] - '0')
}

// tick seals the seconds that are over.
func (s *sluice) tick(now int64) {
	if now == s.counts.Second {
		return
	}
	if len(s.counts.Items) > 0 {
		slices.SortFunc(s.counts.Items, func(a, b monitor.ItemCounts) int { return a.Item.Compare(b.Item) })
		s.scorer.Observe(&s.counts, &s.fleet, false)
	}
	s.counts.Items = s.counts.Items[:0]
	s.counts.Second = now
	if now < s.looked+monitor.ScoresEvery {
		return
	}
	s.looked = now
	s.scorer.Observe(&monitor.SecondCounts{Second: now - 1}, &s.fleet, false)
	next, changed := s.scorer.Scores(monitor.Around{Fleet: &s.fleet, Feedback: feedbackRule}, s.scores)
	if !changed {
		return
	}
	s.scores = next
	out := &routing.Scores{Scores: make([]routing.Score, len(next)), Second: now - 1}
	for i := range next {
		p := &next[i]
		out.Scores[i] = routing.Score{
			Item: p.Item, SuccessRate: p.SuccessRate, Deviation: p.Deviation, Samples: p.Samples, Feedback: p.Feedback, Headroom: p.Headroom,
			QuotaLeft: statemachine.FullShare, ResultTimeMillis: p.ResultTimeMillis, Frozen: p.Frozen,
		}
	}
	s.swap(out)
}

// Learn implements Policy: the result is counted in the running second, as the ingest of reports would.
func (s *sluice) Learn(_ float64, c int, succeeded bool) {
	channel := channelName(c)
	outcome := statemachine.ChannelFailed
	if succeeded {
		outcome = statemachine.Succeeded
	}
	for _, item := range [...]statemachine.Scope{
		statemachine.ChannelScope(channel), statemachine.InstrumentScope(channel, s.request.Instrument),
	} {
		counts := s.item(item)
		counts.Totals[outcome]++
		t := &counts.Evidence[statemachine.KindNormal]
		t.Outcomes[outcome]++
		if !succeeded {
			t.Bad++
			t.BadPayers++
		}
	}
}

func (s *sluice) item(item statemachine.Scope) *monitor.ItemCounts {
	for i := range s.counts.Items {
		if s.counts.Items[i].Item == item {
			return &s.counts.Items[i]
		}
	}
	s.counts.Items = append(s.counts.Items, monitor.ItemCounts{Item: item})
	return &s.counts.Items[len(s.counts.Items)-1]
}
