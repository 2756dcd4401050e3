package routing

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CriterionValue is what a criterion of a strategy saw of a candidate.
type CriterionValue struct {
	Criterion string // place and key, e.g. "2 success_rate"
	Value     string // for people
}

// standing fills in what a candidate's strategy saw of it.
func (x *ExplainedCandidate) standing(rk *Ranking) {
	s := rk.strategy()
	if s == nil || x.Index < 0 {
		return
	}
	c := &rk.list[x.Index]
	sl := &rk.table.plan.slotsOf(rk.row)[c.slot]
	st := rk.table.scored.standing(rk.table.plan, s, sl, c.account)
	x.Strategy = s.id
	if x.Criterion > 0 {
		x.Decided = s.label(int(x.Criterion) - 1)
	}
	for i := range s.criteria {
		by := &s.criteria[i]
		if !by.when.holds(rk.request) {
			continue
		}
		x.Values = append(x.Values, CriterionValue{s.label(i), rk.valueText(by, c, &st)})
		if by.kind.learned() {
			x.Score = st.rate
		}
	}
}

// valueText says what a criterion sees of a candidate.
func (rk *Ranking) valueText(by *criterion, c *ranked, st *standing) string {
	p := rk.table.plan
	switch by.kind {
	case bySettlementTime:
		if s := p.merits[c.channel].settlement; s != noSettlement {
			return (time.Duration(s) * time.Second).String()
		}
		return "not declared"
	case byWeight:
		return strconv.FormatUint(uint64(p.channels[c.channel].weight), 10)
	case byPriority:
		return strconv.Itoa(int(c.priority))
	case byAttribute:
		return p.attributeText(by, c.channel)
	case byFee, byExpectedValue, byPreference, bySplit:
		return rk.paymentText(by, c, st)
	case byFeedback, bySuccessRate, byResultTime, byHeadroom, byCommitment, byQuota, numCriterionKinds:
	}
	return st.text(by.kind)
}

// text says what a criterion sees of a score.
func (s *standing) text(kind criterionKind) string {
	switch kind {
	case byFeedback:
		return fmt.Sprintf("%g of 10", float64(s.feedback)/1000)
	case bySuccessRate:
		return rateText(s)
	case byResultTime:
		return (time.Duration(s.result) * time.Millisecond).String()
	case byHeadroom:
		return s.headroom.String() + " left"
	case byQuota:
		return s.quota.String() + " left"
	case byCommitment:
		return s.commitment.String() + " behind"
	case byFee, byPreference, bySplit, byExpectedValue, bySettlementTime, byWeight, byAttribute, byPriority, numCriterionKinds:
	}
	return ""
}

// paymentText says what a criterion that depends on the payment sees.
func (rk *Ranking) paymentText(by *criterion, c *ranked, st *standing) string {
	switch by.kind {
	case byFee:
		cost := rk.table.plan.merits[c.channel].fee.of(amountOf(rk.request), rk.money, rk.request.Currency != "")
		if cost == unknownCost {
			return "in another currency"
		}
		return minorText(signed(cost))
	case byExpectedValue:
		value, ok := rk.valueOf(by, int(c.entry), int64(st.rate))
		if !ok {
			return "fee in another currency"
		}
		return minorText(value) + " at " + rateText(st)
	case byPreference:
		list := by.choice.list(rk.request.Merchant)
		if at := indexOf(list, c.channel); at < len(list) {
			return fmt.Sprintf("choice %d", at+1)
		}
		return "no choice"
	case bySplit:
		if n := partOf(by.parts, c.channel); n > 0 {
			return fmt.Sprintf("part %d", n)
		}
		return "no part"
	case byFeedback, bySuccessRate, byResultTime, bySettlementTime, byWeight, byHeadroom, byCommitment, byQuota, byAttribute,
		byPriority, numCriterionKinds:
	}
	return ""
}

func rateText(st *standing) string {
	if !st.known {
		return st.rate.String() + " assumed"
	}
	text := st.rate.String() + " ± " + st.deviation.String()
	if st.frozen {
		text += " (frozen)"
	}
	return text
}

// minorText renders ten thousandths of a minor unit.
func minorText(v int64) string {
	return strconv.FormatFloat(float64(v)/10_000, 'f', -1, 64) + " minor units"
}

func (p *Plan) attributeText(by *criterion, channel int32) string {
	ch := p.source.catalog.GetChannels()[channel]
	if by.tag {
		if v, ok := ch.GetTags()[by.of]; ok {
			return strconv.Quote(v)
		}
		return "none"
	}
	if v, ok := ch.GetAttributes()[by.of]; ok {
		return strconv.FormatInt(v, 10)
	}
	return "none"
}

// byStrategy says what the strategy saw, and what of it decided.
func (x *ExplainedCandidate) byStrategy() string {
	parts := make([]string, len(x.Values))
	for i, v := range x.Values {
		_, key, _ := strings.Cut(v.Criterion, " ")
		parts[i] = key + " " + v.Value
	}
	text := strings.Join(parts, ", ")
	switch {
	case x.Why == WhyExploration:
		return fmt.Sprintf("explored by strategy %s, so that its success rate stays known (%s)", x.Strategy, text)
	case x.Decided != "":
		return fmt.Sprintf("criterion %s of strategy %s (%s)", x.Decided, x.Strategy, text)
	case text == "":
		return fmt.Sprintf("strategy %s has no criterion for this payment", x.Strategy)
	}
	return fmt.Sprintf("no criterion of strategy %s sets it apart (%s)", x.Strategy, text)
}
