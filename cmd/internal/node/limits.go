package node

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	loneLag    = 2  // seconds from a sealed second to the one it is shared out for, with one replica
	clusterLag = 5  // the same where followers wait for the leader's list, and one may be late by two Ticks
	reopenLead = 10 // seconds before the end of a maintenance in which a channel is put to probing
)

// lagOf is the lag of sharing for a grace: 0 = there is one replica.
func lagOf(grace time.Duration) int64 {
	if grace <= 0 {
		return loneLag
	}
	return clusterLag
}

// shareOut takes what routers published for a sealed second into the division of limits, and what quotas used.
func (n *Node) shareOut(second int64, rows []*monitor.Row, sum *monitor.SecondCounts) {
	n.quotas.Observe(sum)
	routers := make([]routing.RouterSecond, len(rows))
	for i, r := range rows {
		routers[i] = routing.RouterSecond{Router: r.Replica, Limits: r.Limits, Accounts: accountsOf(r.Counts.Items)}
	}
	n.sharing.Observe(second, routers, n.quotas.Used())
}

// accountsOf is what a row says of accounts, for their throttles.
func accountsOf(items []monitor.ItemCounts) []routing.AccountSecond {
	var out []routing.AccountSecond
	for i := range items {
		c := &items[i]
		if c.Item.Kind != statemachine.ScopeAccount {
			continue
		}
		a := routing.AccountSecond{Account: c.Item, Throttled: positive(c.Totals[statemachine.Throttled])}
		for k := range c.Sent {
			a.Sent += c.Sent[k]
		}
		for o, total := range c.Totals {
			if statemachine.Outcome(o) != statemachine.Pending {
				a.Answered += positive(total)
			}
		}
		out = append(out, a)
	}
	return out
}

// positive leaves out what corrections took away.
func positive(n int32) uint32 {
	return uint32(max(0, n))
}

// takeShares puts the router's parts of all limits in force.
func (n *Node) takeShares(now time.Time) {
	n.router.Share(n.sharing.Shares(n.plan, n.cfg.Replica, now.Unix()+1))
}

// quotaRules are the quotas of a plan as monitor counts them.
func quotaRules(p *routing.Plan) []monitor.QuotaRule {
	quotas := p.Quotas()
	rules := make([]monitor.QuotaRule, len(quotas))
	for i := range quotas {
		q := &quotas[i]
		rules[i] = monitor.QuotaRule{ID: q.ID, Items: q.Items, Units: q.Units, Minimum: q.Minimum, Period: q.PeriodOf}
	}
	return rules
}

// Quotas returns the quotas of the catalogue and what is used of them, in its order.
func (n *Node) Quotas() []monitor.QuotaState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.quotas.States()
}

// learnable is the sum of a second without the evidence of channels that were closed by their calendar: what ends there says
// nothing about how they work.
func (n *Node) learnable(sum *monitor.SecondCounts) *monitor.SecondCounts {
	closed := n.plan.Closed(sum.Second)
	if len(closed) == 0 {
		return sum
	}
	slices.Sort(closed)
	out := *sum
	out.Items = slices.Clone(sum.Items)
	for i := range out.Items {
		c := &out.Items[i]
		if _, found := slices.BinarySearchFunc(closed, c.Item.Channel, strings.Compare); found {
			c.Evidence = [statemachine.NumLaneKinds]monitor.Tally{}
			c.Ages, c.Latency, c.LatencyMillis, c.Reasons = [monitor.NumAgeBuckets]uint32{}, [monitor.NumLatencyBuckets]uint32{}, 0, nil
		}
	}
	return &out
}

// reopening puts channels whose maintenance is about to end to probing: by the same door as after an OFF. A channel without
// which some lane would have nothing stays open instead, as closing it would be a cut that a guard forbids.
func (n *Node) reopening(now time.Time, fleet *statemachine.Fleet) []monitor.Input {
	if n.control.View().Leader == 0 {
		return nil
	}
	var out []monitor.Input
	for _, channel := range n.plan.Reopening(now.Unix(), reopenLead) {
		scope := statemachine.ChannelScope(channel)
		if st := fleet.State(scope); st.Phase != statemachine.Healthy || st.Held() {
			continue
		}
		last := statemachine.Guard(fleet, statemachine.Proposal{Scope: scope, Cause: statemachine.Automation, Lower: 1}, now)
		if last.Answer == statemachine.Refuse && last.Guard == statemachine.GuardLastUsable {
			continue
		}
		out = append(out, monitor.Input{Scope: scope, Event: statemachine.Tick{Reopens: true}})
	}
	return out
}
