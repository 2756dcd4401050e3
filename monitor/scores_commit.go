package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrScores is wrapped by the error of a change that mixes scores with something else, or is not fenced.
var ErrScores = errors.New("a change of scores is the leader's and of nothing else")

// checkScores reports whether a change of scores is well formed: fenced, of scores alone and not too large (ErrTooLarge).
func (c *Change) checkScores() error {
	e := &c.Entry
	alone := c.RequestID == "" && len(c.States)+len(c.Incidents) == 0 && c.Catalog == nil && c.Version == "" &&
		e.Author == "" && e.Reason == "" && e.Cause == statemachine.Cause(0) && len(e.Moves)+len(e.Incidents)+len(e.Alerts) == 0
	switch {
	case !alone || !c.Fenced:
		return ErrScores
	case len(c.Scores) > MaxScoresLen:
		return fmt.Errorf("%w: scores of %d bytes, want at most %d", ErrTooLarge, len(c.Scores), MaxScoresLen)
	}
	return nil
}

// PublishScores puts serialised scores beside head, if this replica leads and they differ from those in force, and returns
// the new head revision, 0 if nothing was written. It makes one attempt: after an error (ErrConflict, ErrUnknownOutcome,
// ErrNotLeader) the next publication compares with what is in force then.
func (c *Control) PublishScores(ctx context.Context, scores []byte, now time.Time) (int64, error) {
	if err := c.lock(ctx); err != nil {
		return 0, err
	}
	defer c.unlock()
	view, err := c.fresh(ctx, now)
	if err != nil || view.Leader == 0 || bytes.Equal(view.Scores, scores) {
		return 0, err
	}
	rev, err := c.ledger.Commit(ctx, Change{Base: view.Revision, Fenced: true, Scores: scores})
	c.stale = true
	if err != nil {
		return 0, fmt.Errorf("control: scores: %w", err)
	}
	c.count(func(n *ControlCounters) { n.Scores++ })
	_, err = c.read(ctx, now)
	return rev, err
}
