package routing

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestDecisionsWithoutStrategyStay compares decisions with those of the version before strategies, told by one hash: whoever
// uses none is routed as ever.
func TestDecisionsWithoutStrategyStay(t *testing.T) {
	c := bigCatalog(60, 2, 4)
	for i, ch := range c.GetChannels() {
		if i%3 == 0 {
			ch.Accounts = append(ch.Accounts, &configv1.Account{Id: "second", Entity: "e-0"}, &configv1.Account{Id: "named", Entity: "e-1", Merchants: []string{"m-1"}})
		}
		ch.Weight = uint32(i % 5)
	}
	for i, r := range c.GetRoutes() {
		for j, m := range r.GetMembers() {
			if m.Priority = uint32(j / 4); i%2 == 0 || j%4 == 3 {
				m.Split = 0
			}
		}
	}
	p := mustPlan(t, c)
	table := p.Table(Revision{1, 7}, rampingStates(p, 20), nil)
	requests := bigRequests(p, 5000)
	sum := xxhash.New()
	var d Decision
	for i := range requests {
		r := &requests[i]
		r.PaymentID = fmt.Sprint("pay-", i)
		if i%7 == 0 {
			r.Attempts = []Attempt{{Channel: c.GetChannels()[i%60].GetId(), Outcome: statemachine.NetworkFailed}}
		}
		err := decide(table, r, noon+int64(i), &d)
		_, _ = fmt.Fprintln(sum, err, d.ID.Hash, d.ValidUntil, d.Route)
		for _, list := range [][]Candidate{d.Candidates, d.Dropped} {
			for _, x := range list {
				_, _ = fmt.Fprintln(sum, x.Channel, x.Account, x.Index, x.Kind, uint8(x.Why), uint8(x.Drop), x.Priority, x.Hash)
			}
		}
	}
	if got, want := sum.Sum64(), uint64(0xb982c0a9ff80a8d4); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}
