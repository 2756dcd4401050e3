package monitor

import (
	"context"
	"errors"

	"github.com/sluice-pay/sluice/statemachine"
)

// Errors of a Ledger.
var (
	ErrConflict         = errors.New("the ledger's head has moved")
	ErrUnknownOutcome   = errors.New("the write may or may not have happened")
	ErrNotLeader        = errors.New("this replica does not lead")
	ErrDuplicateRequest = errors.New("the request id was used before")
	ErrTooLarge         = errors.New("the change is too large for one transaction")
	ErrUnattributed     = errors.New("a change needs an author and a reason")
	ErrDamaged          = errors.New("the ledger holds a damaged or foreign entry")
)

// MaxScopes is the most scopes one Change may touch.
const MaxScopes = 25

// Ledger is the one place where states, incidents and the catalogue are changed: one transaction a change, with a
// journal entry chained by hash.
type Ledger interface {
	// Read returns a complete state of one revision.
	Read(context.Context) (*View, error)
	// Commit applies a change in one transaction and returns the new head revision. ErrConflict, ErrNotLeader,
	// ErrDuplicateRequest and ErrTooLarge mean that nothing was written; ErrUnknownOutcome that Read must tell.
	Commit(context.Context, Change) (int64, error)
	// Request returns the journal sequence that a request id led to, 0 if it is unknown.
	Request(ctx context.Context, id string) (uint64, error)
	// Changed is signalled (capacity one) after the head moved, by whomever: a hint to Read.
	Changed() <-chan struct{}
	Archive
}

// Archive is what a ledger keeps of the past.
type Archive interface {
	// Journal returns the entries with a sequence greater than after, oldest first, at most limit.
	Journal(ctx context.Context, after uint64, limit int) ([]JournalEntry, error)
	// Verify recomputes the hash chain of the journal against head.
	Verify(context.Context) error
	// Catalog returns a catalogue that was put in force, and what is kept about it; ErrNoRevision if it never was or is
	// no longer kept.
	Catalog(ctx context.Context, number uint64) ([]byte, CatalogRevision, error)
	// Catalogs lists the catalogues that are kept, newest first, at most KeptCatalogs.
	Catalogs(context.Context) ([]CatalogRevision, error)
}

// Head is what every change compares and rewrites.
type Head struct {
	Epoch    uint64
	Sequence uint64   // of the newest journal entry
	Hash     [32]byte // of the newest journal entry
	Catalog  uint64   // number of the catalogue in force, 0 = none
}

// View is the whole ledger at one revision. It is immutable; lists are sorted by scope, incidents newest first.
type View struct {
	Revision  int64 // ModRevision of head: the table revision
	Head      Head
	States    []VersionedState
	Incidents []statemachine.Incident // open ones, and closed ones still kept
	Catalog   []byte                  // serialised sluice.config.v1.Catalog in force, opaque here
	Scores    []byte                  // serialised scores, opaque here
	Leader    int64                   // CreateRevision of this replica's leader key, 0 = does not lead
}

// StateList are the states alone, sorted by scope.
func (v *View) StateList() []statemachine.State {
	states := make([]statemachine.State, len(v.States))
	for i := range v.States {
		states[i] = v.States[i].State
	}
	return states
}

// StatesByScope are the states as a fleet has them.
func (v *View) StatesByScope() map[statemachine.Scope]statemachine.State {
	states := make(map[statemachine.Scope]statemachine.State, len(v.States))
	for i := range v.States {
		states[v.States[i].Scope] = v.States[i].State
	}
	return states
}

// VersionedState is a state with the revision that last wrote it: its etag.
type VersionedState struct {
	statemachine.State
	Modified int64
}

// Change is one transaction.
type Change struct {
	Base      int64  // View.Revision it was decided against; compared
	RequestID string // of an operator; its absence is compared, and it is stored with a lease
	Fenced    bool   // automation and expiry: this replica's leader key is compared
	States    []statemachine.State
	Incidents []statemachine.Incident // new or changed
	Entry     JournalEntry            // Sequence, Previous and Hash are set by the ledger
	Catalog   []byte                  // nil = unchanged
	Version   string                  // the owner's own label of Catalog
	Scores    []byte                  // serialised scores; nil = unchanged. A change of scores is one of nothing else
}

// JournalEntry is the audit record and the outbox of one change.
type JournalEntry struct {
	Sequence   uint64
	At         statemachine.Instant
	Cause      statemachine.Cause
	Author     string // "automation/<replica>" or the operator
	Reason     string
	RequestID  string
	Moves      []Move
	Incidents  []statemachine.Incident // opened or closed by this change, evidence included
	Alerts     []statemachine.Alert
	Catalog    uint64 // number of the catalogue this change put in force, 0 = unchanged
	RollbackOf uint64 // number of the catalogue this change brought back, 0 = none
	Revision   int64  // table revision this change made; set by the ledger on reading
	Previous   [32]byte
	Hash       [32]byte
}

// Move is one state before and after.
type Move struct {
	Before, After statemachine.State
	Cause         statemachine.Cause
	Reason        string
	Evidence      *statemachine.Evidence // what an automatic move rests on, where no incident of the same entry holds it
}
