package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Disown carries out what Claims.Claim answered to s.Claims(). What another replica counted is taken out of the row,
// which must be the closed counts of that second and not published yet, and moves from applied to duplicate; a result
// that corrects what another replica counted becomes a correction, and no evidence. What could not be claimed stays and
// is booked as unverified. With a nil row (it was published) only totals change, in the second that is open now.
//
// What is settled leaves s if row is nil; else s keeps what is in the row, so that it may be claimed again. The results
// that another replica holds without having published them are returned, for s of a later call with a nil row; nil for
// none.
func (c *Counters) Disown(s *SecondClaims, answers []ClaimAnswer, row *SecondCounts) *SecondClaims {
	if s.Len() == 0 || len(answers) != len(s.records) {
		return nil
	}
	d := c.disowning(row)
	stay := s.records[:0]
	var held []claimRecord
	for i := range s.records {
		r := s.records[i]
		if d.settle(&r, answers[i]) {
			continue
		}
		if r.out && row != nil {
			held = append(held, r)
			continue
		}
		stay = append(stay, r)
	}
	s.records = stay
	if row != nil {
		d.row.tidy(stay)
	}
	if len(held) == 0 {
		return nil
	}
	return &SecondClaims{Second: s.Second, records: held}
}

// GiveUp ends the waiting for answers: what another replica holds is counted after all, in totals, and everything in s
// stays booked as unverified for ever.
func (c *Counters) GiveUp(s *SecondClaims) {
	if s.Len() == 0 {
		return
	}
	d := c.disowning(nil)
	for i := range s.records {
		r := &s.records[i]
		d.unverified(r, true)
		if r.out {
			d.reinstate(r)
		}
	}
	s.records = nil
}

// disowning carries answers out. The lock is taken for one result at a time: reports are not kept waiting.
type disowning struct {
	*Counters
	row *row // nil: published
}

func (c *Counters) disowning(s *SecondCounts) *disowning {
	d := &disowning{Counters: c}
	if s != nil {
		c.mu.Lock() // lists that only grow: what is seen now stays true
		d.row = &row{s, c.items, c.kinds, c.reasons.names, map[cellOfKind]uint64{}}
		c.mu.Unlock()
	}
	return d
}

// settle carries one answer out and reports whether the result is done with.
func (d *disowning) settle(r *claimRecord, a ClaimAnswer) bool {
	switch a.Verdict {
	case Unverified:
		d.unverified(r, a.Settled)
		return a.Settled && d.row == nil
	case Held:
		if !r.out {
			d.takeOut(r)
			r.out = true
		}
		return false
	case Lost:
		d.lose(r, a)
		return true
	case Won:
	}
	d.verified(r)
	if r.out {
		d.reinstate(r)
		r.out = false
	}
	if a.Known {
		d.correct(r, a.Prior)
	}
	return d.row == nil
}

// lose takes a result out for good.
func (d *disowning) lose(r *claimRecord, a ClaimAnswer) {
	d.verified(r)
	if !r.out {
		d.takeOut(r)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.applied {
		d.books.Applied--
	} else {
		d.books.Corrected--
	}
	d.books.Duplicate++
	if r.stage == StageFinal && a.Final && a.Prior != r.outcome {
		d.books.Contradictions++
		d.note(Contradiction{Attempt: r.attempt, Kept: a.Prior, Refused: r.outcome}, d.closed, r.items)
	}
	// What is remembered of the attempt becomes what was really counted, unless more was learnt since.
	if known, ok := d.duplicates.table.get(r.attempt * fingerprint); ok && known == remembered(r.outcome, r.stage == StageFinal) {
		d.duplicates.remember(r.attempt, a.Prior, a.Final, d.closed)
	}
}

// takeOut takes everything a result entered out of its row; of a published one only the totals, in the open second.
func (d *disowning) takeOut(r *claimRecord) {
	if d.row != nil {
		d.row.withdraw(r)
	}
	d.totals(r, r.outcome, -1)
	if r.corrects {
		d.totals(r, r.old, 1)
	}
}

// reinstate counts a result that was taken out, in totals.
func (d *disowning) reinstate(r *claimRecord) {
	d.totals(r, r.outcome, 1)
	if r.corrects {
		d.totals(r, r.old, -1)
	}
}

// correct makes a result the correction of what another replica counted, if it is not yet.
func (d *disowning) correct(r *claimRecord, prior statemachine.Outcome) {
	if r.corrects && r.old == prior {
		return
	}
	if d.row != nil && prior != statemachine.Pending {
		d.row.withdraw(r)
	}
	if r.corrects {
		d.totals(r, r.old, 1)
	}
	d.totals(r, prior, -1)
	r.corrects, r.old = true, prior
	if r.applied {
		r.applied = false
		d.mu.Lock()
		d.books.Applied--
		d.books.Corrected++
		d.mu.Unlock()
	}
}

// totals adds n results of an outcome to the items of a result: in its row, or in the open second.
func (d *disowning) totals(r *claimRecord, o statemachine.Outcome, n int32) {
	if d.row != nil {
		d.row.add(r, o, n)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.at(d.closed + 1)
	for _, item := range r.items {
		if uint(item) < uint(len(d.items)) { //nolint:gosec // NoItem wraps to a large number on purpose
			s.cell(item, len(d.items)).counts.Totals[o] += n
		}
	}
	s.quota(r.quotas, o, int64(n))
}

func (d *disowning) unverified(r *claimRecord, settled bool) {
	r.settled = settled
	if r.unverified {
		return
	}
	r.unverified = true
	d.mu.Lock()
	d.books.Unverified++
	d.mu.Unlock()
}

func (d *disowning) verified(r *claimRecord) {
	r.settled = false
	if !r.unverified {
		return
	}
	r.unverified = false
	d.mu.Lock()
	d.books.Unverified--
	d.mu.Unlock()
}

// note keeps a contradiction for people to be told. The caller holds the lock.
func (c *Counters) note(at Contradiction, second int64, items [ItemsPerReport]int32) {
	if len(c.contradictions) >= maxKeptContradictions {
		return
	}
	at.Second = second
	if i := slices.IndexFunc(items[:], func(item int32) bool {
		return item >= 0 && int(item) < len(c.items) && c.kinds[item] == statemachine.ScopeChannel
	}); i >= 0 {
		at.Scope = c.items[items[i]]
	}
	c.contradictions = append(c.contradictions, at)
}
