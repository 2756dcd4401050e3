package gate

import (
	"testing"
	"time"
)

func TestEnvoyEjectsOnFiveInARowAndComesBackAtASweep(t *testing.T) {
	inBubble(t, Envoy(), sixChannels(), func(b *bench) {
		b.wait(time.Second)
		b.pay(one, 4, 0, true)
		b.pay(one, 1, 0, false)
		b.pay(one, 4, 0, true)
		b.phase(one, Closed)
		b.pay(one, 1, 0, true)
		b.phase(one, Open)
		b.wait(29 * time.Second)
		b.phase(one, Open)
		b.wait(11 * time.Second)
		b.phase(one, Closed)
	})
}

func TestEnvoyEjectsHalfOfAClusterAtMost(t *testing.T) {
	inBubble(t, Envoy(), sixChannels(), func(b *bench) {
		open := 0
		for _, k := range sixChannels() {
			b.pay(k, 20, 0, true)
			if b.gate.Phase(k, b.now) == Open {
				open++
			}
		}
		if open != 3 {
			t.Errorf("%d of 6 hosts ejected, want 3", open)
		}
	})
}

func TestEnvoyDoublesTheTimeOfARepeatedEjection(t *testing.T) {
	inBubble(t, Envoy(), sixChannels(), func(b *bench) {
		b.wait(time.Second)
		b.pay(one, 5, 0, true)
		b.wait(30 * time.Second)
		b.phase(one, Closed)
		b.pay(one, 5, 0, true)
		b.wait(50 * time.Second)
		b.phase(one, Open)
		b.wait(10 * time.Second)
		b.phase(one, Closed)
		b.wait(30 * time.Second) // calm intervals make up for ejections
		b.pay(one, 5, 0, true)
		b.wait(30 * time.Second)
		b.phase(one, Closed)
	})
}

func TestEnvoyComparesSuccessRates(t *testing.T) {
	inBubble(t, Envoy(), sixChannels(), func(b *bench) {
		b.wait(time.Second)
		for _, k := range sixChannels() {
			for i := range 120 {
				b.pay(k, 1, 0, k == one && i%3 == 0)
			}
		}
		b.phase(one, Closed)
		b.wait(10 * time.Second)
		b.phase(one, Open)
		b.phase(two, Closed)
	})
}

// Of four hosts none can lie 1.9 standard deviations below their mean: a third of failures goes unseen.
func TestEnvoyComparesNoFourHosts(t *testing.T) {
	inBubble(t, Envoy(), sixChannels()[:4], func(b *bench) {
		b.wait(time.Second)
		for _, k := range sixChannels()[:4] {
			for i := range 120 {
				b.pay(k, 1, 0, k == one && i%3 == 0)
			}
		}
		b.wait(10 * time.Second)
		b.phase(one, Closed)
	})
}

// Alone this rule hardly ever speaks: above 80 % there are five failures in a row somewhere.
func TestEnvoyEjectsByFailurePercentage(t *testing.T) {
	rated := func(n, total int) (*cluster, *host) {
		c := &cluster{}
		for range n {
			c.hosts = append(c.hosts, &host{total: total, ok: total})
		}
		c.hosts[1].ok = total / 5
		return c, c.hosts[0]
	}
	for _, x := range []struct {
		hosts, total, ok int
		want             bool
	}{
		{5, 60, 9, true}, {5, 60, 10, false}, {5, 49, 0, false}, {4, 60, 0, false},
	} {
		c, h := rated(x.hosts, x.total)
		h.ok = x.ok
		c.ejectByFailurePercentage(time.Unix(0, 0))
		if h.ejected != x.want || c.hosts[1].ejected {
			t.Errorf("%d hosts, %d of %d succeeded: ejected %v, want %v", x.hosts, x.ok, x.total, h.ejected, x.want)
		}
	}
}

func TestEnvoyClustersByBank(t *testing.T) {
	at := Key{Channel: "one", Bank: "A"}
	other := Key{Channel: "one", Bank: "B"}
	inBubble(t, Envoy(), []Key{at, other, {Channel: "two", Bank: "A"}, {Channel: "two", Bank: "B"}}, func(b *bench) {
		b.pay(at, 5, 0, true)
		b.phase(at, Open)
		b.phase(other, Closed)
	})
}

func TestFixedWindowCutsAtThirtyPercentOfTwenty(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 14, time.Second, false)
		b.pay(one, 5, time.Second, true)
		b.phase(one, Closed)
		b.pay(one, 1, 0, true)
		b.phase(one, Open)
	})
}

func TestFixedWindowExpandsForQuietChannels(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 20, 25*time.Second, true) // 500 s
		b.phase(one, Open)
	})
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 40, 40*time.Second, true) // 15 in 600 s
		b.phase(one, Closed)
	})
}

func TestFixedWindowRampsByTheClock(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 20, tenth, true)
		b.phase(one, Open)
		want := []float64{0, 0.1, 0.2, 0.4, 0.8, 1}
		for _, share := range want {
			n := b.pay(one, 600, tenth, false)
			if got := float64(n) / 600; got < share-0.02 || got > share+0.02 {
				t.Errorf("share %v, want %v", got, share)
			}
		}
		b.phase(one, Closed)
	})
}

func TestFixedWindowGoesBackWhenTheRampFails(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 20, tenth, true)
		b.wait(61 * time.Second)
		b.phase(one, Slowed)
		b.pay(one, 30, time.Second, true) // a tenth is sent
		b.wait(31 * time.Second)
		b.phase(one, Open)
	})
}

func TestFixedWindowRampSurvivesASingleFailure(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		b.pay(one, 20, tenth, true)
		b.wait(61 * time.Second)
		b.pay(one, 10, time.Second, true)
		b.wait(51 * time.Second)
		b.phase(one, Slowed)
	})
}

func TestFixedWindowForgetsResultsFromBeforeTheCut(t *testing.T) {
	inBubble(t, FixedWindow(), nil, func(b *bench) {
		late := make([]Ticket, 0, 40)
		for range 40 {
			ticket, _ := b.gate.Allow(one, b.now)
			late = append(late, ticket)
		}
		b.pay(one, 20, tenth, true)
		b.wait(61 * time.Second)
		for _, ticket := range late {
			ticket.Done(true, b.now)
		}
		b.phase(one, Slowed)
	})
}
