package etcdstore

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-pay/sluice/routing"
)

// Pauses of a Publisher.
const (
	RenewEvery = 30 * time.Second // between manifests while nothing changes: half of what readers may count on
	retryAfter = time.Second      // after a failed write
)

// PublisherStats are the figures of a Publisher.
type PublisherStats struct {
	Pushed   uint64        // snapshots and renewals stored
	Failed   uint64        // writes that failed
	Revision int64         // of the table last stored
	Written  time.Time     // its write time
	Took     time.Duration // the last write
}

// Publisher stores the newest table as a snapshot while its replica leads. Publish never waits: what the memory holds is never
// kept waiting by etcd, and of several tables only the newest is stored.
type Publisher struct {
	writer *Writer
	logger *slog.Logger

	wake chan struct{}

	mu     sync.Mutex
	offer  offer
	stored routing.Stamp // what this replica stored last, in the life of lead
	lead   int64
	stats  PublisherStats
}

// offer is the newest table, and when the ledger last confirmed it as current.
type offer struct {
	table     *routing.Table
	confirmed time.Time
	leader    int64
}

// NewPublisher returns a publisher; Run does its work. A nil logger discards.
func NewPublisher(w *Writer, logger *slog.Logger) *Publisher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Publisher{writer: w, logger: logger, wake: make(chan struct{}, 1)}
}

// Publish offers the table in force. confirmed is when the ledger last confirmed it as current, leader the CreateRevision of
// this replica's leader key, 0 = it does not lead and nothing is stored. Call it whenever one of them may have changed.
func (p *Publisher) Publish(table *routing.Table, confirmed time.Time, leader int64) {
	p.mu.Lock()
	p.offer = offer{table, confirmed, leader}
	_, due := p.due()
	p.mu.Unlock()
	if due {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// due returns what to store now: a table that is not stored yet, or a renewal after a while. Call it with the lock held.
func (p *Publisher) due() (offer, bool) {
	o := p.offer
	if o.table == nil || o.leader == 0 {
		return o, false
	}
	if o.leader != p.lead || o.table.Revision() != p.stored.Revision {
		return o, true
	}
	return o, o.confirmed.Sub(p.stored.Written) >= RenewEvery
}

// Stats returns the figures so far.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run stores what is offered until ctx ends. Errors are logged and tried again; the newest table wins.
func (p *Publisher) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for {
			p.mu.Lock()
			o, due := p.due()
			p.mu.Unlock()
			if !due {
				break
			}
			if err := p.store(ctx, o); err != nil {
				if ctx.Err() != nil {
					return
				}
				p.logger.LogAttrs(ctx, slog.LevelWarn, "the snapshot was not stored", slog.Int64("revision", o.table.Revision().Revision), slog.Any("error", err))
				if !pause(ctx, retryAfter) {
					return
				}
			}
		}
	}
}

// store writes one table.
func (p *Publisher) store(ctx context.Context, o offer) error {
	begin := time.Now()
	err := p.writer.Push(ctx, routing.NewSnapshot(o.table, p.writer.environment, o.confirmed), o.leader)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Took = time.Since(begin)
	if err != nil {
		p.stats.Failed++
		return err
	}
	p.lead, p.stored = o.leader, routing.Stamp{Revision: o.table.Revision(), Written: o.confirmed}
	p.stats.Pushed++
	p.stats.Revision, p.stats.Written = o.table.Revision().Revision, o.confirmed
	return nil
}

// pause waits, and reports whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
