package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-pay/sluice/monitor"
)

const (
	// seriesQueue is how many seconds wait to be written; past it the oldest is dropped: the newest matters most.
	seriesQueue = 16
	// seriesBudget bounds the writing of one second, so that a store that hangs holds up no more than the seconds behind it.
	seriesBudget = time.Second
)

// SeriesWriter writes sealed seconds to a series, beside the loop that judges them: a slow store delays no Tick.
type SeriesWriter struct {
	series monitor.Series
	logger *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	queue []*monitor.SecondCounts // oldest first

	written, failed, dropped atomic.Uint64
}

// SeriesCounters are what became of the sealed seconds that a SeriesWriter was offered.
type SeriesCounters struct {
	Written uint64 // whole
	Failed  uint64 // with an error; a part may have been written
	Dropped uint64 // because newer ones were waiting
}

// NewSeriesWriter returns a writer; nothing is written until Run.
func NewSeriesWriter(series monitor.Series, logger *slog.Logger) *SeriesWriter {
	return &SeriesWriter{series: series, logger: logger, wake: make(chan struct{}, 1)}
}

// Offer hands a sealed second over and never waits. The counts must not change any more.
func (w *SeriesWriter) Offer(sum *monitor.SecondCounts) {
	w.mu.Lock()
	if len(w.queue) >= seriesQueue {
		w.queue = append(w.queue[:0], w.queue[1:]...)
		w.dropped.Add(1)
	}
	w.queue = append(w.queue, sum)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// Counters returns what became of the seconds so far.
func (w *SeriesWriter) Counters() SeriesCounters {
	return SeriesCounters{Written: w.written.Load(), Failed: w.failed.Load(), Dropped: w.dropped.Load()}
}

// Run writes what is offered until ctx ends, then what is still waiting, within one more budget. An outage is logged once,
// when it begins, and once when it is over.
func (w *SeriesWriter) Run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), seriesBudget)
			defer cancel()
			w.drain(rest, &failing)
			return
		case <-w.wake:
			w.drain(ctx, &failing)
		}
	}
}

// drain writes what is waiting.
func (w *SeriesWriter) drain(ctx context.Context, failing *bool) {
	for sum := w.next(); sum != nil && ctx.Err() == nil; sum = w.next() {
		err := w.write(ctx, sum)
		switch {
		case err == nil && *failing:
			w.logger.Info("the series is written again", slog.Uint64("seconds_lost", w.failed.Load()+w.dropped.Load()))
		case err != nil && !*failing && ctx.Err() == nil:
			w.logger.Warn("the series is not written; decisions do not depend on it", slog.Any("error", err))
		}
		*failing = err != nil
	}
}

func (w *SeriesWriter) next() *monitor.SecondCounts {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	sum := w.queue[0]
	w.queue = append(w.queue[:0], w.queue[1:]...)
	return sum
}

func (w *SeriesWriter) write(ctx context.Context, sum *monitor.SecondCounts) error {
	ctx, cancel := context.WithTimeout(ctx, seriesBudget)
	defer cancel()
	err := w.series.Write(ctx, sum)
	if err != nil {
		w.failed.Add(1)
		return err //nolint:wrapcheck // it names the second
	}
	w.written.Add(1)
	return nil
}
