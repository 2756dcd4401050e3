package routing

import "github.com/sluice-pay/sluice/statemachine"

// merchant counts a payment against its merchant's rate. It reports whether the payment must be refused. Only the first
// attempt counts: what has begun is brought to its end.
func (w *walk) merchant() bool {
	l, r := &w.live.table.plan.limits, w.rk.request
	if len(l.merchants) == 0 || len(r.Attempts) > 0 || r.Business.FollowsOriginal() {
		return false
	}
	at, ok := l.merchants[r.Merchant]
	if !ok {
		return false
	}
	b, c := &l.bounds[at], w.live.counters[at]
	c.asked.Add(1)
	if c.pass(b.perSecond, w.rk.second, false) {
		return false
	}
	w.yields = b.yields
	return !b.yields
}

// within counts the payment against every limit of a candidate, or says which one is used up and counts it nowhere.
func (w *walk) within(i int) VetoReason {
	c := &w.rk.list[i]
	l := &w.live.table.plan.limits
	if set := w.router.throttled.Load(); set != nil && set.plan == w.live.table.plan {
		if t := set.of[c.account]; t != nil && !t.pass(w.rk.second, w.yields) {
			return VetoThrottle
		}
	}
	if !w.router.told.Load() && w.live.table.usedUp(w.rk.request, c.account) {
		w.unthrottle(c)
		return VetoQuota
	}
	list := l.of[c.account]
	for n, at := range list {
		if why := w.take(&l.bounds[at], w.live.counters[at]); why != VetoState {
			w.giveBack(list[:n])
			w.unthrottle(c)
			return why
		}
	}
	return VetoState
}

// take counts the payment against one limit.
func (w *walk) take(b *bound, c *counter) VetoReason {
	r := w.rk.request
	units := b.units(r.Business, r.Amount, r.Currency)
	if units == 0 && b.perSecond == 0 {
		return VetoState
	}
	c.asked.Add(1)
	if b.perSecond > 0 && !c.pass(b.perSecond, w.rk.second, w.yields) {
		return VetoRate
	}
	if units > 0 && !c.hold(units, w.yields) {
		if b.perSecond > 0 {
			c.unpass(w.rk.second)
		}
		if b.quota > 0 {
			return VetoQuota
		}
		return VetoConcurrency
	}
	return VetoState
}

// giveBack takes back what the payment was counted in.
func (w *walk) giveBack(list []int32) {
	r := w.rk.request
	for _, at := range list {
		b, c := &w.live.table.plan.limits.bounds[at], w.live.counters[at]
		if b.perSecond > 0 {
			c.unpass(w.rk.second)
		}
		if units := b.units(r.Business, r.Amount, r.Currency); units > 0 {
			c.taken.Add(-units)
		}
	}
}

// release takes back everything that within counted.
func (w *walk) release(i int) {
	c := &w.rk.list[i]
	w.giveBack(w.live.table.plan.limits.of[c.account])
	w.unthrottle(c)
}

func (w *walk) unthrottle(c *ranked) {
	if set := w.router.throttled.Load(); set != nil && set.plan == w.live.table.plan {
		if t := set.of[c.account]; t != nil {
			t.unpass(w.rk.second)
		}
	}
}

// limited reports whether any limit may say no to a candidate of the payment; a query is never limited.
func (w *walk) limited() bool {
	return (len(w.live.counters) > 0 || w.router.throttled.Load() != nil) && w.rk.request.Business != statemachine.Query
}
