package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// usedUp reports whether the published scores say that a hard quota of an account, or of its channel, is used up: what whoever
// shares limits with nobody knows of quotas. Scores are rounded down, so the last hundredth counts as used.
func (t *Table) usedUp(r *Request, account int32) bool {
	l := &t.plan.limits
	if t.scores == nil || len(l.quotas) == 0 || account < 0 {
		return false
	}
	counts := func(at int32) bool {
		b := &l.bounds[at]
		return b.quota > 0 && (b.currency == "" || b.currency == r.Currency) && b.business&(1<<r.Business) != 0
	}
	if !slices.ContainsFunc(l.of[account], counts) {
		return false
	}
	a := &t.plan.accounts[account]
	return t.nothingLeft(t.plan.items[a.item]) || t.nothingLeft(statemachine.ChannelScope(t.plan.channels[a.channel].id))
}

func (t *Table) nothingLeft(item statemachine.Scope) bool {
	at, found := slices.BinarySearchFunc(t.scores.Scores, item, func(s Score, i statemachine.Scope) int { return s.Item.Compare(i) })
	return found && t.scores.Scores[at].QuotaLeft == 0
}
