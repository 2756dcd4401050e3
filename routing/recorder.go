package routing

import (
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// Defaults of a Recorder.
const (
	DefaultKeptRequests = 1 << 16 // newest requests
	DefaultKeptTables   = 1 << 8  // newest revisions, whatever they weigh
)

// recorderShards is a power of two. Consecutive decisions go to different shards, so that routers hardly ever meet in one.
const recorderShards = 64

// RecorderOptions bound what a Recorder keeps. Zeros are the defaults.
type RecorderOptions struct {
	Requests int // newest requests, rounded up to a multiple of 64
	Tables   int // newest table revisions that are kept whatever they weigh
	// TableBytes is what all revisions may weigh together for older ones to be kept as well; 0 = 64 MiB, below 0 = nothing.
	TableBytes int64
}

// Recorder keeps the newest requests with what is needed to decide them again, and the tables that decided them. It is safe
// for concurrent use; a nil Recorder keeps nothing.
//
// Requests lie encoded in rings that are allocated once: 128 bytes a request at first, doubled up to 1 KiB a request while
// requests are larger on average (8 to 64 MiB by default, and 6 MiB of positions). Beyond that, old requests go early.
//
// Tables are kept as what changed from one to the next. The promised ones are kept whatever they weigh, further ones, up to
// 4,096 in all, while all together weigh less than 64 MiB; the newest four catalogues are kept compiled, older ones packed.
type Recorder struct {
	next   atomic.Uint64 // sequence of the newest request, from 1
	each   uint64        // requests a shard keeps
	shards [recorderShards]recorderShard
	tables recorderTables
}

// NewRecorder returns a recorder that has kept nothing.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Requests <= 0 {
		o.Requests = DefaultKeptRequests
	}
	if o.Tables <= 0 {
		o.Tables = DefaultKeptTables
	}
	if o.TableBytes == 0 {
		o.TableBytes = tablesBudget
	}
	r := &Recorder{each: uint64((o.Requests + recorderShards - 1) / recorderShards)} //nolint:gosec // above 0
	r.tables.keep, r.tables.budget = o.Tables, o.TableBytes
	for i := range r.shards {
		r.shards[i].init(int(r.each)) //nolint:gosec // from an int
	}
	return r
}

// Keep keeps a request and how it was decided; of one that was answered without a table nothing. It copies what it keeps.
func (r *Recorder) Keep(q *Request, d *Decision) {
	if r == nil || d.table == nil {
		return
	}
	r.tables.seen(d.table)
	e := recorderEntry{seq: r.next.Add(1), id: d.ID, payment: xxhash.Sum64String(q.PaymentID)}
	shard, at := r.place(e.seq)
	shard.put(at, &e, q, d)
}

// KeepTable keeps a table that may have decided nothing yet. Whoever puts tables in force calls it, so that Keep has less to do.
func (r *Recorder) KeepTable(t *Table) {
	if r == nil || t == nil {
		return
	}
	r.tables.seen(t)
	r.tables.fold()
}

// place is where the request of a sequence lies.
func (r *Recorder) place(seq uint64) (shard *recorderShard, at uint64) {
	return &r.shards[(seq-1)%recorderShards], (seq - 1) / recorderShards % r.each
}

// Recent yields the requests that are kept, newest first, with the second they were decided in and what live counters said,
// until yield returns false. The request is valid until yield returns; its strings may be kept.
func (r *Recorder) Recent(yield func(q *Request, second int64, a Admission) bool) {
	r.walk(func(recorderEntry) bool { return true }, func(k *Kept) bool {
		return yield(&k.Request, k.ID.Second, k.ID.Admission)
	})
}

// Find returns the newest request that was decided with an id.
func (r *Recorder) Find(id DecisionID) (Kept, bool) {
	var found Kept
	ok := false
	r.walk(func(e recorderEntry) bool { return e.id == id }, func(k *Kept) bool {
		found, ok = *k, true
		return false
	})
	return found, ok
}

// FindPayment returns the decisions for a payment, newest first, at most so many; the requests do not share memory.
func (r *Recorder) FindPayment(payment string, most int) []Kept {
	hash := xxhash.Sum64String(payment)
	var found []Kept
	r.walk(func(e recorderEntry) bool { return e.payment == hash }, func(k *Kept) bool {
		if k.Request.PaymentID == payment && len(found) < most {
			found = append(found, *k)
			k.Request = Request{} // its lists are the caller's now
		}
		return len(found) < most
	})
	return found
}

// walk yields what is kept of the requests that are wanted, newest first. Kept is used again for the next.
func (r *Recorder) walk(wanted func(recorderEntry) bool, yield func(*Kept) bool) {
	if r == nil {
		return
	}
	var k Kept
	var buf []byte
	newest := r.next.Load()
	oldest := uint64(1)
	if kept := r.each * recorderShards; newest > kept {
		oldest = newest - kept + 1
	}
	for seq := newest; seq >= oldest; seq-- {
		shard, at := r.place(seq)
		e, data, ok := shard.get(at, seq, wanted, buf)
		if buf = data; !ok {
			continue
		}
		if err := decodeRequest(data, &k.Request); err != nil {
			continue // cannot be: it was encoded here
		}
		k.ID, k.Digest = e.id, e.digest
		if !yield(&k) {
			return
		}
	}
}

// Table returns the table of a revision, nil if it is not kept. It is made again from what is kept: this is for people who ask,
// not for every decision.
func (r *Recorder) Table(rev Revision) *Table {
	if r == nil {
		return nil
	}
	return r.tables.find(rev)
}

// Kept is what a Recorder keeps of one decision.
type Kept struct {
	Request Request
	ID      DecisionID
	Digest  uint64 // of the decision's bytes, see Decision.Digest
}

// RecorderStats say how much a Recorder holds.
type RecorderStats struct {
	Requests   int      // that can be replayed if their table is kept
	Capacity   int      // most of them
	Oldest     int64    // second, Unix, of the oldest of them; 0 = there is none
	Tables     int      // revisions
	OldestRev  Revision // oldest of them
	NewestRev  Revision
	Bytes      int64  // memory of the rings
	TableBytes int64  // memory of the revisions, about; compiled catalogues apart
	Crowded    uint64 // requests that went early, or were never kept, because requests are too large
}

// Full reports whether requests have been displaced.
func (s *RecorderStats) Full() bool { return s.Requests >= s.Capacity || s.Crowded > 0 }

// Stats counts what is kept. It looks at every request: it is for people and metrics, not for every decision.
func (r *Recorder) Stats() RecorderStats {
	var s RecorderStats
	if r == nil {
		return s
	}
	for i := range r.shards {
		r.shards[i].stats(&s)
	}
	s.Capacity = int(r.each) * recorderShards //nolint:gosec // from an int
	r.tables.stats(&s)
	return s
}
