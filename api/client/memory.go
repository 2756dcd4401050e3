package client

import (
	"sync"
	"sync/atomic"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// memory holds the newest table of all that the steps of the ladder offered, and where it came from. It never goes back.
type memory struct {
	holder *routing.SnapshotHolder
	router *routing.Router // of the table held
	ready  chan struct{}   // closed when there is a table

	mu     sync.Mutex
	heard  time.Time // newest write time that a replica told
	sights atomic.Pointer[sight]
}

// sight is what a decision reads. It is never changed.
type sight struct {
	table     *routing.Table // nil = none yet
	source    Source         // SourceFresh, SourceFile or SourceEtcd; SourceFresh goes stale by age
	stamp     routing.Stamp
	confirmed time.Time       // when the client heard that the table is current; of a file or etcd when it was written
	alone     *routing.Router // of a table that the client amended by itself; nil while the snapshot is young enough
}

func newMemory(environment string) *memory {
	m := &memory{holder: routing.NewSnapshotHolder(environment), router: routing.NewRouter(), ready: make(chan struct{})}
	m.sights.Store(&sight{})
	return m
}

// sight returns what decisions read now.
func (m *memory) sight() *sight { return m.sights.Load() }

// age is how long ago the table was confirmed, not below 0.
func (s *sight) age(now time.Time) time.Duration { return max(0, now.Sub(s.confirmed)) }

// is returns the source of an answer given now.
func (s *sight) is(now time.Time, staleAfter time.Duration) Source {
	switch {
	case s.table == nil:
		return SourceNone
	case s.source == SourceFresh && s.age(now) > staleAfter:
		return SourceStale
	}
	return s.source
}

// take takes what a snapshot, a change or a renewal brings. apply offers it to the holder; told is its stamp.
func (m *memory) take(from Source, told routing.Stamp, now time.Time, apply func() (routing.Advance, error)) (routing.Advance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	advance, err := apply()
	if err != nil {
		return routing.AdvanceNone, err
	}
	table, stamp := m.holder.Held()
	if table == nil {
		return routing.AdvanceNone, nil
	}
	old := m.sight()
	next := &sight{table: table, stamp: stamp, source: old.source, confirmed: old.confirmed, alone: old.alone}
	switch {
	case from == SourceFresh:
		m.confirm(next, told, now, advance)
	case advance == routing.AdvanceTable, advance == routing.AdvanceRenewal && stamp.Written.After(old.confirmed):
		next.source, next.confirmed = from, stamp.Written
	}
	if advance == routing.AdvanceTable {
		m.router.Swap(table)
		next.alone = nil // it was made from an older table
	}
	m.sights.Store(next)
	if old.table == nil {
		close(m.ready)
	}
	return advance, nil
}

// confirm takes the word of a replica: a table of its own, or one that says when the table held was last current. The time
// counts from when the client heard of it, so that nobody's clock matters; a replica that repeats itself, because its own
// ledger is gone, confirms nothing.
func (m *memory) confirm(next *sight, told routing.Stamp, now time.Time, advance routing.Advance) {
	if told.Revision != next.stamp.Revision { // older: the replica is behind
		return
	}
	first := m.heard.IsZero() && !told.Written.Before(next.stamp.Written)
	if advance == routing.AdvanceTable || first || !m.heard.IsZero() && told.Written.After(m.heard) {
		next.confirmed, next.source = now, SourceFresh
		m.heard = told.Written
	}
}

// setAlone puts the router of an amended table in force, or takes it away.
func (m *memory) setAlone(table *routing.Table, r *routing.Router) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.sight()
	if old.table != table || old.alone == r {
		return
	}
	next := *old
	next.alone = r
	m.sights.Store(&next)
}

// stampOfChange is the stamp that a change leads to.
func stampOfChange(c *sluicev1.SnapshotChange) routing.Stamp {
	return routing.Stamp{Revision: routing.Revision{Epoch: c.GetEpoch(), Revision: c.GetRevision()}, Written: c.GetWriteTime().AsTime()}
}

// stampOfRenewal is the stamp of a renewal.
func stampOfRenewal(r *sluicev1.SnapshotRenewal) routing.Stamp {
	return routing.Stamp{Revision: routing.Revision{Epoch: r.GetEpoch(), Revision: r.GetRevision()}, Written: r.GetWriteTime().AsTime()}
}
