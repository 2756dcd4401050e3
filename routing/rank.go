package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Ranking is the first half of a decision: a request's candidates in order, before live counters are asked. It is a buffer of
// the caller and refers to table and request until its next use.
type Ranking struct {
	table   *Table
	request *Request
	second  int64
	hash    uint64 // of the canonical request
	lane    int32  // -1 = none
	route   int32  // -1 = none
	refusal RefusalReason
	decided int // index of the previous attempt that forbids another, -1 = none
	meaning Meaning
	bank    bool   // the instrument has a bank
	money   int16  // currency of the plan, -1 = unknown to it
	origin  places // items of the original, for REFUND, CANCEL and QUERY

	ranked  int // candidates that only states and live counters may still close, in order
	dropped int // candidates that catalogue or request close, in order
	list    [MaxCandidates]ranked
	gone    [MaxCandidates]ranked
	scratch scratch
	order   [MaxCandidates]uint8
	row     *row // of the lane, where it has one
	sorting sorting
}

// ranked is one candidate.
type ranked struct {
	channel  int32
	account  int32 // -1 = none found
	combo    int32 // -1 = see Ranking.origin
	closing  int32 // hot scope that weighs most, -1 = none
	hash     uint64
	priority uint16
	why      Why
	by       uint8 // criterion of the strategy that decided, plus one; 0 = none
	slot     uint8 // of the row
	entry    uint8 // of Ranking.sorting, where a strategy decided
	drop     DropReason
	phase    statemachine.Phase
}

// Rank fills rk with the candidates of a request in order. It is pure: the same table, request and second rank alike on every
// replica. What forbids or refuses the payment as a whole is kept for Finish.
func Rank(t *Table, r *Request, second int64, rk *Ranking) {
	rk.table, rk.request, rk.second = t, r, second
	rk.lane, rk.route, rk.decided = -1, -1, -1
	rk.refusal, rk.ranked, rk.dropped, rk.bank = RefusalNone, 0, 0, false
	if t == nil {
		return
	}
	var lane uint64
	rk.hash, lane = rk.scratch.canonical(r)
	rk.judgeAttempts()
	switch {
	case rk.decided >= 0:
	case r.Deadline != 0 && second*1000 >= r.Deadline:
		rk.refusal = DeadlinePassed
	case r.Business.FollowsOriginal():
		rk.rankOriginal()
	default:
		rk.rankLane(lane)
	}
}

// rankLane ranks the candidates of the request's lane, given the hash of its key.
func (rk *Ranking) rankLane(hash uint64) {
	p, r := rk.table.plan, rk.request
	l, ok := p.findLane(r, hash)
	if !ok {
		rk.refusal = p.whyNoLane(r)
		return
	}
	rk.lane = l
	ln := &p.lanes[l]
	rk.bank = ln.Instrument.Bank != statemachine.NoBank
	w := &ln.only
	if w.nSlots == 0 {
		if w = rk.chooseRoute(ln); w == nil {
			return
		}
	}
	if rk.exhausted(w.route) {
		rk.refusal = AttemptsExhausted
		return
	}
	rk.money = -1
	if c, ok := p.currencies[r.Currency]; ok {
		rk.money = int16(c)
	}
	rk.rankRow(w)
}

// chooseRoute finds the first route of a lane's way that serves the payment, and its row; nil with a refusal if there is none.
func (rk *Ranking) chooseRoute(ln *lane) *row {
	p, r := rk.table.plan, rk.request
	for i, id := range p.ways[ln.way].routes {
		if !p.routes[id].serves(r.Merchant, r.UserTier) {
			continue
		}
		if ln.rows[i] < 0 {
			rk.route, rk.refusal = id, UnsupportedPayment
			return nil
		}
		return &p.rows[ln.rows[i]]
	}
	rk.refusal = UnsupportedRoute
	return nil
}

// findLane finds the request's lane; an instrument that says more or less than its method knows is brought into shape.
func (p *Plan) findLane(r *Request, hash uint64) (int32, bool) {
	if i, ok := p.index.find(p.lanes, hash, r.Entity, r.Business, &r.Instrument); ok {
		return i, true
	}
	i, ok := p.laneOf[statemachine.Lane{Entity: r.Entity, Business: r.Business, Instrument: p.shaped(r.Instrument)}]
	return i, ok
}

// whyNoLane says what the catalogue lacks.
func (p *Plan) whyNoLane(r *Request) RefusalReason {
	if _, ok := p.entities[r.Entity]; !ok {
		return UnsupportedEntity
	}
	w, ok := p.wayOf[wayKey{r.Business, r.Instrument.Method}]
	if !ok {
		return UnsupportedRoute
	}
	for _, id := range p.ways[w].routes {
		if p.routes[id].serves(r.Merchant, r.UserTier) {
			return UnsupportedPayment
		}
	}
	return UnsupportedRoute
}

// rankRow ranks a row: group by group, each in the order its hash deals.
func (rk *Ranking) rankRow(w *row) {
	p := rk.table.plan
	rk.route, rk.row = w.route, w
	if w.key >= 0 {
		rk.byStrategy(w)
		return
	}
	all := p.slotsOf(w)
	dealt := false
	var hash uint64
	groups := p.groups[w.group : w.group+int32(w.nGroups)]
	for i := range groups {
		g := &groups[i]
		slots := all[g.first : g.first+g.n]
		if g.n == 1 {
			rk.slot(&slots[0], g, g.first, 0)
			continue
		}
		if !dealt {
			hash, dealt = rk.scratch.split(p.routes[w.route].salt, rk.request.PaymentID), true
		}
		order := rk.order[:g.n]
		draw(hash, slots, g.total, order)
		for _, j := range order {
			rk.slot(&slots[j], g, g.first+j, hash)
		}
	}
}

// slot adds the candidates of one channel: each account that may serve the merchant, those that name it first.
func (rk *Ranking) slot(s *slot, g *group, at uint8, hash uint64) {
	c := ranked{channel: s.channel, account: s.account, combo: s.combo, closing: -1, hash: hash, priority: g.priority, why: g.why, slot: at}
	c.drop = rk.dropOf(s)
	if s.account >= 0 {
		rk.add(&c)
		return
	}
	set := &rk.table.plan.sets[^s.account]
	named := set.named[rk.request.Merchant]
	if len(named)+len(set.general) == 0 {
		c.account, c.drop = -1, DropNoAccount
		rk.add(&c)
		return
	}
	for _, a := range named {
		c.account = a
		rk.add(&c)
	}
	for _, a := range set.general {
		c.account = a
		rk.add(&c)
	}
}

// add puts a candidate among the ranked or the dropped. A row never has more candidates than the arrays: CompilePlan saw to it.
func (rk *Ranking) add(c *ranked) {
	if c.drop != DropNone {
		if rk.dropped < len(rk.gone) {
			rk.gone[rk.dropped] = *c
			rk.dropped++
		}
		return
	}
	if rk.ranked == len(rk.list) {
		return
	}
	if len(rk.table.marks.of(c.channel)) > 0 {
		at := rk.items(c)
		c.phase, c.closing = rk.table.closed(c.channel, &at)
		if rk.request.Business == statemachine.Query { // asked of a sick channel above all
			c.phase = statemachine.Healthy
		}
	} else {
		c.phase, c.closing = statemachine.Healthy, -1
	}
	rk.list[rk.ranked] = *c
	rk.ranked++
}

// items returns the items a candidate counts under.
func (rk *Ranking) items(c *ranked) places {
	if c.combo < 0 {
		return rk.origin
	}
	co := &rk.table.plan.combos[c.combo]
	at := places{co.channel, co.business, co.method, -1, co.instrument}
	if c.account >= 0 {
		at[placeAccount] = rk.table.plan.accounts[c.account].item
	}
	return at
}

// dropOf says why the catalogue or the request closes a channel, DropNone if they do not.
func (rk *Ranking) dropOf(s *slot) DropReason {
	r, p := rk.request, rk.table.plan
	if s.flags&slotRetired != 0 {
		return DropRetired
	}
	if len(r.Attempts) > 0 || len(r.Exclude) > 0 {
		if d := p.refusedBefore(s.channel, r); d != DropNone {
			return d
		}
	}
	if s.flags&slotEnrolment != 0 && !slices.Contains(r.Enrolled, p.heads[s.channel].id) {
		return DropNotEnrolled
	}
	if d := p.terms[s.terms].dropOf(r, rk.money); d != DropNone {
		return d
	}
	if s.flags&slotWindow != 0 {
		return p.heads[s.channel].schedule.begins(rk.second)
	}
	return DropNone
}

// refusedBefore drops channels that were tried or are excluded.
func (p *Plan) refusedBefore(c int32, r *Request) DropReason {
	id := p.heads[c].id
	for i := range r.Attempts {
		if r.Attempts[i].Channel == id {
			return DropTried
		}
	}
	if slices.Contains(r.Exclude, id) {
		return DropExcluded
	}
	return DropNone
}

// dropOf checks currency and amount; a payment without a currency has no amount either.
func (t *terms) dropOf(r *Request, currency int16) DropReason {
	if r.Currency == "" {
		return DropNone
	}
	c := u8(int(currency))
	if currency < 0 || t.currencies[c/64]&(1<<(c%64)) == 0 {
		return DropCurrency
	}
	if r.Amount == 0 { // nothing is moved, limits do not matter
		return DropNone
	}
	for i := range t.limits {
		l := &t.limits[i]
		switch {
		case l.currency != c:
		case r.Amount < l.min:
			return DropTooSmall
		case l.max > 0 && r.Amount > l.max:
			return DropTooLarge
		}
	}
	return DropNone
}
