package routing

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestEligibility has channel a with one property under test before the plain channel b.
func TestEligibility(t *testing.T) {
	limits := func(lo, hi int64) func(*configv1.Channel) {
		return func(c *configv1.Channel) {
			c.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Min: lo, Max: hi}}
		}
	}
	windows := func(w *configv1.Windows) func(*configv1.Channel) {
		w.TimeZone = "Asia/Shanghai"
		return func(c *configv1.Channel) { c.Windows = w }
	}
	hours := func(from, to string, days ...configv1.DayOfWeek) *configv1.Windows {
		return &configv1.Windows{Open: []*configv1.OpenHours{{Days: days, From: from, To: to}}}
	}
	tests := []struct {
		name    string
		channel func(*configv1.Channel)
		request func(*Request)
		states  []statemachine.State
		want    string
	}{
		{name: "plain", want: "a b"},
		{name: "other bank", channel: func(c *configv1.Channel) { c.Instruments[0].Banks = []string{"CCB"} }, want: "b"},
		{name: "other card type", channel: func(c *configv1.Channel) {
			c.Instruments[0].CardTypes = []configv1.CardType{configv1.CardType_CARD_TYPE_CREDIT}
		}, want: "b"},
		{name: "other entity", channel: func(c *configv1.Channel) { c.Accounts[0].Entity = "e-2" }, want: "b"},
		{name: "other merchant's account", channel: func(c *configv1.Channel) { c.Accounts[0].Merchants = []string{"m-2"} }, want: "b a:NO_ACCOUNT"},
		{name: "the merchant's account", channel: func(c *configv1.Channel) { c.Accounts[0].Merchants = []string{"m-1"} }, want: "a b"},
		{name: "currency", channel: func(c *configv1.Channel) { c.Currencies = []string{"USD"} }, want: "b a:CURRENCY_UNSUPPORTED"},
		{name: "currency of the instrument", channel: func(c *configv1.Channel) {
			c.Currencies = []string{"USD", "CNY"}
			c.Instruments[0].Currencies = []string{"USD"}
		}, want: "b a:CURRENCY_UNSUPPORTED"},
		{name: "a currency nobody takes", request: func(r *Request) { r.Currency = "CHF" }, want: "a:CURRENCY_UNSUPPORTED b:CURRENCY_UNSUPPORTED"},
		{name: "too small", channel: limits(12001, 0), want: "b a:AMOUNT_TOO_SMALL"},
		{name: "smallest", channel: limits(12000, 0), want: "a b"},
		{name: "largest", channel: limits(0, 12000), want: "a b"},
		{name: "too large", channel: limits(0, 11999), want: "b a:AMOUNT_TOO_LARGE"},
		{name: "not enrolled", channel: func(c *configv1.Channel) { c.RequiresEnrolment = append(c.RequiresEnrolment, collect) }, want: "b a:NOT_ENROLLED"},
		{
			name: "enrolled", channel: func(c *configv1.Channel) { c.RequiresEnrolment = append(c.RequiresEnrolment, collect) },
			request: func(r *Request) { r.Enrolled = []string{"x", "a"} }, want: "a b",
		},
		{name: "enrolment for another business type", channel: func(c *configv1.Channel) { c.RequiresEnrolment = append(c.RequiresEnrolment, deduct) }, want: "a b"},
		{name: "open at noon", channel: windows(hours("09:00", "12:01")), want: "a b"},
		{name: "closes at noon", channel: windows(hours("09:00", "12:00")), want: "b a:OUTSIDE_WINDOW"},
		{name: "opens at noon", channel: windows(hours("12:00", "13:00")), want: "a b"},
		{name: "over midnight", channel: windows(hours("13:00", "12:30")), want: "a b"},
		{name: "over midnight, begun on Sunday only", channel: windows(hours("22:00", "12:30", configv1.DayOfWeek_DAY_OF_WEEK_SUNDAY)), want: "a b"},
		{name: "over midnight, begun on Monday only", channel: windows(hours("22:00", "12:30", configv1.DayOfWeek_DAY_OF_WEEK_MONDAY)), want: "b a:OUTSIDE_WINDOW"},
		{name: "another day", channel: windows(hours("00:00", "24:00", configv1.DayOfWeek_DAY_OF_WEEK_TUESDAY)), want: "b a:OUTSIDE_WINDOW"},
		{name: "holiday", channel: windows(&configv1.Windows{Holidays: []string{"2026-03-02"}}), want: "b a:OUTSIDE_WINDOW"},
		{name: "yesterday's holiday", channel: windows(&configv1.Windows{Holidays: []string{"2026-03-01"}}), want: "a b"},
		{name: "maintenance", channel: windows(&configv1.Windows{Maintenance: []*configv1.Maintenance{
			{From: &timestamppb.Timestamp{Seconds: noon}, To: &timestamppb.Timestamp{Seconds: noon + 1}},
		}}), want: "b a:MAINTENANCE"},
		{name: "maintenance just over", channel: windows(&configv1.Windows{Maintenance: []*configv1.Maintenance{
			{From: &timestamppb.Timestamp{Seconds: noon - 60}, To: &timestamppb.Timestamp{Seconds: noon}},
		}}), want: "a b"},
		{name: "excluded", request: func(r *Request) { r.Exclude = []string{"a"} }, want: "b a:EXCLUDED"},
		{name: "tried", request: func(r *Request) {
			r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.ChannelFailed}}
		}, want: "b a:ALREADY_TRIED"},
		{name: "channel off", states: []statemachine.State{off(statemachine.ChannelScope("a"))}, want: "b a:DISABLED"},
		{name: "business type off", states: []statemachine.State{off(statemachine.BusinessScope("a", statemachine.Collect))}, want: "b a:DISABLED"},
		{name: "another business type off", states: []statemachine.State{off(statemachine.BusinessScope("a", statemachine.Deduct))}, want: "a b"},
		{name: "method off", states: []statemachine.State{off(statemachine.MethodScope("a", "QUICKPAY"))}, want: "b a:DISABLED"},
		{name: "account off", states: []statemachine.State{off(statemachine.AccountScope("a", "main"))}, want: "b a:DISABLED"},
		{name: "instrument off", states: []statemachine.State{off(statemachine.InstrumentScope("a", icbc))}, want: "b a:DISABLED"},
		{name: "another bank off", states: []statemachine.State{
			off(statemachine.InstrumentScope("a", statemachine.Instrument{Method: "QUICKPAY", Bank: "CCB", CardType: "DEBIT"})),
		}, want: "a b"},
		{
			name: "domain off", channel: func(c *configv1.Channel) { c.FailureDomains = []string{"net"} },
			states: []statemachine.State{off(statemachine.DomainScope("net"))}, want: "b a:DISABLED",
		},
		{name: "another domain off", states: []statemachine.State{off(statemachine.DomainScope("net"))}, want: "a b"},
		{name: "switched off", states: []statemachine.State{override(func(s *statemachine.State) { s.Off = byOperator })}, want: "b a:SWITCHED_OFF"},
		{name: "suspended", states: []statemachine.State{override(func(s *statemachine.State) { s.Suspend = byOperator })}, want: "b a:SUSPENDED"},
		{name: "on now over disabled", states: []statemachine.State{override(func(s *statemachine.State) {
			s.Phase, s.OnNow = statemachine.Disabled, byOperator
		})}, want: "a b"},
		{name: "probing without token", states: []statemachine.State{inPhase(statemachine.ChannelScope("a"), statemachine.Probing, 0)}, want: "b a:PROBING"},
		{name: "a ramp alone closes nothing", states: []statemachine.State{inPhase(statemachine.ChannelScope("a"), statemachine.Ramping, 1)}, want: "a b"},
		{name: "most channels", request: func(r *Request) { r.MaxChannels = 1 }, want: "a"},
		{name: "absent parts of the instrument", request: func(r *Request) { r.Instrument.CardType = "" }, want: "UNSUPPORTED_PAYMENT"},
		{name: "unknown entity", request: func(r *Request) { r.Entity = "e-9" }, want: "UNSUPPORTED_ENTITY"},
		{name: "entity without accounts", request: func(r *Request) { r.Entity = "e-2" }, want: "UNSUPPORTED_PAYMENT"},
		{name: "unknown method", request: func(r *Request) { r.Instrument.Method = "WALLET" }, want: "UNSUPPORTED_ROUTE"},
		{name: "unrouted business type", request: func(r *Request) { r.Business = statemachine.Deduct }, want: "UNSUPPORTED_ROUTE"},
		{name: "deadline passed", request: func(r *Request) { r.Deadline = noon * 1000 }, want: "PAYMENT_EXPIRED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newChannel("a")
			if tt.channel != nil {
				tt.channel(a)
			}
			c := newCatalog(a, newChannel("b"))
			c.FailureDomains = []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_EGRESS}}
			r := newRequest()
			if tt.request != nil {
				tt.request(r)
			}
			var d Decision
			err := decide(mustTable(t, c, tt.states...), r, noon, &d)
			got := names(&d)
			if refusal, ok := errors.AsType[*Refusal](err); ok && got == "" {
				got = refusal.Reason.String()
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

var byOperator = statemachine.Override{Author: "op", Reason: "contract", Since: 1, Until: statemachine.Instant((noon + 90) * 1000)}

// override is an order over channel a.
func override(edit func(*statemachine.State)) statemachine.State {
	s := statemachine.NewState(statemachine.ChannelScope("a"))
	edit(&s)
	return s
}

func TestAccountsOfTheMerchantGoFirst(t *testing.T) {
	a := newChannel("a", func(c *configv1.Channel) {
		c.Accounts = []*configv1.Account{
			{Id: "general", Entity: "e-1"},
			{Id: "named", Entity: "e-1", Merchants: []string{"m-1"}},
			{Id: "other", Entity: "e-1", Merchants: []string{"m-2"}},
			{Id: "foreign", Entity: "e-2", Merchants: []string{"m-1"}},
		}
	})
	table := mustTable(t, newCatalog(a), off(statemachine.AccountScope("a", "named")))
	var d Decision
	if err := decide(table, newRequest(), noon, &d); err != nil {
		t.Fatal(err)
	}
	if d.Candidates[0].Account != "general" || len(d.Candidates) != 1 || d.Dropped[0].Account != "named" {
		t.Errorf("got %+v, dropped %+v", d.Candidates, d.Dropped)
	}
}

func TestRoutesBySelectors(t *testing.T) {
	c := newCatalog(newChannel("a"), newChannel("b"), newChannel("c"))
	general := c.GetRoutes()[0]
	vip := &configv1.Route{Id: "vip", BusinessType: collect, Method: "QUICKPAY", UserTiers: []string{"VIP"}, Members: []*configv1.RouteMember{{Channel: "c"}}}
	own := &configv1.Route{Id: "own", BusinessType: collect, Method: "QUICKPAY", Merchants: []string{"m-9"}, Members: []*configv1.RouteMember{{Channel: "b"}}}
	c.Routes = []*configv1.Route{vip, own, general}
	table := mustTable(t, c)
	for _, tt := range []struct{ tier, merchant, want, route string }{
		{"", "m-1", "a b c", "collect"}, {"VIP", "m-1", "c", "vip"}, {"VIP", "m-9", "c", "vip"}, {"GOLD", "m-9", "b", "own"},
	} {
		var d Decision
		err := decide(table, newRequest(func(r *Request) { r.UserTier, r.Merchant = tt.tier, tt.merchant }), noon, &d)
		if got := names(&d); err != nil || got != tt.want || d.Route != tt.route {
			t.Errorf("%s %s: got %q by %q (%v), want %q by %q", tt.tier, tt.merchant, got, d.Route, err, tt.want, tt.route)
		}
	}
}

func TestRefusals(t *testing.T) {
	cooling := off(statemachine.ChannelScope("b"))
	cooling.CoolUntil = (noon + 30) * 1000
	ccb := statemachine.Instrument{Method: "QUICKPAY", Bank: "CCB", CardType: "DEBIT"}
	tests := []struct {
		name    string
		states  []statemachine.State
		request func(*Request)
		want    RefusalReason
		until   int64
	}{
		{name: "cooling down", states: []statemachine.State{off(statemachine.ChannelScope("a")), cooling}, want: NoUsableChannel, until: noon + 30},
		{name: "switched off", states: []statemachine.State{override(func(s *statemachine.State) { s.Off = byOperator }), off(statemachine.ChannelScope("b"))}, want: NoUsableChannel, until: noon + 90},
		{name: "suspended", states: []statemachine.State{override(func(s *statemachine.State) { s.Suspend = byOperator }), off(statemachine.ChannelScope("b"))}, want: NoUsableChannel},
		{name: "bank down", states: []statemachine.State{off(statemachine.InstrumentScope("a", icbc)), off(statemachine.InstrumentScope("b", icbc))}, want: BankDownEverywhere},
		{name: "bank down, one channel too", states: []statemachine.State{off(statemachine.InstrumentScope("a", icbc)), off(statemachine.ChannelScope("b"))}, want: NoUsableChannel},
		{name: "another bank down", states: []statemachine.State{
			off(statemachine.ChannelScope("a")), off(statemachine.ChannelScope("b")), off(statemachine.InstrumentScope("a", ccb)), off(statemachine.InstrumentScope("b", ccb)),
		}, want: NoUsableChannel},
		{name: "all excluded", request: func(r *Request) { r.Exclude = []string{"b", "a"} }, want: NoUsableChannel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest()
			if tt.request != nil {
				tt.request(r)
			}
			var d Decision
			err := decide(mustTable(t, newCatalog(newChannel("a"), newChannel("b")), tt.states...), r, noon, &d)
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || !errors.Is(err, ErrRefused) || refusal.Reason != tt.want || refusal.DeferUntil != tt.until {
				t.Errorf("got %+v, want %s until %d", err, tt.want, tt.until)
			}
			if len(d.Dropped) != 2 {
				t.Errorf("dropped %+v, want a reason for each of two", d.Dropped)
			}
		})
	}
}

func TestPreviousAttempts(t *testing.T) {
	a := newChannel("a", func(c *configv1.Channel) { c.CodeTable = "codes" })
	c := newCatalog(a, newChannel("b"), newChannel("c"))
	yes, no := true, false
	c.CodeTables = []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
		{Code: "00", Outcome: configv1.Outcome_OUTCOME_SUCCEEDED},
		{Code: "51", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Advice: "ASK_FOR_ANOTHER_CARD"},
		{Code: "52", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Final: &no},
		{Code: "91", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED},
		{Code: "92", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED, Final: &yes},
		{Code: "93", Outcome: configv1.Outcome_OUTCOME_PENDING},
	}}}
	table := mustTable(t, c)
	tests := []struct {
		name     string
		attempts []Attempt
		want     error
		channel  string // of the decisive attempt, or the next one
		advice   string
	}{
		{"none", nil, nil, "a", ""},
		{"failed", []Attempt{{Channel: "a", Outcome: statemachine.ChannelFailed}}, nil, "b", ""},
		{"refused connection, throttled", []Attempt{{Channel: "a", Outcome: statemachine.NetworkFailed}, {Channel: "b", Outcome: statemachine.Throttled}}, nil, "c", ""},
		{"paid", []Attempt{{Channel: "a", Outcome: statemachine.Succeeded}}, ErrAlreadyPaid, "a", ""},
		{"paid by code", []Attempt{{Channel: "a", Outcome: statemachine.TimedOut, Code: "00"}}, ErrAlreadyPaid, "a", ""},
		{"timed out", []Attempt{{Channel: "a", Outcome: statemachine.TimedOut}}, ErrAmbiguousPreviousAttempt, "a", ""},
		{"unspecified", []Attempt{{Channel: "b"}}, ErrAmbiguousPreviousAttempt, "b", ""},
		{"pending by code", []Attempt{{Channel: "a", Code: "93"}}, ErrAmbiguousPreviousAttempt, "a", ""},
		{"unmapped code", []Attempt{{Channel: "a", Code: "??"}}, ErrAmbiguousPreviousAttempt, "a", ""},
		{"unknown channel in doubt", []Attempt{{Channel: "gone", Outcome: statemachine.Pending}}, ErrAmbiguousPreviousAttempt, "gone", ""},
		{"declined", []Attempt{{Channel: "a", Code: "51"}}, ErrFinalPreviousAttempt, "a", "ASK_FOR_ANOTHER_CARD"},
		{"declined, reroutable", []Attempt{{Channel: "a", Code: "52"}}, nil, "b", ""},
		{"failed, final", []Attempt{{Channel: "a", Code: "92"}}, ErrFinalPreviousAttempt, "a", ""},
		{"most severe wins", []Attempt{
			{Channel: "c", Outcome: statemachine.ChannelFailed},
			{Channel: "b", Outcome: statemachine.UserDeclined},
			{Channel: "a", Outcome: statemachine.TimedOut},
		}, ErrAmbiguousPreviousAttempt, "a", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Decision
			err := decide(table, newRequest(func(r *Request) { r.Attempts = tt.attempts }), noon, &d)
			if tt.want == nil {
				if err != nil || d.Candidates[0].Channel != tt.channel {
					t.Errorf("got %s (%v), want %s", names(&d), err, tt.channel)
				}
				return
			}
			previous, ok := errors.AsType[*PreviousAttemptError](err)
			if !ok || !errors.Is(err, tt.want) || previous.Channel != tt.channel || previous.Meaning.Advice != tt.advice || len(d.Candidates) != 0 {
				t.Errorf("got %v, want %v of %s", err, tt.want, tt.channel)
			}
		})
	}
}

func TestOriginalIsFollowed(t *testing.T) {
	table := func(states ...statemachine.State) *Table {
		a := newChannel("a", func(c *configv1.Channel) {
			c.Accounts = append(c.Accounts, &configv1.Account{Id: "second", Entity: "e-1"}, &configv1.Account{Id: "foreign", Entity: "e-2"})
			c.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Min: 1_000_000}}
		})
		b := newChannel("b", func(c *configv1.Channel) { c.BusinessTypes = c.GetBusinessTypes()[:1] })
		return mustTable(t, newCatalog(a, b), states...)
	}
	tests := []struct {
		name     string
		business statemachine.BusinessType
		original Original
		edit     func(*Request)
		states   []statemachine.State
		want     string
	}{
		{name: "refund", business: statemachine.Refund, original: Original{Channel: "a", Account: "second"}, want: "a/second"},
		{name: "refund without instrument", business: statemachine.Refund, original: Original{Channel: "a", Account: "main"}, edit: func(r *Request) { r.Instrument = statemachine.Instrument{} }, want: "a/main"},
		{name: "unknown channel", business: statemachine.Refund, original: Original{Channel: "x", Account: "main"}, want: "UNSUPPORTED_ORIGINAL"},
		{name: "unknown account", business: statemachine.Query, original: Original{Channel: "a", Account: "x"}, want: "UNSUPPORTED_ORIGINAL"},
		{name: "another entity's account", business: statemachine.Refund, original: Original{Channel: "a", Account: "foreign"}, want: "UNSUPPORTED_ORIGINAL"},
		{name: "channel without refunds", business: statemachine.Refund, original: Original{Channel: "b", Account: "main"}, want: "b:BUSINESS_TYPE_UNSUPPORTED"},
		{name: "excluded", business: statemachine.Refund, original: Original{Channel: "a", Account: "main"}, edit: func(r *Request) { r.Exclude = []string{"a"} }, want: "a:EXCLUDED"},
		{name: "refund on a disabled channel", business: statemachine.Refund, original: Original{Channel: "a", Account: "main"}, states: []statemachine.State{off(statemachine.ChannelScope("a"))}, want: "a:DISABLED"},
		{name: "query of a disabled channel", business: statemachine.Query, original: Original{Channel: "a", Account: "main"}, states: []statemachine.State{off(statemachine.ChannelScope("a"))}, want: "a/main"},
		{name: "refund again after a failure", business: statemachine.Refund, original: Original{Channel: "a", Account: "main"}, edit: func(r *Request) {
			r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.NetworkFailed}}
		}, want: "a/main"},
		{name: "refund in doubt", business: statemachine.Refund, original: Original{Channel: "a", Account: "main"}, edit: func(r *Request) {
			r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.TimedOut}}
		}, want: "a previous attempt is in doubt: query it first (a)"},
		{name: "query in doubt", business: statemachine.Query, original: Original{Channel: "a", Account: "main"}, edit: func(r *Request) {
			r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.TimedOut}}
		}, want: "a/main"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(func(r *Request) { r.Business, r.Original = tt.business, tt.original })
			if tt.edit != nil {
				tt.edit(r)
			}
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
			var d Decision
			router := NewRouter()
			router.Swap(table(tt.states...))
			err := router.Route(r, noon, &d)
			got := names(&d)
			if refusal, ok := errors.AsType[*Refusal](err); ok && got == "" {
				got = refusal.Reason.String()
			} else if err != nil && got == "" {
				got = err.Error()
			} else if err == nil {
				got = d.Candidates[0].Channel + "/" + d.Candidates[0].Account
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestValidUntil(t *testing.T) {
	a := newChannel("a", func(c *configv1.Channel) {
		c.Windows = &configv1.Windows{TimeZone: "Asia/Shanghai", Open: []*configv1.OpenHours{{From: "09:00", To: "12:01"}}}
	})
	table := mustTable(t, newCatalog(a))
	for _, tt := range []struct{ second, deadline, want int64 }{
		{noon, 0, (noon + 10) * 1000},
		{noon, noon*1000 + 1500, noon*1000 + 1500},
		{noon + 55, 0, (noon + 60) * 1000},
	} {
		var d Decision
		if err := decide(table, newRequest(func(r *Request) { r.Deadline = tt.deadline }), tt.second, &d); err != nil || d.ValidUntil != tt.want {
			t.Errorf("second %d, deadline %d: %d (%v), want %d", tt.second, tt.deadline, d.ValidUntil, err, tt.want)
		}
	}
}
