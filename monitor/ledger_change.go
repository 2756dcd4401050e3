package monitor

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// What a ledger keeps. Closed incidents go when they are older than IncidentRetention or more than MaxClosedIncidents are
// kept, old catalogues when more than KeptCatalogs are, both within the commits that follow.
const (
	IncidentRetention  = 30 * 24 * time.Hour
	MaxClosedIncidents = 500
	KeptCatalogs       = 50
	RequestRetention   = 24 * time.Hour // how long a request id is remembered, at least
	MaxCatalogBytes    = 1 << 20        // of a catalogue, compressed
	maxPruned          = 20             // closed incidents removed by one commit
	maxUnpacked        = 32 << 20       // of a catalogue, so that a damaged one cannot fill the memory
)

// Checkpoints keep what a detector learned over a restart, beside the head: saving makes no journal entry. Both ledgers are
// such a store.
type Checkpoints interface {
	// SaveCheckpoint replaces a named checkpoint, at most MaxCheckpointPart bytes (ErrTooLarge; Saved stores larger ones in
	// parts); only the leader may (ErrNotLeader).
	SaveCheckpoint(ctx context.Context, name string, at statemachine.Instant, data []byte) error
	// LoadCheckpoint returns the checkpoint last saved, nil if there is none.
	LoadCheckpoint(ctx context.Context, name string) ([]byte, error)
}

// Check reports whether the change is well formed: at most MaxScopes scopes (ErrTooLarge), each once, valid and with a share
// within bounds; an author and a reason (ErrUnattributed). Every Ledger asks it before it writes.
func (c *Change) Check() error {
	if c.Scores != nil {
		return c.checkScores()
	}
	if len(c.States) > MaxScopes {
		return fmt.Errorf("%w: %d scopes, want at most %d", ErrTooLarge, len(c.States), MaxScopes)
	}
	if c.Entry.Author == "" || c.Entry.Reason == "" {
		return fmt.Errorf("%w: author %q, reason %q", ErrUnattributed, c.Entry.Author, c.Entry.Reason)
	}
	seen := make(map[statemachine.Scope]bool, len(c.States))
	for _, s := range c.States {
		if err := s.Scope.Validate(); err != nil {
			return fmt.Errorf("change: %w", err)
		}
		if seen[s.Scope] {
			return fmt.Errorf("change: %w: %s is given twice", statemachine.ErrScope, s.Scope)
		}
		seen[s.Scope] = true
	}
	return nil
}

// Next returns the entry with the place in the chain that follows head filled in; its hash is the ledger's to compute.
func (h Head) Next(e JournalEntry) JournalEntry {
	e.Sequence, e.Previous, e.Hash, e.Revision = h.Sequence+1, h.Hash, [32]byte{}, 0
	return e
}

// ChainHash returns the hash of a journal entry: SHA-256 over its stored bytes, which hold the hash of the entry before.
func ChainHash(stored []byte) [32]byte { return sha256.Sum256(stored) }

// CheckJournal reports whether entries, oldest first, lead from the sequence and hash of one head to those of a later one
// without a gap. It returns an error that wraps ErrDamaged and names the first entry that does not fit.
func CheckJournal(from, to Head, entries []JournalEntry) error {
	at := from
	for i := range entries {
		e := &entries[i]
		if e.Sequence != at.Sequence+1 {
			return fmt.Errorf("%w: journal entry %d follows %d", ErrDamaged, e.Sequence, at.Sequence)
		}
		if e.Previous != at.Hash {
			return fmt.Errorf("%w: journal entry %d does not continue entry %d: one of them was altered", ErrDamaged, e.Sequence, at.Sequence)
		}
		at.Sequence, at.Hash = e.Sequence, e.Hash
	}
	if at.Sequence != to.Sequence || at.Hash != to.Hash {
		return fmt.Errorf("%w: the journal ends at entry %d, altered or not the one that head names (%d)", ErrDamaged, at.Sequence, to.Sequence)
	}
	return nil
}

// SortIncidents sorts newest first, by id within a millisecond.
func SortIncidents(incidents []statemachine.Incident) {
	slices.SortFunc(incidents, func(a, b statemachine.Incident) int {
		return cmp.Or(cmp.Compare(b.Opened, a.Opened), cmp.Compare(a.ID, b.ID))
	})
}

// ExpiredIncidents returns the ids of the kept incidents that a change made at the given time removes: closed ones beyond
// their retention, oldest first, at most a few so that a transaction stays small. Incidents the change writes stay.
func ExpiredIncidents(kept []statemachine.Incident, c *Change) []string {
	var closed []statemachine.Incident
	for _, i := range kept {
		written := slices.ContainsFunc(c.Incidents, func(w statemachine.Incident) bool { return w.ID == i.ID })
		if i.Closed != 0 && !written {
			closed = append(closed, i)
		}
	}
	slices.SortFunc(closed, func(a, b statemachine.Incident) int {
		return cmp.Or(cmp.Compare(a.Closed, b.Closed), cmp.Compare(a.ID, b.ID))
	})
	var ids []string
	for n, i := range closed {
		old := c.Entry.At.Sub(i.Closed) > IncidentRetention
		if len(ids) == maxPruned || (!old && len(closed)-n <= MaxClosedIncidents) {
			break
		}
		ids = append(ids, i.ID)
	}
	return ids
}

// PackCatalog compresses a serialised catalogue for storage. More than MaxCatalogBytes compressed are ErrTooLarge.
func PackCatalog(catalog []byte) ([]byte, error) {
	if len(catalog) > maxUnpacked {
		return nil, fmt.Errorf("%w: the catalogue takes %d bytes, want at most %d", ErrTooLarge, len(catalog), maxUnpacked)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(catalog)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the catalogue: %w", err)
	}
	if out.Len() > MaxCatalogBytes {
		return nil, fmt.Errorf("%w: the catalogue takes %d bytes compressed, want at most %d", ErrTooLarge, out.Len(), MaxCatalogBytes)
	}
	return out.Bytes(), nil
}

// UnpackCatalog is the inverse of PackCatalog. Damaged input is an error that wraps ErrDamaged.
func UnpackCatalog(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: catalogue: %w", ErrDamaged, err)
	}
	catalog, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("%w: catalogue: %w", ErrDamaged, err)
	}
	if len(catalog) > maxUnpacked {
		return nil, fmt.Errorf("%w: catalogue: over %d bytes", ErrDamaged, maxUnpacked)
	}
	return catalog, nil
}
