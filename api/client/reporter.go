package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Reporter delivers results to the replicas. It keeps each report until a replica says that it is published, sends it again
// over another stream if that breaks first, and never has it counted twice: replicas know an attempt by its id. Memory and file
// are bounded, and every report that is dropped is counted. What a process held in memory when it was killed without a Close is
// lost: without an outage that is about what was reported in the last two seconds. It is safe for concurrent use.
type Reporter struct {
	cfg    ReporterConfig
	stub   sluicev1.RoutingServiceClient
	logger *slog.Logger
	now    func() time.Time
	trace  Trace // nil = none

	observe   func(*sluicev1.Report)          // told every valid report before it is taken; nil = nobody
	decisions func() *sluicev1.LocalDecisions // what a local-first client decided, a second at a time; nil = nothing
	grant     func([]*sluicev1.ProbeGrant)    // told what acknowledgements grant; nil = nobody

	queue queue
	spill *spill        // nil = no file
	wake  chan struct{} // there may be something to send
	tidy  chan struct{} // there may be something to do on the file

	stop   context.CancelFunc
	work   sync.WaitGroup
	ending sync.Mutex
	ended  bool
	result error
}

// Reporter returns a reporter that delivers to the client's replicas, and begins with what an earlier one left in the file.
// Closing the client closes it. The error wraps ErrConfig, or ErrReporterClosed if the client is closed.
func (c *Client) Reporter(cfg ReporterConfig) (*Reporter, error) {
	if c.stub == nil {
		return nil, fmt.Errorf("%w: Target: want the address of the replicas to report to", ErrConfig)
	}
	if c.ctx.Err() != nil {
		return nil, fmt.Errorf("%w: its client is closed", ErrReporterClosed)
	}
	r := &Reporter{
		cfg: cfg, stub: c.stub, logger: c.cfg.Logger, now: c.cfg.now, trace: c.cfg.Trace,
		observe: c.observe, decisions: c.takeDecisions, grant: c.grant,
	}
	if err := r.start(c.ctx); err != nil {
		return nil, err
	}
	c.onClose(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), r.cfg.FlushTimeout)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			c.cfg.Logger.Warn("the reporter was closed", slog.Any("error", err))
		}
	})
	return r, nil
}

// start completes a reporter and begins its work, which ends with ctx at the latest.
func (r *Reporter) start(ctx context.Context) error {
	if err := r.cfg.complete(); err != nil {
		return err
	}
	r.queue.maxReports, r.queue.maxBytes, r.queue.maxBatch = r.cfg.MaxReports, r.cfg.MaxBytes, r.cfg.MaxBatch
	r.queue.alive = r.now()
	r.wake, r.tidy = make(chan struct{}, 1), make(chan struct{}, 1)
	if r.cfg.File != "" {
		s, f, err := openSpill(r.cfg.File, r.cfg.SpillBytes)
		if err != nil {
			return fmt.Errorf("%w: File %s: %w", ErrConfig, r.cfg.File, err)
		}
		r.spill = s
		n := &r.queue.stats
		n.Replayed, n.Spilled = uint64(f.reports), uint64(f.reports)   //nolint:gosec // numbers of things
		n.Torn, n.SpillBytes = uint64(f.torn), uint64(max(s.bytes, 0)) //nolint:gosec // numbers of things
		r.logger.Info("reports of an earlier process", slog.Int("reports", f.reports), slog.Int("torn_files", f.torn))
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.work.Go(func() { r.run(ctx) })
	if r.spill != nil {
		r.work.Go(func() { r.keep(ctx) })
	}
	return nil
}

// Report hands over a result. The message is encoded before Report returns and may be used again. A nil error means that the
// reporter has it, not that a replica does. It does not block, unless ReporterConfig.Wait is set and the reporter is full.
// Errors wrap ErrReport, ErrReporterFull or ErrReporterClosed; with each the report is dropped and counted as that.
func (r *Reporter) Report(ctx context.Context, m *sluicev1.Report) error {
	if r.trace == nil {
		return r.report(ctx, m)
	}
	ctx, end := r.trace(ctx, "Report")
	err := r.report(ctx, m)
	end(nil, err)
	return err
}

func (r *Reporter) report(ctx context.Context, m *sluicev1.Report) error {
	size := proto.Size(m)
	switch {
	case m == nil:
		r.queue.drop(invalidReport)
		return fmt.Errorf("%w: want a report", ErrReport)
	case m.GetAttemptId() == "":
		r.queue.drop(invalidReport)
		return fmt.Errorf("%w: attempt_id: want the id given out with the decision, or an own unique one", ErrReport)
	case size > maxReport:
		r.queue.drop(invalidReport)
		return fmt.Errorf("%w: want at most %d bytes, it has %d", ErrReport, maxReport, size)
	}
	if r.observe != nil {
		r.observe(m)
	}
	for {
		n, full, err := r.queue.add(m, size)
		if n.wake {
			nudge(r.wake)
		}
		if n.tidy && r.spill != nil {
			nudge(r.tidy)
		}
		switch {
		case err == nil:
			return nil
		case full == nil:
			r.queue.drop(reasonOf(err))
			return err
		case !r.cfg.Wait:
			r.queue.drop(reasonOf(err))
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
			r.queue.drop(reasonOf(err))
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

func invalidReport(d *ReporterDrops) *uint64 { return &d.Invalid }

func reasonOf(err error) func(*ReporterDrops) *uint64 {
	switch {
	case errors.Is(err, ErrReporterFull):
		return func(d *ReporterDrops) *uint64 { return &d.Full }
	case errors.Is(err, ErrReporterClosed):
		return func(d *ReporterDrops) *uint64 { return &d.Closed }
	}
	return invalidReport
}

// Stats returns the books.
func (r *Reporter) Stats() ReporterStats { return r.queue.snapshot() }

// Flush waits until everything handed over before, and everything in the file, is published, or ctx ends.
func (r *Reporter) Flush(ctx context.Context) error {
	return r.drain(ctx, true)
}

func (r *Reporter) drain(ctx context.Context, filed bool) error {
	r.queue.press(1)
	defer r.queue.press(-1)
	for {
		moved := r.queue.empty(filed)
		if moved == nil {
			return nil
		}
		nudge(r.wake)
		select {
		case <-moved:
		case <-ctx.Done():
			s := r.Stats()
			return fmt.Errorf("%d reports are not published yet: %w", s.Held+s.Spilled, context.Cause(ctx))
		}
	}
}

// Close takes no more reports, delivers what memory holds until ctx ends, and puts the rest into the file for the next
// reporter. Without a file, or when it has no room, the rest is dropped and counted, and the error wraps ErrUndelivered.
func (r *Reporter) Close(ctx context.Context) error {
	r.ending.Lock()
	defer r.ending.Unlock()
	if r.ended {
		return r.result
	}
	r.ended = true
	r.queue.shut()
	_ = r.drain(ctx, false) // what is left is dealt with below
	r.stop()
	r.work.Wait()
	r.queue.lost()
	var wrong []error
	if r.spill != nil {
		r.file(true)
		wrong = append(wrong, r.spill.tidy(r.queue.settled), r.spill.close())
	}
	if n := r.queue.abandon(); n > 0 {
		wrong = append(wrong, fmt.Errorf("%w: %d of them", ErrUndelivered, n))
	}
	r.result = errors.Join(wrong...)
	return r.result
}

// abandon drops what is left in memory and returns how many reports that were; those that lie in the file stay there.
func (q *queue) abandon() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.ready
	if q.open != nil {
		left = append(left, q.open)
	}
	q.ready, q.open = nil, nil
	for _, b := range left {
		if b.from != nil {
			q.stats.Spilled += b.count()
		} else {
			q.stats.Dropped.Closed += b.count()
			dropped += b.len()
		}
		q.release(b)
	}
	return dropped
}
