package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// CatalogRequest puts a catalogue in force.
type CatalogRequest struct {
	Catalog      []byte // serialised sluice.config.v1.Catalog, validated by the caller
	Version      string // the owner's own label of it
	Author       string
	Reason       string
	RequestID    string // repeating it answers what the first did; empty = none
	Number       uint64 // of the catalogue the author saw in force, 0 = not compared
	RollbackOf   uint64 // the number that Catalog was put in force under before, 0 = it is no rollback
	ValidateOnly bool
	// Check is asked about the very view that the change is based on; its error refuses the catalogue. May be nil.
	Check func(*View) error
}

// ApplyCatalog puts a catalogue in force, on any replica. The one that is in force already is left as it is: the Result has
// no revision. Errors: ErrUnattributed, ErrTooLarge, ErrStaleEtag, ErrInForce, ErrRequestReused, what Check says, and those of
// the ledger.
func (c *Control) ApplyCatalog(ctx context.Context, q CatalogRequest, now time.Time) (Result, error) {
	if len(q.Catalog) == 0 {
		return Result{}, errors.New("control: the catalogue is empty")
	}
	if _, err := PackCatalog(q.Catalog); err != nil {
		return Result{}, err
	}
	var inForce uint64
	r, err := c.operate(ctx, now, q.RequestID, func(view *View) (*batch, Change, error) {
		b := newBatch(view, nil, now)
		if err := q.fits(view); err != nil {
			return b, Change{}, err
		}
		if inForce = view.Head.Catalog; q.ValidateOnly || bytes.Equal(q.Catalog, view.Catalog) {
			return b, Change{}, nil
		}
		return b, q.change(view, now), nil
	})
	switch {
	case err != nil:
		return r, err
	case r.Replayed:
		return r, c.sameCatalog(ctx, &q, &r)
	case r.Revision == 0:
		r.Catalog = inForce
		return r, nil
	}
	c.count(func(n *ControlCounters) { n.Catalogs++ })
	return r, nil
}

// fits says what stands against the catalogue now.
func (q *CatalogRequest) fits(view *View) error {
	switch {
	case q.Number != 0 && q.Number != view.Head.Catalog:
		return fmt.Errorf("%w: catalogue %d, now %d", ErrStaleEtag, q.Number, view.Head.Catalog)
	case q.RollbackOf != 0 && q.RollbackOf == view.Head.Catalog:
		return fmt.Errorf("%w: %d", ErrInForce, q.RollbackOf)
	case q.Check == nil:
		return nil
	}
	return q.Check(view)
}

func (q *CatalogRequest) change(view *View, now time.Time) Change {
	return Change{
		Base: view.Revision, RequestID: q.RequestID, Catalog: q.Catalog, Version: q.Version,
		Entry: JournalEntry{
			At: statemachine.At(now), Cause: statemachine.Operator, Author: q.Author, Reason: q.Reason, RollbackOf: q.RollbackOf,
		},
	}
}

// sameCatalog tells whether what a request id did before was this request. An entry or a catalogue that is no longer kept is
// taken for it.
func (c *Control) sameCatalog(ctx context.Context, q *CatalogRequest, r *Result) error {
	if r.Revision == 0 {
		return nil
	}
	stored, revision, err := c.ledger.Catalog(ctx, r.Catalog)
	switch {
	case r.Catalog == 0, err == nil && (!bytes.Equal(stored, q.Catalog) || revision.RollbackOf != q.RollbackOf):
		return fmt.Errorf("%w: %s", ErrRequestReused, q.RequestID)
	case err != nil && !errors.Is(err, ErrNoRevision):
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// AnnotateRequest puts a person's note on an incident.
type AnnotateRequest struct {
	ID        string
	Note      string
	Author    string
	RequestID string // repeating it answers what the first did; empty = none
}

// Annotate stores a note on an incident, replacing an earlier one; the journal keeps both. The Result holds the incident.
// Errors: ErrNoIncident, ErrUnattributed, and those of the ledger.
func (c *Control) Annotate(ctx context.Context, q AnnotateRequest, now time.Time) (Result, error) {
	r, err := c.operate(ctx, now, q.RequestID, func(view *View) (*batch, Change, error) {
		b := newBatch(view, nil, now)
		for _, i := range view.Incidents {
			if i.ID == q.ID {
				i.Note = q.Note
				b.keep(i)
			}
		}
		if len(b.incidents) == 0 {
			return b, Change{}, fmt.Errorf("%w: %s", ErrNoIncident, q.ID)
		}
		change := b.change(q.Author, false)
		change.RequestID = q.RequestID
		change.Entry.Cause, change.Entry.Reason = statemachine.Operator, clip("note: "+q.Note)
		return b, change, nil
	})
	if err == nil && !r.Replayed {
		c.count(func(n *ControlCounters) { n.Annotations++ })
	}
	return r, err
}
