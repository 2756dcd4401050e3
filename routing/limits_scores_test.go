package routing

import (
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestUsedUpQuotaIsSeenWithoutCounters: whoever has only the published scores skips what they call used up, says so where it
// lists options, and decides for payments that the quota does not count as ever.
func TestUsedUpQuotaIsSeenWithoutCounters(t *testing.T) {
	c := newCatalog(newChannel("a"))
	c.Quotas = []*configv1.Quota{{
		Id: "monthly", Members: []*configv1.QuotaMember{{Channel: "a", Account: "main"}}, Period: configv1.QuotaPeriod_QUOTA_PERIOD_MONTH,
		TimeZone: "Asia/Shanghai", Amount: 1_000_000, Currency: "CNY",
	}}
	p := mustPlan(t, c)
	left := func(share statemachine.Share) *Table {
		return p.Table(Revision{1, 7}, nil, &Scores{Scores: []Score{{Item: statemachine.AccountScope("a", "main"), QuotaLeft: share, Headroom: statemachine.FullShare}}})
	}
	var d Decision
	r := NewRouter()
	r.Swap(left(0))
	err := r.Route(newRequest(), noon, &d)
	if refused, ok := err.(*Refusal); !ok || d.Dropped[0].Drop != DropQuotaExhausted || refused.DeferUntil != 1774972800 { //nolint:errorlint // bare
		t.Errorf("used up: %v, dropped %+v, want QUOTA_EXHAUSTED until April in Shanghai", err, d.Dropped)
	}
	if err := r.Route(newRequest(func(q *Request) { q.Amount, q.Currency = 0, "" }), noon, &d); err != nil {
		t.Errorf("a payment without an amount: %v", err)
	}
	if o := ListOptions(left(0), newRequest(), noon); len(o) != 1 || o[0].Status != OptionDown || o[0].Reason != DropQuotaExhausted || o[0].Until != 1774972800 {
		t.Errorf("options %+v", o)
	}
	r.Swap(left(10_000))
	if err := r.Route(newRequest(), noon, &d); err != nil {
		t.Errorf("with a hundredth left: %v", err)
	}
	if o := ListOptions(left(10_000), newRequest(), noon); o[0].Status != OptionAvailable || o[0].Reason != DropNone {
		t.Errorf("options %+v", o)
	}
	r.Share(NewSharing(2).Shares(p, "r-1", noon+1))
	r.Swap(left(0))
	if err := r.Route(newRequest(), noon, &d); err != nil {
		t.Errorf("a router that is told its part goes by it, not by scores: %v", err)
	}
}
