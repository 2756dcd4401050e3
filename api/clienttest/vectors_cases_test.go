package clienttest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	vectorEnvironment = "vectors"
	vectorSecond      = 1772424000 // Monday 2026-03-02 04:00:00 UTC, noon in Shanghai

	collecting = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	payingOut  = configv1.BusinessType_BUSINESS_TYPE_PAYOUT
	deducting  = configv1.BusinessType_BUSINESS_TYPE_DEDUCT
	refunding  = configv1.BusinessType_BUSINESS_TYPE_REFUND
	querying   = configv1.BusinessType_BUSINESS_TYPE_QUERY
)

// vectorWorld is what a file of vectors is made from.
type vectorWorld struct {
	name, comment string
	catalog       *configv1.Catalog
	states        []statemachine.State
	scores        *routing.Scores
	cases         []worldCase
}

type worldCase struct {
	comment   string
	request   *sluicev1.RouteRequest
	second    int64 // 0 = vectorSecond
	admission *vectorMask
}

func vectorWorlds() []*vectorWorld {
	return []*vectorWorld{routingWorld(), stateWorld(), splitWorld(), strategyWorld()}
}

// everyDrop and everyRefusal are what the vectors have to cover.
func everyDrop() []string {
	return []string{
		"CURRENCY_UNSUPPORTED", "AMOUNT_TOO_SMALL", "AMOUNT_TOO_LARGE", "NO_ACCOUNT", "NOT_ENROLLED", "OUTSIDE_WINDOW", "MAINTENANCE", "EXCLUDED",
		"ALREADY_TRIED", "DISABLED", "SWITCHED_OFF", "SUSPENDED", "PROBING", "RAMP_SHARE", "RATE_LIMITED", "CONCURRENCY_LIMITED",
		"QUOTA_EXHAUSTED", "RETIRED", "THROTTLED", "BUSINESS_TYPE_UNSUPPORTED", "DRAINING",
	}
}

func everyRefusal() []string {
	return []string{
		"NO_USABLE_CHANNEL", "BANK_DOWN_EVERYWHERE", "UNSUPPORTED_ENTITY", "UNSUPPORTED_ROUTE", "UNSUPPORTED_PAYMENT", "UNSUPPORTED_ORIGINAL",
		"PAYMENT_EXPIRED", "MERCHANT_LIMITED", "ATTEMPTS_EXHAUSTED", "ALREADY_PAID", "FINAL_PREVIOUS_ATTEMPT", "AMBIGUOUS_PREVIOUS_ATTEMPT",
	}
}

// ask is a request with edits.
func ask(payment string, edits ...func(*sluicev1.RouteRequest)) *sluicev1.RouteRequest {
	m := Request(payment)
	m.MaxChannels = routing.MaxCandidates
	for _, e := range edits {
		e(m)
	}
	return m
}

func pay(e func(*sluicev1.Payment)) func(*sluicev1.RouteRequest) {
	return func(m *sluicev1.RouteRequest) { e(m.GetPayment()) }
}

func as(b configv1.BusinessType) func(*sluicev1.RouteRequest) {
	return pay(func(p *sluicev1.Payment) { p.BusinessType = b })
}

func after(channel string, o configv1.Outcome, code string) func(*sluicev1.RouteRequest) {
	return func(m *sluicev1.RouteRequest) {
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{Channel: channel, Account: "main", Outcome: o, RawCode: code})
	}
}

func of(b configv1.BusinessType, channel, account string) func(*sluicev1.RouteRequest) {
	return pay(func(p *sluicev1.Payment) {
		p.BusinessType, p.Original = b, &sluicev1.OriginalPayment{Channel: channel, Account: account, AttemptId: "original/0"}
	})
}

// routingWorld is about what catalogue and request say.
func routingWorld() *vectorWorld {
	c := Catalog()
	c.DecisionLifetime = durationpb.New(20 * time.Second)
	c.MaxAttempts = 4
	c.Entities = append(c.Entities, &configv1.Entity{Id: "other"})
	alpha, beta, gamma := c.GetChannels()[0], c.GetChannels()[1], c.GetChannels()[2]
	alpha.Currencies = []string{"CNY", "USD"}
	alpha.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Min: 100, Max: 500_000}}
	alpha.Accounts = append(alpha.Accounts, &configv1.Account{Id: "vip", Entity: Entity, Merchants: []string{"vip-shop"}})
	beta.BusinessTypes = append(beta.BusinessTypes, deducting)
	beta.RequiresEnrolment = []configv1.BusinessType{deducting}
	beta.Windows = &configv1.Windows{
		TimeZone: "Asia/Shanghai", Holidays: []string{"2026-10-01"},
		Open:        []*configv1.OpenHours{{From: "08:00", To: "22:00"}},
		Drain:       durationpb.New(time.Minute),
		Maintenance: []*configv1.Maintenance{{From: timestamppb.New(time.Unix(vectorSecond+3600, 0)), To: timestamppb.New(time.Unix(vectorSecond+7200, 0))}},
	}
	gamma.BusinessTypes = []configv1.BusinessType{collecting, payingOut, querying}
	gamma.Accounts = append(gamma.Accounts, &configv1.Account{Id: "only", Entity: "other", Merchants: []string{"only-shop"}})
	retired := proto.CloneOf(gamma)
	retired.Id, retired.Retired = "retired", true
	c.Channels = append(c.Channels, retired)
	c.Routes[0].Members = append(c.Routes[0].Members, &configv1.RouteMember{Channel: "retired", Priority: 9})
	c.Routes = append(c.Routes,
		&configv1.Route{Id: "deduct", BusinessType: deducting, Method: Method, Members: []*configv1.RouteMember{{Channel: "beta"}}})
	w := &vectorWorld{
		name: "routing", catalog: c,
		comment: "What catalogue and request say: limits, currencies, accounts, enrolment, windows, previous attempts, originals.",
	}
	failed, unknown := configv1.Outcome_OUTCOME_CHANNEL_FAILED, configv1.Outcome_OUTCOME_UNSPECIFIED
	w.cases = []worldCase{
		{comment: "the plain case: by priority", request: ask("payment-1")},
		{comment: "max_channels 0 gives three", request: ask("payment-1", func(m *sluicev1.RouteRequest) { m.MaxChannels = 0 })},
		{comment: "one is enough", request: ask("payment-1", func(m *sluicev1.RouteRequest) { m.MaxChannels = 1 })},
		{comment: "below a limit", request: ask("payment-2", pay(func(p *sluicev1.Payment) { p.Amount = 99 }))},
		{comment: "above a limit", request: ask("payment-2", pay(func(p *sluicev1.Payment) { p.Amount = 500_001 }))},
		{comment: "no limit is declared for this currency", request: ask("payment-2", pay(func(p *sluicev1.Payment) { p.Amount, p.Currency = 10, "USD" }))},
		{comment: "a currency nobody takes", request: ask("payment-2", pay(func(p *sluicev1.Payment) { p.Currency = "EUR" }))},
		{comment: "a merchant with an account of its own: that one first, then the general one", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.Merchant = "vip-shop" }))},
		{comment: "another entity, where only one merchant has an account", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.SettlementEntity, p.Merchant = "other", "only-shop" }))},
		{comment: "the same for another merchant", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.SettlementEntity = "other" }))},
		{comment: "an entity nobody knows", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.SettlementEntity = "nobody" }))},
		{comment: "a bank nobody knows", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.Bank = "HSBC" }))},
		{comment: "a method nobody knows", request: ask("payment-3", pay(func(p *sluicev1.Payment) { p.Method = "BARTER" }))},
		{comment: "not enrolled", request: ask("payment-4", as(deducting))},
		{comment: "enrolled", request: ask("payment-4", as(deducting), pay(func(p *sluicev1.Payment) { p.EnrolledChannels = []string{"beta"} }))},
		{comment: "excluded", request: ask("payment-4", func(m *sluicev1.RouteRequest) { m.Exclude = []string{"alpha"} })},
		{comment: "at night in Shanghai", second: vectorSecond + 11*3600, request: ask("payment-5")},
		{comment: "shortly before it drains: valid_until is the begin of that", second: vectorSecond + 10*3600 - 65, request: ask("payment-5", func(m *sluicev1.RouteRequest) { m.Exclude = []string{"alpha"} })},
		{comment: "it drains: no attempt begins in the last minute", second: vectorSecond + 10*3600 - 60, request: ask("payment-5")},
		{comment: "a query begins all the same", second: vectorSecond + 10*3600 - 60, request: ask("payment-8", of(querying, "beta", "main"))},
		{comment: "in maintenance", second: vectorSecond + 3600, request: ask("payment-5")},
		{comment: "on a holiday", second: time.Date(2026, 10, 1, 4, 0, 0, 0, time.UTC).Unix(), request: ask("payment-5")},
		{comment: "a deadline before the decision's lifetime ends", request: ask("payment-6", pay(func(p *sluicev1.Payment) {
			p.Deadline = &timestamppb.Timestamp{Seconds: vectorSecond + 5, Nanos: 500_000_000}
		}))},
		{comment: "a deadline that has passed", request: ask("payment-6", pay(func(p *sluicev1.Payment) { p.Deadline = &timestamppb.Timestamp{Seconds: vectorSecond} }))},
		{comment: "after a definite failure: not the channel tried", request: ask("payment-7", after("alpha", failed, ""))},
		{comment: "the same by its code", request: ask("payment-7", after("alpha", unknown, "E91"))},
		{comment: "a mapped code wins over the outcome", request: ask("payment-7", after("alpha", failed, "E00"))},
		{comment: "in doubt", request: ask("payment-7", after("alpha", failed, ""), after("beta", configv1.Outcome_OUTCOME_TIMED_OUT, ""))},
		{comment: "pending is in doubt", request: ask("payment-7", after("alpha", unknown, "E10"))},
		{comment: "an unmapped code without an outcome is in doubt", request: ask("payment-7", after("alpha", unknown, "E12"))},
		{comment: "an unmapped code with an outcome: money that comes in believes it", request: ask("payment-7", after("alpha", failed, "E12"))},
		{comment: "money that goes out does not", request: ask("payment-7", as(payingOut), after("alpha", failed, "E12"))},
		{comment: "the payer's fault is final, with the code's advice", request: ask("payment-7", after("alpha", unknown, "E51"))},
		{comment: "paid outweighs everything, and the first of equals is told", request: ask("payment-7", after("alpha", unknown, "E99"), after("beta", unknown, "E00"), after("gamma", unknown, "E00"))},
		{comment: "all channels were tried", request: ask("payment-7", after("alpha", failed, ""), after("beta", failed, ""), after("gamma", failed, ""))},
		{comment: "as many attempts as the catalogue allows", request: ask("payment-7", after("alpha", failed, ""), after("beta", failed, ""), after("gamma", failed, ""), after("alpha", failed, ""))},
		{comment: "a refund follows its original", request: ask("payment-8", of(refunding, "beta", "main"))},
		{comment: "a channel that does no refunds", request: ask("payment-8", of(refunding, "gamma", "main"))},
		{comment: "a query of a retired channel", request: ask("payment-8", of(querying, "retired", "main"))},
		{comment: "an original that nobody knows", request: ask("payment-8", of(refunding, "beta", "nobody"))},
		{comment: "a query is not held up by attempts in doubt", request: ask("payment-8", of(querying, "alpha", "main"), after("alpha", unknown, "E99"))},
		{comment: "a long request: what is hashed does not fit into 512 bytes", request: ask(strings.Repeat("p", 128), func(m *sluicev1.RouteRequest) {
			for i := range 40 {
				m.Exclude = append(m.Exclude, fmt.Sprintf("excluded-channel-number-%d", i))
			}
			m.GetPayment().PayerKey, m.GetPayment().UserTier = 0xfedcba9876543210, "gold"
		})},
	}
	return w
}

func stateOf(text string, edit func(*statemachine.State)) statemachine.State {
	scope, _ := statemachine.ParseScope(text)
	st := statemachine.NewState(scope)
	st.Generation, st.After = 5, 4000
	edit(&st)
	return st
}

func in(p statemachine.Phase, share statemachine.Share) func(*statemachine.State) {
	return func(st *statemachine.State) {
		st.Phase, st.Share, st.CutBy = p, share, statemachine.Automation
		if p == statemachine.Disabled {
			st.CoolUntil = statemachine.Instant(vectorSecond+90) * 1000
		}
	}
}

func ordered(until statemachine.Instant) statemachine.Override {
	return statemachine.Override{Author: "ops", Reason: "test", Since: statemachine.Instant(vectorSecond-100) * 1000, Until: until}
}

// stateWorld is about states, orders and what live counters say.
func stateWorld() *vectorWorld {
	c := Catalog()
	c.FailureDomains = []*configv1.FailureDomain{{Id: "network", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_CLEARING_NETWORK}}
	for i, id := range []string{"delta", "epsilon"} {
		ch := proto.CloneOf(c.GetChannels()[0])
		ch.Id, ch.FailureDomains = id, []string{"network"}
		c.Channels = append(c.Channels, ch)
		for _, r := range c.GetRoutes() {
			r.Members = append(r.Members, &configv1.RouteMember{Channel: id, Priority: uint32(3 + i)})
		}
	}
	w := &vectorWorld{
		name: "states", catalog: c,
		comment: "States of scopes, orders over them, and admissions: what live counters said, given as a mask.",
		states: []statemachine.State{
			stateOf("alpha/instrument=QUICKPAY:ICBC:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("alpha/instrument=QUICKPAY:CCB:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("beta/business=PAYOUT", func(st *statemachine.State) { st.Off = ordered(statemachine.Instant(vectorSecond+600) * 1000) }),
			stateOf("beta/instrument=QUICKPAY:CCB:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("beta/instrument=QUICKPAY:ICBC:CREDIT", in(statemachine.Ramping, 100_000)),
			stateOf("beta/account=main", func(st *statemachine.State) { st.Hold = ordered(0) }),
			stateOf("gamma", in(statemachine.Ramping, 50_000)),
			stateOf("gamma/instrument=QUICKPAY:CCB:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("gamma/instrument=QUICKPAY:CCB:CREDIT", in(statemachine.Probing, 0)),
			stateOf("delta/business=PAYOUT", func(st *statemachine.State) { st.Suspend = ordered(0) }),
			stateOf("delta/instrument=QUICKPAY:CCB:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("epsilon/instrument=QUICKPAY:CCB:DEBIT", in(statemachine.Disabled, 0)),
			stateOf("domain=network", func(st *statemachine.State) {
				in(statemachine.Probing, 0)(st)
				st.OnNow = ordered(statemachine.Instant(vectorSecond+600) * 1000)
			}),
		},
	}
	slices.SortFunc(w.states, func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) })
	card := func(bank string, t configv1.CardType) func(*sluicev1.RouteRequest) {
		return pay(func(p *sluicev1.Payment) { p.Bank, p.CardType = bank, t })
	}
	debit, credit := configv1.CardType_CARD_TYPE_DEBIT, configv1.CardType_CARD_TYPE_CREDIT
	w.cases = []worldCase{
		{comment: "alpha is disabled for this instrument; without live counters a ramp admits", request: ask("payment-1")},
		{comment: "the ramp of gamma vetoed", request: ask("payment-1"), admission: &vectorMask{Vetoed: "0x4", Lifted: -1}},
		{comment: "bits beyond the candidates mean nothing", request: ask("payment-1"), admission: &vectorMask{Vetoed: "0xffffffffffffff04", Lifted: -1}},
		{comment: "every candidate vetoed", request: ask("payment-1"), admission: &vectorMask{Vetoed: "0x1f", Lifted: -1}},
		{comment: "reasons: beta for its rate, gamma's ramp keeps its own, delta for concurrency, epsilon for its quota", request: ask("payment-1"), admission: &vectorMask{Vetoed: "0x1e", Reasons: [3]string{"0x12", "0x18", ""}, Lifted: -1}},
		{comment: "throttled", request: ask("payment-1"), admission: &vectorMask{Vetoed: "0x2", Reasons: [3]string{"", "", "0x2"}, Lifted: -1}},
		{comment: "the merchant is above its rate", request: ask("payment-1"), admission: &vectorMask{Lifted: -1, MerchantLimited: true}},
		{comment: "disabled for this bank on every channel", request: ask("payment-2", card("CCB", debit))},
		{comment: "a probing scope needs a token", request: ask("payment-2", card("CCB", credit))},
		{comment: "a probe admitted in its place", request: ask("payment-2", card("CCB", credit)), admission: &vectorMask{Lifted: -1}},
		{comment: "a probe lifted to first place", request: ask("payment-2", card("CCB", credit)), admission: &vectorMask{Lifted: 2}},
		{comment: "a disabled candidate is never lifted", request: ask("payment-1"), admission: &vectorMask{Lifted: 0}},
		{comment: "two scopes that are not healthy", request: ask("payment-3", card("ICBC", credit))},
		{comment: "an operator's off, and a suspension", request: ask("payment-4", as(payingOut))},
		{comment: "a query reaches a disabled channel", request: ask("payment-5", of(querying, "alpha", "main"))},
		{comment: "a refund does not", request: ask("payment-5", of(refunding, "alpha", "main"))},
	}
	return w
}

// splitWorld is about hashes: percentages, weights, generations.
func splitWorld() *vectorWorld {
	c := Catalog()
	c.Channels[0].Weight, c.Channels[1].Weight = 300, 100
	c.Routes[0].Members = []*configv1.RouteMember{{Channel: "alpha", Split: 70}, {Channel: "beta", Split: 30}, {Channel: "gamma"}}
	c.Routes[0].SplitGeneration = 2
	for _, m := range c.GetRoutes()[1].GetMembers() {
		m.Priority = 0
	}
	w := &vectorWorld{name: "splits", catalog: c, comment: "Payments dealt by hash: COLLECT by percentages (70 to 30, the rest last), PAYOUT by weight (300, 100, 100)."}
	for i := range 24 {
		id := fmt.Sprintf("payment-%04d", i)
		w.cases = append(w.cases,
			worldCase{comment: "by percentages", request: ask(id)}, worldCase{comment: "by weight", request: ask(id, as(payingOut))})
	}
	return w
}

// strategyWorld is about strategies and scores.
func strategyWorld() *vectorWorld {
	c := Catalog()
	c.Channels[0].Fee = &configv1.Fee{BasisPoints: 60}
	c.Channels[1].Fee = &configv1.Fee{BasisPoints: 38, Fixed: 10, Currency: "CNY"}
	c.Channels[2].Fee = &configv1.Fee{Fixed: 80, Currency: "CNY"}
	for i, ch := range c.GetChannels() {
		ch.SettlementTime, ch.ResultTime = durationpb.New(time.Duration(3-i)*time.Hour), durationpb.New(time.Duration(1+i)*time.Second)
		ch.Attributes, ch.Tags = map[string]int64{"tier": int64(i % 2)}, map[string]string{"region": []string{"north", "south", "north"}[i]}
	}
	c.Strategies = []*configv1.Strategy{
		{
			Id: "learned", Exploration: &configv1.Exploration{SharePpm: 200_000},
			Criteria: []*configv1.Criterion{
				{Kind: &configv1.Criterion_Feedback{Feedback: &configv1.FeedbackCriterion{}}},
				{Kind: &configv1.Criterion_SuccessRate{SuccessRate: &configv1.SuccessRateCriterion{StepPpm: 20_000}}},
				{Kind: &configv1.Criterion_Fee{Fee: &configv1.FeeCriterion{StepBasisPoints: 5}}},
			},
		},
		{
			Id: "owner", Criteria: []*configv1.Criterion{
				{
					When: &configv1.Condition{Merchants: []string{"loyal"}},
					Kind: &configv1.Criterion_Preference{Preference: &configv1.PreferenceCriterion{
						Preferences: []*configv1.Preference{{Merchants: []string{"loyal"}, Channels: []string{"gamma"}}},
					}},
				},
				{Kind: &configv1.Criterion_Attribute{Attribute: &configv1.AttributeCriterion{Attribute: "tier", Order: configv1.AttributeOrder_ATTRIBUTE_ORDER_LOWEST_FIRST}}},
				{Kind: &configv1.Criterion_Split{Split: &configv1.SplitCriterion{Generation: 1, Parts: []*configv1.SplitPart{{Channel: "alpha", Part: 60}, {Channel: "gamma", Part: 40}}}}},
			},
		},
		{
			Id: "value", Criteria: []*configv1.Criterion{
				{Kind: &configv1.Criterion_ExpectedValue{ExpectedValue: &configv1.ExpectedValueCriterion{MarginBasisPoints: 150}}},
			},
		},
	}
	c.Routes[0].Strategy, c.Routes[1].Strategy = "learned", "owner"
	deduct := proto.CloneOf(c.GetRoutes()[0])
	deduct.Id, deduct.BusinessType, deduct.Strategy = "deduct", deducting, "value"
	c.Routes = append(c.Routes, deduct)
	for _, ch := range c.GetChannels() {
		ch.BusinessTypes = append(ch.BusinessTypes, deducting)
	}
	score := func(scope string, rate, deviation statemachine.Share, feedback uint32) routing.Score {
		s, _ := statemachine.ParseScope(scope)
		return routing.Score{Item: s, SuccessRate: rate, Deviation: deviation, Feedback: feedback, Samples: 500, Headroom: 1_000_000, QuotaLeft: 1_000_000}
	}
	w := &vectorWorld{
		name: "strategies", catalog: c,
		comment: "Strategies over scores: COLLECT by feedback, success rate in bands and fee, with exploration; PAYOUT by preference, attribute and split; DEDUCT by expected value.",
		scores: &routing.Scores{Second: vectorSecond - 5, Scores: []routing.Score{
			score("alpha", 955_000, 4000, 10_000), score("alpha/instrument=QUICKPAY:ICBC:DEBIT", 930_000, 9000, 10_000),
			score("beta", 940_000, 5000, 10_000), score("gamma", 985_000, 2000, 6_000),
		}},
	}
	for i, n := range []int{0, 1, 2, 3, 4, 47, 85, 113, 178, 244, 256, 279, 284} { // some of these explore
		id := fmt.Sprintf("payment-%04d", n)
		w.cases = append(w.cases,
			worldCase{comment: "learned", request: ask(id)},
			worldCase{comment: "split", request: ask(id, as(payingOut))},
			worldCase{comment: "expected value of another amount", request: ask(id, as(deducting), pay(func(p *sluicev1.Payment) { p.Amount = int64(1000 * (i*i + 1)) }))})
	}
	w.cases = append(w.cases,
		worldCase{comment: "another bank, by the channel's score", request: ask("payment-1", pay(func(p *sluicev1.Payment) { p.Bank = "CCB" }))},
		worldCase{comment: "a merchant with a preference", request: ask("payment-1", as(payingOut), pay(func(p *sluicev1.Payment) { p.Merchant = "loyal" }))},
		worldCase{comment: "a second attempt does not explore", request: ask("payment-0003", after("alpha", configv1.Outcome_OUTCOME_CHANNEL_FAILED, ""))})
	return w
}
