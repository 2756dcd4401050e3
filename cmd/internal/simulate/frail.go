package simulate

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// What a broken store answers.
var (
	errDown = errors.New("the store is down")
	errSlow = fmt.Errorf("the store answers too late: %w", context.DeadlineExceeded)
)

// outage is shared by every view of one store.
type outage struct{ on bool }

// frailExchange is the exchange with Redis that may be down, or so slow that every operation is abandoned when its budget
// is over: what was written is there all the same, and nobody was told.
type frailExchange struct {
	*monitor.MemoryExchange

	down, slow bool
}

// Publish implements monitor.Exchange.
func (e *frailExchange) Publish(ctx context.Context, r *monitor.Row) error {
	if e.down {
		return errDown
	}
	err := e.MemoryExchange.Publish(ctx, r)
	if e.slow {
		return errSlow
	}
	return err
}

// Read implements monitor.Exchange.
func (e *frailExchange) Read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	switch {
	case e.down:
		return nil, errDown
	case e.slow:
		return nil, errSlow
	}
	return e.MemoryExchange.Read(ctx, second)
}

// frailLedger is a ledger whose store may be down.
type frailLedger struct {
	*monitor.MemoryLedger

	outage *outage
}

// Read implements monitor.Ledger.
func (l *frailLedger) Read(ctx context.Context) (*monitor.View, error) {
	if l.outage.on {
		return nil, errDown
	}
	return l.MemoryLedger.Read(ctx)
}

// Commit implements monitor.Ledger.
func (l *frailLedger) Commit(ctx context.Context, c monitor.Change) (int64, error) {
	if l.outage.on {
		return 0, errDown
	}
	return l.MemoryLedger.Commit(ctx, c)
}

// Journal implements monitor.Ledger.
func (l *frailLedger) Journal(ctx context.Context, after uint64, limit int) ([]monitor.JournalEntry, error) {
	if l.outage.on {
		return nil, errDown
	}
	return l.MemoryLedger.Journal(ctx, after, limit)
}

// Request implements monitor.Ledger.
func (l *frailLedger) Request(ctx context.Context, id string) (uint64, error) {
	if l.outage.on {
		return 0, errDown
	}
	return l.MemoryLedger.Request(ctx, id)
}

// SaveCheckpoint implements monitor.Checkpoints.
func (l *frailLedger) SaveCheckpoint(ctx context.Context, name string, at statemachine.Instant, data []byte) error {
	if l.outage.on {
		return errDown
	}
	return l.MemoryLedger.SaveCheckpoint(ctx, name, at, data)
}
