package server

import (
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lateEvery  = 100 * time.Millisecond
	lateAfter  = 2e-3 // seconds that a goroutine waits for a processor; more is late
	lateShare  = 0.1  // part of them that makes the replica late
	lateLeast  = 50   // of them at least are looked at
	lateMetric = "/sched/latencies:seconds"
)

// lateness tells whether the replica has more to do than its processors can: whether goroutines that could run have to wait.
// Requests under way do not tell, as handlers of a decision are over before the next one is begun. It has no goroutine: a
// request looks, now and then.
type lateness struct {
	due  atomic.Int64 // Unix ns
	late atomic.Bool

	mu     sync.Mutex
	sample [1]metrics.Sample
	before []uint64
}

// now reports whether the replica was late in the last tenth of a second that anybody looked at.
func (l *lateness) now(now time.Time) bool {
	at := now.UnixNano()
	if due := l.due.Load(); at >= due && l.due.CompareAndSwap(due, at+int64(lateEvery)) {
		l.look()
	}
	return l.late.Load()
}

func (l *lateness) look() {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	l.sample[0].Name = lateMetric
	metrics.Read(l.sample[:])
	if l.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return
	}
	h := l.sample[0].Value.Float64Histogram()
	l.late.Store(l.judge(h.Counts, h.Buckets))
}

// judge compares the histogram with the one before; its buckets never change.
func (l *lateness) judge(counts []uint64, bounds []float64) bool {
	first := len(l.before) != len(counts)
	if first {
		l.before = make([]uint64, len(counts))
	}
	all, slow := uint64(0), uint64(0)
	for i, n := range counts {
		all += n - l.before[i]
		if bounds[i] >= lateAfter {
			slow += n - l.before[i]
		}
	}
	copy(l.before, counts)
	return !first && all >= lateLeast && float64(slow) > lateShare*float64(all)
}
