package server

import (
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Defaults of the limits of one caller and one listener.
const (
	DefaultPerSecond      = 50_000 // RPCs and batches a second of one identity
	DefaultMaxStreams     = 1024   // streams of one identity at once
	DefaultMaxConnections = 4096   // of one listener
)

// ErrLimit is wrapped by errors about limits that make no sense.
var ErrLimit = errors.New("invalid limit")

// streamRetry is when a caller with too many streams may ask again.
const streamRetry = time.Second

// bucket is a token bucket kept as one number: when the next token would be due if all taken so far had been taken evenly
// (the generic cell rate algorithm of ATM, ITU-T I.371). It is safe for concurrent use.
type bucket struct {
	interval  int64 // ns a token; 0 = no limit
	tolerance int64 // ns that callers may be ahead: the burst
	due       atomic.Int64
}

func newBucket(perSecond float64, burst int) *bucket {
	if perSecond <= 0 {
		return &bucket{}
	}
	b := &bucket{interval: max(1, int64(float64(time.Second)/perSecond))}
	if burst <= 0 {
		burst = int(max(1, math.Ceil(perSecond)))
	}
	b.tolerance = int64(burst-1) * b.interval
	return b
}

// take takes a token, or tells how long to wait for one and takes none.
func (b *bucket) take(now time.Time) time.Duration {
	if b.interval == 0 {
		return 0
	}
	at := now.UnixNano()
	for {
		old := b.due.Load()
		due := max(old, at)
		if wait := due - at - b.tolerance; wait > 0 {
			return time.Duration(wait)
		}
		if b.due.CompareAndSwap(old, due+b.interval) {
			return 0
		}
	}
}

// low reports whether more than half of the burst is used up.
func (b *bucket) low(now time.Time) bool {
	return b.interval > 0 && 2*(b.due.Load()-now.UnixNano()) > b.tolerance
}

// spend takes a token that may not be due yet, and tells how long to wait before the next.
func (b *bucket) spend(now time.Time) time.Duration {
	if b.interval == 0 {
		return 0
	}
	at := now.UnixNano()
	for {
		old := b.due.Load()
		due := max(old, at) + b.interval
		if b.due.CompareAndSwap(old, due) {
			return time.Duration(max(0, due-at-b.tolerance-b.interval))
		}
	}
}

// limits are what one caller may take, and what it has taken.
type limits struct {
	rate       *bucket
	pace       *pace // shares the rate between merchants
	maxStreams int64
	streams    atomic.Int64
}

func limitsOf(c *Config, id *Identity) *limits {
	perSecond, burst, streams := c.PerSecond, c.Burst, c.MaxStreams
	if id.PerSecond != 0 {
		perSecond, burst = id.PerSecond, 0
	}
	if id.Burst > 0 {
		burst = id.Burst
	}
	if id.MaxStreams > 0 {
		streams = id.MaxStreams
	}
	return &limits{rate: newBucket(perSecond, burst), pace: newPace(perSecond), maxStreams: int64(streams)}
}

// open takes a stream, or reports that all are taken. What was opened has to be closed.
func (l *limits) open() bool {
	if l.streams.Add(1) > l.maxStreams {
		l.streams.Add(-1)
		return false
	}
	return true
}

func (l *limits) close() { l.streams.Add(-1) }

// checkLimits refuses limits that are no numbers or too large to keep.
func checkLimits(what string, perSecond float64, burst int) error {
	const most = 1e9
	switch {
	case math.IsNaN(perSecond) || perSecond > most:
		return fmt.Errorf("%w: %s: per second: want at most %g", ErrLimit, what, most)
	case burst < 0 || burst > most:
		return fmt.Errorf("%w: %s: burst: want 0 to %g", ErrLimit, what, most)
	case perSecond > 0 && perSecond < 1e-3:
		return fmt.Errorf("%w: %s: per second: want at least 0.001, or less than 0 for no limit", ErrLimit, what)
	case perSecond > 0 && float64(burst)/perSecond > 24*3600:
		return fmt.Errorf("%w: %s: burst: want at most what a day brings", ErrLimit, what)
	}
	return nil
}

// tooFast tells a caller when its next RPC may come.
func tooFast(wait time.Duration) *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, retry: max(wait, time.Millisecond),
		message: "you ask more often than your identity may: ask again after the delay, or put several reports in one batch",
	}
}

func tooManyStreams(most int64) *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, retry: streamRetry,
		message: fmt.Sprintf("your identity has %d streams open, and may have no more: share one, or ask another replica", most),
	}
}

// limitCounters count what was refused for a limit of the edge.
type limitCounters struct {
	rate, streams, connections prometheus.Counter
}

func newLimitCounters(r prometheus.Registerer) (limitCounters, error) {
	all := counters("sluice_limit_refusals_total", "What was refused for a limit of its caller or listener, by limit.", "limit")
	c := limitCounters{all.WithLabelValues("rate"), all.WithLabelValues("streams"), all.WithLabelValues("connections")}
	return c, r.Register(all) //nolint:wrapcheck // by the caller
}

// limitListener closes connections beyond a number at once, instead of letting them wait: their clients can go elsewhere.
type limitListener struct {
	net.Listener

	most    int64
	open    atomic.Int64
	refused prometheus.Counter
}

// Accept returns the next connection that there is room for.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // the server looks for net's own errors
		}
		if l.open.Add(1) <= l.most {
			return &limitedConn{Conn: c, left: func() { l.open.Add(-1) }}, nil
		}
		l.open.Add(-1)
		l.refused.Inc()
		_ = c.Close()
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn

	once sync.Once
	left func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.once.Do(c.left)
	return c.Conn.Close() //nolint:wrapcheck // passed on
}
