package client

import (
	"sync"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// What replicas take of one second.
const (
	// Replicas count what they are told in the second they hear it: a burst of old seconds would look like payments that
	// nobody answers. What was decided while no replica listened is not told.
	keptSeconds = 5
	mostLanes   = 10_000
	mostGates   = 1000
	mostItems   = 10_000
)

// outbox holds what the client decided by itself, by second, until a reporter takes it.
type outbox struct {
	mu      sync.Mutex
	seconds []*sluicev1.LocalDecisions
}

// fill adds a second.
func (o *outbox) fill(counts routing.RouterCounts, epoch uint64) {
	if len(counts.Lanes)+len(counts.Gates)+len(counts.Sent) == 0 {
		return
	}
	m := decisionsOf(counts, epoch)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seconds = append(o.seconds, m)
	for m.GetSecond()-o.seconds[0].GetSecond() >= keptSeconds {
		o.seconds = o.seconds[1:]
	}
}

// take returns the oldest second, nil if there is none that replicas still take.
func (o *outbox) take(now int64) *sluicev1.LocalDecisions {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.seconds) > 0 {
		m := o.seconds[0]
		o.seconds = o.seconds[1:]
		if now-m.GetSecond() < keptSeconds {
			return m
		}
	}
	return nil
}

// decisionsOf renders the counts of a second.
func decisionsOf(counts routing.RouterCounts, epoch uint64) *sluicev1.LocalDecisions {
	m := &sluicev1.LocalDecisions{Second: counts.Second, Epoch: epoch, TableRevision: counts.Revision}
	for i := range counts.Lanes[:min(len(counts.Lanes), mostLanes)] {
		l := &counts.Lanes[i]
		m.Lanes = append(m.Lanes, &sluicev1.LaneDecisions{
			SettlementEntity: l.Lane.Entity, BusinessType: configv1.BusinessType(l.Lane.Business), Method: l.Lane.Instrument.Method,
			Bank: routepb.FromBank(l.Lane.Instrument), CardType: routepb.FromCard(l.Lane.Instrument.CardType), Decisions: l.Decisions, Refused: l.Refused,
		})
	}
	m.Gates = gatesOf(counts.Gates)
	for i := range counts.Sent[:min(len(counts.Sent), mostItems)] {
		n := &counts.Sent[i]
		m.Sent = append(m.Sent, &sluicev1.SentDecisions{Item: statepb.FromScope(n.Item), Kind: routepb.FromKind(n.Kind), Count: n.N})
	}
	return m
}

// gatesOf renders the counts of gates, each scope once: of a scope that moved on within the second the newest life. A payment
// may have been admitted on the account of one that was counted the second before, so would-be is never told as less.
func gatesOf(counts []statemachine.GateCount) []*sluicev1.GateDecisions {
	var out []*sluicev1.GateDecisions
	for i := range counts {
		g := &counts[i]
		if i+1 < len(counts) && counts[i+1].Scope == g.Scope {
			continue
		}
		if len(out) == mostGates {
			break
		}
		out = append(out, &sluicev1.GateDecisions{
			Scope: statepb.FromScope(g.Scope), Generation: g.Generation, Step: g.Step, WouldBe: max(g.WouldBe, g.Sent), Sent: g.Sent,
		})
	}
	return out
}

// takeDecisions returns what the client decided by itself in the oldest second not taken yet, nil if there is none. Seconds
// come in order, each once; those older than a few seconds are dropped.
func (c *Client) takeDecisions() *sluicev1.LocalDecisions { return c.decided.take(c.now().Unix()) }

// grant hands over the probe tokens of an acknowledgement.
func (c *Client) grant(grants []*sluicev1.ProbeGrant) {
	second := c.now().Unix()
	for _, g := range grants {
		scope, err := statepb.ToScope(g.GetScope())
		if err != nil {
			continue
		}
		c.mem.router.Grant(routing.Grant{
			Scope: scope, Generation: g.GetGeneration(), Tokens: g.GetTokens(), From: second, Until: g.GetLastSecond(), Lift: g.GetLift(),
		})
	}
}
