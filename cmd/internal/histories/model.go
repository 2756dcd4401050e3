package main

import (
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// known is what a replica knows of an attempt.
type known uint8

const (
	nothing known = iota
	inDoubt
	isPaid
	settled // failed for good: provisional word of it says nothing any more
)

// heard is what one replica was told of one attempt.
type heard struct {
	state    known
	any      bool // something was told
	last     statemachine.Outcome
	isFinal  bool
	together bool // kept beside doubts of the payment
}

// noteKind is what a replica remembers of where the payment is.
type noteKind uint8

const (
	noteNone noteKind = iota
	noteGiven
	noteFree
	notePaid
	noteSettled
)

// maxTries bounds the attempts of a history that are told of.
const maxTries = 16

// model is what one replica may know of a payment, written down plainly: the specification that its answers are held against.
type model struct {
	heard    [maxTries]heard
	together bool // there is, or was, doubt: paid attempts are kept beside it
	recent   noteKind
	about    int // the attempt that recent is about, if it is paid or settled
	channel  string
	account  string
}

// outgoing reports whether the money of a business type goes out, so that codes nobody mapped are in doubt and a channel is left
// only after a definite failure.
func outgoing(b statemachine.BusinessType) bool {
	return b == statemachine.Payout || b == statemachine.Deduct
}

// meaning is the outcome table of the catalogue at hand, by itself.
func meaning(b statemachine.BusinessType, channel string, o statemachine.Outcome, code string) statemachine.Money {
	if channel != "c" { // which maps no codes
		switch code {
		case "00":
			return statemachine.MoneyPaid
		case "91", "52":
			return statemachine.MoneyReroutable
		case "51":
			return statemachine.MoneyFinal
		case "93":
			return statemachine.MoneyInDoubt
		}
	}
	switch o {
	case statemachine.Succeeded:
		return statemachine.MoneyPaid
	case statemachine.UserDeclined, statemachine.Rejected, statemachine.ChannelFailed, statemachine.AccountFailed,
		statemachine.Throttled, statemachine.NetworkFailed:
		if code != "" && (outgoing(b) || b == statemachine.Refund) {
			return statemachine.MoneyInDoubt
		}
		if o == statemachine.UserDeclined || o == statemachine.Rejected {
			return statemachine.MoneyFinal
		}
		return statemachine.MoneyReroutable
	case statemachine.OutcomeUnspecified, statemachine.Pending, statemachine.TimedOut, statemachine.OutcomeUnmapped, statemachine.NumOutcomes:
	}
	return statemachine.MoneyInDoubt
}

// forbids says what has to come of a request that names these attempts: given where a channel may be given.
func (m *model) forbids(h *history, named []routing.Attempt) answer {
	worst := statemachine.MoneyReroutable
	for i := range named {
		worst = max(worst, meaning(h.business, named[i].Channel, named[i].Outcome, named[i].Code))
	}
	for i := range h.tries {
		switch m.at(i).state {
		case isPaid:
			worst = statemachine.MoneyPaid
		case inDoubt:
			if t := &h.tries[i]; !names(named, t.channel, t.account, t.id) {
				worst = max(worst, statemachine.MoneyInDoubt)
			}
		case nothing, settled:
		}
	}
	switch {
	case worst == statemachine.MoneyPaid:
		return paid
	case worst == statemachine.MoneyInDoubt:
		return doubt
	case worst == statemachine.MoneyFinal:
		return final
	case h.business == statemachine.Collect && len(named) >= 4:
		return exhausted
	}
	return given
}

// allows reports whether an answer may stand for another: none where a channel might be given, and doubt about where a payout is.
func (m *model) allows(got, want answer, named []routing.Attempt) bool {
	return got == want || want == given && got == refused || got == doubt && m.leaves(named)
}

// at is what was heard of an attempt.
func (m *model) at(i int) *heard { return &m.heard[min(i, maxTries-1)] }

// leaves reports whether the request names no attempt where the payment was given last, so that it must not go elsewhere.
func (m *model) leaves(named []routing.Attempt) bool {
	return m.recent == noteGiven && !names(named, m.channel, m.account, "")
}

// names reports whether attempts hold one: by its id, or without one by channel and account.
func names(named []routing.Attempt, channel, account, id string) bool {
	return slices.ContainsFunc(named, func(a routing.Attempt) bool {
		if id != "" {
			return a.Attempt == id
		}
		return a.Channel == channel && a.Account == account
	})
}

// gave takes note of an answer.
func (m *model) gave(h *history, to *routing.Candidate) {
	if !outgoing(h.business) || m.recent == notePaid {
		return
	}
	if m.recent == noteSettled && !m.at(m.about).together {
		m.at(m.about).state = nothing // the channel is of more use than an old correction
	}
	m.recent, m.channel, m.account = noteGiven, to.Channel, to.Account
}

// told takes note of a report.
func (m *model) told(h *history, i int, o statemachine.Outcome, code string, isFinal bool) {
	t, a := &h.tries[i], m.at(i)
	repeated := a.hear(t.channel, o, code, isFinal)
	switch meaning(h.business, t.channel, o, code) {
	case statemachine.MoneyPaid:
		m.paid(i, isFinal)
	case statemachine.MoneyInDoubt:
		if !repeated && a.state != isPaid && (a.state != settled || isFinal) {
			a.state, a.together, m.together = inDoubt, true, true
		}
	case statemachine.MoneyFinal, statemachine.MoneyReroutable:
		m.failed(i, isFinal, repeated)
		if m.recent == noteGiven && m.channel == t.channel && m.account == t.account {
			m.recent = noteFree
		}
	}
}

// failed takes note of a definite failure: a final one ends doubt, and takes back what was not final.
func (m *model) failed(i int, isFinal, repeated bool) {
	a := m.at(i)
	if !isFinal || a.state != inDoubt && (a.state != isPaid || repeated) {
		return
	}
	a.state = settled
	if m.recent == notePaid && m.about == i {
		m.recent = noteSettled
	}
}

// hear keeps the newest result and reports whether this one changed nothing, as counters see it.
func (a *heard) hear(channel string, o statemachine.Outcome, code string, isFinal bool) (repeated bool) {
	if channel != "c" && code == "93" {
		o = statemachine.Pending
	} else if code == "00" && channel != "c" {
		o = statemachine.Succeeded
	}
	isFinal = isFinal && o != statemachine.Pending
	if a.any && (o == statemachine.Pending || !isFinal && a.last != statemachine.Pending || a.isFinal) {
		return true
	}
	a.any, a.last, a.isFinal = true, o, isFinal
	return false
}

// paid takes note of a paid attempt: beside doubts of the payment, else by itself.
func (m *model) paid(i int, isFinal bool) {
	a := m.at(i)
	if a.state == settled && !isFinal {
		return
	}
	another := (m.recent == notePaid || m.recent == noteSettled) && (m.about != i || a.state == settled)
	switch {
	case m.together:
		a.together = true
	case another:
		m.together, a.together, m.at(m.about).together = true, true, true
	case m.recent != notePaid:
		m.recent, m.about = notePaid, i
	}
	a.state = isPaid
}

func outcomeMessage(o statemachine.Outcome) configv1.Outcome { return configv1.Outcome(o) }
