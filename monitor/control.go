package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Errors of a Control, beside those of the ledger and of statemachine's State.Check.
var (
	ErrStaleEtag     = errors.New("the state has changed since it was read")
	ErrRefused       = errors.New("a guard refuses the order")
	ErrRequestReused = errors.New("the request id was used for another request")
	ErrNoIncident    = errors.New("no such incident")
)

const (
	// maxAttempts is how often an order, or a proposal of automation, is tried before it is given up and reported.
	maxAttempts = 5
	// readInterval is how old the view may get although nothing was signalled: hints may be lost.
	readInterval = 10 * time.Second
)

// Control turns verdicts, the evidence of ramp steps, the passing of time and operators' orders into committed changes:
// read, Step, Guard, Ledger.Commit. It is safe for concurrent use; calls that change something wait for one another.
//
// It is the one reader of the ledger in a replica: View gives the last view to everybody else. Whoever receives from
// Ledger.Changed calls Refresh.
type Control struct {
	ledger  Ledger
	replica string
	turn    chan struct{} // holds one token: the mutex, but one that can be waited for with a deadline
	view    atomic.Pointer[View]
	seen    atomic.Int64 // Unix nanoseconds of the last read

	// The rest belongs to the holder of the token.
	stale     bool
	readAt    time.Time
	limit     int // scopes a transaction may touch; smaller after ErrTooLarge
	attempts  uint64
	carried   []proposal
	unsettled []unsettled
	found     []settled                                 // by an order, for the next Submit to report
	states    map[statemachine.Scope]statemachine.State // of statesOf
	statesOf  *View

	countersMu sync.Mutex
	counters   ControlCounters
}

// ControlCounters counts what a Control did since it was made.
type ControlCounters struct {
	Reads       uint64 // full reads of the ledger
	ReadErrors  uint64 // of them failed
	Commits     uint64 // changes committed
	Conflicts   uint64 // attempts that lost to another change
	Unknown     uint64 // attempts whose outcome was unknown
	Settled     uint64 // of them found to have happened
	NotLeader   uint64 // attempts refused because another replica leads
	Failed      uint64 // attempts that failed otherwise
	Carried     uint64 // proposals carried over to the next call
	Dropped     uint64 // proposals given up after five attempts
	GuardsNo    uint64 // guards that said no or less
	Unfounded   uint64 // cuts withheld because no evidence came with them
	Orders      uint64 // orders carried out
	OrdersNo    uint64 // orders refused by a guard
	Replays     uint64 // requests answered with what the first of the same id did
	Annotations uint64 // notes on incidents
	Catalogs    uint64 // catalogues put in force
	Scores      uint64 // scores published
}

// unsettled is a change whose outcome is unknown until head has moved past its base.
type unsettled struct {
	attempt  uint64
	sequence uint64 // of head when it was tried: if it happened, it is the next entry
	entry    JournalEntry
}

// NewControl returns the control of a replica.
func NewControl(ledger Ledger, replica string) *Control {
	c := &Control{ledger: ledger, replica: replica, turn: make(chan struct{}, 1), limit: MaxScopes}
	c.turn <- struct{}{}
	return c
}

// View returns the last view read, nil before the first.
func (c *Control) View() *View { return c.view.Load() }

// Confirmed returns when the ledger last said that View is the newest.
func (c *Control) Confirmed() time.Time { return time.Unix(0, c.seen.Load()).UTC() }

// Counters returns a copy of the counters.
func (c *Control) Counters() ControlCounters {
	c.countersMu.Lock()
	defer c.countersMu.Unlock()
	return c.counters
}

func (c *Control) count(f func(*ControlCounters)) {
	c.countersMu.Lock()
	defer c.countersMu.Unlock()
	f(&c.counters)
}

// Refresh reads the ledger whatever the age of the view.
func (c *Control) Refresh(ctx context.Context, now time.Time) (*View, error) {
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	defer c.unlock()
	return c.read(ctx, now)
}

func (c *Control) lock(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("control: wait for another change: %w", ctx.Err())
	}
}

func (c *Control) unlock() { c.turn <- struct{}{} }

// fresh returns the last view, reading the ledger if that may have changed.
func (c *Control) fresh(ctx context.Context, now time.Time) (*View, error) {
	v := c.view.Load()
	if age := now.Sub(c.readAt); v != nil && !c.stale && !c.signalled() && age >= 0 && age < readInterval {
		return v, nil
	}
	return c.read(ctx, now)
}

func (c *Control) signalled() bool {
	select {
	case <-c.ledger.Changed():
		return true
	default:
		return false
	}
}

func (c *Control) read(ctx context.Context, now time.Time) (*View, error) {
	c.signalled() // what was signalled until now is read now
	c.stale = true
	v, err := c.ledger.Read(ctx)
	c.count(func(n *ControlCounters) {
		n.Reads++
		if err != nil {
			n.ReadErrors++
		}
	})
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	c.view.Store(v)
	c.readAt, c.stale = now, false
	c.seen.Store(now.UnixNano())
	return v, nil
}

// commit makes one attempt. When the outcome is unknown it is remembered until a read tells.
func (c *Control) commit(ctx context.Context, base *View, change Change) (int64, error) {
	c.attempts++
	rev, err := c.ledger.Commit(ctx, change)
	c.stale = c.stale || err != nil
	if errors.Is(err, ErrUnknownOutcome) {
		entry := change.Entry
		entry.RequestID = change.RequestID
		c.unsettled = append(c.unsettled, unsettled{attempt: c.attempts, sequence: base.Head.Sequence, entry: entry})
	}
	c.count(func(n *ControlCounters) {
		switch {
		case err == nil:
			n.Commits++
		case errors.Is(err, ErrConflict):
			n.Conflicts++
		case errors.Is(err, ErrUnknownOutcome):
			n.Unknown++
		case errors.Is(err, ErrNotLeader):
			n.NotLeader++
		default:
			n.Failed++
		}
	})
	if err != nil {
		return 0, fmt.Errorf("control: %w", err)
	}
	return rev, nil
}

// settled is an unsettled change that did happen.
type settled struct {
	attempt uint64
	entry   JournalEntry
}

// settle tells the fate of unsettled changes whose base head has moved past, and forgets them. Those whose base is still the
// head may yet happen, but then nothing else decided on the same base can.
func (c *Control) settle(ctx context.Context, v *View) ([]settled, error) {
	var happened []settled
	var open []unsettled
	for i, u := range c.unsettled {
		if v.Head.Sequence <= u.sequence {
			open = append(open, u)
			continue
		}
		entries, err := c.ledger.Journal(ctx, u.sequence, 1)
		if err != nil {
			c.unsettled = append(open, c.unsettled[i:]...)
			return happened, fmt.Errorf("control: was an unanswered change made: %w", err)
		}
		if len(entries) == 1 && sameChange(&entries[0], &u.entry) {
			happened = append(happened, settled{attempt: u.attempt, entry: entries[0]})
			c.count(func(n *ControlCounters) { n.Settled++ })
		}
	}
	c.unsettled = open
	return happened, nil
}

// sameChange tells whether a stored entry is the one we tried to write: who, when, why and what.
func sameChange(stored, ours *JournalEntry) bool {
	return stored.Author == ours.Author && stored.At == ours.At && stored.Reason == ours.Reason && stored.RequestID == ours.RequestID &&
		len(stored.Incidents) == len(ours.Incidents) && slices.EqualFunc(stored.Moves, ours.Moves, func(a, b Move) bool {
		return a.Before == b.Before && a.After == b.After && a.Reason == b.Reason
	})
}

// RecentCuts returns the automatic entries into DISABLED younger than a minute, by scope: what the cut budget counts. States
// remember them, so that a new leader knows as well.
func RecentCuts(v *View, now time.Time) []statemachine.RecentCut {
	var cuts []statemachine.RecentCut
	at := statemachine.At(now)
	for i := range v.States {
		for _, cut := range v.States[i].Cuts {
			if cut != 0 && at.Sub(cut) < time.Minute {
				cuts = append(cuts, statemachine.RecentCut{Scope: v.States[i].Scope, At: cut})
			}
		}
	}
	return cuts
}
