package statemachine

import (
	"math"
	"time"
)

// fullyPlaced is the rest, in payments/s, below which demand counts as placed.
const fullyPlaced = 1e-9

// searchSteps halve the range of the part that can leave to far below a millionth.
const searchSteps = 24

// capacity is what is left of a fleet's declared pools.
type capacity struct {
	fleet  *Fleet
	policy Policy
	left   []float64 // per pool; +Inf where nothing is declared
	try    []float64 // scratch of one attempt
}

// newCapacity takes the last minute's load from the pools. Loads are averages of that minute: what was closed during it went to
// the survivors for a part of it only, so the missing part is placed on top.
func newCapacity(f *Fleet, o openness, now Instant, p Policy) *capacity {
	c := &capacity{fleet: f, policy: p, left: make([]float64, len(f.Pools)), try: make([]float64, len(f.Pools))}
	declared := false
	for i, pool := range f.Pools {
		c.left[i] = math.Inf(1)
		if pool.PerSecond > 0 {
			c.left[i] = max(0, pool.PerSecond-pool.Load)
			declared = true
		}
	}
	if recent := o.since(now - Instant(loadWindow/time.Millisecond)); declared && len(recent) > 0 {
		c.takeRecent(o, recent, now)
	}
	return c
}

// takeRecent places what lately lost its way and is not yet seen in the loads.
func (c *capacity) takeRecent(o openness, recent []matcher, now Instant) {
	for i := range c.fleet.Lanes {
		l := &c.fleet.Lanes[i]
		if l.Demand > 0 && anyCovers(recent, l) {
			p := placesIn(l, o, &matcher{})
			c.place(c.left, &p, l.Demand*p.unseen(o, now))
		}
	}
}

func anyCovers(scopes []matcher, l *LaneMembers) bool {
	for i := range l.Members {
		for j := range scopes {
			if scopes[j].covers(&l.Lane, &l.Members[i]) {
				return true
			}
		}
	}
	return false
}

// unseen is the part of the lane's demand that lost its way within the last minute, weighted by how much of that minute the
// loads still show it there.
func (p *places) unseen(o openness, now Instant) (moved float64) {
	for i := range p.members {
		m := &p.members[i]
		part, changed := o.of(&p.lane.Lane, m.member)
		if age := now.Sub(changed); part < 1 && age < loadWindow {
			moved += m.flow * (1 - part) * (1 - age.Seconds()/loadWindow.Seconds())
		}
	}
	return moved
}

// shortage is where demand found no room.
type shortage struct {
	lane  *LaneMembers // with the largest rest
	rest  float64
	lanes int
}

// fits says whether the given part (0 to 1) of what flows through the scope can leave, and if not, where it finds no room.
func (c *capacity) fits(lanes []places, part float64) (bool, shortage) {
	copy(c.try, c.left)
	var s shortage
	for i := range lanes {
		p := &lanes[i]
		rest := c.place(c.try, p, c.policy.CapacityHeadroom*p.lane.Demand*p.carried()*part)
		if !c.declared(p) {
			left := p.rest.able + p.covered.able*(1-part)
			rest = max(rest, c.policy.MinWeightLeft*p.normal-left)
		}
		if rest <= fullyPlaced {
			continue
		}
		s.lanes++
		if rest > s.rest {
			s.lane, s.rest = p.lane, rest
		}
	}
	return s.lanes == 0, s
}

// most is the largest part up to wish that fits, to a millionth.
func (c *capacity) most(lanes []places, wish float64) float64 {
	low, high := 0.0, wish
	for range searchSteps {
		mid := (low + high) / 2
		if ok, _ := c.fits(lanes, mid); ok {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// place puts demand on the survivors of a lane in rank order and returns the rest. A ramping survivor takes no more than its
// share of what reaches it.
func (c *capacity) place(left []float64, p *places, demand float64) float64 {
	for i := range p.members {
		m := &p.members[i]
		if demand <= 0 {
			return 0
		}
		if m.covered || m.part <= 0 {
			continue
		}
		take := demand * m.part
		for _, pool := range m.member.Pools {
			if pool >= 0 && pool < len(left) {
				take = min(take, left[pool])
			}
		}
		for _, pool := range m.member.Pools {
			if pool >= 0 && pool < len(left) {
				left[pool] -= take
			}
		}
		demand -= take
	}
	return max(demand, 0)
}

// declared says whether every survivor of the lane has a declared capacity. Only then do capacities alone decide.
func (c *capacity) declared(p *places) bool {
	for i := range p.members {
		m := &p.members[i]
		if !m.covered && m.part > 0 && !c.bounded(m.member) {
			return false
		}
	}
	return true
}

func (c *capacity) bounded(m *Member) bool {
	for _, pool := range m.Pools {
		if pool >= 0 && pool < len(c.fleet.Pools) && c.fleet.Pools[pool].PerSecond > 0 {
			return true
		}
	}
	return false
}
