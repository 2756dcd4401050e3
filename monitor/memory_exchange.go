package monitor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// MemoryExchange is the Exchange of a single process: for the embedded mode, simulation and tests. Rows are kept packed,
// for 15 minutes back from the newest second. It is safe for concurrent use.
type MemoryExchange struct {
	mu      sync.Mutex
	seconds map[int64]map[string][]byte // by second and replica
	newest  int64

	claims    map[memorySlot]ClaimHolder // of all replicas
	published map[memoryRow]uint64       // the boot whose row was published
	fences    map[memoryRow]uint64       // how often claims of an unpublished row were taken over
	tokens    map[memoryRow]uint64       // the fences its replica knew when it claimed last
	swept     int64                      // second when what is too old was last forgotten
}

// NewMemoryExchange returns an empty exchange.
func NewMemoryExchange() *MemoryExchange {
	return &MemoryExchange{
		seconds: map[int64]map[string][]byte{}, claims: map[memorySlot]ClaimHolder{},
		published: map[memoryRow]uint64{}, fences: map[memoryRow]uint64{}, tokens: map[memoryRow]uint64{},
	}
}

// Publish stores the row, replacing an earlier one of the same replica and second. Rows older than what is kept are
// dropped. A row of which another replica took over claims is refused with ErrFenced.
func (m *MemoryExchange) Publish(ctx context.Context, r *Row) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish second %d: %w", r.Counts.Second, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	second := r.Counts.Second
	if second <= m.newest-keptSeconds {
		return nil
	}
	row := memoryRow{second, r.Replica}
	if m.fences[row] != m.tokens[row] {
		return fmt.Errorf("publish second %d of %s: %w", second, r.Replica, ErrFenced)
	}
	if len(m.claims) > 0 { // a single replica without claims keeps no list
		m.published[row] = r.Boot
	}
	rows := m.seconds[second]
	if rows == nil {
		rows = map[string][]byte{}
		m.seconds[second] = rows
	}
	rows[r.Replica] = r.Pack(nil)
	if second > m.newest {
		m.newest = second
		for s := range m.seconds {
			if s <= second-keptSeconds {
				delete(m.seconds, s)
			}
		}
		m.sweep(second)
	}
	return nil
}

// Read returns the rows of a second, sorted by replica; none if nothing was published or it is no longer kept.
func (m *MemoryExchange) Read(ctx context.Context, second int64) ([]*Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read second %d: %w", second, err)
	}
	m.mu.Lock()
	packed := maps.Clone(m.seconds[second])
	m.mu.Unlock()
	var rows []*Row
	for _, replica := range slices.Sorted(maps.Keys(packed)) {
		r, err := ParseRow(packed[replica])
		if err != nil {
			return nil, fmt.Errorf("read second %d of %s: %w", second, replica, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}
