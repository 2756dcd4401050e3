package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluice-pay/sluice/monitor"
)

// checkpointBudget bounds the storing of one checkpoint, all its parts.
const checkpointBudget = 20 * time.Second

// CheckpointWriter compresses checkpoints and stores them, beside the loop that takes them: a slow store delays no Tick.
type CheckpointWriter struct {
	store   monitor.Checkpoints
	figures Figures
	logger  *slog.Logger
	next    chan monitor.Saved
}

// NewCheckpointWriter returns a writer; nothing is stored until Run.
func NewCheckpointWriter(store monitor.Checkpoints, figures Figures, logger *slog.Logger) *CheckpointWriter {
	return &CheckpointWriter{store: store, figures: figures, logger: logger, next: make(chan monitor.Saved, 1)}
}

// Offer hands a checkpoint over and never waits. One that is still waiting is replaced: it is older. Only one goroutine at a
// time may call it.
func (w *CheckpointWriter) Offer(s monitor.Saved) {
	select {
	case <-w.next:
	default:
	}
	w.next <- s // there is room: nobody else puts
}

// Run stores what is offered until ctx ends. An outage is logged once, when it begins, and once when it is over.
func (w *CheckpointWriter) Run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-w.next:
			err := w.write(ctx, s)
			switch {
			case err == nil && failing:
				w.logger.Info("checkpoints are stored again")
			case err != nil && !failing && ctx.Err() == nil:
				w.logger.Warn("the checkpoint is not stored; a restart would go on from an older one", slog.Any("error", err))
			}
			failing = err != nil
		}
	}
}

func (w *CheckpointWriter) write(ctx context.Context, s monitor.Saved) error {
	ctx, cancel := context.WithTimeout(ctx, checkpointBudget)
	defer cancel()
	return storeCheckpoint(ctx, w.store, w.figures, s)
}
