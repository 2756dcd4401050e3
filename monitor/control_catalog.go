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
	Author       string
	Reason       string
	RequestID    string // repeating it answers what the first did; empty = none
	Number       uint64 // of the catalogue the author saw in force, 0 = not compared
	ValidateOnly bool
}

// ApplyCatalog puts a catalogue in force, on any replica. The one that is in force already is left as it is: the Result has
// no revision. Errors: ErrUnattributed, ErrTooLarge, ErrStaleEtag, and those of the ledger.
func (c *Control) ApplyCatalog(ctx context.Context, q CatalogRequest, now time.Time) (Result, error) {
	if len(q.Catalog) == 0 {
		return Result{}, errors.New("control: the catalogue is empty")
	}
	if _, err := PackCatalog(q.Catalog); err != nil {
		return Result{}, err
	}
	r, err := c.operate(ctx, now, q.RequestID, func(view *View) (*batch, Change, error) {
		b := newBatch(view, nil, now)
		if q.Number != 0 && q.Number != view.Head.Catalog {
			return b, Change{}, fmt.Errorf("%w: catalogue %d, now %d", ErrStaleEtag, q.Number, view.Head.Catalog)
		}
		if q.ValidateOnly || bytes.Equal(q.Catalog, view.Catalog) {
			return b, Change{}, nil
		}
		return b, Change{
			Base: view.Revision, RequestID: q.RequestID, Catalog: q.Catalog,
			Entry: JournalEntry{At: statemachine.At(now), Cause: statemachine.Operator, Author: q.Author, Reason: q.Reason},
		}, nil
	})
	if err == nil && r.Revision != 0 && !r.Replayed {
		c.count(func(n *ControlCounters) { n.Catalogs++ })
	}
	return r, err
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
