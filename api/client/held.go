package client

import (
	"sync/atomic"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// ownDecisions is how many of its own decisions a client knows again, newer ones overwrite older ones. One that is forgotten
// holds its slot until that lapses by itself.
const ownDecisions = 1 << 14

// own remembers what the client decided by itself, so that only results of those give back what its own counters hold. It is
// lock-free.
type own [ownDecisions]atomic.Uint64

func (o *own) place(id *routing.DecisionID) (*atomic.Uint64, uint64) {
	h := mix(id.Hash, uint64(id.Second)) //nolint:gosec // bits to hash
	return &o[h>>32%ownDecisions], h
}

func (o *own) add(id *routing.DecisionID) {
	at, h := o.place(id)
	at.Store(h)
}

// take reports whether a decision was the client's own, once.
func (o *own) take(id *routing.DecisionID) bool {
	at, h := o.place(id)
	return at.CompareAndSwap(h, 0)
}

// settle gives back what an attempt held of concurrent payments and quotas: its result is definite.
func (c *Client) settle(m *sluicev1.Report, result *routing.Result, second int64) {
	if result.Money == statemachine.MoneyInDoubt {
		return
	}
	id, _, err := routing.ParseAttemptID(m.GetAttemptId())
	if err != nil || !c.own.take(&id) {
		return
	}
	router := c.static
	if s := c.mem.sight(); s.alone != nil {
		router = s.alone
	} else if s.table != nil {
		router = c.mem.router
	}
	if router == nil {
		return
	}
	router.Settle(&routing.Settled{
		Channel: m.GetChannel(), Account: m.GetAccount(), Business: result.Business, Amount: m.GetAmount(), Currency: m.GetCurrency(),
		Decided: id.Second, Second: second, Succeeded: result.Money == statemachine.MoneyPaid,
	})
}
