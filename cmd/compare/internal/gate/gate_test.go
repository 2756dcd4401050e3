package gate

import (
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

// bench drives one gate in virtual time.
type bench struct {
	t     *testing.T
	gate  Gate
	clock *virtual.Clock
	now   time.Time
}

func inBubble(t *testing.T, m Maker, keys []Key, run func(*bench)) {
	t.Helper()
	err := virtual.NewLab(t).Bubble(func(c *virtual.Clock) error {
		b := &bench{t: t, clock: c, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		c.Set(b.now)
		g, err := m.New(keys)
		if err != nil {
			return err
		}
		b.gate = g
		run(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wait lets time pass, with a tick at every second.
func (b *bench) wait(d time.Duration) {
	for end := b.now.Add(d); b.now.Before(end); {
		next := b.now.Truncate(time.Second).Add(time.Second)
		if next.After(end) {
			next = end
		}
		b.now = next
		b.clock.Set(b.now)
		if b.now.Equal(b.now.Truncate(time.Second)) {
			b.gate.Tick(b.now)
		}
	}
}

// pay sends n payments, gap apart, each answered after latency; it returns how many were let through.
func (b *bench) pay(k Key, n int, gap time.Duration, failed bool) int {
	sent := 0
	for range n {
		if ticket, ok := b.gate.Allow(k, b.now); ok {
			sent++
			ticket.Done(failed, b.now)
		}
		b.wait(gap)
	}
	return sent
}

func (b *bench) phase(k Key, want Phase) {
	b.t.Helper()
	if got := b.gate.Phase(k, b.now); got != want {
		b.t.Errorf("phase of %v is %d, want %d", k, got, want)
	}
}

var (
	one = Key{Channel: "one"}
	two = Key{Channel: "two"}
)

const tenth = 100 * time.Millisecond

// cluster lists six channels, as for six hosts.
func sixChannels() []Key {
	var out []Key
	for _, c := range []string{"one", "two", "three", "four", "five", "six"} {
		out = append(out, Key{Channel: c})
	}
	return out
}

func TestGobreakerTripsOnTheSixthFailureInARow(t *testing.T) {
	inBubble(t, Gobreaker(), nil, func(b *bench) {
		b.pay(one, 5, tenth, true)
		b.pay(one, 1, tenth, false)
		b.pay(one, 5, tenth, true)
		b.phase(one, Closed)
		b.pay(one, 1, tenth, true)
		b.phase(one, Open)
		b.phase(two, Closed)
		if n := b.pay(one, 10, time.Second, false); n != 0 {
			t.Errorf("%d payments passed an open breaker", n)
		}
		b.wait(50 * time.Second)
		b.phase(one, Trial)
		first, _ := b.gate.Allow(one, b.now)
		if _, ok := b.gate.Allow(one, b.now); ok {
			t.Error("a second trial at the same time")
		}
		first.Done(false, b.now)
		b.phase(one, Closed)
	})
}

func TestGobreakerFailedTrialReopens(t *testing.T) {
	inBubble(t, Gobreaker(), nil, func(b *bench) {
		b.pay(one, 6, tenth, true)
		b.wait(61 * time.Second)
		b.pay(one, 1, 0, true)
		b.phase(one, Open)
	})
}

func TestGobreakerForgetsAPaymentThatWasNeverSent(t *testing.T) {
	inBubble(t, Gobreaker(), nil, func(b *bench) {
		b.pay(one, 6, tenth, true)
		b.wait(61 * time.Second)
		trial, _ := b.gate.Allow(one, b.now)
		trial.Void(b.now)
		if n := b.pay(one, 1, 0, false); n != 1 {
			t.Error("a trial that was never sent blocks the breaker")
		}
		b.phase(one, Closed)
	})
}

// A channel that hangs for as long as the rolling window is never noticed: results older than the window are dropped.
func TestGobreakerTunedDropsResultsOlderThanItsWindow(t *testing.T) {
	hang := func(b *bench, latency time.Duration) {
		var late []Ticket
		for i := range 400 {
			if ticket, ok := b.gate.Allow(one, b.now); ok {
				late = append(late, ticket)
			}
			if begun := i - int(latency/tenth); begun >= 0 && begun < len(late) {
				late[begun].Done(true, b.now)
			}
			b.wait(tenth)
		}
	}
	inBubble(t, GobreakerTuned(), nil, func(b *bench) {
		hang(b, 11*time.Second)
		b.phase(one, Closed)
	})
	inBubble(t, GobreakerTuned(), nil, func(b *bench) {
		b.pay(one, 19, tenth, true)
		b.phase(one, Closed)
		b.pay(one, 1, 0, true)
		b.phase(one, Open)
	})
}

func TestFailsafeOpensAtHalfOfTwenty(t *testing.T) {
	inBubble(t, Failsafe(), nil, func(b *bench) {
		b.pay(one, 10, tenth, false)
		b.pay(one, 9, tenth, true)
		b.phase(one, Closed)
		b.pay(one, 1, tenth, true)
		b.phase(one, Open)
		b.wait(31 * time.Second)
		b.phase(one, Open) // nobody asked
		b.pay(one, 4, tenth, false)
		b.phase(one, Trial)
		b.pay(one, 1, tenth, false)
		b.phase(one, Closed)
	})
}

func TestFailsafeForgetsAfterTenSeconds(t *testing.T) {
	inBubble(t, Failsafe(), nil, func(b *bench) {
		b.pay(one, 15, tenth, true)
		b.wait(12 * time.Second)
		b.pay(one, 15, tenth, true)
		b.phase(one, Closed)
	})
}

func TestFailsafeThrottlerRefusesUpToNineTenths(t *testing.T) {
	inBubble(t, FailsafeThrottler(), nil, func(b *bench) {
		if n := b.pay(one, 19, tenth, true); n != 19 {
			t.Errorf("it refused below its least number: %d of 19 sent", n)
		}
		n := b.pay(one, 400, tenth, true)
		if n < 10 || n > 90 {
			t.Errorf("%d of 400 payments passed, want about a tenth", n)
		}
		b.phase(one, Slowed)
		b.wait(2 * time.Minute)
		b.pay(one, 100, tenth, false) // the window empties when a result comes, not by the clock
		if n := b.pay(one, 20, tenth, false); n != 20 {
			t.Errorf("%d of 20 passed after the window was empty", n)
		}
		b.phase(one, Closed)
	})
}

func TestSentinelOpensAtFortyPercentOfTen(t *testing.T) {
	keys := []Key{one, two}
	inBubble(t, Sentinel(), keys, func(b *bench) {
		b.pay(one, 9, tenth, true)
		b.phase(one, Closed)
		b.pay(one, 1, tenth, true)
		b.phase(one, Open)
		b.phase(two, Closed)
		if n := b.pay(one, 5, time.Second, false); n != 0 {
			t.Errorf("%d payments passed an open breaker", n)
		}
		b.wait(5 * time.Second)
		b.pay(one, 1, tenth, false)
		b.phase(one, Trial)
		b.pay(one, 4, tenth, false)
		b.phase(one, Closed)
	})
	inBubble(t, Sentinel(), keys, func(b *bench) { // resources are global: this one begins anew
		b.phase(one, Closed)
		if n := b.pay(one, 5, tenth, false); n != 5 {
			t.Errorf("a new gate remembers an old one: %d of 5 passed", n)
		}
	})
}

// Half-open, sentinel-golang admits everybody until enough trials came back.
func TestSentinelLetsTheHerdIn(t *testing.T) {
	inBubble(t, Sentinel(), []Key{one}, func(b *bench) {
		b.pay(one, 10, tenth, true)
		b.wait(11 * time.Second)
		sent := 0
		for range 50 {
			if _, ok := b.gate.Allow(one, b.now); ok {
				sent++
			}
		}
		if sent != 50 {
			t.Errorf("%d of 50 payments passed at once", sent)
		}
	})
}

func TestGoZeroPassesOneASecond(t *testing.T) {
	inBubble(t, GoZero(), nil, func(b *bench) {
		if n := b.pay(one, 5, tenth, true); n != 5 {
			t.Errorf("it refused within its protection: %d of 5 sent", n)
		}
		b.pay(one, 200, tenth, true)
		b.phase(one, Slowed)
		if n := b.pay(one, 300, tenth, true); n < 29 || n > 60 {
			t.Errorf("%d payments passed in 30 s, want at least one a second", n)
		}
	})
}

func TestAegisIgnoresChannelsBelowAHundredInThreeSeconds(t *testing.T) {
	inBubble(t, Aegis(), nil, func(b *bench) {
		if n := b.pay(one, 300, tenth, true); n != 300 {
			t.Errorf("%d of 300 slow payments passed", n)
		}
		b.phase(one, Closed)
		if n := b.pay(two, 1000, 10*time.Millisecond, true); n > 400 {
			t.Errorf("%d of 1000 fast payments passed", n)
		}
		b.phase(two, Slowed)
	})
}
