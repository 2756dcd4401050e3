package monitor

import "slices"

// Tamperer changes stored journal entries of a MemoryLedger behind its back.
type Tamperer struct {
	Ledger  *MemoryLedger
	removed map[uint64]memoryEntry
}

// Edit replaces the stored bytes of an entry; nil removes it. A removed entry is put back by the next Edit.
func (t *Tamperer) Edit(sequence uint64, edit func([]byte) []byte) {
	s := t.Ledger.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.journal, func(e memoryEntry) bool { return e.entry.Sequence >= sequence })
	if at < 0 {
		at = len(s.journal)
	}
	if entry, ok := t.removed[sequence]; ok {
		s.journal = slices.Insert(s.journal, at, entry)
		delete(t.removed, sequence)
	}
	if stored := edit(s.journal[at].stored); stored != nil {
		s.journal[at].stored = stored
		return
	}
	if t.removed == nil {
		t.removed = make(map[uint64]memoryEntry)
	}
	t.removed[sequence] = s.journal[at]
	s.journal = slices.Delete(s.journal, at, at+1)
}
