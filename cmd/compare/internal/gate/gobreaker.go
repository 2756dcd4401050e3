package gate

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// errFailed is what a failed payment is to a library that reads errors.
var errFailed = errors.New("failed")

// errVoid is a payment that was never sent.
var errVoid = errors.New("never sent")

// Gobreaker is sony/gobreaker with its own settings: open after the sixth failure in a row, for 60 s, one trial.
func Gobreaker() Maker {
	return Maker{Name: "gobreaker v2.4.0, default", New: func([]Key) (Gate, error) {
		return newGobreaker(gobreaker.Settings{}), nil
	}}
}

// GobreakerTuned is sony/gobreaker with a rolling window: 30 % of at least 20 in 10 s, open for 10 s, five trials.
func GobreakerTuned() Maker {
	return Maker{Name: "gobreaker v2.4.0, 30 %/20/10 s rolling", New: func([]Key) (Gate, error) {
		return newGobreaker(gobreaker.Settings{
			MaxRequests: 5, Interval: 10 * time.Second, BucketPeriod: time.Second, Timeout: 10 * time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.Requests >= 20 && float64(c.TotalFailures) >= 0.3*float64(c.Requests)
			},
		}), nil
	}}
}

type gobreakerGate struct {
	breakers pool[*gobreaker.TwoStepCircuitBreaker[struct{}]]
}

func newGobreaker(s gobreaker.Settings) *gobreakerGate {
	s.IsExcluded = func(err error) bool { return errors.Is(err, errVoid) }
	return &gobreakerGate{newPool(func(k Key) *gobreaker.TwoStepCircuitBreaker[struct{}] {
		own := s
		own.Name = k.Channel + "/" + k.Bank
		return gobreaker.NewTwoStepCircuitBreaker[struct{}](own)
	})}
}

// Allow implements Gate.
func (g *gobreakerGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	done, err := g.breakers.get(k).Allow()
	if err != nil {
		return nil, false
	}
	return ticket{
		done: func(failed bool) {
			if failed {
				done(errFailed)
				return
			}
			done(nil)
		},
		void: func() { done(errVoid) },
	}, true
}

// Phase implements Gate.
func (g *gobreakerGate) Phase(k Key, _ time.Time) Phase {
	switch g.breakers.get(k).State() {
	case gobreaker.StateClosed:
		return Closed
	case gobreaker.StateHalfOpen:
		return Trial
	case gobreaker.StateOpen:
	}
	return Open
}

// Tick implements Gate.
func (*gobreakerGate) Tick(time.Time) {}
