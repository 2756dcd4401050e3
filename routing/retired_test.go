package routing

import (
	"errors"
	"strings"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func retire(c *configv1.Channel) { c.Retired = true }

// A retired channel gets no new payment, whatever it is worth, and is named with its reason.
func TestRetired_GetsNoNewPayment(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a", retire), newChannel("b")))
	var d Decision
	if err := decide(table, newRequest(), noon, &d); err != nil {
		t.Fatal(err)
	}
	if got := names(&d); got != "b a:RETIRED" {
		t.Errorf("got %q, want b, and a dropped as RETIRED", got)
	}
	for _, o := range ListOptions(table, newRequest(), noon) {
		if o.Status != OptionAvailable || o.Supporting != 1 {
			t.Errorf("%s: %s, supported by %d channels, want b alone", o.Instrument, o.Status, o.Supporting)
		}
	}
}

// A split that names a retired channel is dealt over the others in their own proportions, and nobody else's payments move.
func TestRetired_SplitMovesOnlyItsOwnPayments(t *testing.T) {
	splits := func(edit ...func(*configv1.Channel)) *Table {
		c := newCatalog(newChannel("a", edit...), newChannel("b"), newChannel("c"))
		for i, m := range c.GetRoutes()[0].GetMembers() {
			m.Priority, m.Split = 0, []uint32{50, 30, 20}[i]
		}
		return mustTable(t, c)
	}
	before, after := splits(), splits(retire)
	var x, y Decision
	to := map[string]int{}
	for i := range 4000 {
		q := newRequest(func(r *Request) { r.PaymentID = "pay-" + time.Duration(i).String() })
		if err := errors.Join(decide(before, q, noon, &x), decide(after, q, noon, &y)); err != nil {
			t.Fatal(err)
		}
		was, is := x.Candidates[0].Channel, y.Candidates[0].Channel
		if was != "a" && was != is || is == "a" {
			t.Fatalf("%s moved from %s to %s", q.PaymentID, was, is)
		}
		if was == "a" {
			to[is]++
		}
	}
	if b := float64(to["b"]) / float64(to["b"]+to["c"]); b < 0.55 || b > 0.65 {
		t.Errorf("of a's payments %v, want 60 %% on b", to)
	}
}

// What belongs to a payment of the retired channel still reaches it, and only it.
func TestRetired_RefundsAndQueriesReachIt(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a", retire), newChannel("b")))
	for _, business := range []statemachine.BusinessType{statemachine.Refund, statemachine.Query} {
		var d Decision
		q := newRequest(func(r *Request) {
			r.Business, r.Original = business, Original{Channel: "a", Account: "main"}
		})
		if err := decide(table, q, noon, &d); err != nil || names(&d) != "a" {
			t.Errorf("%s: %q, %v, want a", business, names(&d), err)
		}
	}
}

// Guards do not count on a retired channel: the last channel beside it is the last one.
func TestRetired_IsNoMemberOfTheFleet(t *testing.T) {
	c := newCatalog(newChannel("a", retire), newChannel("b"))
	c.Routes = append([]*configv1.Route{{
		Id: "gold", BusinessType: collect, Method: "QUICKPAY", UserTiers: []string{"gold"}, Members: []*configv1.RouteMember{{Channel: "b"}},
	}}, c.GetRoutes()...)
	for _, l := range mustPlan(t, c).Fleet().Lanes {
		if len(l.Members) != 1 || l.Members[0].Channel != "b" || l.Members[0].Weight != 1 {
			t.Errorf("%s: members %+v, want b alone with all the weight", l.Lane, l.Members)
		}
	}
	c.GetRoutes()[1].Members = c.GetRoutes()[1].GetMembers()[:1] // the open route has nothing left
	for _, l := range mustPlan(t, c).Fleet().Lanes {
		if len(l.Members) != 1 || l.Members[0].Weight != 1 {
			t.Errorf("%s: members %+v, want b of the other route with all the weight", l.Lane, l.Members)
		}
	}
	c.Routes = c.GetRoutes()[1:]
	var d Decision
	err := decide(mustTable(t, c), newRequest(), noon, &d)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != NoUsableChannel || names(&d) != "a:RETIRED" {
		t.Errorf("with nothing left: %v, %q", err, names(&d))
	}
}

// A snapshot with a retired channel says that its reader must know what that means; orders of last resort leave it out.
func TestRetired_InSnapshots(t *testing.T) {
	plain := NewSnapshot(mustTable(t, newCatalog(newChannel("a"), newChannel("b"))), "env", time.Unix(noon, 0))
	if plain.GetFeatureBits()&FeatureRetired != 0 {
		t.Error("a catalogue without retired channels needs the bit")
	}
	c := newCatalog(newChannel("a", retire), newChannel("b"))
	c.StaticOrder = []*configv1.StaticOrder{
		{BusinessType: deduct, Method: "QUICKPAY", Channels: []string{"a"}},
		{BusinessType: refund, Method: "QUICKPAY", Channels: []string{"a", "b"}},
	}
	table := mustTable(t, c)
	s := NewSnapshot(table, "env", time.Unix(noon, 0))
	if s.GetFeatureBits()&FeatureRetired == 0 {
		t.Fatal("an older reader would go on sending payments to the retired channel")
	}
	var orders []string
	for _, o := range s.GetStaticOrder() {
		orders = append(orders, o.GetBusinessType().String()+" "+strings.Join(o.GetChannels(), ","))
	}
	if got := strings.Join(orders, "; "); got != "BUSINESS_TYPE_COLLECT b; BUSINESS_TYPE_REFUND a,b" {
		t.Errorf("orders of last resort: %s", got)
	}
	opened, err := OpenSnapshot(s, "env", nil)
	if err != nil {
		t.Fatal(err)
	}
	var x, y Decision
	if err := errors.Join(decide(table, newRequest(), noon, &x), decide(opened, newRequest(), noon, &y)); err != nil || names(&x) != names(&y) {
		t.Errorf("%q here, %q from the snapshot, %v", names(&x), names(&y), err)
	}
}
