package client

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// look is how often the keeper looks whether an outage lasts.
const look = time.Second

// evict takes a batch out of memory for the file: under pressure the oldest that is not on its way, then the oldest that was
// acknowledged and waits to be published; everything in an outage. It stays in the books as held until evicted or putBack.
func (q *queue) evict(everything bool) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !everything && !q.pressed(relievedAt) {
		return nil
	}
	own := func(b *batch) bool { return b.from == nil }
	if i := slices.IndexFunc(q.ready, own); i >= 0 {
		b := q.ready[i]
		q.ready = slices.Delete(q.ready, i, i+1)
		return b
	}
	i := slices.IndexFunc(q.flying, func(b *batch) bool { return own(b) && !b.sending && (b.acked || everything) })
	if i >= 0 {
		b := q.flying[i]
		q.flying = slices.Delete(q.flying, i, i+1)
		if !b.acked {
			q.unacked--
		}
		return b
	}
	if b := q.open; b != nil && b.len() > 0 {
		q.open = nil
		return b
	}
	return nil
}

// evicted books a batch that was taken out and written.
func (q *queue) evicted(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Spilled += b.count()
	q.release(b)
}

// putBack returns a batch that could not be written.
func (q *queue) putBack(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = slices.Insert(q.ready, 0, b)
}

// hungry reports whether there is room for a batch from the file. What comes from there never takes more than a quarter.
func (q *queue) hungry() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && q.stats.Spilled > 0 && !q.pressed(1) && q.loaded <= q.maxReports/pressureOf-min(q.maxBatch, q.maxReports/pressureOf)
}

// load takes a batch from the file; reports of it that are lost are counted.
func (q *queue) load(b *batch, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	gone := min(uint64(lost), q.stats.Spilled) //nolint:gosec // never below 0
	q.stats.Spilled -= gone
	q.stats.Dropped.Damaged += gone
	if b == nil {
		q.stir()
		return
	}
	q.stats.Spilled -= min(b.count(), q.stats.Spilled)
	q.ready = append(q.ready, b)
	q.reports += b.len()
	q.bytes += b.size()
	q.loaded += b.len()
	b.from.outstanding++
}

// outage reports whether replicas have given no sign of life for so long while there was something to deliver.
func (q *queue) outage(now time.Time, after time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reports == 0 {
		q.alive = now
		return false
	}
	return now.Sub(q.alive) >= after
}

// settled reports whether nothing read from a file waits to be delivered.
func (q *queue) settled(g *segment) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return g.outstanding == 0
}

// keep works on the file until ctx ends.
func (r *Reporter) keep(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if r.queue.outage(r.now(), r.cfg.SpillAfter) {
			r.file(true)
		} else {
			r.file(false)
			r.refill()
		}
		r.note(r.spill.tidy(r.queue.settled))
		select {
		case <-ctx.Done():
			return
		case <-r.tidy:
		case <-ticker.C:
		}
	}
}

// file writes batches to the file: everything, or as many as relieve the memory.
func (r *Reporter) file(everything bool) {
	for b := r.queue.evict(everything); b != nil; b = r.queue.evict(everything) {
		if err := r.spill.write(b); err != nil {
			r.queue.putBack(b)
			r.note(err)
			return
		}
		r.queue.evicted(b)
	}
}

// refill takes batches from the file while there is room.
func (r *Reporter) refill() {
	woken := false
	for r.queue.hungry() {
		b, lost, err := r.spill.next()
		r.queue.load(b, lost)
		r.note(err)
		if b == nil {
			break
		}
		woken = true
	}
	if woken {
		nudge(r.wake)
	}
}

// note counts and logs an error of the file.
func (r *Reporter) note(err error) {
	r.queue.note(func(s *ReporterStats) {
		s.SpillBytes = uint64(max(r.spill.bytes, 0))
		if err != nil {
			s.SpillFails++
		}
	})
	if err != nil {
		r.logger.Warn("the file of the reporter", slog.Any("error", err))
	}
}
