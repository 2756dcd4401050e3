package routing

import (
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Decide answers a request from a table alone: Finish(Rank). It is pure. The error is nil, ErrNoTable, a *Refusal or a
// *PreviousAttemptError; the latter two lie in out.
func Decide(t *Table, r *Request, second int64, a Admission, out *Decision) error {
	Rank(t, r, second, &out.ranking)
	return Finish(&out.ranking, a, out)
}

// Finish makes the decision of a ranking under an admission. It is pure; errors are those of Decide.
func Finish(rk *Ranking, a Admission, out *Decision) error {
	out.Candidates, out.Dropped = out.usable[:0], out.dropped[:0]
	out.Route, out.ValidUntil, out.table, out.err = "", 0, rk.table, nil
	if rk.table == nil {
		out.ID, out.Revision, out.Admission = DecisionID{}, Revision{}, Admission{Lifted: -1}
		out.err = ErrNoTable
		return ErrNoTable
	}
	t := rk.table
	a = rk.bounded(a)
	out.Revision, out.Admission = t.rev, a
	out.ID = DecisionID{Epoch: t.rev.Epoch, Revision: t.rev.Revision, Second: rk.second, Admission: a, Hash: rk.hash}
	if rk.route >= 0 {
		out.Route = t.plan.routes[rk.route].id
	}
	switch {
	case rk.decided >= 0:
		out.previous = PreviousAttemptError{
			Attempt: rk.request.Attempts[rk.decided], Meaning: rk.meaning, Index: rk.decided, Err: forbids(rk.meaning.Money),
		}
		out.err = &out.previous
		return out.err
	case rk.refusal != RefusalNone:
		return out.refuse(rk.refusal, 0)
	case a.MerchantLimited:
		return out.refuse(MerchantLimited, rk.second+1)
	}
	return rk.fill(a, out)
}

func (d *Decision) refuse(why RefusalReason, until int64) error {
	d.refusal = Refusal{Reason: why, DeferUntil: until}
	d.err = &d.refusal
	return d.err
}

// fill sorts the candidates into usable and dropped.
func (rk *Ranking) fill(a Admission, out *Decision) error {
	most := rk.request.MaxChannels
	if most <= 0 {
		most = defaultMaximum
	}
	if a.Lifted >= 0 {
		rk.use(int(a.Lifted), out)
	}
	for i := range rk.ranked {
		if i == int(a.Lifted) {
			continue
		}
		if drop := rk.closedBy(i, a); drop != DropNone {
			c := rk.candidate(&rk.list[i], i)
			c.Drop = drop
			out.Dropped = append(out.Dropped, c)
		} else if len(out.Candidates) < most {
			rk.use(i, out)
		}
	}
	for i := range rk.dropped {
		if len(out.Dropped) == cap(out.Dropped) {
			break
		}
		out.Dropped = append(out.Dropped, rk.candidate(&rk.gone[i], -1))
	}
	if len(out.Candidates) == 0 {
		return out.refuse(rk.whyNone(), rk.deferUntil(out))
	}
	if a.Lifted >= 0 {
		out.Candidates[0].Why, out.Candidates[0].Kind = WhyProbe, statemachine.KindProbe
	}
	out.ValidUntil = rk.validUntil(&rk.list[out.Candidates[0].Index])
	return nil
}

func (rk *Ranking) use(i int, out *Decision) {
	out.Candidates = append(out.Candidates, rk.candidate(&rk.list[i], i))
}

func (rk *Ranking) candidate(c *ranked, i int) Candidate {
	p := rk.table.plan
	out := Candidate{
		Channel: p.heads[c.channel].id, Index: i8(i), Kind: kindOf(c.phase), Why: c.why, Drop: c.drop,
		Priority: c.priority, Hash: c.hash, Criterion: c.by, closing: c.closing, channel: c.channel, account: c.account,
	}
	if c.account >= 0 {
		out.Account = p.accounts[c.account].id
	}
	return out
}

// closedBy says what closes a ranked candidate under an admission, DropNone if nothing does.
func (rk *Ranking) closedBy(i int, a Admission) DropReason {
	c := &rk.list[i]
	vetoed := a.Vetoed&(1<<i) != 0
	switch c.phase {
	case statemachine.Disabled:
		return rk.table.dropOf(c.closing)
	case statemachine.Probing, statemachine.Ramping, statemachine.Healthy:
	}
	if !vetoed {
		return DropNone
	}
	switch why := a.Why(i); {
	case why != VetoState:
		return why.drop()
	case c.phase == statemachine.Probing:
		return DropProbing
	case c.phase == statemachine.Ramping:
		return DropRampShare
	}
	return DropRateLimited
}

// dropOf says who closed a disabled scope.
func (t *Table) dropOf(hot int32) DropReason {
	switch s := &t.states[t.hot[hot].state]; {
	case s.Suspend.Set():
		return DropSuspended
	case s.Off.Set():
		return DropSwitchedOff
	}
	return DropDisabled
}

// whyNone tells a bank that is down everywhere from other reasons: each candidate that catalogue and request allow is closed,
// and on each the instrument itself is not healthy. A cashier can then ask for another card.
func (rk *Ranking) whyNone() RefusalReason {
	if !rk.bank || rk.ranked == 0 {
		return NoUsableChannel
	}
	for i := range rk.ranked {
		c := &rk.list[i]
		at := rk.items(c)
		if !rk.table.instrumentHot(c.channel, at[placeInstrument]) {
			return NoUsableChannel
		}
	}
	return BankDownEverywhere
}

func (t *Table) instrumentHot(channel, item int32) bool {
	for _, m := range t.marks.of(channel) {
		if m.place == placeInstrument && m.item == item {
			return true
		}
	}
	return false
}

// validUntil is the least of the decision's lifetime, the payment's deadline and the channel's next closing.
func (rk *Ranking) validUntil(c *ranked) int64 {
	p := rk.table.plan
	until := rk.second*1000 + p.lifetime
	if d := rk.request.Deadline; d != 0 {
		until = min(until, d)
	}
	if s := p.heads[c.channel].schedule; s != nil {
		limit := (until + 999) / 1000
		drain := s.drain
		if rk.request.Business == statemachine.Query {
			drain = 0
		}
		until = min(until, (s.closes(rk.second, limit+drain)-drain)*1000)
	}
	return until
}

// deferUntil is the first second in which asking again may find one of the dropped candidates usable, 0 = not known.
func (rk *Ranking) deferUntil(out *Decision) int64 {
	first := int64(0)
	for i := range out.Dropped {
		if u := rk.table.until(&out.Dropped[i], rk.second); u > 0 && (first == 0 || u < first) {
			first = u
		}
	}
	return first
}

// until returns the second from which a dropped candidate may be usable again, 0 = not known.
func (t *Table) until(c *Candidate, second int64) int64 {
	switch c.Drop {
	case DropWindow, DropMaintenance, DropDraining:
		return t.plan.channels[c.channel].schedule.reopens(second)
	case DropDisabled:
		return later(t.states[t.hot[c.closing].state].CoolUntil, second)
	case DropSwitchedOff:
		return later(t.states[t.hot[c.closing].state].Off.Until, second)
	case DropProbing:
		return second + t.plan.channels[c.channel].interval
	case DropQuotaExhausted:
		return t.plan.quotaBegins(c.account, second)
	case DropRampShare, DropRateLimited, DropConcurrencyLimited, DropThrottled:
		return second + 1
	case DropNone, DropNotInRoute, DropBusinessType, DropInstrument, DropCurrency, DropTooSmall, DropTooLarge, DropNoAccount,
		DropNotEnrolled, DropExcluded, DropTried, DropNotOriginal, DropSuspended, DropRetired:
	}
	return 0
}

// later rounds an instant up to a second; one that has passed may be over any moment, 0 stays unknown.
func later(at statemachine.Instant, second int64) int64 {
	if at == 0 {
		return 0
	}
	return max(second+1, int64((at+999)/statemachine.Instant(time.Second/time.Millisecond)))
}
