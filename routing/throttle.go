package routing

// throttledAccounts are the accounts that are sent less for now.
type throttledAccounts struct {
	plan *Plan
	of   []*throttle // by account, nil for most
}

// throttle is the admitted rate of one account.
type throttle struct {
	perSecond uint32
	counter   *counter
}

func (t *throttle) pass(second int64, yields bool) bool {
	t.counter.asked.Add(1)
	return t.counter.pass(t.perSecond, second, yields)
}

func (t *throttle) unpass(second int64) { t.counter.unpass(second) }
