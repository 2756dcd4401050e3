package routing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestCompileReportsProblems(t *testing.T) {
	yes := true
	tests := []struct {
		name string
		edit func(*configv1.Catalog)
		want []string // paths
	}{
		{"nothing", func(*configv1.Catalog) {}, nil},
		{"empty", func(c *configv1.Catalog) { *c = configv1.Catalog{} }, []string{"entities", "routes"}},
		{"lifetime", func(c *configv1.Catalog) { c.DecisionLifetime = durationpb.New(time.Hour) }, []string{"decision_lifetime"}},
		{"entity twice", func(c *configv1.Catalog) { c.Entities = append(c.Entities, &configv1.Entity{Id: "e-1"}) }, []string{"entities[2].id"}},
		{"no id", func(c *configv1.Catalog) { c.Entities[1].Id = "-x" }, []string{"entities[1].id"}},
		{"dangling entity", func(c *configv1.Catalog) { c.Channels[1].Accounts[0].Entity = "e-9" }, []string{"channels[1].accounts[0].entity"}},
		{"dangling domain", func(c *configv1.Catalog) { c.Channels[0].FailureDomains = []string{"net"} }, []string{"channels[0].failure_domains[0]"}},
		{"dangling pool", func(c *configv1.Catalog) { c.Channels[0].Capacity = &configv1.Capacity{Pool: "x"} }, []string{"channels[0].capacity.pool"}},
		{"dangling code table", func(c *configv1.Catalog) { c.Channels[0].CodeTable = "x" }, []string{"channels[0].code_table"}},
		{"dangling channel", func(c *configv1.Catalog) { c.Routes[0].Members[1].Channel = "x" }, []string{"routes[0].members[1].channel"}},
		{"dangling account", func(c *configv1.Catalog) { c.Routes[0].Members[1].Account = "x" }, []string{"routes[0].members[1].account"}},
		{"channel twice", func(c *configv1.Catalog) { c.Channels[1].Id = "a"; c.Routes[0].Members[1].Channel = "a" }, []string{"channels[1].id", "routes[0].members[1].channel"}},
		{"member without the business type", func(c *configv1.Catalog) { c.Channels[1].BusinessTypes = c.GetChannels()[1].GetBusinessTypes()[1:] }, []string{"routes[0].members[1].channel"}},
		{"route of refunds", func(c *configv1.Catalog) { c.Routes[0].BusinessType = refund }, []string{"routes[0].business_type"}},
		{"unknown method", func(c *configv1.Catalog) { c.Routes[0].Method = "WALLET" }, []string{"routes[0].method"}},
		{"route never reached", func(c *configv1.Catalog) {
			c.Routes = append(c.Routes, &configv1.Route{Id: "second", BusinessType: collect, Method: "QUICKPAY", Members: c.GetRoutes()[0].GetMembers()})
		}, []string{"routes[1]"}},
		{"method with and without banks", func(c *configv1.Catalog) { c.Channels[1].Instruments[0].Banks = nil }, []string{"channels[1].instruments[0].banks"}},
		{"a card type that is none, and one twice", func(c *configv1.Catalog) { c.Channels[1].Instruments[0].CardTypes = []configv1.CardType{1, 0, 9, 1} }, []string{
			"channels[1].instruments[0].card_types[1]", "channels[1].instruments[0].card_types[2]", "channels[1].instruments[0].card_types[3]",
		}},
		{"method with and without card types", func(c *configv1.Catalog) { c.Channels[1].Instruments[0].CardTypes = nil }, []string{"channels[1].instruments[0].card_types"}},
		{"overlapping instruments", func(c *configv1.Catalog) {
			c.Channels[0].Instruments = append(c.Channels[0].Instruments, &configv1.Instrument{Method: "QUICKPAY", Banks: []string{"CMB", "CCB"}, CardTypes: []configv1.CardType{1}})
		}, []string{"channels[0].instruments[1]"}},
		{"limits", func(c *configv1.Catalog) {
			c.Channels[0].Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "USD"}, {Currency: "CNY", Min: 5, Max: 4}, {Currency: "CNY"}}
		}, []string{"channels[0].instruments[0].limits[0].currency", "channels[0].instruments[0].limits[1]", "channels[0].instruments[0].limits[2].currency"}},
		{"enrolment", func(c *configv1.Catalog) { c.Channels[0].RequiresEnrolment = []configv1.BusinessType{refund, 2} }, []string{"channels[0].requires_enrolment[0]", "channels[0].requires_enrolment[1]"}},
		{"windows", func(c *configv1.Catalog) {
			c.Channels[0].Windows = &configv1.Windows{
				TimeZone: "Mars/Olympus", Open: []*configv1.OpenHours{{From: "24:00", To: "9:00"}}, Holidays: []string{"2026-02-30"},
				Maintenance: []*configv1.Maintenance{{}},
			}
		}, []string{
			"channels[0].windows.time_zone", "channels[0].windows.open[0].from", "channels[0].windows.open[0].to", "channels[0].windows.holidays[0]", "channels[0].windows.maintenance[0]",
		}},
		{"codes", func(c *configv1.Catalog) {
			c.CodeTables = []*configv1.CodeTable{{Id: "t", Codes: []*configv1.ResponseCode{
				{Code: "00", Outcome: 1, Final: &yes}, {Code: "00", Outcome: 5}, {Code: "a b", Outcome: 10},
			}}}
		}, []string{"code_tables[0].codes[0].final", "code_tables[0].codes[1].code", "code_tables[0].codes[2].code", "code_tables[0].codes[2].outcome"}},
		{"policy", func(c *configv1.Catalog) {
			c.Channels[0].Policy = &configv1.Policy{Recovery: &configv1.RecoveryPolicy{CoolDown: durationpb.New(0)}, Windows: &configv1.WindowsPolicy{Window: durationpb.New(time.Hour)}}
		}, []string{"channels[0].policy.windows.window", "channels[0].policy.recovery.cool_down"}},
		{"static order", func(c *configv1.Catalog) {
			c.StaticOrder = []*configv1.StaticOrder{{BusinessType: collect, Method: "X", Channels: []string{"a", "x"}}}
		}, []string{"static_order[0].method", "static_order[0].channels[1]"}},
		{"too many candidates", func(c *configv1.Catalog) {
			for i := range 64 {
				c.Channels[0].Accounts = append(c.Channels[0].Accounts, &configv1.Account{Id: "x" + strings.Repeat("x", i), Entity: "e-1"})
			}
			c.Channels[0].Accounts = c.GetChannels()[0].GetAccounts()[:64]
		}, []string{"routes[0].members"}},
		{"many at once", func(c *configv1.Catalog) {
			c.Channels[0].Accounts[0].Entity, c.Channels[1].CodeTable, c.Routes[0].Members[0].Account = "x", "x", "x"
		}, []string{"channels[0].accounts[0].entity", "channels[1].code_table", "routes[0].members[0].account"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCatalog(newChannel("a"), newChannel("b"))
			tt.edit(c)
			_, err := CompilePlan(c, nil)
			var got []string
			for _, p := range Problems(err) {
				got = append(got, p.Path)
				if p.Message == "" {
					t.Errorf("%s has no message", p.Path)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}

func TestItemsKeepTheirIndices(t *testing.T) {
	first := mustPlan(t, newCatalog(newChannel("a"), newChannel("b")))
	second, err := CompilePlan(newCatalog(newChannel("c"), newChannel("b")), first)
	if err != nil {
		t.Fatal(err)
	}
	third, err := CompilePlan(newCatalog(newChannel("a"), newChannel("c")), second)
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range first.Items() {
		if third.Items()[i] != item {
			t.Fatalf("item %d is %s, was %s", i, third.Items()[i], item)
		}
	}
	if len(third.Items()) != len(second.Items()) || third.Has(statemachine.ChannelScope("b")) || !third.Has(statemachine.ChannelScope("a")) {
		t.Errorf("items %d, before %d", len(third.Items()), len(second.Items()))
	}
	if i, ok := third.Item(statemachine.ChannelScope("a")); !ok || i != 0 {
		t.Errorf("a is item %d, %t", i, ok)
	}
}

func TestStranded(t *testing.T) {
	p := mustPlan(t, newCatalog(newChannel("a")))
	gone := statemachine.NewState(statemachine.ChannelScope("b"))
	gone.Off = byOperator
	kept := statemachine.NewState(statemachine.ChannelScope("a"))
	kept.Off = byOperator
	if got := p.Stranded([]statemachine.State{gone, kept, off(statemachine.ChannelScope("c"))}); !slices.Equal(got, []statemachine.Scope{gone.Scope}) {
		t.Errorf("got %v, want b alone: c carries no order", got)
	}
}

func TestFleet(t *testing.T) {
	a := newChannel("a", func(c *configv1.Channel) {
		c.Weight, c.Capacity = 300, &configv1.Capacity{PaymentsPerSecond: 50, Pool: "line"}
		c.FailureDomains = []string{"net"}
		c.Accounts[0].Capacity = &configv1.Capacity{PaymentsPerSecond: 20}
		c.Policy = &configv1.Policy{Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE}
	})
	c := newCatalog(a, newChannel("b"))
	c.FailureDomains = []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_EGRESS}}
	c.Pools = []*configv1.Pool{{Id: "line", PaymentsPerSecond: 70}}
	p := mustPlan(t, c)
	f := p.Fleet()
	if len(f.Lanes) != 4 {
		t.Fatalf("%d lanes, want 2 banks × 2 card types", len(f.Lanes))
	}
	at, ok := p.LaneIndex(statemachine.Lane{Entity: "e-1", Business: statemachine.Collect, Instrument: icbc})
	if !ok {
		t.Fatal("no lane")
	}
	members := f.Lanes[at].Members
	var pools []string
	for _, i := range members[0].Pools {
		pools = append(pools, f.Pools[i].Name)
	}
	if members[0].Channel != "a" || members[0].Weight != 0.75 || members[1].Weight != 0.25 || !slices.Equal(members[0].Domains, []string{"net"}) ||
		!slices.Equal(pools, []string{"pool/line", "account/a/main", "channel/a"}) {
		t.Errorf("got %+v with pools %q", members, pools)
	}
	if f.Policy("a").Level != statemachine.LevelObserve || f.Policy("b") != statemachine.DefaultPolicy() {
		t.Errorf("policies %+v", f.Policies)
	}
	f.Lanes[at].Demand = 5
	if p.Fleet().Lanes[at].Demand != 0 {
		t.Error("the caller's demand went into the plan")
	}
}

func TestInstruments(t *testing.T) {
	p := mustPlan(t, newCatalog(newChannel("a")))
	var got []string
	for _, i := range p.Instruments("a", "ICBC", "", "") {
		got = append(got, i.String())
	}
	if !slices.Equal(got, []string{"QUICKPAY:ICBC:CREDIT", "QUICKPAY:ICBC:DEBIT"}) || len(p.Instruments("x", "", "", "")) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestValidateRequest(t *testing.T) {
	for field, edit := range map[string]func(*Request){
		"":                             func(*Request) {},
		"payment.payment_id":           func(r *Request) { r.PaymentID = "a b" },
		"payment.merchant":             func(r *Request) { r.Merchant = "" },
		"payment.settlement_entity":    func(r *Request) { r.Entity = "é" },
		"payment.business_type":        func(r *Request) { r.Business = 0 },
		"payment.method":               func(r *Request) { r.Instrument.Method = "" },
		"payment.bank":                 func(r *Request) { r.Instrument.Bank = "a/b" },
		"payment.card_type":            func(r *Request) { r.Instrument.CardType = "GOLD" },
		"payment.amount":               func(r *Request) { r.Amount = 0 },
		"payment.currency":             func(r *Request) { r.Currency = "cny" },
		"payment.original":             func(r *Request) { r.Business = statemachine.Refund },
		"payment.user_tier":            func(r *Request) { r.UserTier = "a b" },
		"max_channels":                 func(r *Request) { r.MaxChannels = 65 },
		"exclude[1]":                   func(r *Request) { r.Exclude = []string{"a", ""} },
		"attempts[0].outcome":          func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.OutcomeUnmapped}} },
		"attempts":                     func(r *Request) { r.Attempts = make([]Attempt, 65) },
		"payment.enrolled_channels":    func(r *Request) { r.Enrolled = make([]string, 257) },
		"payment.original.channel":     func(r *Request) { r.Business, r.Original = statemachine.Query, Original{Account: "x"} },
		"attempts[0].raw_code":         func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Code: "a b"}} },
		"payment.enrolled_channels[0]": func(r *Request) { r.Enrolled = []string{""} },
	} {
		err := newRequest(edit).Validate()
		if field == "" && err == nil {
			continue
		}
		f, ok := err.(*FieldError) //nolint:errorlint // the bare error is promised
		if !ok || f.Field != field || f.Want == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
