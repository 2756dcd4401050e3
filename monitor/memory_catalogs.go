package monitor

import (
	"bytes"
	"context"
	"fmt"
)

// Catalog implements Ledger.
func (m *MemoryLedger) Catalog(ctx context.Context, number uint64) ([]byte, CatalogRevision, error) {
	if err := ctx.Err(); err != nil {
		return nil, CatalogRevision{}, fmt.Errorf("read catalogue %d: %w", number, err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	for _, k := range m.store.catalogs.kept {
		if k.revision.Number == number {
			return bytes.Clone(k.catalog), k.revision, nil
		}
	}
	return nil, CatalogRevision{}, fmt.Errorf("%w: %d", ErrNoRevision, number)
}

// Catalogs implements Ledger.
func (m *MemoryLedger) Catalogs(ctx context.Context) ([]CatalogRevision, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the catalogues: %w", err)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	var out []CatalogRevision
	for i := range m.store.catalogs.kept {
		out = append(out, m.store.catalogs.kept[len(m.store.catalogs.kept)-1-i].revision)
	}
	return out, nil
}
