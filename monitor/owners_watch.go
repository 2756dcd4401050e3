package monitor

import (
	"fmt"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Watchers are what tells people of things that cut nothing: bursts of declines and accounts that their channel refuses.
type Watchers struct {
	declines *Declines
	owners   *Owners
}

// NewWatchers returns watchers that have seen nothing.
func NewWatchers() *Watchers { return &Watchers{declines: NewDeclines(), owners: NewOwners()} }

// Observe takes the sum of one sealed second, in order of time, and returns what is to be told.
func (w *Watchers) Observe(sum *SecondCounts, f *statemachine.Fleet) []statemachine.Alert {
	return slices.Concat(w.declines.Observe(sum, f), w.owners.Observe(sum, f))
}

// Checkpoint returns what a restart needs to go on, packed.
func (w *Watchers) Checkpoint() []byte {
	p := packer{[]byte{packVersion}}
	p.string(string(w.declines.Checkpoint()))
	p.string(string(w.owners.Checkpoint()))
	return p.b
}

// Restore takes back what Checkpoint returned. On an error, which wraps ErrPacked, nothing changes.
func (w *Watchers) Restore(b []byte) error {
	u, fresh := &unpacker{b: b}, NewWatchers()
	u.version()
	declines, owners := u.string(), u.string()
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the watchers: %w", err)
	}
	if err := fresh.declines.Restore([]byte(declines)); err != nil {
		return err
	}
	if err := fresh.owners.Restore([]byte(owners)); err != nil {
		return err
	}
	*w = *fresh
	return nil
}
