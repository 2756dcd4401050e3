package gate

import (
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// Failsafe is failsafe-go's circuit breaker: 50 % of at least 20 in 10 s, open for 30 s, five successes to close. Its own
// defaults, one failure opens, fit no payment channel.
func Failsafe() Maker {
	return Maker{Name: "failsafe-go v0.9.8 breaker, 50 %/20/10 s", New: func([]Key) (Gate, error) {
		return &failsafeGate{newPool(func(Key) circuitbreaker.CircuitBreaker[any] {
			return circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, 20, 10*time.Second).
				WithDelay(30 * time.Second).WithSuccessThreshold(5).Build()
		})}, nil
	}}
}

type failsafeGate struct {
	breakers pool[circuitbreaker.CircuitBreaker[any]]
}

// Allow implements Gate. A permit cannot be given back unused: its payment counts as a success.
func (g *failsafeGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	b := g.breakers.get(k)
	if !b.TryAcquirePermit() {
		return nil, false
	}
	return ticket{done: recordTo(b), void: b.RecordSuccess}, true
}

// recorder is what both policies of failsafe-go take results by.
type recorder interface {
	RecordSuccess()
	RecordFailure()
}

func recordTo(r recorder) func(bool) {
	return func(failed bool) {
		if failed {
			r.RecordFailure()
			return
		}
		r.RecordSuccess()
	}
}

// Phase implements Gate. An open breaker whose time is up stays open until somebody asks.
func (g *failsafeGate) Phase(k Key, _ time.Time) Phase {
	switch g.breakers.get(k).State() {
	case circuitbreaker.ClosedState:
		return Closed
	case circuitbreaker.HalfOpenState:
		return Trial
	case circuitbreaker.OpenState:
	}
	return Open
}

// Tick implements Gate.
func (*failsafeGate) Tick(time.Time) {}

// FailsafeThrottler is failsafe-go's adaptive throttler: from 10 % failures of at least 20 in 60 s, at most 90 % refused.
func FailsafeThrottler() Maker {
	return Maker{Name: "failsafe-go v0.9.8 adaptivethrottler, 10 %/20/60 s", New: func([]Key) (Gate, error) {
		return newThrottler(func() throttle {
			t := adaptivethrottler.NewBuilder[any]().WithFailureRateThreshold(0.1, 20, time.Minute).Build()
			return throttle{allow: func() (func(bool), func()) {
				if !t.TryAcquirePermit() {
					return nil, nil
				}
				return recordTo(t), nil
			}}
		}), nil
	}}
}
