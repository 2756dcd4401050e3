package monitor

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-pay/sluice/statemachine"
)

// MemoryLedger is the Ledger of simulations and of tests: the same contract without etcd. It has no clock and no goroutine,
// so that the same calls give the same revisions and hashes. It is one replica's view of a store that Peer shares.
type MemoryLedger struct {
	store   *memoryStore
	replica string
	changed chan struct{}
}

// memoryStore is what the replicas share; a revision grows with every write, like etcd's.
type memoryStore struct {
	mu        sync.Mutex
	revision  int64
	headAt    int64 // revision of head
	head      Head
	states    map[statemachine.Scope]VersionedState
	incidents map[string]statemachine.Incident
	journal   []memoryEntry
	requests  map[string]uint64
	catalog   []byte
	scores    []byte
	catalogs  catalogSet
	leader    string // replica that leads, empty = none
	leaderAt  int64  // revision of the election
	view      *View  // of headAt, nil = build it anew
	saved     map[string][]byte
	replicas  []*MemoryLedger
}

// memoryEntry is a journal entry with its stored form, over which the hash goes.
type memoryEntry struct {
	stored   []byte
	revision int64
	entry    JournalEntry
}

// NewMemoryLedger returns a ledger of epoch 1 without states or catalogue. Nobody leads until Lead is called.
func NewMemoryLedger(replica string) *MemoryLedger {
	store := &memoryStore{
		revision:  1,
		headAt:    1,
		head:      Head{Epoch: 1},
		states:    make(map[statemachine.Scope]VersionedState),
		incidents: make(map[string]statemachine.Incident),
		requests:  make(map[string]uint64),
		saved:     make(map[string][]byte),
	}
	return store.join(replica)
}

func (s *memoryStore) join(replica string) *MemoryLedger {
	m := &MemoryLedger{store: s, replica: replica, changed: make(chan struct{}, 1)}
	s.replicas = append(s.replicas, m)
	return m
}

// Peer returns another replica's ledger on the same store.
func (m *MemoryLedger) Peer(replica string) *MemoryLedger {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	return m.store.join(replica)
}

// Lead makes this replica the leader at once, whoever led before.
func (m *MemoryLedger) Lead() {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.revision++
	m.store.leader, m.store.leaderAt = m.replica, m.store.revision
	m.store.signal()
}

// Resign ends this replica's leadership; then nobody leads.
func (m *MemoryLedger) Resign() {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.leader == m.replica {
		m.store.revision++
		m.store.leader, m.store.leaderAt = "", 0
		m.store.signal()
	}
}

// Read implements Ledger.
func (m *MemoryLedger) Read(ctx context.Context) (*View, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.view == nil {
		m.store.view = m.store.build()
	}
	view := *m.store.view
	if m.store.leader == m.replica {
		view.Leader = m.store.leaderAt
	}
	return &view, nil
}

func (s *memoryStore) build() *View {
	v := &View{Revision: s.headAt, Head: s.head, Catalog: s.catalog, Scores: s.scores}
	v.States = slices.SortedFunc(maps.Values(s.states), func(a, b VersionedState) int { return a.Scope.Compare(b.Scope) })
	v.Incidents = slices.Collect(maps.Values(s.incidents))
	SortIncidents(v.Incidents)
	return v
}

// Commit implements Ledger.
func (m *MemoryLedger) Commit(ctx context.Context, c Change) (int64, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	if c.Catalog != nil {
		if _, err := PackCatalog(c.Catalog); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if err := m.store.admit(&c, m.replica); err != nil {
		return 0, err
	}
	m.store.apply(&c)
	m.store.signal()
	return m.store.headAt, nil
}

// admit makes the compares of the one transaction.
func (s *memoryStore) admit(c *Change, replica string) error {
	if c.RequestID != "" && s.requests[c.RequestID] != 0 {
		return fmt.Errorf("%w: %s", ErrDuplicateRequest, c.RequestID)
	}
	if c.Fenced && s.leader != replica {
		return fmt.Errorf("%w: %s", ErrNotLeader, replica)
	}
	if c.Base != s.headAt {
		return fmt.Errorf("%w: decided at %d, now %d", ErrConflict, c.Base, s.headAt)
	}
	return nil
}

// apply makes the writes of the one transaction.
func (s *memoryStore) apply(c *Change) {
	s.revision++
	if c.Scores != nil { // head is rewritten as it is
		s.scores, s.headAt, s.view = bytes.Clone(c.Scores), s.revision, nil
		return
	}
	for _, id := range ExpiredIncidents(slices.Collect(maps.Values(s.incidents)), c) {
		delete(s.incidents, id)
	}
	for _, st := range c.States {
		s.states[st.Scope] = VersionedState{State: st, Modified: s.revision}
	}
	for _, i := range c.Incidents {
		s.incidents[i.ID] = i
	}
	if c.Catalog != nil {
		s.head.Catalog++
		s.catalog = bytes.Clone(c.Catalog)
	}
	entry := s.head.Next(c.Entry)
	entry.RequestID, entry.Catalog = c.RequestID, 0
	if c.Catalog != nil {
		entry.Catalog = s.head.Catalog
		s.catalogs.add(c.Revision(entry.Catalog, entry.Sequence), s.catalog)
	}
	stored := memoryForm(entry)
	entry.Hash, entry.Revision = ChainHash(stored), s.revision
	s.journal = append(s.journal, memoryEntry{stored: stored, revision: s.revision, entry: entry})
	if c.RequestID != "" {
		s.requests[c.RequestID] = entry.Sequence
	}
	s.head.Sequence, s.head.Hash = entry.Sequence, entry.Hash
	s.headAt, s.view = s.revision, nil
}

// memoryForm spells an entry out, so that it can be hashed.
func memoryForm(e JournalEntry) []byte {
	moves := e.Moves
	e.Moves = nil
	out := fmt.Appendf(nil, "%#v", e)
	for _, m := range moves {
		evidence := m.Evidence
		m.Evidence = nil // an address means nothing
		out = fmt.Appendf(out, "%#v", m)
		if evidence != nil {
			out = fmt.Appendf(out, "%#v", *evidence)
		}
	}
	return out
}

func (s *memoryStore) signal() {
	for _, r := range s.replicas {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

// Journal implements Ledger.
func (m *MemoryLedger) Journal(ctx context.Context, after uint64, limit int) ([]JournalEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	var out []JournalEntry
	for i := after; i < uint64(len(m.store.journal)) && len(out) < limit; i++ {
		out = append(out, m.store.journal[i].entry)
	}
	return out, nil
}

// Request implements Ledger.
func (m *MemoryLedger) Request(ctx context.Context, id string) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("look up a request: %w", err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	return m.store.requests[id], nil
}

// Verify implements Ledger.
func (m *MemoryLedger) Verify(context.Context) error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	entries := make([]JournalEntry, len(m.store.journal))
	for i, e := range m.store.journal {
		entries[i] = e.entry
		entries[i].Hash = ChainHash(e.stored)
	}
	return CheckJournal(Head{}, m.store.head, entries)
}

// Changed implements Ledger.
func (m *MemoryLedger) Changed() <-chan struct{} { return m.changed }

// SaveCheckpoint implements Checkpoints.
func (m *MemoryLedger) SaveCheckpoint(ctx context.Context, name string, _ statemachine.Instant, data []byte) error {
	if err := CheckPart(name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", name, err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.leader != m.replica {
		return fmt.Errorf("%w: %s", ErrNotLeader, m.replica)
	}
	m.store.revision++
	m.store.saved[name] = bytes.Clone(data)
	return nil
}

// LoadCheckpoint implements Checkpoints.
func (m *MemoryLedger) LoadCheckpoint(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load checkpoint %s: %w", name, err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	return bytes.Clone(m.store.saved[name]), nil
}
