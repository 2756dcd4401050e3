package client

import (
	"slices"
	"sync"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	window     = 6 // batches on their way to a replica that it has not acknowledged; it tells at least 8 apart
	freeLists  = 8 // batches whose memory is kept for the next ones
	relieveAt  = 3 // of pressureOf: more held, and the file is asked to help
	relievedAt = 2
	pressureOf = 4
)

// queue holds reports from the hand-over until they are published, and keeps the books. A report is in exactly one place: the
// open batch, one that is ready, one that is flying, one that is being written to the file, or the file.
type queue struct {
	maxReports, maxBytes, maxBatch int

	mu      sync.Mutex
	open    *batch   // being filled
	ready   []*batch // to be sent, oldest first
	flying  []*batch // sent on the stream in use, by sequence
	free    []*batch
	reports int // in memory
	bytes   int
	unacked int // flying and not acknowledged
	loaded  int // reports in memory that lie in the file as well
	closed  bool
	hurry   int           // who waits for an empty queue; the open batch is sent at once
	moved   chan struct{} // closed at the next release of memory; nil = nobody waits
	alive   time.Time     // last sign of life from a replica while there is something to deliver
	quiet   time.Time     // since when nothing was acknowledged that should be
	stats   ReporterStats
}

// notes tell what an addition calls for.
type notes struct {
	wake bool // the sender
	tidy bool // the keeper of the file
}

// add takes a report. When there is no room, it returns what to wait on, with the report neither taken nor counted.
func (q *queue) add(m *sluicev1.Report, size int) (n notes, full <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	frame := frameSize(size)
	if q.closed {
		return notes{}, nil, ErrReporterClosed
	}
	if q.reports+1 > q.maxReports || q.bytes+frame > q.maxBytes {
		if q.moved == nil {
			q.moved = make(chan struct{})
		}
		return notes{wake: true, tidy: true}, q.moved, ErrReporterFull
	}
	if q.open == nil {
		q.open = q.fresh()
	}
	b := q.open
	before := b.size()
	if err := b.add(m, size); err != nil {
		return notes{}, nil, err
	}
	q.stats.Attempts++
	q.reports++
	q.bytes += b.size() - before
	n.wake = b.len() == 1
	if b.len() >= q.maxBatch || len(b.frames) >= fullBatch {
		q.ready = append(q.ready, b)
		q.open, n.wake = nil, true
	}
	n.tidy = q.pressed(relieveAt)
	return n, nil, nil
}

func (q *queue) fresh() *batch {
	if n := len(q.free); n > 0 {
		b := q.free[n-1]
		q.free = q.free[:n-1]
		return b
	}
	return &batch{}
}

// pressed reports whether more than so many quarters of the memory are in use.
func (q *queue) pressed(quarters int) bool {
	return q.reports > q.maxReports/pressureOf*quarters || q.bytes > q.maxBytes/pressureOf*quarters
}

// drop counts a report that was handed over and not taken.
func (q *queue) drop(reason func(*ReporterDrops) *uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Attempts++
	*reason(&q.stats.Dropped)++
}

// next returns the batch to send now, nil if there is none, and whether the open one waits for more. ripe says that it has
// waited long enough.
func (q *queue) next(ripe bool, sequence uint64) (b *batch, waiting bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unacked >= window {
		return nil, false
	}
	switch {
	case len(q.ready) > 0:
		b = q.ready[0]
		q.ready = slices.Delete(q.ready, 0, 1)
	case q.open != nil && q.open.len() > 0 && (ripe || q.hurry > 0):
		b, q.open = q.open, nil
	default:
		return nil, q.open != nil && q.open.len() > 0
	}
	b.sequence, b.acked, b.fate, b.sending = sequence, false, fate{}, true
	q.flying = append(q.flying, b)
	q.unacked++
	q.stats.Sent += b.count()
	if b.sends > 0 {
		q.stats.Resent += b.count()
	}
	b.sends++
	return b, false
}

// sent takes note that the stream has read a batch.
func (q *queue) sent(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.sending = false
}

// lost takes back what was sent on a stream that broke: all of it is sent again.
func (q *queue) lost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append(q.flying, q.ready...)
	q.flying, q.unacked, q.quiet = nil, 0, time.Time{}
}

// acknowledge takes what a replica says. It returns the batches that are published, to be settled, and whether the refusals are
// of decisions.
func (q *queue) acknowledge(m *sluicev1.StreamResultsResponse, now time.Time) (published []*batch, ofDecisions bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alive = now
	left := m.GetCounts()
	counted := fate{
		applied:  uint64(left.GetApplied()) + uint64(left.GetCorrected()) + uint64(left.GetDuplicate()),
		rejected: uint64(left.GetRejected()), late: uint64(left.GetLate()),
	}
	ofDecisions = len(m.GetRejections()) > 0
	for _, b := range q.flying {
		if b.sequence > m.GetSequence() {
			break
		}
		if b.acked {
			continue
		}
		b.acked = true
		q.unacked--
		b.fate = counted.take(b.count())
		if b.sequence == m.GetSequence() {
			b.fate.rejections, ofDecisions = m.GetRejections(), false
		}
	}
	n := 0
	for n < len(q.flying) && q.flying[n].acked && q.flying[n].sequence <= m.GetPublishedThrough() {
		n++
	}
	published = slices.Clone(q.flying[:n])
	q.flying = slices.Delete(q.flying, 0, n)
	return published, ofDecisions
}

// take splits off what became of so many reports. An acknowledgement is of one batch, or of all since the last one.
func (f *fate) take(n uint64) fate {
	var out fate
	out.applied = min(n, f.applied)
	out.rejected = min(n-out.applied, f.rejected)
	out.late = min(n-out.applied-out.rejected, f.late)
	f.applied -= out.applied
	f.rejected -= out.rejected
	f.late -= out.late
	return out
}

// settle books a published batch and frees its memory.
func (q *queue) settle(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Applied += b.fate.applied
	q.stats.Dropped.Rejected += b.fate.rejected
	q.stats.Dropped.Late += b.fate.late
	q.stats.Dropped.Unexplained += b.count() - b.fate.applied - b.fate.rejected - b.fate.late
	q.release(b)
}

// release frees the memory of a batch that is in no list any more.
func (q *queue) release(b *batch) {
	q.reports -= b.len()
	q.bytes -= b.size()
	if b.from != nil {
		q.loaded -= b.len()
		b.from.outstanding--
	} else if !b.sending && len(q.free) < freeLists && cap(b.frames) <= 2*fullBatch {
		b.reset()
		q.free = append(q.free, b)
	}
	q.stir()
}

// stir wakes who waits for room or for an empty queue.
func (q *queue) stir() {
	if q.moved != nil {
		close(q.moved)
		q.moved = nil
	}
}

// empty returns nil when everything in memory was delivered, else what to wait on.
func (q *queue) empty(filed bool) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reports == 0 && (!filed || q.stats.Spilled == 0) {
		return nil
	}
	if q.moved == nil {
		q.moved = make(chan struct{})
	}
	return q.moved
}

// press makes the sender hurry while someone waits.
func (q *queue) press(by int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurry += by
}

// shut refuses all further reports.
func (q *queue) shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.stir()
}

// snapshot returns the books.
func (q *queue) snapshot() ReporterStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	// What lies in the file as well counts as held.
	s.Held, s.HeldBytes = uint64(q.reports), uint64(q.bytes) //nolint:gosec // never below 0
	return s
}

// note changes the figures.
func (q *queue) note(do func(*ReporterStats)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	do(&q.stats)
}
