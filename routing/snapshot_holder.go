package routing

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// Stamp says which table a snapshot makes, and when that was last known to be current.
type Stamp struct {
	Revision

	Written time.Time
}

// StampOf returns the stamp of a snapshot.
func StampOf(s *configv1.Snapshot) Stamp {
	return Stamp{Revision{s.GetEpoch(), s.GetRevision()}, s.GetWriteTime().AsTime()}
}

// Advance is what a snapshot brings to one who holds another.
type Advance uint8

// The advances.
const (
	AdvanceNone    Advance = iota // nothing: it is older, or as fresh as the one held
	AdvanceRenewal                // the same table, known to be current at a later time
	AdvanceTable                  // a newer table
)

// Over returns what a snapshot with this stamp brings to one who holds another: a newer table if its (epoch, revision) is
// greater, a renewal if that is equal and it was written later. Nobody goes back to an older table.
func (s Stamp) Over(held Stamp) Advance {
	switch {
	case s.Newer(held.Revision):
		return AdvanceTable
	case s.Revision == held.Revision && s.Written.After(held.Written):
		return AdvanceRenewal
	}
	return AdvanceNone
}

// SnapshotHolder holds the newest table of one environment among the snapshots that were offered, and never goes back. It is
// safe for concurrent use.
type SnapshotHolder struct {
	environment string

	mu    sync.Mutex
	table *Table
	stamp Stamp
}

// NewSnapshotHolder returns a holder of an environment that holds nothing.
func NewSnapshotHolder(environment string) *SnapshotHolder {
	return &SnapshotHolder{environment: environment}
}

// Held returns the table held, nil before the first, and its stamp.
func (h *SnapshotHolder) Held() (*Table, Stamp) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.table, h.stamp
}

// Offer checks a whole snapshot and takes what it brings. What brings nothing is not opened. On an error, see OpenSnapshot,
// everything stays as it was.
func (h *SnapshotHolder) Offer(s *configv1.Snapshot) (Advance, error) {
	if err := CheckSnapshot(s, h.environment); err != nil {
		return AdvanceNone, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	advance := StampOf(s).Over(h.stamp)
	if advance == AdvanceTable {
		var prev *Plan
		if h.table != nil {
			prev = h.table.plan
		}
		t, err := OpenSnapshot(s, h.environment, prev)
		if err != nil {
			return AdvanceNone, err
		}
		h.table = t
	}
	if advance != AdvanceNone {
		h.stamp = StampOf(s)
	}
	return advance, nil
}

// Renew takes the news that a table is current. It brings something only to who holds that table.
func (h *SnapshotHolder) Renew(s Stamp) Advance {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table == nil || s.Over(h.stamp) != AdvanceRenewal {
		return AdvanceNone
	}
	h.stamp = s
	return AdvanceRenewal
}

// SnapshotChange turns the table of one revision into that of a later one of the same epoch and catalogue.
type SnapshotChange struct {
	Base   int64                  // revision it applies to
	Stamp  Stamp                  // of the new table
	States []*configv1.ScopeState // that changed, sorted by scope
	Scores *configv1.Scores       // all of them, where they changed; nil = unchanged
}

// Change applies a change to the table held. One that leads nowhere newer brings nothing; one that does not begin at the table
// held is ErrSnapshotBase: ask for the whole.
func (h *SnapshotHolder) Change(c *SnapshotChange) (Advance, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table == nil || c.Stamp.Epoch != h.stamp.Epoch {
		return AdvanceNone, fmt.Errorf("%w: it is of epoch %d, held is %d", ErrSnapshotBase, c.Stamp.Epoch, h.stamp.Epoch)
	}
	if c.Stamp.Over(h.stamp) != AdvanceTable {
		return AdvanceNone, nil
	}
	if c.Base != h.stamp.Revision.Revision {
		return AdvanceNone, fmt.Errorf("%w: it applies to revision %d, held is %d", ErrSnapshotBase, c.Base, h.stamp.Revision.Revision)
	}
	changed, err := toStates(c.States)
	if err != nil {
		return AdvanceNone, err
	}
	scores := h.table.scores
	if c.Scores != nil {
		if scores, err = toScores(c.Scores); err != nil {
			return AdvanceNone, err
		}
	}
	h.table = h.table.plan.Table(c.Stamp.Revision, merge(h.table.states, changed), scores)
	h.stamp = c.Stamp
	return AdvanceTable, nil
}

// merge puts changed states over others; both are sorted, and so is the result.
func merge(states, changed []statemachine.State) []statemachine.State {
	out := make([]statemachine.State, 0, len(states)+len(changed))
	for len(states) > 0 && len(changed) > 0 {
		switch c := states[0].Scope.Compare(changed[0].Scope); {
		case c < 0:
			out, states = append(out, states[0]), states[1:]
		case c == 0:
			states = states[1:]
		default:
			out, changed = append(out, changed[0]), changed[1:]
		}
	}
	return append(append(out, states...), changed...)
}

// ChangeSince returns what turns an older table into this one. It is false where only the whole snapshot does: for another
// epoch or catalogue, or where a state or the scores are gone.
func (t *Table) ChangeSince(old *Table, written time.Time) (*SnapshotChange, bool) {
	if old.plan != t.plan || old.rev.Epoch != t.rev.Epoch || !t.rev.Newer(old.rev) || t.scores == nil && old.scores != nil {
		return nil, false
	}
	c := &SnapshotChange{Base: old.rev.Revision, Stamp: Stamp{t.rev, written}}
	common := 0
	for i := range t.states {
		at, found := slices.BinarySearchFunc(old.states, t.states[i].Scope, func(s statemachine.State, x statemachine.Scope) int { return s.Scope.Compare(x) })
		if found {
			common++
			if old.states[at] == t.states[i] {
				continue
			}
		}
		c.States = append(c.States, statepb.FromState(t.states[i]))
	}
	if !sameScores(old.scores, t.scores) {
		c.Scores = ScoresMessage(t.scores)
	}
	return c, common == len(old.states)
}
