package routing

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-pay/sluice/statemachine"
)

// publishEvery is after how many seconds a router says what it holds though nothing changed: rows can be lost.
const publishEvery = 5

// limitBooks are kept of a counter outside of Route.
type limitBooks struct {
	mu    sync.Mutex
	ended []statemachine.EndedCount // since the last drain, ascending

	// Of Drain and Share, under the router's lock as well.
	taken, back int64 // at the last drain
	slots       int64 // of the bound in force
	room        int64 // as last published
	published   int64 // when, 0 = never
	told        bool  // of its part by Share
}

func newLimitBooks() *limitBooks { return &limitBooks{} }

// countersOf returns the counters of a plan's bounds: those of the same name go on counting. The others are forgotten. Where
// limits are shared, what changes is dealt by and by, and a new limit begins with the router's equal part.
func (r *Router) countersOf(p *Plan) []*counter {
	next := make(map[string]*counter, len(p.limits.bounds))
	var out []*counter
	for i := range p.limits.bounds {
		b := &p.limits.bounds[i]
		c, ok := r.counters[b.name]
		switch {
		case !ok:
			c = newCounter(b)
			if r.shared {
				c.part(0, r.equal)
				c.part(1, r.equal)
				c.ceiling.Store(b.slots / max(1, r.others))
			}
			c.books.told = r.shared
		case !r.shared:
			c.ceiling.Add(b.slots - c.books.slots)
		}
		c.books.slots = b.slots
		next[b.name] = c
		out = append(out, c)
	}
	r.counters = next
	return out
}

// Settled is the definite result of an attempt that was decided before.
type Settled struct {
	Channel, Account string
	Business         statemachine.BusinessType
	Amount           int64 // minor units, 0 = not known
	Currency         string
	Decided          int64 // second of the decision, Unix
	Second           int64 // in which the result came
	Succeeded        bool
}

// Settle gives back what an attempt held of concurrent payments and quotas, once its result is definite. Call it once an
// attempt, on the router of the replica that got the report: which router decided does not matter. What succeeded stays taken
// from a quota.
func (r *Router) Settle(s *Settled) {
	l := r.live.Load()
	if l == nil || len(l.counters) == 0 || s.Decided <= 0 {
		return
	}
	p := l.table.plan
	ci, ok := p.channelOf[s.Channel]
	if !ok {
		return
	}
	ai, ok := p.channels[ci].accounts[s.Account]
	if !ok {
		return
	}
	for _, at := range p.limits.of[ai] {
		b := &p.limits.bounds[at]
		units := b.units(s.Business, s.Amount, s.Currency)
		if units == 0 || s.Second-s.Decided > b.slotTime { // older ones are free again already
			continue
		}
		l.counters[at].settle(s.Decided, units, b.quota == 0 || !s.Succeeded)
	}
}

// settle notes units whose result came, and gives them back if they are free again.
func (c *counter) settle(decided, units int64, free bool) {
	k := c.books
	k.mu.Lock()
	defer k.mu.Unlock()
	at, found := slices.BinarySearchFunc(k.ended, decided, func(e statemachine.EndedCount, s int64) int { return cmp.Compare(e.Second, s) })
	if !found {
		k.ended = slices.Insert(k.ended, at, statemachine.EndedCount{Second: decided})
	}
	k.ended[at].Units += units
	if free {
		c.back.Add(units)
		c.taken.Add(-units)
	}
}

// drain returns what was counted since the drain before, and whether it is worth telling.
func (c *counter) drain(second int64) (statemachine.LimitCount, bool) {
	k := c.books
	k.mu.Lock()
	defer k.mu.Unlock()
	out := statemachine.LimitCount{Name: c.name, Asked: take(&c.asked), Ended: k.ended}
	k.ended = nil
	taken, back := c.taken.Load(), c.back.Load()
	out.Started, out.Total = taken-k.taken+back-k.back, taken+back
	k.taken, k.back = taken, back
	if k.slots > 0 {
		out.Room = c.ceiling.Load() - taken
	}
	tell := out.Asked > 0 || out.Started != 0 || len(out.Ended) > 0 || out.Room != k.room || k.published == 0 || second-k.published >= publishEvery && k.slots > 0
	if tell {
		k.room, k.published = out.Room, second
	}
	return out, tell
}

// drainLimits drains the counters of the plan in force, sorted by name, and those of throttles. A router that shares with
// nobody learns from its own counts alone.
func (r *Router) drainLimits(current *live, second int64) []statemachine.LimitCount {
	r.drained = second
	if current == nil || len(current.counters)+len(r.throttles) == 0 {
		return nil
	}
	var out []statemachine.LimitCount
	for _, c := range current.counters {
		if n, tell := c.drain(second); tell {
			out = append(out, n)
		}
	}
	for account, c := range r.throttles {
		if n := take(&c.asked); n > 0 {
			out = append(out, statemachine.LimitCount{Name: throttleName(account), Asked: n})
		}
	}
	slices.SortFunc(out, func(a, b statemachine.LimitCount) int { return strings.Compare(a.Name, b.Name) })
	r.alone.Observe(second, []RouterSecond{{Limits: out}}, nil)
	r.alone.take(current.table.plan, second)
	if !r.shared {
		r.share(r.alone.Shares(current.table.plan, "", second+2), current)
	}
	return out
}

// Share puts a router's parts of all limits in force, from the second they are for. Until it is first called the router is
// alone and has all.
func (r *Router) Share(s Shares) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live.Load()
	if l == nil {
		return
	}
	r.shared = true
	r.told.Store(true)
	r.share(s, l)
}

func (r *Router) share(s Shares, l *live) {
	r.equal, r.others = s.equal, s.routers
	bounds := l.table.plan.limits.bounds
	for i, c := range l.counters {
		b := &bounds[i]
		part, ok := s.parts[b.name]
		if !ok {
			part = s.equal
		}
		c.part(s.second, part)
		if b.slots == 0 {
			continue
		}
		mine := int64(part.Of(word(b.slots), s.second)) //nolint:gosec // not more than the slots
		c.spare.Store(mine / yielded)
		slots, ok := s.slots[b.name]
		switch {
		case s.blind: // by its own counts alone
			c.ceiling.Store(c.taken.Load() + mine - r.alone.underWay(b.name))
		case !ok:
		case !c.books.told && r.shared:
			c.books.told = true
			c.ceiling.Store(c.taken.Load() + slots.first)
		case s.due && s.second == r.drained+2 && s.second > r.dealt: // what was dealt for another second is void
			if beyond := c.ceiling.Load() - c.taken.Load() - slots.keep; beyond > 0 && r.shared {
				slots.grant -= beyond
			}
			c.ceiling.Add(slots.grant)
		}
	}
	if s.due {
		r.dealt = s.second
	}
	r.throttle(s, l)
}

// throttle puts the rates of accounts that asked for less in force.
func (r *Router) throttle(s Shares, l *live) {
	if len(s.throttles) == 0 {
		clear(r.throttles)
		r.throttled.Store(nil)
		return
	}
	p := l.table.plan
	set := &throttledAccounts{plan: p, of: make([]*throttle, len(p.accounts))}
	next := make(map[statemachine.Scope]*counter, len(s.throttles))
	for _, t := range s.throttles {
		ci, ok := p.channelOf[t.account.Channel]
		if !ok {
			continue
		}
		ai, ok := p.channels[ci].accounts[t.account.Of]
		if !ok {
			continue
		}
		c, ok := r.throttles[t.account]
		if !ok {
			c = newCounter(&bound{name: throttleName(t.account)})
			c.part(s.second+1, t.part)
		}
		c.part(s.second, t.part)
		next[t.account] = c
		set.of[ai] = &throttle{perSecond: t.perSecond, counter: c}
	}
	r.throttles = next
	r.throttled.Store(set)
}

func throttleName(account statemachine.Scope) string {
	return "throttle/" + account.Channel + "/" + account.Of
}
