package routing

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// dice draws what catalogues, states and requests of TestServerSDKAndReplayAgree are made of.
type dice struct{ *rand.Rand }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pickOf[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// some returns each of the list with a chance, in order.
func some[T any](d dice, percent int, list ...T) []T {
	var out []T
	for _, x := range list {
		if d.chance(percent) {
			out = append(out, x)
		}
	}
	return out
}

func seconds(n int) *durationpb.Duration {
	return durationpb.New(time.Duration(n) * time.Second)
}

// catalog draws a catalogue of 1 to 12 channels that uses everything that decides something.
func (d dice) catalog() *configv1.Catalog {
	c := &configv1.Catalog{
		Entities: []*configv1.Entity{{Id: "e-1"}, {Id: "e-2"}},
		FailureDomains: []*configv1.FailureDomain{
			{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_CLEARING_NETWORK},
			{Id: "east", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_REGION},
		},
		Pools: []*configv1.Pool{{Id: "shared", PaymentsPerSecond: uint32(50 + d.IntN(200))}},
		CodeTables: []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
			{Code: "E1", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED}, {Code: "E2", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Advice: "ASK_FOR_ANOTHER_CARD"},
		}}},
	}
	if d.chance(30) {
		c.MaxAttempts = uint32(1 + d.IntN(4))
	}
	if d.chance(50) {
		c.DecisionLifetime = seconds(1 + d.IntN(30))
	}
	n := 1 + d.IntN(12)
	for i := range n {
		c.Channels = append(c.Channels, d.channel(i))
	}
	for i := range 1 + d.IntN(3) {
		c.Strategies = append(c.Strategies, d.strategy(i, n))
	}
	c.Routes = append(c.Routes, d.route("gold", n, c, func(r *configv1.Route) { r.UserTiers = []string{"gold"} }))
	c.Routes = append(c.Routes, d.route("rest", n, c, nil))
	c.Routes = append(c.Routes, d.route("deduct", n, c, func(r *configv1.Route) { r.BusinessType = deduct }))
	if d.chance(30) {
		c.MerchantLimits = []*configv1.MerchantLimit{{Merchant: "m-1", PaymentsPerSecond: uint32(1 + d.IntN(60))}}
	}
	return c
}

func (d dice) channel(i int) *configv1.Channel {
	return newChannel(fmt.Sprint("c-", i), func(c *configv1.Channel) {
		c.FailureDomains = some(d, 40, "net", "east")
		c.Weight = uint32(d.IntN(5) * 40)
		c.Accounts = []*configv1.Account{{Id: "main", Entity: "e-1"}}
		if d.chance(40) {
			c.Accounts = append(c.Accounts, &configv1.Account{Id: "named", Entity: "e-1", Merchants: []string{"m-1"}})
		}
		if d.chance(50) {
			c.Accounts = append(c.Accounts, &configv1.Account{Id: "theirs", Entity: "e-2"})
		}
		if d.chance(20) {
			c.Currencies = append(c.Currencies, "USD")
		}
		if d.chance(30) {
			c.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Min: int64(d.IntN(3000)), Max: int64(100_000 + d.IntN(100_000))}}
		}
		if d.chance(10) {
			c.RequiresEnrolment = []configv1.BusinessType{collect, deduct}
		}
		if d.chance(50) {
			c.CodeTable = "codes"
		}
		c.Fee = &configv1.Fee{Fixed: int64(d.IntN(3) * 20), BasisPoints: uint32(d.IntN(5) * 10), Currency: "CNY"}
		c.ResultTime, c.SettlementTime = seconds(1+d.IntN(5)), seconds(86400*d.IntN(3))
		c.Attributes, c.Tags = map[string]int64{"margin": int64(d.IntN(4))}, map[string]string{"kind": pickOf(d, "direct", "reseller")}
		c.Retired = d.chance(4)
		if d.chance(20) {
			c.Windows = &configv1.Windows{TimeZone: "Asia/Shanghai", Open: []*configv1.OpenHours{{From: "06:00", To: "22:30"}}}
			if d.chance(30) {
				c.Windows.Drain = seconds(d.IntN(3600))
			}
			c.Windows.Maintenance = []*configv1.Maintenance{{From: timestamppb.New(time.Unix(noon+3600, 0)), To: timestamppb.New(time.Unix(noon+7200, 0))}}
		}
		if d.chance(30) {
			c.Capacity = &configv1.Capacity{PaymentsPerSecond: uint32(20 + d.IntN(100)), Concurrent: uint32(d.IntN(2) * 80)}
		} else if d.chance(20) {
			c.Capacity = &configv1.Capacity{PaymentsPerSecond: 100, Pool: "shared"}
		}
	})
}

// route draws a route over some of the channels.
func (d dice) route(id string, n int, c *configv1.Catalog, edit func(*configv1.Route)) *configv1.Route {
	r := &configv1.Route{Id: id, BusinessType: collect, Method: "QUICKPAY", SplitGeneration: uint32(d.IntN(3))}
	split := d.chance(40)
	for _, i := range d.Perm(n)[:1+max(d.IntN(n), d.IntN(n))] {
		m := &configv1.RouteMember{Channel: fmt.Sprint("c-", i), Priority: uint32(d.IntN(3))}
		if split && d.chance(80) {
			m.Split = uint32(1 + d.IntN(100))
		}
		r.Members = append(r.Members, m)
	}
	if d.chance(60) {
		r.Strategy = pickOf(d, c.GetStrategies()...).GetId()
	}
	if d.chance(20) {
		r.MaxAttempts = uint32(1 + d.IntN(3))
	}
	if edit != nil {
		edit(r)
	}
	return r
}

// strategy draws an ordered tree of criteria of every kind.
func (d dice) strategy(i, channels int) *configv1.Strategy {
	s := &configv1.Strategy{Id: fmt.Sprint("s-", i)}
	rated := d.chance(60)
	if rated {
		s.Criteria = append(s.Criteria, d.rating())
	}
	for range 1 + d.IntN(3) {
		s.Criteria = append(s.Criteria, d.criterion(channels))
	}
	list := s.GetCriteria()
	d.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	if rated && d.chance(60) {
		s.Exploration = &configv1.Exploration{SharePpm: uint32(1 + d.IntN(1_000_000)), Choice: configv1.ExplorationChoice(d.IntN(3)), MaxGapPpm: uint32(d.IntN(2) * 100_000)}
	}
	return s
}

func (d dice) rating() *configv1.Criterion {
	if d.chance(50) {
		return &configv1.Criterion{Kind: &configv1.Criterion_SuccessRate{SuccessRate: &configv1.SuccessRateCriterion{StepPpm: uint32(d.IntN(2) * 5000)}}}
	}
	return &configv1.Criterion{Kind: &configv1.Criterion_ExpectedValue{ExpectedValue: &configv1.ExpectedValueCriterion{MarginBasisPoints: 100, StepBasisPoints: uint32(d.IntN(2) * 5)}}}
}

func (d dice) criterion(channels int) *configv1.Criterion {
	c := &configv1.Criterion{}
	switch d.IntN(11) {
	case 0:
		c.Kind = &configv1.Criterion_Feedback{Feedback: &configv1.FeedbackCriterion{Step: uint32(d.IntN(2) * 500)}}
	case 1:
		c.Kind = &configv1.Criterion_Fee{Fee: &configv1.FeeCriterion{StepBasisPoints: uint32(d.IntN(3) * 10)}}
	case 2:
		c.Kind = &configv1.Criterion_ResultTime{ResultTime: &configv1.ResultTimeCriterion{Step: seconds(1 + d.IntN(3))}}
	case 3:
		c.Kind = &configv1.Criterion_SettlementTime{SettlementTime: &configv1.SettlementTimeCriterion{}}
	case 4:
		c.Kind = &configv1.Criterion_Weight{Weight: &configv1.WeightCriterion{Step: uint32(d.IntN(100))}}
	case 5:
		c.Kind = &configv1.Criterion_Preference{Preference: &configv1.PreferenceCriterion{Preferences: []*configv1.Preference{
			{Merchants: []string{"m-1"}, Channels: []string{fmt.Sprint("c-", d.IntN(channels))}}, {Channels: []string{"c-0"}},
		}}}
	case 6:
		c.Kind = &configv1.Criterion_Headroom{Headroom: &configv1.HeadroomCriterion{StepPpm: uint32(1 + d.IntN(300_000))}}
	case 7:
		c.Kind = &configv1.Criterion_Commitment{Commitment: &configv1.CommitmentCriterion{StepPpm: uint32(1 + d.IntN(300_000))}}
	case 8:
		split := &configv1.SplitCriterion{Generation: uint32(d.IntN(3))}
		for i := range channels {
			split.Parts = append(split.Parts, &configv1.SplitPart{Channel: fmt.Sprint("c-", i), Part: uint32(1 + d.IntN(100))})
		}
		c.Kind = &configv1.Criterion_Split{Split: split}
	case 9:
		c.Kind = &configv1.Criterion_Attribute{Attribute: &configv1.AttributeCriterion{Attribute: "margin", Order: configv1.AttributeOrder(1 + d.IntN(2))}}
	case 10:
		c.Kind = &configv1.Criterion_Quota{Quota: &configv1.QuotaCriterion{}}
	}
	if d.chance(20) {
		c.When = &configv1.Condition{UserTiers: []string{"gold"}}
	}
	return c
}

// states draws states of a plan's scopes; most are healthy.
func (d dice) states(p *Plan) []statemachine.State {
	var out []statemachine.State
	if d.chance(30) {
		return nil
	}
	scopes := append([]statemachine.Scope{statemachine.DomainScope("net"), statemachine.DomainScope("east")}, p.Items()...)
	percent := pickOf(d, 2, 5, 20)
	for _, s := range scopes {
		if !d.chance(percent) {
			continue
		}
		st := inPhase(s, statemachine.Phase(d.IntN(4)), 0)
		st.Generation = 1 + d.Uint64N(9)
		if st.Phase == statemachine.Ramping {
			st.Step = uint32(d.IntN(3))
			st.Share = stepShare(st.Step)
		}
		if st.Phase == statemachine.Disabled {
			st.CoolUntil = statemachine.At(time.Unix(noon+int64(d.IntN(600)), 0))
		}
		o := statemachine.Override{Author: "li.wei", Reason: "drill", Since: statemachine.At(written), Until: statemachine.At(written.Add(time.Hour))}
		switch d.IntN(12) {
		case 0:
			st.Suspend = o
		case 1:
			st.Off = o
		case 2:
			st.OnNow = o
		}
		out = append(out, st)
	}
	return out
}

// scores draws scores of some of a plan's items, sorted.
func (d dice) scores(p *Plan) *Scores {
	if d.chance(30) {
		return nil
	}
	out := &Scores{Second: noon}
	share := func() statemachine.Share { return statemachine.Share(d.IntN(1_000_001)) }
	for _, item := range sortedScopes(p.Items()) {
		if d.chance(50) {
			out.Scores = append(out.Scores, Score{
				Item: item, SuccessRate: share(), Feedback: uint32(pickOf(d, 10_000, 10_000, d.IntN(10_001))), Headroom: share(), Frozen: d.chance(10),
				ResultTimeMillis: uint32(d.IntN(9000)), Commitment: share(), QuotaLeft: share(), Samples: uint32(d.IntN(1000)), Deviation: statemachine.Share(d.IntN(300_000)),
			})
		}
	}
	return out
}

// request draws a payment, most of them sensible.
func (d dice) request(q *Request, n, channels int) {
	channel := func() string { return fmt.Sprint("c-", d.IntN(channels+1)) }
	*q = Request{
		PaymentID: fmt.Sprint("pay-", n), Merchant: pickOf(d, "m-1", "m-1", "m-2"), Entity: pickOf(d, "e-1", "e-1", "e-1", "e-1", "e-1", "e-1", "e-1", "e-2", "e-2", "e-9"), Business: statemachine.Collect,
		Instrument: statemachine.Instrument{Method: "QUICKPAY", Bank: pickOf(d, "ICBC", "ICBC", "ICBC", "ICBC", "ICBC", "CCB", "CCB", "CCB", "CCB", "XYZ"), CardType: pickOf(d, "DEBIT", "CREDIT")},
		Amount:     int64(1 + d.IntN(150_000)), Currency: pickOf(d, "CNY", "CNY", "CNY", "CNY", "CNY", "CNY", "CNY", "CNY", "CNY", "USD"), UserTier: pickOf(d, "", "", "gold"), PayerKey: d.Uint64N(50),
		MaxChannels: pickOf(d, 0, 0, 1, MaxCandidates), Attempts: q.Attempts[:0], Exclude: q.Exclude[:0], Enrolled: q.Enrolled[:0],
	}
	switch d.IntN(20) {
	case 0:
		q.Business = statemachine.Deduct
	case 1:
		q.Business = pickOf(d, statemachine.Refund, statemachine.Query)
		q.Original = Original{Channel: channel(), Account: pickOf(d, "main", "theirs"), Attempt: "x/0"}
	case 2:
		q.Deadline = noon*1000 + int64(d.IntN(20_000)) - 10_000
	}
	if d.chance(10) {
		q.Exclude = append(q.Exclude, channel())
	}
	if d.chance(10) {
		q.Enrolled = append(q.Enrolled, channel(), channel())
	}
	for d.chance(8) {
		q.Attempts = append(q.Attempts, Attempt{
			Channel: channel(), Account: pickOf(d, "", "main"), Attempt: pickOf(d, "", "x/0"),
			Outcome: statemachine.Outcome(pickOf(d, 5, 5, 5, d.IntN(10))), Code: pickOf(d, "", "", "E1", "E2"),
		})
	}
}
