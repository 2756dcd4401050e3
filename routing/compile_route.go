package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// draft is a slot on its way into a row.
type draft struct {
	slot
	priority uint16
	last     bool // last resort of its priority: no split beside members that have one
	split    bool // its priority is dealt by percentages
}

// rowDraft is a row on its way.
type rowDraft struct {
	route  int32
	drafts []draft
	bound  int // most candidates it can have for any merchant
}

// rows gathers the rows of all lanes.
type rows struct {
	drafts  []rowDraft
	comboOf map[comboKey]int32
}

type comboKey struct {
	instrument int32 // item
	business   statemachine.BusinessType
}

func (k *compiler) allRoutes() {
	if len(k.c.GetRoutes()) == 0 {
		k.add("routes", "is empty", "at least one route")
	}
	ids := map[string]bool{}
	open := map[wayKey]string{}
	places := make([]int, len(k.c.GetRoutes())) // position of the route in its way, -1 = not usable
	for i, r := range k.c.GetRoutes() {
		path := fmt.Sprintf("routes[%d]", i)
		k.id(path, r.GetId(), ids[r.GetId()])
		ids[r.GetId()] = true
		places[i] = k.register(path, r, open)
	}
	rs := &rows{comboOf: map[comboKey]int32{}}
	for i, r := range k.c.GetRoutes() {
		if places[i] >= 0 {
			k.route(fmt.Sprintf("routes[%d]", i), int32(i), places[i], r, rs)
		}
	}
	k.checkBounds(rs)
	if len(k.errs) == 0 {
		k.layRows(rs)
	}
}

// register puts a route into its way. open remembers the route of a way that serves every payment: those after it never would.
func (k *compiler) register(path string, r *configv1.Route, open map[wayKey]string) int {
	out := route{id: r.GetId(), merchants: k.selector(path+".merchants", r.GetMerchants()), tiers: k.selector(path+".user_tiers", r.GetUserTiers())}
	out.salt = append(out.salt, "split\x00"+r.GetId()+"@"+strconv.FormatUint(uint64(r.GetSplitGeneration()), 10)+"\x00"...)
	out.attempts = k.attempts(path, r.GetMaxAttempts())
	k.plan.routes = append(k.plan.routes, out)
	k.bindStrategy(path, i32(len(k.plan.routes)-1), r.GetStrategy())
	b, ok := k.business(path+".business_type", r.GetBusinessType())
	if ok && b.FollowsOriginal() {
		k.addf(path+".business_type", "COLLECT, PAYOUT, DEDUCT or AUTHENTICATE", "%s follows its original and has no route", b)
		ok = false
	}
	if _, known := k.plan.methods[r.GetMethod()]; !known {
		k.addf(path+".method", "a method of some channel", "no channel has the method %q", r.GetMethod())
		ok = false
	}
	if !ok {
		return -1
	}
	key := wayKey{b, r.GetMethod()}
	if before, shadowed := open[key]; shadowed {
		k.addf(path, "routes with merchants or user_tiers before the one without", "never serves: %q before it serves every payment", before)
	} else if out.merchants == nil && out.tiers == nil {
		open[key] = r.GetId()
	}
	w, ok := k.plan.wayOf[key]
	if !ok {
		w = i32(len(k.plan.ways))
		k.plan.wayOf[key] = w
		k.plan.ways = append(k.plan.ways, way{})
	}
	k.plan.ways[w].routes = append(k.plan.ways[w].routes, i32(len(k.plan.routes)-1))
	return len(k.plan.ways[w].routes) - 1
}

// attempts returns the most attempts of a payment on a route: its own limit, else the catalogue's, else what a request can name.
func (k *compiler) attempts(path string, own uint32) uint8 {
	if own > MaxAttempts {
		k.addf(path+".max_attempts", "0 to 64", "%d is out of range", own)
	}
	return uint8(min(cmp.Or(own, k.c.GetMaxAttempts(), MaxAttempts), MaxAttempts))
}

func (k *compiler) selector(path string, names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]struct{}, len(names))
	for j, name := range names {
		if _, twice := out[name]; twice || !validID(name) {
			k.addf(fmt.Sprintf("%s[%d]", path, j), "each id once", "%q is no id or named twice", name)
		}
		out[name] = struct{}{}
	}
	return out
}

// route adds the slots of one route to the rows of the lanes it can serve.
func (k *compiler) route(path string, index int32, place int, r *configv1.Route, rs *rows) {
	if len(r.GetMembers()) == 0 {
		k.add(path+".members", "is empty", "at least one channel")
	}
	if len(r.GetMembers()) > MaxCandidates {
		k.addf(path+".members", "at most 64", "%d members", len(r.GetMembers()))
	}
	splits := map[uint32]bool{}
	for _, m := range r.GetMembers() {
		splits[m.GetPriority()] = splits[m.GetPriority()] || m.GetSplit() > 0
	}
	seen := map[string][]string{}
	key := wayKey{method: r.GetMethod()}
	key.business, _ = businessOf(r.GetBusinessType()) // register saw to it
	for j, m := range r.GetMembers() {
		at := fmt.Sprintf("%s.members[%d]", path, j)
		c, ok := k.member(at, key, m, seen)
		if !ok {
			continue
		}
		if !slices.Contains(k.plan.routes[index].members, c) {
			k.plan.routes[index].members = append(k.plan.routes[index].members, c)
		}
		d := draft{priority: uint16(min(m.GetPriority(), maxPriority)), split: splits[m.GetPriority()]}
		d.channel, d.weight = c, k.plan.channels[c].weight
		if d.split {
			d.last = m.GetSplit() == 0
			if !d.last {
				d.weight = m.GetSplit()
			}
		}
		k.spread(d, m.GetAccount(), key, index, place, rs)
	}
}

// member checks one member of a route.
func (k *compiler) member(path string, key wayKey, m *configv1.RouteMember, seen map[string][]string) (int32, bool) {
	c, ok := k.plan.channelOf[m.GetChannel()]
	if !ok {
		k.addf(path+".channel", "the id of a channel", "there is no channel %q", m.GetChannel())
		return 0, false
	}
	ch := &k.plan.channels[c]
	if ch.business[key.business] < 0 {
		k.addf(path+".channel", "a channel that supports it", "channel %q does not support %s", ch.id, key.business)
		ok = false
	}
	if _, has := ch.methods[key.method]; !has {
		k.addf(path+".channel", "a channel that has it", "channel %q has no method %q", ch.id, key.method)
		ok = false
	}
	if a := m.GetAccount(); a != "" {
		if _, has := ch.accounts[a]; !has {
			k.addf(path+".account", "the id of an account of the channel", "channel %q has no account %q", ch.id, a)
			ok = false
		}
	}
	before := seen[ch.id]
	if len(before) > 0 && (m.GetAccount() == "" || slices.Contains(before, "") || slices.Contains(before, m.GetAccount())) {
		k.addf(path+".channel", "each channel once, or each of its accounts once", "channel %q is a member already", ch.id)
		ok = false
	}
	seen[ch.id] = append(before, m.GetAccount())
	if m.GetPriority() > maxPriority {
		k.addf(path+".priority", "0 to 1000", "%d is out of range", m.GetPriority())
	}
	if m.GetSplit() > 1_000_000 {
		k.addf(path+".split", "0 to 1000000", "%d is out of range", m.GetSplit())
	}
	return c, ok
}

// spread adds a member's slot to every lane it can serve: each entity it has an account of, each instrument of the method.
func (k *compiler) spread(d draft, only string, key wayKey, index int32, place int, rs *rows) {
	ch := &k.plan.channels[d.channel]
	if ch.enrolment&(1<<key.business) != 0 {
		d.flags |= slotEnrolment
	}
	if ch.schedule != nil {
		d.flags |= slotWindow
	}
	if ch.retired {
		d.flags |= slotRetired
	}
	for _, entity := range k.entitiesOf(d.channel, only) {
		d.account = k.accountsOf(setKey{d.channel, entity, only})
		for _, in := range k.plan.facts[ch.id].Instruments {
			if in.Method != key.method {
				continue
			}
			if k.tally++; k.tally > maxSlots {
				return
			}
			i := ch.instruments[in]
			d.terms = i.terms
			d.combo = k.combo(ch, i, key.business, rs)
			l := k.lane(statemachine.Lane{Entity: entity, Business: key.business, Instrument: in}, key)
			k.addDraft(l, place, index, d, rs)
		}
	}
}

// entitiesOf lists the entities of a channel's accounts, in the catalogue's order.
func (k *compiler) entitiesOf(c int32, only string) []string {
	var out []string
	for _, a := range k.c.GetChannels()[c].GetAccounts() {
		if (only == "" || a.GetId() == only) && !slices.Contains(out, a.GetEntity()) {
			out = append(out, a.GetEntity())
		}
	}
	return out
}

// accountsOf returns the account of an entity on a channel where there is no choice, else the complement of an account set.
func (k *compiler) accountsOf(key setKey) int32 {
	at, ok := k.setOf[key]
	if !ok {
		s := accountSet{named: map[string][]int32{}}
		ch := &k.plan.channels[key.channel]
		for _, a := range k.c.GetChannels()[key.channel].GetAccounts() {
			if a.GetEntity() != key.entity || key.account != "" && a.GetId() != key.account {
				continue
			}
			i := ch.accounts[a.GetId()]
			if len(a.GetMerchants()) == 0 {
				s.general = append(s.general, i)
			}
			for _, m := range a.GetMerchants() {
				s.named[m] = append(s.named[m], i)
			}
		}
		at = i32(len(k.plan.sets))
		k.plan.sets = append(k.plan.sets, s)
		k.setOf[key] = at
	}
	if s := &k.plan.sets[at]; len(s.named) == 0 && len(s.general) == 1 {
		return s.general[0]
	}
	return ^at
}

func (k *compiler) combo(ch *channel, i instrument, b statemachine.BusinessType, rs *rows) int32 {
	key := comboKey{i.item, b}
	c, ok := rs.comboOf[key]
	if !ok {
		c = i32(len(k.plan.combos))
		rs.comboOf[key] = c
		k.plan.combos = append(k.plan.combos, combo{channel: ch.item, business: ch.business[b], method: i.method, instrument: i.item})
	}
	return c
}

func (k *compiler) lane(l statemachine.Lane, key wayKey) int32 {
	i, ok := k.plan.laneOf[l]
	if !ok {
		i = i32(len(k.plan.lanes))
		k.plan.laneOf[l] = i
		w := k.plan.wayOf[key]
		places := make([]int32, len(k.plan.ways[w].routes))
		for j := range places {
			places[j] = -1
		}
		k.plan.lanes = append(k.plan.lanes, lane{Lane: l, way: w, rows: places})
	}
	return i
}

func (k *compiler) addDraft(l int32, place int, index int32, d draft, rs *rows) {
	at := k.plan.lanes[l].rows[place]
	if at < 0 {
		at = i32(len(rs.drafts))
		k.plan.lanes[l].rows[place] = at
		rs.drafts = append(rs.drafts, rowDraft{route: index})
	}
	row := &rs.drafts[at]
	row.drafts = append(row.drafts, d)
	row.bound++
	if d.account < 0 {
		row.bound += k.plan.sets[^d.account].most() - 1
	}
}

// most is the greatest number of accounts that one merchant can have in the set, at least 1.
func (s *accountSet) most() int {
	named := 0
	for _, list := range s.named {
		named = max(named, len(list))
	}
	return max(1, len(s.general)+named)
}

// checkBounds reports each route that has more candidates in a lane than an Admission has bits.
func (k *compiler) checkBounds(rs *rows) {
	if k.tally > maxSlots {
		k.addf("routes", "fewer combinations", "the routes span more than %d rules", maxSlots)
	}
	told := map[int32]bool{}
	for i := range rs.drafts {
		if r := &rs.drafts[i]; r.bound > MaxCandidates && !told[r.route] {
			told[r.route] = true
			k.addf(fmt.Sprintf("routes[%d].members", r.route), "at most 64 channels and accounts for one lane", "%d candidates in one lane", r.bound)
		}
	}
}

// layRows sorts lanes and lays the slots of each row by priority.
func (k *compiler) layRows(rs *rows) {
	p := k.plan
	names := make([]string, len(p.lanes))
	order := make([]int, len(p.lanes))
	for i := range p.lanes {
		names[i], order[i] = p.lanes[i].Instrument.String(), i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &p.lanes[a], &p.lanes[b]
		return cmp.Or(cmp.Compare(x.Entity, y.Entity), cmp.Compare(x.Business, y.Business), cmp.Compare(names[a], names[b]))
	})
	sorted := make([]lane, len(p.lanes))
	for to, from := range order {
		sorted[to] = p.lanes[from]
		p.laneOf[sorted[to].Lane] = int32(to)
	}
	p.lanes = sorted
	p.index = newLaneIndex(sorted)
	p.rows = make([]row, len(rs.drafts))
	total := 0
	for i := range rs.drafts {
		total += len(rs.drafts[i].drafts)
	}
	p.slots = make([]slot, 0, total)
	for i := range p.lanes { // in lane order, so that neighbours in the catalogue are neighbours in memory
		l := &p.lanes[i]
		for _, at := range l.rows {
			if at >= 0 {
				p.layRow(&p.rows[at], &rs.drafts[at])
			}
		}
		if len(l.rows) == 1 && p.selective(l.rows[0]) == 0 {
			l.only = p.rows[l.rows[0]]
		}
	}
}

func (p *Plan) layRow(r *row, d *rowDraft) {
	slices.SortStableFunc(d.drafts, func(a, b draft) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(rank(a.last), rank(b.last)))
	})
	*r = row{route: d.route, slot: i32(len(p.slots)), group: i32(len(p.groups)), nSlots: u8(len(d.drafts)), key: -1}
	if s := p.routes[d.route].strategy; s >= 0 {
		r.key = i32(p.keys)
		p.keys += len(d.drafts) * p.strategies[s].stride
	}
	for i, x := range d.drafts {
		if i == 0 || x.priority != d.drafts[i-1].priority || x.last != d.drafts[i-1].last {
			p.groups = append(p.groups, group{first: u8(i), priority: x.priority, why: whyOf(x)})
			r.nGroups++
		}
		g := &p.groups[len(p.groups)-1]
		g.n++
		g.total += uint64(x.weight)
		p.slots = append(p.slots, x.slot)
	}
	for i := range p.groups[r.group:] {
		if g := &p.groups[int(r.group)+i]; g.n == 1 { // nothing to deal
			g.why = WhyPriority
		}
	}
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

func whyOf(d draft) Why {
	if d.split && !d.last {
		return WhySplit
	}
	return WhyWeight
}
