package routing

import (
	"slices"
	"sync"
	"sync/atomic"
)

// recorderTables keeps the newest tables, by revision.
type recorderTables struct {
	keep   int
	newest atomic.Pointer[Table]

	mu   sync.Mutex
	kept []*Table // sorted, oldest first
}

// seen keeps the table of a decision. The newest is known at once; the lock is taken once a revision.
func (k *recorderTables) seen(t *Table) {
	if k.newest.Load() == t {
		return
	}
	k.add(t)
}

func (k *recorderTables) add(t *Table) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i, found := slices.BinarySearchFunc(k.kept, t.rev, compareTable)
	if found {
		k.kept[i] = t // the same, compiled anew
		k.newest.Store(k.kept[len(k.kept)-1])
		return
	}
	if i == 0 && len(k.kept) == k.keep { // older than everything kept
		return
	}
	if len(k.kept) == k.keep {
		copy(k.kept, k.kept[1:i])
		k.kept[i-1] = t
	} else {
		k.kept = slices.Insert(k.kept, i, t)
	}
	k.newest.Store(k.kept[len(k.kept)-1])
}

func compareTable(t *Table, rev Revision) int {
	switch {
	case t.rev == rev:
		return 0
	case t.rev.Newer(rev):
		return 1
	}
	return -1
}

func (k *recorderTables) find(rev Revision) *Table {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i, found := slices.BinarySearchFunc(k.kept, rev, compareTable); found {
		return k.kept[i]
	}
	return nil
}

func (k *recorderTables) stats(s *RecorderStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.Tables = len(k.kept); s.Tables > 0 {
		s.OldestRev, s.NewestRev = k.kept[0].rev, k.kept[s.Tables-1].rev
	}
}
