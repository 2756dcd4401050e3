package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// OptionStatus says whether an instrument can be offered. Unsupported (catalogue) and down (state) are different answers.
type OptionStatus uint8

// The answers of ListOptions.
const (
	OptionUnsupported OptionStatus = iota // no channel supports the payment with it
	OptionDown                            // channels support it, none is usable now
	OptionAvailable                       // some channel takes every payment, or the share of a ramp
)

// String returns UNSUPPORTED, DOWN or AVAILABLE.
func (s OptionStatus) String() string {
	switch s {
	case OptionDown:
		return "DOWN"
	case OptionAvailable:
		return "AVAILABLE"
	case OptionUnsupported:
	}
	return "UNSUPPORTED"
}

// Option is one instrument and whether it can be offered.
type Option struct {
	Instrument statemachine.Instrument
	Status     OptionStatus
	Reason     DropReason // why not, or why less, of its best channel; DropNone = a healthy channel takes it
	Until      int64      // Unix seconds when that may change, 0 = not known
	Supporting int        // channels that catalogue and request allow
	Usable     int        // of those, channels usable now; a ramping one counts, a probing one does not
}

// ListOptions answers for every instrument the catalogue has for the request's entity and business type, sorted. A method,
// bank or card type in the request narrows the list. It is the evaluation of Decide, with PaymentID only breaking ties, under
// NoAdmission.
func ListOptions(t *Table, r *Request, second int64) []Option {
	if t == nil {
		return nil
	}
	var out []Option
	var rk Ranking
	q := *r
	for i := range t.plan.lanes {
		l := &t.plan.lanes[i]
		if l.Entity != r.Entity || l.Business != r.Business || !r.asksFor(l.Instrument) {
			continue
		}
		q.Instrument = l.Instrument
		Rank(t, &q, second, &rk)
		out = append(out, rk.option(l.Instrument))
	}
	return out
}

// asksFor reports whether the request's instrument, as far as it is given, is this one.
func (r *Request) asksFor(i statemachine.Instrument) bool {
	want := r.Instrument
	return (want.Method == "" || want.Method == i.Method) && (want.Bank == "" || want.Bank == i.Bank) &&
		(want.CardType == "" || want.CardType == i.CardType)
}

// option sums a ranking up. The best channel is the first usable one, else the first that may come back, else the first.
func (rk *Ranking) option(i statemachine.Instrument) Option {
	o := Option{Instrument: i}
	a := NoAdmission(rk)
	var seen, usable []int32
	best, least := -1, 0
	for n := range rk.ranked {
		c := &rk.list[n]
		drop := rk.closedBy(n, a)
		seen = addOnce(seen, c.channel)
		if drop == DropNone {
			usable = addOnce(usable, c.channel)
		}
		if weight := 2*strength(c.phase) + closedHealthy(c.phase, drop); best < 0 || weight < least {
			best, least = n, weight
		}
	}
	o.Supporting, o.Usable = len(seen), len(usable)
	switch {
	case o.Usable > 0:
		o.Status = OptionAvailable
	case o.Supporting > 0 || rk.closedForNow():
		o.Status = OptionDown
	}
	rk.explainOption(&o, best, a)
	return o
}

// closedHealthy is 1 for a candidate that is healthy and closed all the same, by what is used up, else 0.
func closedHealthy(p statemachine.Phase, drop DropReason) int {
	if p == statemachine.Healthy && drop != DropNone {
		return 1
	}
	return 0
}

// closedForNow reports whether a channel was dropped only for its window, its drain or maintenance: it supports the payment.
func (rk *Ranking) closedForNow() bool {
	for i := range rk.dropped {
		if d := rk.gone[i].drop; d == DropWindow || d == DropMaintenance || d == DropDraining {
			return true
		}
	}
	return false
}

func (rk *Ranking) explainOption(o *Option, best int, a Admission) {
	if best >= 0 {
		c := rk.candidate(&rk.list[best], best)
		if c.Drop = rk.closedBy(best, a); c.Drop == DropNone && c.Kind == statemachine.KindRamp {
			o.Reason = DropRampShare // a part of the payments only
			return
		}
		o.Reason, o.Until = c.Drop, rk.table.until(&c, rk.second)
		return
	}
	for i := range rk.dropped {
		c := rk.candidate(&rk.gone[i], -1)
		if until := rk.table.until(&c, rk.second); i == 0 || until > 0 && (o.Until == 0 || until < o.Until) {
			o.Reason, o.Until = c.Drop, until
		}
	}
}

func addOnce(list []int32, c int32) []int32 {
	if slices.Contains(list, c) {
		return list
	}
	return append(list, c)
}
