package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// fleet compiles the static part of the fleet. A lane's members are the channels of its route without selectors, in the order
// of its priorities, then those that only other routes of the lane name. A member's weight is its channel's weight, by the
// weights of all members: its part of the normal capacity. Members of other routes alone weigh nothing. Retired channels are no
// members: nothing can go there.
func (k *compiler) fleet() {
	p := k.plan
	p.fleetLanes = make([]statemachine.LaneMembers, len(p.lanes))
	for i := range p.lanes {
		p.fleetLanes[i] = statemachine.LaneMembers{Lane: p.lanes[i].Lane, Members: k.members(&p.lanes[i])}
	}
}

func (k *compiler) members(l *lane) []statemachine.Member {
	p := k.plan
	rows := slices.DeleteFunc(slices.Clone(l.rows), func(r int32) bool { return r < 0 })
	slices.SortStableFunc(rows, func(a, b int32) int { return p.selective(a) - p.selective(b) })
	var out []statemachine.Member
	var seen []int32
	weighs := true
	for _, at := range rows {
		for _, s := range p.slotsOf(&p.rows[at]) {
			if s.flags&slotRetired != 0 {
				continue
			}
			accounts := p.everyAccount(&s)
			for _, a := range accounts {
				if slices.Contains(seen, a) {
					continue
				}
				seen = append(seen, a)
				m := k.memberOf(s.channel, a)
				if weighs {
					m.Weight = float64(p.channels[s.channel].weight) / float64(len(accounts))
				}
				out = append(out, m)
			}
		}
		weighs = len(out) == 0 // the first row with a member weighs
	}
	total := 0.0
	for _, m := range out {
		total += m.Weight
	}
	for i := range out {
		out[i].Weight /= total // never 0: a channel's weight is at least 1
	}
	return out
}

// selective is 1 for a row whose route serves only some merchants or tiers, else 0.
func (p *Plan) selective(at int32) int {
	if r := &p.routes[p.rows[at].route]; r.merchants != nil || r.tiers != nil {
		return 1
	}
	return 0
}

// everyAccount lists all accounts a slot may use for any merchant, in index order.
func (p *Plan) everyAccount(s *slot) []int32 {
	if s.account >= 0 {
		return []int32{s.account}
	}
	set := &p.sets[^s.account]
	out := slices.Clone(set.general)
	for _, list := range set.named {
		out = append(out, list...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (k *compiler) memberOf(c, a int32) statemachine.Member {
	ch, acc := &k.plan.channels[c], &k.plan.accounts[a]
	pools := slices.Concat(k.capacity[capacityKey{channel: ch.id}], k.capacity[capacityKey{ch.id, acc.id}])
	slices.Sort(pools)
	return statemachine.Member{
		Channel: ch.id, Account: acc.id, Domains: k.plan.facts[ch.id].Domains, Pools: slices.Compact(pools),
	}
}
