package simulate

import (
	"context"
	"errors"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// errDown is what a broken store answers.
var errDown = errors.New("the store is down")

// outage is shared by every view of one store.
type outage struct{ on bool }

// frailExchange is the exchange with Redis that may be down.
type frailExchange struct {
	*monitor.MemoryExchange

	down bool
}

// Publish implements monitor.Exchange.
func (e *frailExchange) Publish(ctx context.Context, r *monitor.Row) error {
	if e.down {
		return errDown
	}
	return e.MemoryExchange.Publish(ctx, r)
}

// Read implements monitor.Exchange.
func (e *frailExchange) Read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	if e.down {
		return nil, errDown
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
