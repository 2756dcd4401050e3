package routing

import (
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	demandSpan  = 5  // seconds over which routers' demand is compared
	routerLost  = 10 // seconds without a row after which a router has no part any more
	blindAfter  = 15 // seconds without rows after which routers go by their own counts
	keptRoom    = 5  // one over it is the part of a router's equal part that it may keep whatever the demand
	demandParts = 4  // of five parts of a limit go by demand, one is dealt equally: a router whose demand begins has some
	slotSlack   = 5  // seconds that a unit stays taken beyond its slot time, so that no result comes for what is free
)

// Sharing divides the limits of a catalogue among routers. Every replica feeds it the same rows of the same sealed seconds and
// gets the same division: all parts of a second add up to the limit, exactly for rates, and what is under way at once never
// exceeds it. It is pure and not safe for concurrent use.
//
// What is shared out for second s rests on the sealed seconds up to s − lag alone, so that replicas that are not equally far
// agree. Concurrent payments, and what is left of a quota, are tokens: a router holds some (its room), a payment that begins
// turns one of its router's into one under way, and a result gives one to the router it came to. Every second each router
// lets go of what it holds beyond its part of all free ones, and what nobody holds is dealt to those that hold less. So room
// and what is under way never add up to more than the limit, whatever moves meanwhile.
type Sharing struct {
	lag       int64
	now       int64 // newest second taken in
	heard     int64 // newest of them with rows
	queue     []observed
	routers   map[string]int64 // newest second with a row
	names     []string         // of routers that have a part, sorted
	limits    map[string]*sharedLimit
	throttles map[statemachine.Scope]*throttling
	sent      map[statemachine.Scope]*demand // by account
}

// RouterSecond is what one router published for a second.
type RouterSecond struct {
	Router   string
	Limits   []statemachine.LimitCount // sorted by name
	Accounts []AccountSecond
}

// AccountSecond is what one router counted of one account in a second.
type AccountSecond struct {
	Account   statemachine.Scope
	Sent      uint32 // decisions
	Answered  uint32 // first results of any outcome but PENDING
	Throttled uint32 // THROTTLED among them
}

// observed is one sealed second; without rows if no signal came of it.
type observed struct {
	second  int64
	routers []RouterSecond
	used    map[string]int64
	missing bool
}

// sharedLimit is what is known of one limit.
type sharedLimit struct {
	asked   demand
	open    []openUnits      // under way, ascending by the second they began in
	sum     int64            // of open
	room    map[string]int64 // what each router holds, as far as it said
	total   map[string]int64 // what each router began in its life, as far as it said
	granted []grantOf        // dealt for the seconds to come, oldest first
	free    int64            // neither used nor under way: what all may hold
	short   bool             // more is held than there is
}

type openUnits struct{ second, units int64 }

// grantOf is what was dealt for one second.
type grantOf struct {
	second int64
	of     map[string]int64
}

// demand is what each router asked for in the last seconds.
type demand struct {
	of   map[string]*[demandSpan]uint32
	last int64 // second of the newest entry
}

// Shares is what one router gets of every limit for one second.
type Shares struct {
	second, base int64
	routers      int64
	known        bool // the router is among those that limits are divided among
	due          bool // everything was sealed that it rests on: what is dealt can be taken up
	blind        bool // no row was seen for long
	equal        Part // of limits nobody asked for
	parts        map[string]Part
	slots        map[string]slotShare
	throttles    []throttleShare
}

// slotShare is what becomes of a router's room.
type slotShare struct {
	grant int64 // is added
	keep  int64 // what is beyond it before is let go of
	first int64 // room of a router whose life begins
}

type throttleShare struct {
	account   statemachine.Scope
	perSecond uint32
	part      Part
}

// NewSharing returns a division among nobody. lag, at least 2, is how many seconds lie between a sealed second and the one it
// is shared out for: as many as the slowest replica may be behind, and one more.
func NewSharing(lag int64) *Sharing {
	return &Sharing{
		lag: lag, routers: map[string]int64{}, limits: map[string]*sharedLimit{},
		throttles: map[statemachine.Scope]*throttling{}, sent: map[statemachine.Scope]*demand{},
	}
}

// Observe takes the rows of a sealed second, in order of time, and what of each quota was used at its end, by id.
func (s *Sharing) Observe(second int64, routers []RouterSecond, used map[string]int64) {
	s.queue = append(s.queue, observed{second: second, routers: routers, used: used})
}

// Miss says that a second was sealed without a signal: its rows are lost.
func (s *Sharing) Miss(second int64, used map[string]int64) {
	s.queue = append(s.queue, observed{second: second, used: used, missing: true})
}

// Shares returns what the router self gets for a second; seconds must not go back. It is for the router to take up while the
// second before runs: after its drain of the one before that.
func (s *Sharing) Shares(p *Plan, self string, second int64) Shares {
	s.take(p, second-s.lag)
	out := Shares{second: second, base: s.now, equal: s.equalOf(self), parts: map[string]Part{}, slots: map[string]slotShare{}}
	out.routers = int64(len(s.names))
	_, out.known = slices.BinarySearch(s.names, self)
	out.due = s.now == second-s.lag
	out.blind = s.heard > 0 && second-s.heard > s.lag+blindAfter
	for i := range p.limits.bounds {
		b := &p.limits.bounds[i]
		if l := s.limits[b.name]; l != nil {
			out.parts[b.name] = s.partOf(&l.asked, self)
			if b.slots > 0 {
				out.slots[b.name] = s.slotsOf(b, l, self, &out)
			}
		}
	}
	for _, account := range slices.SortedFunc(maps.Keys(s.throttles), statemachine.Scope.Compare) {
		if t := s.throttles[account]; t.rate > 0 {
			out.throttles = append(out.throttles, throttleShare{account, t.admitted(), s.partOf(s.sent[account], self)})
		}
	}
	return out
}

// slotsOf is what becomes of a router's room for a second. A little may be kept whatever the demand, so that what results
// give back is at hand at once; nothing is while there is too little.
func (s *Sharing) slotsOf(b *bound, l *sharedLimit, self string, of *Shares) slotShare {
	out := slotShare{keep: max(0, portion(of.parts[b.name], l.free, of.second))}
	if !l.short {
		out.keep = max(out.keep, b.slots/(keptRoom*int64(max(1, len(s.names)))))
	}
	for _, g := range l.granted {
		if g.second == of.second-1 {
			out.grant = g.of[self]
		}
	}
	out.first = s.roomOf(b, l, self)
	if !of.known {
		out.first = max(0, portion(of.equal, l.free, of.second))
	}
	return out
}

// roomOf is what a router holds: what it said, else its equal part.
func (s *Sharing) roomOf(b *bound, l *sharedLimit, router string) int64 {
	if n, said := l.room[router]; said {
		return n
	}
	return b.slots / int64(max(1, len(s.names)))
}

// take takes in the observed seconds up to one.
func (s *Sharing) take(p *Plan, upTo int64) {
	n := 0
	for ; n < len(s.queue) && s.queue[n].second <= upTo; n++ {
		o := &s.queue[n]
		if o.second <= s.now {
			continue
		}
		for s.now > 0 && s.now+1 < o.second { // nobody was there to seal it
			s.step(p, &observed{second: s.now + 1, used: o.used, missing: true})
			if o.second-s.now > routerLost+maxSlotTime {
				s.now = o.second - routerLost - maxSlotTime
			}
		}
		s.step(p, o)
	}
	s.queue = slices.Delete(s.queue, 0, n)
}

// step takes in one second and deals what is free for the second that lies lag ahead.
func (s *Sharing) step(p *Plan, o *observed) {
	s.now = o.second
	if !o.missing {
		s.heard = o.second
	}
	for i := range o.routers {
		s.routers[o.routers[i].Router] = o.second
	}
	s.throttle(p, o)
	for name := range s.limits {
		if _, declared := p.limits.named[name]; !declared {
			delete(s.limits, name)
		}
	}
	for i := range p.limits.bounds {
		b := &p.limits.bounds[i]
		l := s.limits[b.name]
		if l == nil {
			l = &sharedLimit{asked: newDemand(), room: map[string]int64{}, total: map[string]int64{}}
			s.limits[b.name] = l
		}
		s.count(b, l, o)
	}
	s.names = s.names[:0]
	for name, seen := range s.routers {
		if !o.missing && seen <= o.second-routerLost { // who is gone is not known without a signal
			delete(s.routers, name)
			continue
		}
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	for i := range p.limits.bounds {
		if b := &p.limits.bounds[i]; b.slots > 0 {
			s.deal(p, b, s.limits[b.name], o)
		}
	}
}

// count enters one second into one limit. Of a router whose row is missing nothing changes but what it was dealt: what it
// began and saw end only moves between its room and what is under way.
func (s *Sharing) count(b *bound, l *sharedLimit, o *observed) {
	l.asked.roll(o.second)
	if b.slots > 0 {
		l.receive(o.second, s.roomBefore(b, l))
	}
	var ended []statemachine.EndedCount
	started := int64(0)
	for i := range o.routers {
		r := &o.routers[i]
		at, found := slices.BinarySearchFunc(r.Limits, b.name, func(c statemachine.LimitCount, n string) int { return strings.Compare(c.Name, n) })
		if !found {
			continue
		}
		c := &r.Limits[at]
		l.asked.add(r.Router, o.second, c.Asked)
		l.room[r.Router] = c.Room
		started += l.started(r.Router, c)
		ended = append(ended, c.Ended...)
	}
	if b.slots == 0 {
		return
	}
	l.begin(o.second, started)
	for _, e := range ended {
		l.end(e.Second, e.Units)
	}
	l.expire(o.second - b.slotTime - slotSlack)
}

// started is what a router began since it was heard of last: in this second, and in those that were lost.
func (l *sharedLimit) started(router string, c *statemachine.LimitCount) int64 {
	before, heard := l.total[router]
	l.total[router] = c.Total
	if heard && c.Total-before > c.Started {
		return c.Total - before
	}
	return c.Started
}

// roomBefore says how much a router holds that has said nothing yet.
func (s *Sharing) roomBefore(b *bound, l *sharedLimit) func(string) int64 {
	return func(router string) int64 { return s.roomOf(b, l, router) }
}

// receive adds what was dealt for a second to the routers' room, as far as they do not say what they hold.
func (l *sharedLimit) receive(second int64, before func(string) int64) {
	for _, g := range l.granted {
		if g.second == second {
			for router, n := range g.of {
				l.room[router] = before(router) + n
			}
		}
	}
}

func (l *sharedLimit) begin(second, units int64) {
	if units > 0 {
		l.open = append(l.open, openUnits{second, units})
		l.sum += units
	}
}

// end frees units that were decided in a second. Those of a decision just after a full second may have been counted in the
// second before, those of one that was drained late in a later one.
func (l *sharedLimit) end(decided, units int64) {
	units = l.took(decided, decided, units)
	units = l.took(decided-1, decided-1, units)
	l.took(decided+1, decided+slotSlack, units)
}

func (l *sharedLimit) took(from, to, units int64) int64 {
	for i := range l.open {
		if at := &l.open[i]; at.second >= from && at.second <= to {
			n := min(units, at.units)
			at.units -= n
			units -= n
			l.sum -= n
		}
	}
	return units
}

// expire frees what began up to a second: its result is not waited for any longer.
func (l *sharedLimit) expire(upTo int64) {
	l.open = slices.DeleteFunc(l.open, func(o openUnits) bool {
		if o.second <= upTo {
			l.sum -= o.units
		}
		return o.second <= upTo || o.units == 0
	})
}

// deal deals what nobody holds for the second before the one that lies lag ahead, to those that hold less than their part.
func (s *Sharing) deal(p *Plan, b *bound, l *sharedLimit, o *observed) {
	l.granted = slices.DeleteFunc(l.granted, func(g grantOf) bool { return g.second <= o.second })
	for router := range l.room {
		if _, there := s.routers[router]; !there {
			delete(l.room, router)
			delete(l.total, router)
		}
	}
	l.free = b.slots - l.sum
	if b.quota > 0 {
		l.free -= o.used[p.limits.quotas[b.quota-1].ID]
	}
	g := grantOf{second: o.second + s.lag - 1}
	pool, wanted := l.free, int64(0)
	want := make([]int64, len(s.names))
	for i, name := range s.names {
		has := s.roomOf(b, l, name)
		for _, before := range l.granted {
			has += before.of[name]
		}
		pool -= has
		want[i] = max(0, max(0, portion(s.partOf(&l.asked, name), l.free, g.second))-has)
		wanted += want[i]
	}
	l.short = pool < 0
	if pool <= 0 || wanted == 0 {
		return
	}
	g.of = map[string]int64{}
	from := int64(0)
	for i, name := range s.names {
		to := from + want[i]
		if n := (Part{fraction(word(from), word(wanted)), fraction(word(to), word(wanted))}).Of(word(min(pool, wanted)), g.second); n > 0 {
			g.of[name] = int64(n) //nolint:gosec // not more than the pool
		}
		from = to
	}
	l.granted = append(l.granted, g)
}

// portion is a part of a number that may be negative.
func portion(p Part, n, second int64) int64 {
	if n < 0 {
		return -int64(p.Of(word(-n), second)) //nolint:gosec // not more than the number
	}
	return int64(p.Of(word(n), second)) //nolint:gosec // not more than the number
}

// underWay is how many units of a limit are under way.
func (s *Sharing) underWay(name string) int64 {
	if l := s.limits[name]; l != nil {
		return l.sum
	}
	return 0
}

// equalOf is the part of a router without regard to demand. One that nobody knows yet takes that of one more.
func (s *Sharing) equalOf(self string) Part {
	n := uint64(len(s.names))
	i, known := slices.BinarySearch(s.names, self)
	switch {
	case n == 0:
		return whole()
	case !known:
		return Part{0, fraction(1, n+1)}
	}
	return Part{fraction(uint64(i), n), fraction(uint64(i)+1, n)} //nolint:gosec // an index
}

// partOf is a router's part by what it asked for in the last seconds, equal where nobody asked.
func (s *Sharing) partOf(d *demand, self string) Part {
	if d == nil {
		return s.equalOf(self)
	}
	total, routers := uint64(0), uint64(len(s.names))
	for _, name := range s.names {
		total += d.sum(name, s.now)
	}
	if _, known := slices.BinarySearch(s.names, self); !known || total == 0 {
		return s.equalOf(self)
	}
	all := (demandParts + 1) * routers * total
	from := uint64(0)
	for _, name := range s.names {
		to := from + demandParts*routers*d.sum(name, s.now) + total
		if name == self {
			return Part{fraction(from, all), fraction(to, all)}
		}
		from = to
	}
	return s.equalOf(self)
}

// fraction is n/all of the whole.
func fraction(n, all uint64) uint32 {
	hi, lo := bits.Mul64(n, unitPart)
	q, _ := bits.Div64(hi, lo, all)
	return u32(q)
}

func newDemand() demand { return demand{of: map[string]*[demandSpan]uint32{}} }

// roll begins a second, forgetting the one demandSpan ago.
func (d *demand) roll(second int64) {
	for at := max(d.last+1, second-demandSpan+1); at <= second; at++ {
		for name, n := range d.of {
			n[at%demandSpan] = 0
			if *n == [demandSpan]uint32{} {
				delete(d.of, name)
			}
		}
	}
	d.last = second
}

func (d *demand) add(router string, second int64, n uint32) {
	if n == 0 {
		return
	}
	if d.of[router] == nil {
		d.of[router] = &[demandSpan]uint32{}
	}
	d.of[router][second%demandSpan] += n
}

// sum is what a router asked for in the seconds up to now.
func (d *demand) sum(router string, now int64) (n uint64) {
	if of := d.of[router]; of != nil && now-d.last < demandSpan {
		for _, k := range of {
			n += uint64(k)
		}
	}
	return n
}
