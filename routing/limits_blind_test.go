package routing

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// cutOff is three routers that share channel a and then see no row any more.
type cutOff struct {
	*cluster

	payment int
	decided map[int]int // router by payment
}

func newCutOff(t *testing.T, rate, slots uint32) *cutOff {
	t.Helper()
	c := newCatalog(newChannel("a", limited(rate, slots, ""), func(c *configv1.Channel) {
		c.Capacity.SlotTime = durationpb.New(5 * time.Second)
	}), newChannel("b"))
	cl := &cutOff{cluster: newCluster(t, c, 3), decided: map[int]int{}}
	for range testLag + 2 {
		cl.tick(nil, nil)
	}
	return cl
}

// unseal ends a second of which nobody sees rows: it is sealed without a signal, or not at all.
func (c *cutOff) unseal(sealed bool) {
	if sealed {
		c.tick(nil, func(int) bool { return true })
		return
	}
	for i, r := range c.routers {
		r.Drain(c.second)
		r.Share(c.sharing[i].Shares(c.table.plan, routerName(i), c.second+2))
	}
	c.second++
	c.sent = 0
}

// pay brings thirty payments to each router and returns how many of them each gave to channel a.
func (c *cutOff) pay() (by [3]int) {
	var d Decision
	for range 90 {
		c.payment++
		i := c.payment % 3
		if c.route(i, c.payment, &d) {
			c.decided[c.payment] = i
			by[i]++
		}
	}
	return by
}

// TestCutOffRoutersKeepToTheirParts: routers that see nothing of each other go by their own counts: together they never exceed a
// limit, and what each holds comes back to it with results, and without them after the slot time, so that none runs dry.
func TestCutOffRoutersKeepToTheirParts(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprint("sealed=", sealed), func(t *testing.T) { cutOffKeeps(t, sealed) })
	}
}

func cutOffKeeps(t *testing.T, sealed bool) {
	t.Helper()
	c := newCutOff(t, 0, 30)
	var late [3]int
	for s := range 60 {
		for i := 0; i < len(c.under); { // a third of the results come, to where the payment was decided
			if u := c.under[i]; u.payment%9 < 3 && u.began < c.second {
				c.end(i, c.decided[u.payment])
				continue
			}
			i++
		}
		by := c.pay()
		if n := c.atOnce(5); n > 30 {
			t.Fatalf("second %d: %d under way, limit 30", s, n)
		}
		for i := range by {
			if s >= blindAfter+testLag+10 {
				late[i] += by[i]
			}
		}
		c.unseal(sealed)
	}
	for i, n := range late {
		if n < 30 {
			t.Errorf("router %d admits %d in half a minute, want 10 each ten seconds at least", i, n)
		}
	}

	c = newCutOff(t, 30, 0)
	for s := range 40 {
		if by := c.pay(); by[0]+by[1]+by[2] != 30 {
			t.Fatalf("second %d: %v admitted, limit 30", s, by)
		}
		c.unseal(sealed)
	}
}
