package routing

import (
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Bytes of a shard's ring for each request it keeps, at first and at most, and the least of a ring: any valid request fits.
const (
	recorderFirst = 128
	recorderMost  = 1024
	recorderLeast = 1 << 16
)

// recorderEntryBytes is about what an entry takes.
const recorderEntryBytes = 96

// recorderEntry says where the encoded request of one decision lies.
type recorderEntry struct {
	seq     uint64 // of the recorder; 0 = empty
	id      DecisionID
	payment uint64 // hash of the payment id
	digest  uint64 // of the decision's bytes
	from    uint64 // position of the first byte, counted since the beginning
	size    uint64
}

// recorderShard keeps every 64th request: entries by sequence, bytes in one ring.
type recorderShard struct {
	mu      sync.Mutex
	entries []recorderEntry
	ring    []byte // a power of two long; the byte at position p lies at p mod len
	head    uint64 // position after the newest byte
	most    int    // length beyond which the ring does not grow
	scratch []byte
	crowded uint64
	_       [32]byte // a line of its own for the next shard's lock
}

func (s *recorderShard) init(each int) {
	s.entries = make([]recorderEntry, each)
	s.ring = make([]byte, powerOfTwo(max(recorderLeast, each*recorderFirst)))
	s.most = max(len(s.ring), powerOfTwo(each*recorderMost))
	s.scratch = make([]byte, 0, recorderMost)
}

func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// put keeps a request and the digest of its decision at a place.
func (s *recorderShard) put(at uint64, e *recorderEntry, q *Request, d *Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[at].seq > e.seq { // overtaken by a whole round
		return
	}
	s.scratch = d.AppendBytes(s.scratch[:0])
	e.digest = xxhash.Sum64(s.scratch)
	s.scratch = appendRequest(s.scratch[:0], q)
	e.size = uint64(len(s.scratch))
	oldest := &s.entries[(at+1)%uint64(len(s.entries))]
	if oldest.seq == 0 { // the first round
		oldest = &s.entries[0]
	}
	for s.lives(oldest) && oldest.seq != s.entries[at].seq && s.head+e.size-oldest.from > uint64(len(s.ring)) {
		if len(s.ring) >= s.most {
			s.crowded++
			break
		}
		s.grow()
	}
	if e.size > uint64(len(s.ring)) { // no valid request is so long
		s.crowded++
		return
	}
	e.from = s.head
	n := copy(s.ring[s.head%uint64(len(s.ring)):], s.scratch)
	copy(s.ring, s.scratch[n:])
	s.head += e.size
	s.entries[at] = *e
}

// grow doubles the ring. Every position keeps its byte.
func (s *recorderShard) grow() {
	old := s.ring
	s.ring = make([]byte, 2*len(old))
	n := uint64(len(old))
	for p := s.head - min(s.head, n); p < s.head; {
		from := old[p%n:]
		from = from[:min(uint64(len(from)), s.head-p)]
		copy(s.ring[p%uint64(len(s.ring)):], from)
		p += uint64(len(from))
	}
}

// lives reports whether an entry's bytes are not overwritten yet.
func (s *recorderShard) lives(e *recorderEntry) bool {
	return e.seq > 0 && s.head-e.from <= uint64(len(s.ring))
}

// get copies an entry and its bytes if it is the one of the sequence, and wanted. buf is used where it is large enough.
func (s *recorderShard) get(at, seq uint64, wanted func(recorderEntry) bool, buf []byte) (recorderEntry, []byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.entries[at]
	if e.seq != seq || !s.lives(e) || !wanted(*e) {
		return recorderEntry{}, buf, false
	}
	from := e.from % uint64(len(s.ring))
	buf = append(buf[:0], s.ring[from:min(from+e.size, uint64(len(s.ring)))]...)
	return *e, append(buf, s.ring[:e.size-uint64(len(buf))]...), true
}

// stats adds what the shard holds.
func (s *recorderShard) stats(to *RecorderStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		e := &s.entries[i]
		if !s.lives(e) {
			continue
		}
		to.Requests++
		if to.Oldest == 0 || e.id.Second < to.Oldest {
			to.Oldest = e.id.Second
		}
	}
	to.Bytes += int64(len(s.ring)+cap(s.scratch)) + int64(len(s.entries))*recorderEntryBytes
	to.Crowded += s.crowded
}
