package server

import (
	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	decisionLag     = 60        // seconds that a client's decisions may be late, or its clock be wrong
	maxDecided      = 1_000_000 // payments of one lane, gate or item of one client in one second
	wantDecided     = "at most 1000000 payments a second"
	maxLanes        = 10_000
	maxGates        = 1000
	maxSentItems    = 10_000
	wantInSequence  = "a second after that of the decisions before"
	wantSecondClose = "the last full second, by a clock that is right"
)

// decisions counts what a local-first client decided by itself, in the current second: as demand of lanes, at gates of scopes
// that are not healthy, and as sent. Its own second only tells one message from the next. What the catalogue does not know is
// left out, and gates of another epoch are: their generations mean nothing here. It counts all or, with an error, nothing.
func (f *resultFeed) decisions(m *sluicev1.LocalDecisions) error {
	s := f.r.s
	now := s.cfg.Clock.Second()
	switch {
	case m.GetSecond() < now-decisionLag || m.GetSecond() > now+decisionLag:
		return bad("decisions.second", wantSecondClose)
	case m.GetSecond() <= f.decided: // which also bounds what one stream adds to a second
		return bad("decisions.second", wantInSequence)
	}
	t := s.cfg.Router.Table()
	if t == nil {
		return noTable()
	}
	lanes, err := decidedLanes(t.Plan(), m.GetLanes())
	if err != nil {
		return err
	}
	gates, err := decidedGates(t.Plan(), m.GetGates())
	if err != nil {
		return err
	}
	if m.GetEpoch() != t.Revision().Epoch {
		gates = nil
	}
	sent, err := decidedSent(t.Plan(), m.GetSent())
	if err != nil {
		return err
	}
	f.decided = m.GetSecond()
	s.cfg.Counters.AddRouter(now, lanes, gates, sent)
	s.metrics.AddRouter(sent)
	return nil
}

// decidedLanes reads the demand per lane; the error is a field's. Each lane counts once.
func decidedLanes(p *routing.Plan, in []*sluicev1.LaneDecisions) ([]statemachine.LaneCount, error) {
	if len(in) > maxLanes {
		return nil, bad("decisions.lanes", "at most 10000 lanes")
	}
	seen := make(map[statemachine.Lane]bool, len(in))
	out := make([]statemachine.LaneCount, 0, len(in))
	for i, l := range in {
		if err := checkLane(l, i); err != nil {
			return nil, err
		}
		lane := statemachine.Lane{
			Entity: l.GetSettlementEntity(), Business: businessOf(l.GetBusinessType()), Instrument: routepb.ToInstrument(l.GetMethod(), l.GetBank(), l.GetCardType()),
		}
		if seen[lane] {
			return nil, badAt("decisions.lanes", i, "", "each lane once")
		}
		seen[lane] = true
		if _, known := p.LaneIndex(lane); known {
			out = append(out, statemachine.LaneCount{Lane: lane, Decisions: l.GetDecisions(), Refused: l.GetRefused()})
		}
	}
	return out, nil
}

func checkLane(l *sluicev1.LaneDecisions, i int) error {
	switch {
	case !name(l.GetSettlementEntity()):
		return badAt("decisions.lanes", i, ".settlement_entity", wantName)
	case !business(l.GetBusinessType()):
		return badAt("decisions.lanes", i, ".business_type", wantBusiness)
	case !nameOrNone(l.GetMethod()):
		return badAt("decisions.lanes", i, ".method", wantName)
	case !nameOrNone(l.GetBank()):
		return badAt("decisions.lanes", i, ".bank", wantName)
	case !cardType(l.GetCardType()):
		return badAt("decisions.lanes", i, ".card_type", wantCard)
	case l.GetDecisions() > maxDecided:
		return badAt("decisions.lanes", i, ".decisions", wantDecided)
	case l.GetRefused() > maxDecided:
		return badAt("decisions.lanes", i, ".refused", wantDecided)
	}
	return nil
}

// decidedGates reads what was counted at gates.
func decidedGates(p *routing.Plan, in []*sluicev1.GateDecisions) ([]statemachine.GateCount, error) {
	if len(in) > maxGates {
		return nil, bad("decisions.gates", "at most 1000 gates")
	}
	seen := make(map[statemachine.Scope]bool, len(in))
	out := make([]statemachine.GateCount, 0, len(in))
	for i, g := range in {
		scope, err := decidedScope("decisions.gates", i, ".scope", g.GetScope())
		switch {
		case err != nil:
			return nil, err
		case seen[scope]:
			return nil, badAt("decisions.gates", i, ".scope", "each scope once")
		case g.GetWouldBe() > maxDecided:
			return nil, badAt("decisions.gates", i, ".would_be", wantDecided)
		case g.GetSent() > g.GetWouldBe():
			return nil, badAt("decisions.gates", i, ".sent", "no more than would_be")
		}
		seen[scope] = true
		if p.Has(scope) {
			out = append(out, statemachine.GateCount{
				Scope: scope, Generation: g.GetGeneration(), Step: g.GetStep(), WouldBe: g.GetWouldBe(), Sent: g.GetSent(),
			})
		}
	}
	return out, nil
}

// decidedSent reads the attempts per item and kind.
func decidedSent(p *routing.Plan, in []*sluicev1.SentDecisions) ([]statemachine.SentCount, error) {
	if len(in) > maxSentItems {
		return nil, bad("decisions.sent", "at most 10000 items")
	}
	out := make([]statemachine.SentCount, 0, len(in))
	for i, n := range in {
		item, err := decidedScope("decisions.sent", i, ".item", n.GetItem())
		switch {
		case err != nil:
			return nil, err
		case n.GetKind() < sluicev1.TrafficKind_TRAFFIC_KIND_NORMAL || n.GetKind() > sluicev1.TrafficKind_TRAFFIC_KIND_RAMP:
			return nil, badAt("decisions.sent", i, ".kind", "NORMAL, PROBE or RAMP")
		case n.GetCount() > maxDecided:
			return nil, badAt("decisions.sent", i, ".count", wantDecided)
		}
		if _, known := p.Item(item); known {
			out = append(out, statemachine.SentCount{Item: item, Kind: laneKindOf(n.GetKind()), N: n.GetCount()})
		}
	}
	return out, nil
}

func decidedScope(list string, i int, field string, m *configv1.Scope) (statemachine.Scope, error) {
	s, err := statepb.ToScope(m)
	if m == nil || err != nil {
		return statemachine.Scope{}, badAt(list, i, field, "a scope with its kind and its parts")
	}
	return s, nil
}

// laneKindOf is the inverse of routepb.FromKind for a checked kind.
func laneKindOf(k sluicev1.TrafficKind) statemachine.LaneKind {
	return statemachine.LaneKind(k - 1) //nolint:gosec // a checked enum
}
