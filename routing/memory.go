package routing

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/statemachine"
)

// Memory remembers attempts that forbid another one, for callers that forget them: attempts reported as in doubt or as paid,
// and the channel that a payout or deduction was given last. It is safe for concurrent use; a nil *Memory remembers nothing.
//
//   - A payment is known by settlement entity, business type and payment id: a refund does not stand in the way of what it
//     refunds.
//   - An attempt that was reported as in doubt is added to the attempts of every later request of its payment that does not name
//     it by its id. One that the caller names counts as the caller says: it may have asked the channel. A definite FINAL report
//     ends it.
//   - An attempt that was reported as paid is added always, until a FINAL report says that it was not.
//   - An answer alone is no attempt: nobody said that it was started, replies get lost, and whoever asks again for the same
//     payment is answered again. But a payout or deduction leaves the channel and account it was given only after a definite
//     failure of it was named or reported: until then it is given the same again, or is told to query that one first.
//
// What it holds is bounded: at least the newest payments of half its size, at most all of it.
type Memory struct {
	any    atomic.Bool // something may be remembered
	doubts notes       // payments with an attempt in doubt: few, and kept long
	recent notes       // paid ones, and where payouts and deductions are

	mu     sync.Mutex // of writers other than give
	keys   []uint64   // of the payments being learned
	shared atomic.Pointer[map[sharedKey]*note]
	told   [numMemoryUses]atomic.Uint64
	twice  atomic.Uint64
}

// Defaults of MemoryOptions.
const (
	DefaultMemoryDoubts = 1 << 16
	DefaultMemoryRecent = 1 << 18
)

// MemoryOptions bound what is remembered, in payments; they are rounded up to a power of two, 0 = the defaults.
type MemoryOptions struct {
	Doubts int // with an attempt in doubt
	Recent int // paid ones, and payouts and deductions
}

// NewMemory returns an empty memory. It takes room only once there is something to remember.
func NewMemory(o MemoryOptions) *Memory {
	m := &Memory{doubts: newNotes(o.Doubts, DefaultMemoryDoubts), recent: newNotes(o.Recent, DefaultMemoryRecent)}
	m.shared.Store(&map[sharedKey]*note{})
	return m
}

// MemoryUse is why a request was refused for what a Memory remembered.
type MemoryUse uint8

// The uses of a memory.
const (
	RememberedDoubt MemoryUse = iota // an attempt that was reported as in doubt
	RememberedPaid                   // an attempt that was reported as paid
	RememberedGiven                  // a payout or deduction would have left the channel it was given
	numMemoryUses
)

// String returns DOUBT, PAID or GIVEN.
func (u MemoryUse) String() string {
	switch u {
	case RememberedDoubt:
		return "DOUBT"
	case RememberedPaid:
		return "PAID"
	case RememberedGiven, numMemoryUses:
	}
	return "GIVEN"
}

// MemoryUses returns all uses.
func MemoryUses() []MemoryUse { return []MemoryUse{RememberedDoubt, RememberedPaid, RememberedGiven} }

// MemoryStats are figures of a Memory.
type MemoryStats struct {
	Doubts, Recent int                   // payments held
	Forgotten      uint64                // payments dropped for want of room
	Since          int64                 // second since which payments with an attempt in doubt are held; 0 = none was
	SinceRecent    int64                 // the same of the recent ones
	Refused        [numMemoryUses]uint64 // requests, by MemoryUse
	Twice          uint64                // payments of which a second attempt was reported as paid
}

// Stats returns the figures.
func (m *Memory) Stats() MemoryStats {
	if m == nil {
		return MemoryStats{}
	}
	var s MemoryStats
	s.Doubts, s.Since = m.doubts.held()
	s.Recent, s.SinceRecent = m.recent.held()
	s.Forgotten = m.doubts.forgotten.Load() + m.recent.forgotten.Load()
	s.Twice = m.twice.Load()
	for i := range m.told {
		s.Refused[i] = m.told[i].Load()
	}
	return s
}

// Decider answers a request and counts it; *Router is one.
type Decider interface {
	Route(q *Request, second int64, out *Decision) error
}

// Route is r.Route with the remembered attempts of the payment added to those the request names, so that a replay sees them
// too. A *PreviousAttemptError about one of them says so. While nothing is remembered it costs one load.
func (m *Memory) Route(r Decider, q *Request, second int64, out *Decision) error {
	if m == nil {
		return r.Route(q, second, out) //nolint:wrapcheck // those of Decide
	}
	rule := previousRuleOf(q.Business)
	if !rule.judged || !rule.pinned && !m.any.Load() {
		return r.Route(q, second, out) //nolint:wrapcheck // those of Decide
	}
	key, named := paymentKey(q.Entity, q.Business, q.PaymentID), len(q.Attempts)
	given := m.recall(key, q)
	err := r.Route(q, second, out)
	if err != nil {
		m.tell(out, named)
		return err //nolint:wrapcheck // those of Decide
	}
	if !rule.pinned {
		return nil
	}
	first := &out.Candidates[0]
	if given != nil && !given.is(first.Channel, first.Account) && !q.names(given, named) {
		q.Attempts = append(slices.Clip(q.Attempts), Attempt{Channel: given.Channel, Account: given.Account})
		err = Decide(out.table, q, second, Admission{Lifted: -1}, out)
		m.tell(out, named)
		return err
	}
	m.give(key, first, second)
	return nil
}

// tell marks a refusal for an attempt that the request did not name, and counts it.
func (m *Memory) tell(out *Decision, named int) {
	p, ok := out.err.(*PreviousAttemptError) //nolint:errorlint // Finish keeps them bare
	if !ok {
		return
	}
	if p.Remembered = p.Index >= named; !p.Remembered {
		return
	}
	switch {
	case p.Meaning.Money == statemachine.MoneyPaid:
		m.told[RememberedPaid].Add(1)
	case p.Attempt == (Attempt{Channel: p.Channel, Account: p.Account}) && previousRuleOf(out.ranking.request.Business).pinned:
		m.told[RememberedGiven].Add(1)
	default:
		m.told[RememberedDoubt].Add(1)
	}
}

// recall adds what is remembered of a payment to the attempts of a request, and returns the channel it was given last, nil if it
// is not known.
func (m *Memory) recall(key uint64, q *Request) *noted {
	named := len(q.Attempts)
	if n := m.doubts.find(key); n != nil && n.payment == q.PaymentID {
		for i := range n.attempts {
			a := &n.attempts[i]
			if a.kind == notePaid || a.kind == noteDoubt && !q.names(a, named) {
				q.Attempts = append(slices.Clip(q.Attempts), a.Attempt)
			}
		}
	}
	n := m.recent.find(key)
	if n == nil {
		return nil
	}
	switch a := &n.attempts[0]; a.kind {
	case notePaid:
		q.Attempts = append(slices.Clip(q.Attempts), a.Attempt)
	case noteGiven:
		return a
	case noteDoubt, noteSettled, noteFree:
	}
	return nil
}

// names reports whether the first n attempts of a request have a remembered one among them: by its id alone, as a channel may have
// been tried twice; where a payment was given out, by channel and account.
func (r *Request) names(a *noted, n int) bool {
	return slices.ContainsFunc(r.Attempts[:n], func(b Attempt) bool {
		if a.kind != noteGiven {
			return a.Attempt.Attempt == b.Attempt
		}
		return b.Channel == a.Channel && (b.Account == "" || a.Account == b.Account)
	})
}

// give remembers the channel that a payout or deduction was given. It takes no lock but where a table is full.
func (m *Memory) give(key uint64, to *Candidate, second int64) {
	n := m.sharedNote(noteGiven, to.Channel, to.Account)
	c := m.recent.claim(key)
	if c == nil {
		m.mu.Lock()
		c = m.recent.insert(key, second)
		m.mu.Unlock()
	}
	for {
		old := c.note.Load()
		if old == n || old != nil && old.attempts[0].kind == notePaid || c.note.CompareAndSwap(old, n) {
			break
		}
	}
	m.any.Store(true)
}

// Result is what was reported of one attempt. Its strings may be borrowed: what is kept is copied.
type Result struct {
	Entity   string // settlement entity of the account
	Payment  string
	Business statemachine.BusinessType
	Channel  string
	Account  string
	Attempt  string               // attempt id
	Outcome  statemachine.Outcome // as claimed, before the code table
	Code     string
	Money    statemachine.Money // after it: Plan.Judge
	Final    bool
	Known    bool // the attempt was reported before, and this report changed nothing
}

// Learn remembers what was reported in a second.
func (m *Memory) Learn(results []Result, second int64) {
	if m == nil || len(results) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = m.keys[:0]
	for i := range results {
		r := &results[i]
		m.keys = append(m.keys, paymentKey(r.Entity, r.Business, r.Payment))
	}
	m.recent.touch(m.keys)
	for i := range results {
		if r := &results[i]; previousRuleOf(r.Business).judged {
			m.learn(m.keys[i], r, second)
		}
	}
}

func (m *Memory) learn(key uint64, r *Result, second int64) {
	id := xxhash.Sum64String(r.Attempt)
	switch r.Money {
	case statemachine.MoneyPaid:
		m.paid(key, id, r, second)
		m.any.Store(true)
	case statemachine.MoneyInDoubt:
		if !r.Known {
			m.doubt(key, id, r, second)
			m.any.Store(true)
		}
	case statemachine.MoneyReroutable, statemachine.MoneyFinal:
		if m.any.Load() {
			m.failed(key, id, r, second)
		}
	}
}

// paid remembers a paid attempt: in full beside doubts of its payment, else by its channel alone.
func (m *Memory) paid(key, id uint64, r *Result, second int64) {
	if n := m.doubts.find(key); n != nil && n.payment == r.Payment {
		if a := n.of(id); a != nil && a.kind == noteSettled && !r.Final {
			return // what came before its own correction
		}
		if a := n.of(id); (a == nil || a.kind != notePaid) && (n.paid() || m.paidBy(key, id)) {
			m.twice.Add(1)
		}
		m.doubts.insert(key, second).note.Store(n.with(id, notePaid, r))
		return
	}
	c := m.recent.insert(key, second)
	if old := c.note.Load(); old != nil {
		switch a := &old.attempts[0]; a.kind {
		case notePaid, noteSettled:
			m.alsoPaid(key, id, a, c.attempt.Load(), r, second)
			return
		case noteDoubt, noteGiven, noteFree:
		}
	}
	c.attempt.Store(id)
	c.note.Store(m.sharedNote(notePaid, r.Channel, r.Account))
}

// paidBy reports whether another attempt of a payment is remembered as paid by itself.
func (m *Memory) paidBy(key, id uint64) bool {
	c := m.recent.cell(key)
	return c != nil && c.note.Load().attempts[0].kind == notePaid && c.attempt.Load() != id
}

// alsoPaid remembers a paid attempt where another of the payment, or this one itself, was paid or taken back before.
func (m *Memory) alsoPaid(key, id uint64, old *noted, before uint64, r *Result, second int64) {
	switch {
	case before == id && (old.kind == notePaid || !r.Final):
		return
	case before == id:
		m.doubts.insert(key, second).note.Store((*note)(nil).with(id, notePaid, r))
		return
	}
	if old.kind == notePaid {
		m.twice.Add(1)
	}
	n := &note{payment: strings.Clone(r.Payment), attempts: []noted{{Attempt: old.Attempt, id: before, kind: old.kind}}}
	m.doubts.insert(key, second).note.Store(n.with(id, notePaid, r))
}

// doubt remembers an attempt in doubt, unless more is known of it.
func (m *Memory) doubt(key, id uint64, r *Result, second int64) {
	if c := m.recent.cell(key); c != nil && c.attempt.Load() == id && c.note.Load().attempts[0].outlasts(r) {
		return
	}
	n := m.doubts.find(key)
	if n == nil || n.payment != r.Payment {
		n = nil
	} else if a := n.of(id); a != nil && a.outlasts(r) {
		return
	}
	m.doubts.insert(key, second).note.Store(n.with(id, noteDoubt, r))
}

// failed takes note of a definite failure: a FINAL one ends doubts and corrects what was paid, unless another FINAL one says that
// it is; any one lets a payout go on.
func (m *Memory) failed(key, id uint64, r *Result, second int64) {
	if n := m.doubts.find(key); r.Final && n != nil && n.payment == r.Payment {
		if a := n.of(id); a != nil && (a.kind != notePaid || !r.Known) {
			m.doubts.insert(key, second).note.Store(n.with(id, noteSettled, r))
		}
	}
	c := m.recent.cell(key)
	if c == nil {
		return
	}
	n := c.note.Load()
	switch a := &n.attempts[0]; {
	case a.kind == notePaid && r.Final && !r.Known && c.attempt.Load() == id:
		c = m.recent.insert(key, second)
		c.note.Store(m.sharedNote(noteSettled, "", ""))
	case a.kind == noteGiven && a.is(r.Channel, r.Account):
		m.recent.insert(key, second).note.CompareAndSwap(n, m.sharedNote(noteFree, "", ""))
	}
}

// paymentKey is the fingerprint of a payment, never 0.
func paymentKey(entity string, b statemachine.BusinessType, payment string) uint64 {
	k := next(xxhash.Sum64String(payment) ^ next(xxhash.Sum64String(entity)+uint64(b)))
	return max(k, 1)
}
