package routing

import configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"

// neutralAmount is the amount, in minor units, whose fee sets channels apart in an order of last resort.
const neutralAmount = 10_000

// neutralKey is what a strategy says of a member when nothing is known: no score, no payment. It is nil without a strategy.
// Criteria that sort for some payments only are left out.
func (p *Plan) neutralKey(r *configv1.Route, m *configv1.RouteMember) []uint64 {
	s := p.strategyNamed(r.GetStrategy())
	ch, ok := p.channelOf[m.GetChannel()]
	if s == nil || !ok {
		return nil
	}
	key := make([]uint64, 0, len(s.criteria))
	for i := range s.criteria {
		if c := &s.criteria[i]; c.when == nil {
			key = append(key, c.neutral(p, s, ch, m.GetPriority()))
		}
	}
	return key
}

func (p *Plan) strategyNamed(id string) *strategy {
	for i := range p.strategies {
		if p.strategies[i].id == id {
			return &p.strategies[i]
		}
	}
	return nil
}

// neutral is the class of a channel when nothing is known.
func (c *criterion) neutral(p *Plan, s *strategy, channel int32, priority uint32) uint64 {
	fees := &p.merits[channel].fee
	switch c.kind {
	case byFee:
		return fees.of(neutralAmount, anyCurrency, false)
	case byExpectedValue:
		return descending(worth(int64(s.prior), c.margin.of(neutralAmount, anyCurrency, false), fees.of(neutralAmount, anyCurrency, false)))
	case byPreference:
		if c.choice.others < 0 {
			return 0
		}
		return word(int64(indexOf(c.choice.lists[c.choice.others], channel)))
	case bySplit:
		return ^uint64(partOf(c.parts, channel))
	case byFeedback, bySuccessRate, byResultTime, bySettlementTime, byWeight, byHeadroom, byCommitment, byQuota, byAttribute,
		byPriority, numCriterionKinds:
	}
	st := s.unknown(p, channel)
	return c.class(p, channel, uint16(min(priority, maxPriority)), &st)
}

// unknown is the standing of a channel without scores.
func (s *strategy) unknown(p *Plan, channel int32) standing {
	return standing{
		rate: s.prior, deviation: priorDeviation, feedback: fullFeedback,
		headroom: fullShare, quota: fullShare, result: p.merits[channel].result,
	}
}
