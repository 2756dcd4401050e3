package monitor

import (
	"cmp"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// quota enters what a result uses of quotas.
func (o *openSecond) quota(list []statemachine.QuotaCount, outcome statemachine.Outcome, sign int64) {
	if len(list) > 0 {
		o.quotas = addQuotas(o.quotas, list, outcome, sign)
	}
}

// addQuotas adds n results of an outcome to a sorted list: only what succeeded is used.
func addQuotas(to, list []statemachine.QuotaCount, outcome statemachine.Outcome, n int64) []statemachine.QuotaCount {
	if outcome != statemachine.Succeeded {
		return to
	}
	for _, q := range list {
		at, found := slices.BinarySearchFunc(to, q.ID, func(c statemachine.QuotaCount, id string) int { return cmp.Compare(c.ID, id) })
		if !found {
			to = slices.Insert(to, at, statemachine.QuotaCount{ID: q.ID})
		}
		to[at].Units += n * q.Units
	}
	return to
}

// sumQuotas sorts in place, adds what belongs together and leaves out what is zero; an empty list becomes nil.
func sumQuotas(all []statemachine.QuotaCount) []statemachine.QuotaCount {
	slices.SortStableFunc(all, func(a, b statemachine.QuotaCount) int { return cmp.Compare(a.ID, b.ID) })
	all = mergeRuns(all, func(a, b *statemachine.QuotaCount) bool { return a.ID == b.ID }, func(a, b *statemachine.QuotaCount) { a.Units += b.Units })
	all = slices.DeleteFunc(all, func(q statemachine.QuotaCount) bool { return q.Units == 0 })
	if len(all) == 0 {
		return nil
	}
	return all
}
