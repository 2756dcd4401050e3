package routing

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

// noteKind is what is remembered of an attempt.
type noteKind uint8

const (
	noteDoubt   noteKind = iota // reported as in doubt
	notePaid                    // reported as paid
	noteGiven                   // of a payout or deduction: given out, not known to have failed
	noteSettled                 // it has failed for good: what is older, and comes later, says nothing
	noteFree                    // of a payout or deduction: what was given out has failed
)

// noted is one remembered attempt.
type noted struct {
	Attempt
	id   uint64 // fingerprint of the attempt id, 0 in a shared note
	kind noteKind
}

// outlasts reports whether what is remembered says more than a report that the attempt is in doubt.
func (a *noted) outlasts(r *Result) bool {
	return a.kind == notePaid || a.kind == noteSettled && !r.Final
}

func (a *noted) is(channel, account string) bool { return a.Channel == channel && a.Account == account }

// note is what is remembered of a payment. It is never changed.
type note struct {
	payment  string // its id; empty in a note that many payments share
	attempts []noted
}

// maxNoted bounds the attempts of a note; there are more of one payment only if somebody makes them up, and one is enough to
// refuse.
const maxNoted = 16

// of returns what a note says of an attempt, nil if nothing.
func (n *note) of(id uint64) *noted {
	for i := range n.attempts {
		if n.attempts[i].id == id {
			return &n.attempts[i]
		}
	}
	return nil
}

// paid reports whether an attempt of a note is paid.
func (n *note) paid() bool {
	return slices.ContainsFunc(n.attempts, func(a noted) bool { return a.kind == notePaid })
}

// with returns the note with an attempt in it; n may be nil.
func (n *note) with(id uint64, kind noteKind, r *Result) *note {
	if n != nil && len(n.attempts) == maxNoted && n.of(id) == nil {
		return n
	}
	out := &note{}
	if n != nil {
		out.payment = n.payment
		out.attempts = append(make([]noted, 0, len(n.attempts)+1), n.attempts...)
	} else {
		out.payment = strings.Clone(r.Payment)
	}
	if a := out.of(id); a != nil {
		a.kind, a.Outcome, a.Code = kind, r.Outcome, strings.Clone(r.Code)
		a.settle()
		return out
	}
	a := noted{id: id, kind: kind, Attempt: Attempt{
		Channel: strings.Clone(r.Channel), Account: strings.Clone(r.Account), Attempt: strings.Clone(r.Attempt),
		Outcome: r.Outcome, Code: strings.Clone(r.Code),
	}}
	a.settle()
	out.attempts = append(out.attempts, a)
	return out
}

// settle makes a paid attempt say so, whatever its code comes to mean.
func (a *noted) settle() {
	if a.kind == notePaid {
		a.Outcome, a.Code = statemachine.Succeeded, ""
	}
}

// sharedKey names a note that many payments share.
type sharedKey struct {
	kind             noteKind
	channel, account string
}

// sharedNote returns the note of all payments that are paid, or were given out, on an account. There are as many as accounts.
func (m *Memory) sharedNote(kind noteKind, channel, account string) *note {
	for {
		all := m.shared.Load()
		if n := (*all)[sharedKey{kind, channel, account}]; n != nil {
			return n
		}
		channel, account = strings.Clone(channel), strings.Clone(account)
		n := &note{attempts: []noted{{kind: kind, Attempt: Attempt{Channel: channel, Account: account}}}}
		if kind == notePaid {
			n.attempts[0].Outcome = statemachine.Succeeded
		}
		more := maps.Clone(*all)
		more[sharedKey{kind, channel, account}] = n
		if m.shared.CompareAndSwap(all, &more) {
			return n
		}
	}
}

// notes is a table from payments to notes in two generations: when the younger is full it becomes the older, and what was in
// the older one is forgotten. Reading takes no lock.
type notes struct {
	cells     int // of one generation
	live      atomic.Pointer[noteAges]
	forgotten atomic.Uint64
}

type noteAges struct{ young, old *noteTable } // old may be nil

// noteTable is one generation: an open-addressing table that is at most three quarters full.
type noteTable struct {
	since int64
	most  int64
	used  atomic.Int64
	cells []noteCell
}

type noteCell struct {
	key     atomic.Uint64 // 0 = free
	note    atomic.Pointer[note]
	attempt atomic.Uint64 // fingerprint of the attempt that a paid or settled note is about
}

func newNotes(payments, standard int) notes {
	if payments <= 0 {
		payments = standard
	}
	return notes{cells: 1 << bits.Len64(word(int64(max(payments/2, 8)*4/3)))}
}

// find returns what is remembered under a key, nil if nothing.
func (n *notes) find(key uint64) *note {
	if c := n.cell(key); c != nil {
		return c.note.Load()
	}
	return nil
}

// cell returns the cell of a key that holds a note, the younger of two; nil if there is none.
func (n *notes) cell(key uint64) *noteCell {
	ages := n.live.Load()
	if ages == nil {
		return nil
	}
	if c := ages.young.find(key); c != nil && c.note.Load() != nil {
		return c
	}
	if ages.old == nil {
		return nil
	}
	if c := ages.old.find(key); c != nil && c.note.Load() != nil {
		return c
	}
	return nil
}

// touch looks where keys belong, so that the processor fetches all of it at once instead of one after the other.
func (n *notes) touch(keys []uint64) {
	ages := n.live.Load()
	if ages == nil || len(keys) < 2 {
		return
	}
	mask := word(int64(n.cells - 1))
	for _, key := range keys {
		ages.young.cells[key&mask].key.Load()
	}
	if ages.old == nil {
		return
	}
	for _, key := range keys {
		ages.old.cells[key&mask].key.Load()
	}
}

// claim returns the cell of a key in the younger generation, with what the older one says; nil if that one is full.
func (n *notes) claim(key uint64) *noteCell {
	ages := n.live.Load()
	if ages == nil {
		return nil
	}
	c := ages.young.claim(key)
	if c == nil || ages.old == nil || c.note.Load() != nil {
		return c
	}
	if before := ages.old.find(key); before != nil {
		if c.note.CompareAndSwap(nil, before.note.Load()) {
			c.attempt.Store(before.attempt.Load())
		}
	}
	return c
}

// insert is claim for a writer that holds the lock: it makes room.
func (n *notes) insert(key uint64, second int64) *noteCell {
	for {
		if c := n.claim(key); c != nil {
			return c
		}
		ages := n.live.Load()
		next := &noteAges{young: &noteTable{since: second, most: int64(n.cells) * 3 / 4, cells: make([]noteCell, n.cells)}}
		if ages != nil {
			next.old = ages.young
			if ages.old != nil {
				n.forgotten.Add(uint64(ages.old.used.Load())) //nolint:gosec // a count
			}
		}
		n.live.Store(next)
	}
}

// held returns how many payments are held, and since when.
func (n *notes) held() (payments int, since int64) {
	ages := n.live.Load()
	if ages == nil {
		return 0, 0
	}
	payments, since = int(ages.young.used.Load()), ages.young.since
	if ages.old != nil {
		payments, since = payments+int(ages.old.used.Load()), ages.old.since
	}
	return payments, since
}

func (t *noteTable) find(key uint64) *noteCell {
	mask := word(int64(len(t.cells) - 1))
	for at := key & mask; ; at = (at + 1) & mask {
		switch t.cells[at].key.Load() {
		case key:
			return &t.cells[at]
		case 0:
			return nil
		}
	}
}

// claim returns the cell of a key, taken anew if it must be; nil if the table is full.
func (t *noteTable) claim(key uint64) *noteCell {
	mask := word(int64(len(t.cells) - 1))
	for at := key & mask; ; at = (at + 1) & mask {
		c := &t.cells[at]
		k := c.key.Load()
		if k == 0 {
			if t.used.Add(1) > t.most {
				t.used.Add(-1)
				return nil
			}
			if c.key.CompareAndSwap(0, key) {
				return c
			}
			t.used.Add(-1)
			k = c.key.Load()
		}
		if k == key {
			return c
		}
	}
}
