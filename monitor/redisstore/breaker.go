package redisstore

import (
	"errors"
	"sync"
	"time"
)

// ErrUnavailable is wrapped by the error of an operation that Redis did not answer within the budget, and of one that was
// not tried because Redis did not answer lately. What was asked may still have happened.
var ErrUnavailable = errors.New("redis does not answer")

var errOpen = errors.New("not asked: it did not answer lately")

const (
	breakAfter = 3           // consecutive overruns
	breakFor   = time.Second // until one operation may try again
)

// State is the state of the breaker.
type State uint8

// The states.
const (
	BreakerClosed   State = iota // every operation is tried
	BreakerOpen                  // none is tried
	BreakerHalfOpen              // one is being tried
)

// String returns closed, open or half-open.
func (s State) String() string {
	switch s {
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half-open"
	case BreakerClosed:
	}
	return "closed"
}

// Health is how the store does.
type Health struct {
	State    State
	Overruns uint64    // operations abandoned since the start
	Skipped  uint64    // operations not tried since the start
	Opened   uint64    // how often the breaker opened
	Since    time.Time // of the state
	Last     error     // the last overrun, nil for none
}

// breaker stops asking a Redis that does not answer, so that it costs nothing but its first overruns.
type breaker struct {
	mu     sync.Mutex
	health Health
	row    int       // consecutive overruns
	until  time.Time // when an open breaker lets one operation through
}

// enter asks for leave to try an operation.
func (b *breaker) enter(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.health.State == BreakerClosed:
		return nil
	case b.health.State == BreakerOpen && !now.Before(b.until):
		b.become(BreakerHalfOpen, now)
		return nil
	}
	b.health.Skipped++
	return errOpen
}

// succeed tells that Redis answered, be it with an error.
func (b *breaker) succeed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row = 0
	if b.health.State != BreakerClosed {
		b.become(BreakerClosed, now)
	}
}

// overrun tells that Redis did not answer.
func (b *breaker) overrun(now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health.Overruns++
	b.health.Last = err
	b.row++
	if b.health.State == BreakerHalfOpen || b.row >= breakAfter {
		if b.health.State == BreakerClosed {
			b.health.Opened++
		}
		b.become(BreakerOpen, now)
		b.until = now.Add(breakFor)
	}
}

// abandon tells that the caller gave up before the budget was spent: it says nothing about Redis.
func (b *breaker) abandon(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health.State == BreakerHalfOpen {
		b.become(BreakerOpen, now) // until has passed: the next one may try
	}
}

// become changes the state. The caller holds the lock.
func (b *breaker) become(s State, now time.Time) {
	if b.health.State != s {
		b.health.State, b.health.Since = s, now
	}
}
