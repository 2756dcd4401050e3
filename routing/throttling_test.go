package routing

import (
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// provider answers THROTTLED to what is above its capacity in a second.
type provider struct{ capacity, sent, throttled uint32 }

func (p *provider) take() {
	if p.sent++; p.sent > p.capacity {
		p.throttled++
	}
}

// throttledDay routes so many payments a second over n routers for so many seconds and returns what channel a was sent and how
// much of it was throttled in each second.
func throttledDay(t *testing.T, cl *cluster, perSecond, seconds int, capacity func(second int) uint32) (sent, throttled []uint32) {
	t.Helper()
	account := statemachine.AccountScope("a", "main")
	var d Decision
	for s := range seconds {
		p := provider{capacity: capacity(s)}
		by := make([]AccountSecond, len(cl.routers))
		for i := range perSecond {
			at := i % len(cl.routers)
			before := p.throttled
			if cl.route(at, s*10000+i, &d) {
				p.take()
				by[at].Sent++
				by[at].Answered++
				by[at].Throttled += p.throttled - before
			}
		}
		cl.under = nil
		sent, throttled = append(sent, p.sent), append(throttled, p.throttled)
		var rows []RouterSecond
		for i, r := range cl.routers {
			by[i].Account = account
			rows = append(rows, RouterSecond{Router: routerName(i), Limits: r.Drain(cl.second).Limits, Accounts: by[i : i+1]})
		}
		for i, r := range cl.routers {
			cl.sharing[i].Observe(cl.second, rows, nil)
			r.Share(cl.sharing[i].Shares(cl.table.plan, routerName(i), cl.second+2))
		}
		cl.second++
		cl.sent = 0
	}
	return sent, throttled
}

func mean(list []uint32) float64 {
	sum := 0.0
	for _, n := range list {
		sum += float64(n)
	}
	return sum / float64(len(list))
}

// TestThrottledIsSentLessAndRecovers: an account that asks for less is soon sent about what it takes, never nothing, and all of
// its demand again once it takes that.
func TestThrottledIsSentLessAndRecovers(t *testing.T) {
	for _, routers := range []int{1, 3} {
		cl := newCluster(t, newCatalog(newChannel("a"), newChannel("b")), routers)
		capacity := func(s int) uint32 {
			if s >= 20 && s < 140 {
				return 40
			}
			return 1000
		}
		sent, throttled := throttledDay(t, cl, 100, 300, capacity)
		if got := mean(sent[:20]); got != 100 {
			t.Errorf("%d routers: %.1f a second before, want 100", routers, got)
		}
		if late := mean(throttled[60:140]); late > 4 {
			t.Errorf("%d routers: %.1f of %.1f a second are throttled after 40 s, want less than a tenth of the capacity", routers, late, mean(sent[60:140]))
		}
		if got := mean(sent[60:140]) - mean(throttled[60:140]); got < 28 || got > 40 {
			t.Errorf("%d routers: %.1f a second get through of 40, want 28 at least", routers, got)
		}
		for s, n := range sent {
			if n == 0 {
				t.Fatalf("%d routers: nothing was sent in second %d", routers, s)
			}
		}
		if got := mean(sent[220:]); got != 100 {
			t.Errorf("%d routers: %.1f a second in the end, want 100 again", routers, got)
		}
		for i, r := range cl.routers {
			if r.throttled.Load() != nil || len(cl.sharing[i].throttles) != 0 {
				t.Errorf("%d routers: router %d still has a throttle that limits nothing", routers, i)
			}
		}
	}
}

// TestThrottleNeverStops: an account that answers nothing but THROTTLED keeps its floor, and the reason of a skip is told.
func TestThrottleNeverStops(t *testing.T) {
	c := newCatalog(newChannel("a", func(c *configv1.Channel) { c.Throttle = &configv1.Throttle{Floor: 3, DecreasePpm: 100_000} }), newChannel("b"))
	cl := newCluster(t, c, 3)
	sent, _ := throttledDay(t, cl, 60, 120, func(int) uint32 { return 0 })
	if got := mean(sent[60:]); got != 6 {
		t.Errorf("%.2f a second, want a tenth of what it was", got)
	}
	few := newCluster(t, c, 3)
	if sent, _ := throttledDay(t, few, 12, 120, func(int) uint32 { return 0 }); mean(sent[60:]) != 3 {
		t.Errorf("%.2f a second, want the floor of 3", mean(sent[60:]))
	}
	var d Decision
	for i := range 10 {
		cl.route(0, i, &d)
	}
	if d.Dropped[0].Drop != DropThrottled || d.Candidates[0].Channel != "b" {
		t.Errorf("dropped %+v", d.Dropped)
	}
	if features(c) != FeatureLimits {
		t.Errorf("features %#x", features(c))
	}
	off := newCluster(t, newCatalog(newChannel("a", func(c *configv1.Channel) { c.Throttle = &configv1.Throttle{Off: true} }), newChannel("b")), 1)
	if sent, _ := throttledDay(t, off, 60, 40, func(int) uint32 { return 0 }); mean(sent) != 60 {
		t.Errorf("turned off: %.1f a second, want 60", mean(sent))
	}
}

// TestThrottlingThatHasOtherReasons: where every third answer asks for less however little is sent, the rate falls no further than
// about half: payments refused would not help.
func TestThrottlingThatHasOtherReasons(t *testing.T) {
	x := &throttling{rule: throttleRule{decrease: defaultDecrease, recover: defaultRecover, floor: 1}}
	for s := range int64(120) {
		sent := uint32(90_000)
		if x.rate > 0 {
			sent = x.admitted()
		}
		x.judge(&AccountSecond{Sent: sent, Answered: 90, Throttled: 30}, 90_000*milli, s, 5)
	}
	if part := float64(x.rate) / float64(x.before); part < 0.6 || part > 0.75 {
		t.Errorf("%.2f of the rate is left, want one decrease", part)
	}
}
