package routing

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestRouterWithoutTable(t *testing.T) {
	var d Decision
	if err := NewRouter().Route(newRequest(), noon, &d); !errors.Is(err, ErrNoTable) {
		t.Errorf("got %v, want ErrNoTable", err)
	}
}

// send routes n payments and returns how many each channel got.
func send(r *Router, n int, second int64, edit ...func(*Request)) map[string]int {
	got := map[string]int{}
	var d Decision
	for i := range n {
		q := newRequest(edit...)
		q.PaymentID = fmt.Sprint("pay-", i)
		if r.Route(q, second, &d) == nil {
			got[d.Candidates[0].Channel]++
		}
	}
	return got
}

func TestRampAdmitsItsShareExactly(t *testing.T) {
	p := mustPlan(t, newCatalog(newChannel("a"), newChannel("b")))
	ramp := []statemachine.State{inPhase(statemachine.ChannelScope("a"), statemachine.Ramping, 100_000)}
	r := NewRouter()
	r.Swap(p.Table(Revision{1, 1}, ramp, nil))
	if got := send(r, 95, noon); got["a"] != 9 || got["b"] != 86 {
		t.Errorf("10 %% of 95: %v", got)
	}
	r.Swap(p.Table(Revision{1, 2}, ramp, nil)) // the account survives
	if got := send(r, 5, noon); got["a"] != 1 {
		t.Errorf("the 5 to the hundredth: %v", got)
	}
	counts := r.Drain(noon)
	want := []statemachine.GateCount{{Scope: statemachine.ChannelScope("a"), Generation: 1, WouldBe: 100, Sent: 10}}
	if !slices.Equal(counts.Gates, want) || counts.Revision != 1 {
		t.Errorf("got %+v at revision %d, want %+v", counts.Gates, counts.Revision, want)
	}
}

// TestRefusedReservationIsGivenBack: the wide ramp's reservation is rolled back when the narrow one says no.
func TestRefusedReservationIsGivenBack(t *testing.T) {
	p := mustPlan(t, newCatalog(newChannel("a"), newChannel("b")))
	narrow := statemachine.InstrumentScope("a", icbc)
	states := []statemachine.State{inPhase(statemachine.ChannelScope("a"), statemachine.Ramping, 500_000), off(narrow)}
	states[1].Phase, states[1].Share = statemachine.Ramping, 1
	r := NewRouter()
	r.Swap(p.Table(Revision{1, 1}, states, nil))
	send(r, 100, noon)
	ccb := func(q *Request) { q.Instrument.Bank = "CCB" }
	if got := send(r, 2, noon, ccb); got["a"] != 2 {
		t.Errorf("the channel has room for 51 payments, but sent %v", got)
	}
}

func TestDisabledCountsWouldBe(t *testing.T) {
	r := NewRouter()
	r.Swap(mustTable(t, newCatalog(newChannel("a"), newChannel("b")), off(statemachine.ChannelScope("a")), inPhase(statemachine.ChannelScope("b"), statemachine.Ramping, 500_000)))
	send(r, 10, noon)
	gates := r.Drain(noon).Gates
	if len(gates) != 2 || gates[0].WouldBe != 10 || gates[0].Sent != 0 || gates[1].WouldBe != 10 || gates[1].Sent != 5 {
		t.Errorf("got %+v, want 10 would-be for both, 5 sent to b", gates)
	}
}

// TestSharedScopeCountsAPaymentOnce: two channels of a ramping domain are one would-be of the domain per payment.
func TestSharedScopeCountsAPaymentOnce(t *testing.T) {
	in := func(c *configv1.Channel) { c.FailureDomains = []string{"net"} }
	c := newCatalog(newChannel("a", in), newChannel("b", in), newChannel("c"))
	c.FailureDomains = []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_EGRESS}}
	r := NewRouter()
	r.Swap(mustTable(t, c, inPhase(statemachine.DomainScope("net"), statemachine.Ramping, 100_000)))
	if got := send(r, 100, noon); got["a"] != 10 || got["c"] != 90 {
		t.Errorf("got %v", got)
	}
	if gates := r.Drain(noon).Gates; gates[0].WouldBe != 100 {
		t.Errorf("got %+v, want 100 would-be", gates)
	}
}

func TestProbesNeedTokens(t *testing.T) {
	probing := inPhase(statemachine.ChannelScope("a"), statemachine.Probing, 0)
	policy := func(c *configv1.Channel) {
		small := int64(20000)
		c.Policy = &configv1.Policy{Recovery: &configv1.RecoveryPolicy{TolerantTiers: []string{"STAFF"}, SmallAmount: &small}}
	}
	grant := Grant{Scope: probing.Scope, Generation: 1, Tokens: 1, From: noon, Until: noon + 3}
	staff := func(q *Request) { q.UserTier, q.PayerKey = "STAFF", 77 }
	tests := []struct {
		name   string
		grant  func(*Grant)
		second int64
		edit   func(*Request)
		want   int
	}{
		{"best class in the first half", nil, noon, staff, 1},
		{"another tier in the first half", nil, noon + 1, func(*Request) {}, 0},
		{"another tier in the second half", nil, noon + 2, func(*Request) {}, 1},
		{"large amount in the first half", nil, noon, func(q *Request) { staff(q); q.Amount = 20001 }, 0},
		{"not payable another way", nil, noon, func(q *Request) { staff(q); q.Exclude = []string{"b"} }, 0},
		{"after its life", nil, noon + 4, staff, 0},
		{"another generation", func(g *Grant) { g.Generation = 2 }, noon, staff, 0},
		{"several tokens at first sight count as one", func(g *Grant) { g.Tokens = 50 }, noon, staff, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRouter()
			r.Swap(mustTable(t, newCatalog(newChannel("a", policy), newChannel("b")), probing))
			g := grant
			if tt.grant != nil {
				tt.grant(&g)
			}
			r.Grant(g)
			r.Grant(g) // again: nothing changes
			if got := send(r, 20, tt.second, tt.edit); got["a"] != tt.want {
				t.Errorf("%d probes, want %d", got["a"], tt.want)
			}
		})
	}
	t.Run("one probe per payer a day", func(t *testing.T) {
		r := NewRouter()
		r.Swap(mustTable(t, newCatalog(newChannel("a", policy), newChannel("b")), probing))
		total := 0
		for i := range 3 {
			second := int64(noon + 10*i)
			r.Grant(Grant{Scope: probing.Scope, Generation: 1, Tokens: uint64(i + 1), From: second, Until: second + 3})
			total += send(r, 5, second, staff)["a"]
		}
		if total != 1 {
			t.Errorf("%d probes by one payer, want 1", total)
		}
	})
	t.Run("a grant before the table", func(t *testing.T) {
		r := NewRouter()
		r.Grant(grant)
		r.Swap(mustTable(t, newCatalog(newChannel("a", policy), newChannel("b")), probing))
		if got := send(r, 5, noon, staff); got["a"] != 1 {
			t.Errorf("got %v", got)
		}
	})
}

func TestLiftedProbe(t *testing.T) {
	r := NewRouter()
	probing := inPhase(statemachine.ChannelScope("b"), statemachine.Probing, 0)
	r.Swap(mustTable(t, newCatalog(newChannel("a"), newChannel("b")), probing))
	grant := Grant{Scope: probing.Scope, Generation: 1, Tokens: 1, From: noon, Until: noon + 3}
	r.Grant(grant)
	if got := send(r, 5, noon); got["a"] != 5 {
		t.Fatalf("without lift: %v", got)
	}
	grant.Tokens, grant.Lift = 2, true
	r.Grant(grant)
	var d Decision
	if err := r.Route(newRequest(), noon, &d); err != nil {
		t.Fatal(err)
	}
	if c := d.Candidates[0]; c.Channel != "b" || c.Kind != statemachine.KindProbe || c.Why != WhyProbe || d.Admission.Lifted != 1 || names(&d) != "b a" {
		t.Errorf("got %s, %+v", names(&d), c)
	}
	if gates := r.Drain(noon).Gates; len(gates) != 1 || gates[0].Sent != 1 || gates[0].WouldBe != 0 {
		t.Errorf("got %+v, want one sent and no would-be", gates)
	}
}

// TestDrainBalances: every decision is in its lane once and in each of its items once, under the kind Attribute gives it.
func TestDrainBalances(t *testing.T) {
	p := mustPlan(t, newCatalog(newChannel("a"), newChannel("b")))
	r := NewRouter()
	r.Swap(p.Table(Revision{1, 1}, []statemachine.State{inPhase(statemachine.InstrumentScope("a", icbc), statemachine.Ramping, 200_000)}, nil))
	send(r, 50, noon)
	send(r, 7, noon, func(q *Request) { q.Instrument.Bank = "CCB" })
	send(r, 3, noon, func(q *Request) { q.Exclude = []string{"a", "b"} })
	r.Swap(mustPlan(t, newCatalog(newChannel("a"))).Table(Revision{1, 2}, nil, nil)) // a new plan loses nothing
	send(r, 1, noon, func(q *Request) { q.Instrument.Bank = "CCB" })
	out := r.Drain(noon)
	ccb := statemachine.Instrument{Method: "QUICKPAY", Bank: "CCB", CardType: "DEBIT"}
	lanes := []statemachine.LaneCount{
		{Lane: statemachine.Lane{Entity: "e-1", Business: statemachine.Collect, Instrument: ccb}, Decisions: 8},
		{Lane: statemachine.Lane{Entity: "e-1", Business: statemachine.Collect, Instrument: icbc}, Decisions: 50, Refused: 3},
	}
	if !slices.Equal(out.Lanes, lanes) {
		t.Errorf("lanes %+v, want %+v", out.Lanes, lanes)
	}
	want := []string{
		"a normal 8", "a ramp 10", "a/business=COLLECT normal 8", "a/business=COLLECT ramp 10", "a/method=QUICKPAY normal 8", "a/method=QUICKPAY ramp 10",
		"a/account=main normal 8", "a/account=main ramp 10", "a/instrument=QUICKPAY:CCB:DEBIT normal 8", "a/instrument=QUICKPAY:ICBC:DEBIT ramp 10",
		"b normal 40", "b/business=COLLECT normal 40", "b/method=QUICKPAY normal 40", "b/account=main normal 40", "b/instrument=QUICKPAY:ICBC:DEBIT normal 40",
	}
	var got []string
	for _, s := range out.Sent {
		got = append(got, fmt.Sprint(s.Item, " ", s.Kind, " ", s.N))
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent\n%q, want\n%q", got, want)
	}
	if again := r.Drain(noon + 1); len(again.Lanes)+len(again.Gates)+len(again.Sent) > 0 || again.Revision != 2 {
		t.Errorf("drained twice: %+v", again)
	}
}

// TestNoAllocations holds the hot paths to none, with healthy and with ramping scopes.
func TestNoAllocations(t *testing.T) {
	p := mustPlan(t, bigCatalog(20, 2, 3))
	requests := bigRequests(p, 64)
	r := NewRouter()
	table := p.Table(Revision{1, 7}, rampingStates(p, 20), nil)
	r.Swap(table)
	d := new(Decision)
	refused := requests[0]
	refused.Currency = "EUR"
	i := 0
	for name, run := range map[string]func(){
		"Route":   func() { _ = r.Route(&requests[i%64], noon, d) },
		"Decide":  func() { _ = Decide(table, &requests[i%64], noon, Admission{Lifted: -1}, d) },
		"refusal": func() { _ = r.Route(&refused, noon, d) },
		"Attribute": func() {
			q := &requests[i%64]
			_ = Decide(table, q, noon, Admission{Lifted: -1}, d)
			if _, err := table.Attribute(d.Candidates[0].Channel, d.Candidates[0].Account, q.Business, q.Instrument, 7); err != nil {
				t.Error(err)
			}
		},
		"Validate":   func() { _ = requests[i%64].Validate() },
		"append ids": func() { var b [128]byte; d.AppendAttemptID(b[:0], 0) },
	} {
		if n := testing.AllocsPerRun(500, func() { i++; run() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
