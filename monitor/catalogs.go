package monitor

import (
	"errors"

	"github.com/sluice-pay/sluice/statemachine"
)

// Errors about revisions of the catalogue.
var (
	ErrNoRevision = errors.New("no such revision of the catalogue is kept")
	ErrInForce    = errors.New("this revision of the catalogue is in force")
)

// CatalogRevision is about one catalogue that was put in force. A ledger keeps the newest KeptCatalogs.
type CatalogRevision struct {
	Number     uint64 // from 1 without gaps
	Version    string // the owner's own label
	Author     string
	Reason     string
	At         statemachine.Instant
	RollbackOf uint64 // the number whose catalogue it brought back, 0 = none
	Sequence   uint64 // of the journal entry, 0 = it was put in force before ledgers kept this
}

// Revision returns what a ledger keeps about the catalogue that the change puts in force under a number, as the journal entry of
// a sequence.
func (c *Change) Revision(number, sequence uint64) CatalogRevision {
	return CatalogRevision{
		Number: number, Version: c.Version, Author: c.Entry.Author, Reason: c.Entry.Reason, At: c.Entry.At,
		RollbackOf: c.Entry.RollbackOf, Sequence: sequence,
	}
}

// KeptFrom returns the number of the oldest catalogue that is kept beside the one in force; 1 if none was removed yet.
func KeptFrom(inForce uint64) uint64 {
	if inForce <= KeptCatalogs {
		return 1
	}
	return inForce - KeptCatalogs + 1
}

// catalogSet are the catalogues that a MemoryLedger keeps, oldest first.
type catalogSet struct{ kept []keptCatalog }

type keptCatalog struct {
	revision CatalogRevision
	catalog  []byte
}

func (s *catalogSet) add(r CatalogRevision, catalog []byte) {
	s.kept = append(s.kept, keptCatalog{r, catalog})
	if more := len(s.kept) - KeptCatalogs; more > 0 {
		s.kept = append([]keptCatalog(nil), s.kept[more:]...)
	}
}
