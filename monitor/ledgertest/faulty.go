package ledgertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/sluice-pay/sluice/monitor"
)

// Fault is what goes wrong with one Commit.
type Fault uint8

// The faults.
const (
	None       Fault = iota // nothing goes wrong
	Conflict                // another change came first
	Lost                    // the outcome is unknown, and the change was not made
	Unanswered              // the outcome is unknown, and the change was made
	Late                    // the outcome is unknown, and the change is tried only when the next Commit comes, before it
	NotLeader               // leadership was lost
	TooLarge                // the transaction does not fit
)

// Faulty is a ledger whose commits fail as told. Reading works, unless FailReads says otherwise.
type Faulty struct {
	monitor.Ledger
	mu      sync.Mutex
	plan    []Fault
	late    []monitor.Change
	commits int
	reads   error
}

// NewFaulty wraps a ledger.
func NewFaulty(inner monitor.Ledger) *Faulty { return &Faulty{Ledger: inner} }

// Plan says what goes wrong with the commits to come, one after another; later ones go well.
func (f *Faulty) Plan(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = append(f.plan, faults...)
}

// FailReads makes Read fail with err until it is called with nil.
func (f *Faulty) FailReads(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = err
}

// Commits returns how often Commit was called, and how many planned faults are left.
func (f *Faulty) Commits() (called, left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commits, len(f.plan)
}

// Read implements monitor.Ledger.
func (f *Faulty) Read(ctx context.Context) (*monitor.View, error) {
	f.mu.Lock()
	err := f.reads
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Ledger.Read(ctx) //nolint:wrapcheck // a wrapper adds nothing
}

// Commit implements monitor.Ledger.
func (f *Faulty) Commit(ctx context.Context, c monitor.Change) (int64, error) {
	fault, late := f.next(c)
	for _, l := range late {
		_, _ = f.Ledger.Commit(ctx, l) // whether it still fits is the point
	}
	switch fault {
	case None:
		return f.Ledger.Commit(ctx, c) //nolint:wrapcheck // a wrapper adds nothing
	case Conflict:
		return 0, fmt.Errorf("%w: as planned", monitor.ErrConflict)
	case NotLeader:
		return 0, fmt.Errorf("%w: as planned", monitor.ErrNotLeader)
	case TooLarge:
		return 0, fmt.Errorf("%w: as planned", monitor.ErrTooLarge)
	case Unanswered:
		if _, err := f.Ledger.Commit(ctx, c); err != nil {
			return 0, err //nolint:wrapcheck // a wrapper adds nothing
		}
	case Lost, Late:
	}
	return 0, fmt.Errorf("%w: as planned", monitor.ErrUnknownOutcome)
}

func (f *Faulty) next(c monitor.Change) (Fault, []monitor.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits++
	late := f.late
	f.late = nil
	if len(f.plan) == 0 {
		return None, late
	}
	fault := f.plan[0]
	f.plan = f.plan[1:]
	if fault == Late {
		f.late = append(f.late, c)
	}
	return fault, late
}
