package redisstore

import (
	"errors"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Unix(1_700_000_000, 0)
	err := errors.New("i/o timeout")
	enter := func(want bool) {
		t.Helper()
		if got := b.enter(now) == nil; got != want {
			t.Fatalf("enter %v, want %v: %+v", got, want, b.health)
		}
	}
	state := func(want State) {
		t.Helper()
		if b.health.State != want {
			t.Fatalf("%s, want %s", b.health.State, want)
		}
	}
	for range breakAfter - 1 {
		enter(true)
		b.overrun(now, err)
	}
	enter(true)
	b.succeed(now) // not in a row
	for range breakAfter {
		state(BreakerClosed)
		enter(true)
		b.overrun(now, err)
	}
	state(BreakerOpen)
	now = now.Add(breakFor - 1)
	enter(false)
	now = now.Add(1)
	enter(true)
	state(BreakerHalfOpen)
	enter(false) // one probe at a time
	b.overrun(now, err)
	state(BreakerOpen)
	enter(false)
	now = now.Add(breakFor)
	enter(true)
	b.abandon(now) // the caller gave up: the next may try at once
	enter(true)
	b.succeed(now)
	state(BreakerClosed)
	enter(true)
	if b.health.Opened != 1 || b.health.Skipped != 3 || b.health.Overruns != 2*breakAfter || !errors.Is(b.health.Last, err) {
		t.Errorf("%+v", b.health)
	}
}
