package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// try is one attempt of a history: what it came to, and what the caller knows of it.
type try struct {
	channel, account, id string
	started              bool
	moved                bool // it did move the money, whatever anybody knows
	outcome              statemachine.Outcome
	code                 string
	resolved             bool // the caller has asked the channel since
}

// history is one payment from its first request to its last. Nothing of it outlives it.
type history struct {
	payment   string
	business  statemachine.BusinessType
	entity    string
	enrolled  []string
	forgetful bool // leaves attempts out of its requests
	lossless  bool // every report reaches both replicas at once
	tries     []try
	models    [2]model
	log       []string // filled when a history is played again to be told
	logging   bool
}

// play plays one history. The error wraps ErrViolated and tells what happened.
func (w *world) play(seed uint64, sum *Sum) error {
	w.random = random{state: seed * 0x2545f4914f6cdd1d}
	w.begin(seed)
	err := w.steps(sum)
	sum.Histories++
	if w.played++; w.played%512 == 0 {
		w.second++
		for i := range w.replicas {
			w.replicas[i].counters.Close(w.second - 1)
		}
	}
	if err == nil || w.h.logging {
		return err
	}
	again, broken := newWorld()
	if broken != nil {
		return broken
	}
	again.h.logging = true
	told := again.play(seed, &Sum{})
	return fmt.Errorf("seed %d: %w; alone it is: %v %v", seed, err, told, again.h.log) //nolint:errorlint // the first says what broke
}

func (w *world) begin(seed uint64) {
	h, r := &w.h, &w.random
	*h = history{payment: "p-" + strconv.FormatUint(seed, 36), tries: h.tries[:0], enrolled: h.enrolled[:0], logging: h.logging}
	h.business = [...]statemachine.BusinessType{statemachine.Collect, statemachine.Payout, statemachine.Deduct, statemachine.Refund}[r.upTo(4)]
	h.entity = [...]string{"e-1", "e-1", "e-2"}[r.upTo(3)]
	if r.in(70) {
		h.enrolled = append(h.enrolled, "c")
	}
	h.forgetful, h.lossless = r.in(40), r.in(50)
	for k := range w.replicas {
		w.swap(k, [...]int{0, 0, 0, 1, 2, 3, 4}[r.upTo(7)])
	}
}

func (h *history) note(what string, args ...any) {
	if h.logging {
		h.log = append(h.log, fmt.Sprintf(what, args...))
	}
}

// steps plays asking, reporting, finding out and what the control plane does meanwhile, in any order.
func (w *world) steps(sum *Sum) error {
	r := &w.random
	for range 2 + r.upTo(8) {
		switch n := r.upTo(20); {
		case n < 11:
			if err := w.ask(r.upTo(2), sum); err != nil {
				return err
			}
		case n < 15:
			if len(w.h.tries) > 0 && !w.h.lossless {
				w.tell(r.upTo(len(w.h.tries)), r.upTo(2), sum)
			}
		case n < 18:
			w.resolve(sum)
		case n < 19:
			w.swap(r.upTo(2), r.upTo(len(w.tables)))
		default:
			w.second++
		}
	}
	moved := 0
	for i := range w.h.tries {
		if w.h.tries[i].moved {
			moved++
		}
	}
	sum.Executed += int64(moved)
	if moved > 1 && (!w.h.forgetful || w.h.lossless) {
		return fmt.Errorf("%w: %d attempts moved money", ErrViolated, moved)
	}
	return nil
}

// ask asks a replica for the next channel and holds the answer against the model of what it knows.
func (w *world) ask(k int, sum *Sum) error {
	h, q := &w.h, &w.request
	w.fill(q)
	named := len(q.Attempts)
	want := h.models[k].forbids(h, q.Attempts)
	err := w.replicas[k].memory.Route(w.replicas[k].router, q, w.second, &w.decision)
	sum.Asked++
	got := answerOf(err)
	sum.count(got, err)
	h.note("ask %d with %v: %s %v", k, q.Attempts[:named], got, err)
	if !h.models[k].allows(got, want, q.Attempts[:named]) {
		return fmt.Errorf("%w: replica %d says %s (%s), want %s", ErrViolated, k, got, w.said(), want)
	}
	if got != given {
		return nil
	}
	to := &w.decision.Candidates[0]
	if err := h.mayTake(q, to, &h.models[k], named); err != nil {
		return err
	}
	h.models[k].gave(h, to)
	w.start(to, sum)
	return nil
}

// said is the refusal as it was told.
func (w *world) said() string {
	if err := w.decision.Err(); err != nil {
		return err.Error()
	}
	return w.decision.Candidates[0].Channel
}

// fill builds the caller's request: the attempts it started, unless it forgets some; now and then without their ids.
func (w *world) fill(q *routing.Request) {
	h, r := &w.h, &w.random
	*q = routing.Request{
		PaymentID: h.payment, Merchant: "m-1", Entity: h.entity, Business: h.business, Instrument: statemachine.Instrument{Method: "BALANCE"},
		Amount: 100, Currency: "CNY", Enrolled: h.enrolled, Attempts: q.Attempts[:0],
	}
	if h.business == statemachine.Refund {
		q.Original = routing.Original{Channel: "a", Account: map[string]string{"e-1": "main", "e-2": "theirs"}[h.entity]}
	}
	for i := range h.tries {
		t := &h.tries[i]
		if !t.started || h.forgetful && r.in(60) {
			continue
		}
		a := routing.Attempt{Channel: t.channel, Account: t.account, Attempt: t.id, Outcome: t.outcome, Code: t.code}
		if h.forgetful && r.in(10) {
			a.Attempt = ""
		}
		q.Attempts = append(q.Attempts, a)
	}
}

// mayTake holds a channel that was given against what never may be.
func (h *history) mayTake(q *routing.Request, to *routing.Candidate, m *model, named int) error {
	tried := slices.ContainsFunc(q.Attempts, func(a routing.Attempt) bool { return a.Channel == to.Channel })
	original := to.Channel == q.Original.Channel && to.Account == q.Original.Account
	switch {
	case (h.entity == "e-2") != (to.Account == "theirs"):
		return fmt.Errorf("%w: %s/%s crosses to another entity", ErrViolated, to.Channel, to.Account)
	case h.business == statemachine.Deduct && to.Channel == "c" && !slices.Contains(h.enrolled, "c"):
		return fmt.Errorf("%w: deducted from a payer that is not enrolled", ErrViolated)
	case h.business == statemachine.Refund:
		if !original {
			return fmt.Errorf("%w: a refund left its original", ErrViolated)
		}
	case tried:
		return fmt.Errorf("%w: %s was tried before", ErrViolated, to.Channel)
	case outgoing(h.business) && m.leaves(q.Attempts[:named]) && (m.channel != to.Channel || m.account != to.Account):
		return fmt.Errorf("%w: left %s/%s without a definite failure", ErrViolated, m.channel, m.account)
	}
	return nil
}

// start lets the caller start what it was given, most times, and the world decide what comes of it.
func (w *world) start(to *routing.Candidate, sum *Sum) {
	h, r := &w.h, &w.random
	id := string(w.decision.ID.AppendAttempt(nil, 0))
	if slices.ContainsFunc(h.tries, func(t try) bool { return t.id == id }) {
		return // the same answer once more: its attempt is under way or done
	}
	t := try{channel: to.Channel, account: to.Account, id: id}
	if r.in(85) {
		t.started = true
		o := w.outcome(h.business)
		t.outcome, t.code = o.outcome, o.code
		switch meaning(h.business, t.channel, t.outcome, t.code) {
		case statemachine.MoneyPaid:
			t.moved = true
		case statemachine.MoneyInDoubt:
			t.moved = r.in(50)
		case statemachine.MoneyFinal, statemachine.MoneyReroutable:
		}
	}
	h.tries = append(h.tries, t)
	h.note("start %+v", t)
	if t.started && h.lossless {
		w.tell(len(h.tries)-1, 0, sum)
		w.tell(len(h.tries)-1, 1, sum)
	}
}

type result struct {
	outcome statemachine.Outcome
	code    string
}

// outcome draws what an attempt comes to, as the caller sees it.
func (w *world) outcome(statemachine.BusinessType) result {
	all := [...]result{
		{statemachine.Succeeded, ""},
		{statemachine.OutcomeUnspecified, "00"},
		{statemachine.OutcomeUnspecified, "91"},
		{statemachine.ChannelFailed, ""},
		{statemachine.ChannelFailed, ""},
		{statemachine.NetworkFailed, ""},
		{statemachine.Throttled, ""},
		{statemachine.OutcomeUnspecified, "52"},
		{statemachine.OutcomeUnspecified, "51"},
		{statemachine.UserDeclined, ""},
		{statemachine.TimedOut, ""},
		{statemachine.Pending, ""},
		{statemachine.ChannelFailed, "93"},
		{statemachine.OutcomeUnspecified, "??"},
		{statemachine.ChannelFailed, "??"},
		{statemachine.AccountFailed, "91"},
	}
	return all[w.random.upTo(len(all))]
}

// resolve lets the caller ask the channel what became of an attempt in doubt.
func (w *world) resolve(sum *Sum) {
	h := &w.h
	for i := range h.tries {
		t := &h.tries[i]
		if !t.started || t.resolved || meaning(h.business, t.channel, t.outcome, t.code) != statemachine.MoneyInDoubt {
			continue
		}
		t.resolved, t.outcome, t.code = true, statemachine.ChannelFailed, ""
		if t.moved {
			t.outcome = statemachine.Succeeded
		}
		h.note("resolve %+v", *t)
		if h.lossless {
			w.tell(i, 0, sum)
			w.tell(i, 1, sum)
		}
		return
	}
}

// word draws what is told of an attempt, and whether as final.
func (w *world) word(t *try) (o statemachine.Outcome, code string, final bool) {
	h, r := &w.h, &w.random
	money := meaning(h.business, t.channel, t.outcome, t.code)
	switch {
	case !h.lossless && r.in(5): // a channel that takes its word back
		if money == statemachine.MoneyPaid {
			return statemachine.ChannelFailed, "", true
		}
		return statemachine.Succeeded, "", true
	case t.resolved && !h.lossless && r.in(20): // late word of before
		return statemachine.TimedOut, t.code, false
	case t.resolved:
		return t.outcome, t.code, true
	case money != statemachine.MoneyInDoubt:
		return t.outcome, t.code, r.in(40)
	}
	return t.outcome, t.code, t.outcome == statemachine.TimedOut && r.in(10)
}

// tell delivers a report of an attempt to a replica: what is known of it, final if it was resolved, and now and then what was
// known before, that it is final already, or the contrary. What it moved is not told: nobody knows.
func (w *world) tell(i, k int, sum *Sum) {
	h := &w.h
	t := &h.tries[i]
	if !t.started {
		return
	}
	outcome, code, final := w.word(t)
	m := &w.report
	m.AttemptId, m.PaymentId, m.DecisionId, m.Channel, m.Account, m.Method = t.id, h.payment, "", t.channel, t.account, "BALANCE"
	m.BusinessType, m.Outcome, m.RawCode, m.Finality = businessMessage(h.business), outcomeMessage(outcome), code, sluicev1.Finality_FINALITY_PROVISIONAL
	if final {
		m.Finality = sluicev1.Finality_FINALITY_FINAL
	}
	sum.Reports++
	_, err := w.replicas[k].ingest.Report(m, 1, w.second)
	h.note("tell %d of %s: %s %q final %t: %v", k, t.id, outcome, code, final, err)
	if err == nil {
		h.models[k].told(h, i, outcome, code, final)
	}
}

// answer is what a request came to.
type answer uint8

const (
	given answer = iota
	doubt
	paid
	final
	exhausted
	refused
)

// String names the answer.
func (a answer) String() string {
	return [...]string{"GIVEN", "DOUBT", "PAID", "FINAL", "EXHAUSTED", "REFUSED"}[a]
}

func answerOf(err error) answer {
	switch {
	case err == nil:
		return given
	case errors.Is(err, routing.ErrAmbiguousPreviousAttempt):
		return doubt
	case errors.Is(err, routing.ErrAlreadyPaid):
		return paid
	case errors.Is(err, routing.ErrFinalPreviousAttempt):
		return final
	}
	if r, ok := errors.AsType[*routing.Refusal](err); ok && r.Reason == routing.AttemptsExhausted {
		return exhausted
	}
	return refused
}

func (s *Sum) count(a answer, err error) {
	switch a {
	case given:
		s.Answered++
	case doubt:
		s.Doubt++
	case paid:
		s.Paid++
	case final:
		s.Final++
	case exhausted, refused:
		s.Refused++
	}
	if p, ok := errors.AsType[*routing.PreviousAttemptError](err); ok && p.Remembered {
		s.Remembered++
	}
}
