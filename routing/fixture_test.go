package routing

import (
	"strings"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	collect = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	deduct  = configv1.BusinessType_BUSINESS_TYPE_DEDUCT
	refund  = configv1.BusinessType_BUSINESS_TYPE_REFUND
	query   = configv1.BusinessType_BUSINESS_TYPE_QUERY
)

// noon is Monday 2026-03-02 12:00:00 in Shanghai, 04:00 UTC.
const noon = 1772424000

var icbc = statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}

// newChannel is a cross-card channel of entity e-1 in CNY.
func newChannel(id string, edit ...func(*configv1.Channel)) *configv1.Channel {
	c := &configv1.Channel{
		Id: id, Provider: "p-" + id,
		BusinessTypes: []configv1.BusinessType{collect, deduct, refund, query},
		Instruments: []*configv1.Instrument{{
			Method: "QUICKPAY", Banks: []string{"ICBC", "CCB"},
			CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT, configv1.CardType_CARD_TYPE_CREDIT},
		}},
		Accounts:   []*configv1.Account{{Id: "main", Entity: "e-1"}},
		Currencies: []string{"CNY"},
	}
	for _, f := range edit {
		f(c)
	}
	return c
}

// newCatalog has the channels in one route for COLLECT by QUICKPAY, each at a priority of its own, in order.
func newCatalog(channels ...*configv1.Channel) *configv1.Catalog {
	c := &configv1.Catalog{Entities: []*configv1.Entity{{Id: "e-1"}, {Id: "e-2"}}, Channels: channels}
	r := &configv1.Route{Id: "collect", BusinessType: collect, Method: "QUICKPAY"}
	for i, ch := range channels {
		r.Members = append(r.Members, &configv1.RouteMember{Channel: ch.GetId(), Priority: uint32(i)})
	}
	c.Routes = append(c.Routes, r)
	return c
}

func mustPlan(tb testing.TB, c *configv1.Catalog) *Plan {
	tb.Helper()
	p, err := CompilePlan(c, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func mustTable(tb testing.TB, c *configv1.Catalog, states ...statemachine.State) *Table {
	tb.Helper()
	return mustPlan(tb, c).Table(Revision{1, 100}, states, nil)
}

func newRequest(edit ...func(*Request)) *Request {
	r := &Request{
		PaymentID: "pay-1", Merchant: "m-1", Entity: "e-1", Business: statemachine.Collect, Instrument: icbc,
		Amount: 12000, Currency: "CNY", MaxChannels: MaxCandidates,
	}
	for _, f := range edit {
		f(r)
	}
	return r
}

// inPhase is a state in a phase and share.
func inPhase(s statemachine.Scope, p statemachine.Phase, share statemachine.Share) statemachine.State {
	st := statemachine.NewState(s)
	st.Phase, st.Share, st.Generation, st.After = p, share, 1, 50
	return st
}

func off(s statemachine.Scope) statemachine.State {
	return inPhase(s, statemachine.Disabled, 0)
}

// names renders usable channels as "a b" and dropped ones as "c:REASON".
func names(d *Decision) string {
	var out []string
	for i := range d.Candidates {
		out = append(out, d.Candidates[i].Channel)
	}
	for i := range d.Dropped {
		out = append(out, d.Dropped[i].Channel+":"+d.Dropped[i].Drop.String())
	}
	return strings.Join(out, " ")
}

// decide decides under NoAdmission.
func decide(t *Table, r *Request, second int64, out *Decision) error {
	Rank(t, r, second, &out.ranking)
	return Finish(&out.ranking, NoAdmission(&out.ranking), out)
}
