package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	checkpointEvery = 60 // seconds
	checkpointName  = "detector"
	rebuildBudget   = 5 * time.Second // for reading what the exchange kept
	clockSlack      = 5               // seconds that a checkpoint may be ahead of our clock
)

// checkpoint takes a checkpoint once a minute while this replica leads. Whatever becomes of it is no matter of the Tick.
func (n *Node) checkpoint(ctx context.Context, now time.Time) {
	store, ok := n.cfg.Ledger.(monitor.Checkpoints)
	if !ok || n.control.View().Leader == 0 || n.pipeline.Observed() == 0 || now.Unix()-n.saved < checkpointEvery {
		return
	}
	n.saved = now.Unix()
	if n.cfg.OnCheckpoint != nil {
		n.cfg.OnCheckpoint(n.taken(now))
		return
	}
	if err := storeCheckpoint(ctx, store, n.cfg.Figures, n.taken(now)); err != nil {
		n.cfg.Logger.Warn("the checkpoint was not stored", slog.Any("error", err))
	}
}

func storeCheckpoint(ctx context.Context, store monitor.Checkpoints, figures Figures, s monitor.Saved) error {
	size, err := s.SaveIn(ctx, store, checkpointName)
	if err != nil {
		figures.CheckpointFailed()
		return fmt.Errorf("store the checkpoint: %w", err)
	}
	figures.Checkpoint(s.At.Time(), size)
	return nil
}

func (n *Node) taken(now time.Time) monitor.Saved {
	return monitor.Saved{At: statemachine.At(now), Second: n.pipeline.Observed(), Data: monitor.JoinCheckpoint(n.pipeline.Checkpoint(), n.quotas.Checkpoint())}
}

// Close stores a last checkpoint if this replica leads, so that a restart goes on from here. Call it after the last Tick.
func (n *Node) Close(ctx context.Context, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	store, ok := n.cfg.Ledger.(monitor.Checkpoints)
	if !ok || n.control.View() == nil || n.control.View().Leader == 0 || n.pipeline.Observed() == 0 {
		return nil
	}
	return storeCheckpoint(ctx, store, n.cfg.Figures, n.taken(now))
}

// restore takes back the last checkpoint. Without one, or with one that is damaged, of another layout or from the future,
// the detector starts with what the exchange kept.
func (n *Node) restore(ctx context.Context, now time.Time) {
	n.sealed = now.Unix() - 1 - catchUp
	store, ok := n.cfg.Ledger.(monitor.Checkpoints)
	if !ok {
		return
	}
	saved, size, err := monitor.LoadSaved(ctx, store, checkpointName)
	if err == nil && saved != nil {
		if saved.Second > now.Unix()+clockSlack {
			err = fmt.Errorf("%w: it ends at second %d, now is %d", monitor.ErrPacked, saved.Second, now.Unix())
		} else {
			err = n.takeBack(saved.Data)
		}
	}
	switch {
	case err != nil:
		n.cfg.Logger.Warn("the checkpoint is not used: what was learned is learned anew", slog.Any("error", err))
	case saved != nil:
		n.sealing.at, n.sealed = saved.Second, max(n.sealed, saved.Second)
		n.cfg.Figures.Checkpoint(saved.At.Time(), size)
		n.cfg.Logger.Info("checkpoint restored", slog.Int64("behind_seconds", now.Unix()-saved.Second), slog.Int("bytes", size))
	}
}

// takeBack restores what the detector learned and what of quotas is used; the one does not hang on the other.
func (n *Node) takeBack(data []byte) error {
	pipeline, quotas := monitor.SplitCheckpoint(data)
	var err error
	if quotas != nil {
		err = n.quotas.Restore(quotas)
	}
	return errors.Join(err, n.pipeline.Restore(pipeline))
}

// rebuild lets the pipeline see the seconds since the checkpoint as far as the exchange kept them. What follows from them was
// or will be done by the leader of that time; nothing is submitted. A second without rows is missing, and the detector knows.
func (n *Node) rebuild(ctx context.Context, now time.Time) {
	if n.cfg.Budget >= 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, rebuildBudget)
		defer cancel()
	}
	last, newest := now.Add(-n.cfg.Grace).Unix()-1, now.Unix()-1
	fleet, look := n.fleet(now), lookout{exchange: n.cfg.Exchange}
	for s := n.sealed + 1; s <= last; s++ {
		rows, err := n.kept(ctx, &look, s, newest)
		if err != nil {
			n.cfg.Logger.Warn("the seconds since the checkpoint are not all there", slog.Int64("from_second", s), slog.Any("error", err))
			break
		}
		if len(rows) > 0 {
			n.see(s, rows, fleet, false)
		}
	}
	n.sealed = max(n.sealed, last)
}

// kept returns the rows that made up a past second, none if they are gone.
func (n *Node) kept(ctx context.Context, look *lookout, second, newest int64) ([]*monitor.Row, error) {
	rows, err := look.read(ctx, second)
	if err != nil || len(rows) == 0 || n.cfg.Grace <= 0 {
		return rows, err
	}
	named, known, err := look.named(ctx, second, newest)
	if err != nil || !known {
		return rows, err
	}
	rows, err = look.only(ctx, second, named)
	if errors.Is(err, errNoSignal) {
		return nil, nil
	}
	return rows, err
}
