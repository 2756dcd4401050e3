package routing

import "github.com/sluice-pay/sluice/statemachine"

// previousRule says what previous attempts mean for payments of one business type.
type previousRule struct {
	judged  bool // a previous attempt may forbid another one: an attempt of this type moves something
	coded   bool // a raw code that no table maps leaves the attempt in doubt, whatever outcome is claimed beside it
	limited bool // max_attempts applies: there is more than one channel to try
	pinned  bool // leaves the channel it was given only after a definite failure was told
}

// previousRules is the table of DESIGN section 5. Money that goes out is the stricter: what a code means there is the
// catalogue's to say, and an answer that was given out may have been acted upon.
var previousRules = [statemachine.NumBusinessTypes]previousRule{ //nolint:gochecknoglobals // read-only table
	statemachine.Collect:      {judged: true, limited: true},
	statemachine.Payout:       {judged: true, limited: true, coded: true, pinned: true},
	statemachine.Deduct:       {judged: true, limited: true, coded: true, pinned: true},
	statemachine.Authenticate: {judged: true, limited: true},
	statemachine.Refund:       {judged: true, coded: true},
	statemachine.Cancel:       {judged: true},
	statemachine.Query:        {}, // asks, and moves nothing: nothing forbids it
}

// previousRuleOf returns the rule of a business type; of an unknown one the strictest.
func previousRuleOf(b statemachine.BusinessType) previousRule {
	if b == statemachine.BusinessUnspecified || b >= statemachine.NumBusinessTypes {
		return previousRule{judged: true, coded: true, limited: true, pinned: true}
	}
	return previousRules[b]
}

// forbids returns what a meaning for the money says to another attempt; nil where it may be made.
func forbids(m statemachine.Money) error {
	switch m {
	case statemachine.MoneyReroutable:
		return nil
	case statemachine.MoneyFinal:
		return ErrFinalPreviousAttempt
	case statemachine.MoneyPaid:
		return ErrAlreadyPaid
	case statemachine.MoneyInDoubt:
	}
	return ErrAmbiguousPreviousAttempt
}

// judgeAttempts finds the most severe previous attempt, the first of several; one that only failed definitely, and may be
// followed by another channel, forbids nothing.
func (rk *Ranking) judgeAttempts() {
	rule := previousRuleOf(rk.request.Business)
	if !rule.judged {
		return
	}
	worst := statemachine.MoneyReroutable
	for i := range rk.request.Attempts {
		a := &rk.request.Attempts[i]
		if m := rk.table.plan.judge(rule, a.Channel, a.Outcome, a.Code); m.Money > worst {
			worst, rk.decided, rk.meaning = m.Money, i, m
		}
	}
}

// exhausted reports whether a payment on a route has had its attempts. It is asked after the attempts themselves: one that is
// in doubt is told first.
func (rk *Ranking) exhausted(route int32) bool {
	n := len(rk.request.Attempts)
	return n > 0 && n >= int(rk.table.plan.routes[route].attempts) && previousRuleOf(rk.request.Business).limited
}

// Judge returns what a result means for a payment of a business type: Interpret, and for money that goes out a code that the
// channel's table does not map is in doubt, whatever failure is claimed beside it.
func (p *Plan) Judge(b statemachine.BusinessType, channel string, o statemachine.Outcome, code string) Meaning {
	return p.judge(previousRuleOf(b), channel, o, code)
}

func (p *Plan) judge(rule previousRule, channel string, o statemachine.Outcome, code string) Meaning {
	var codes codeTable
	if c, ok := p.channelOf[channel]; ok {
		codes = p.channels[c].codes
	}
	m := interpret(codes, o, code)
	if rule.coded && code != "" && m.Money < statemachine.MoneyInDoubt {
		if _, mapped := codes[code]; !mapped {
			m.Money = statemachine.MoneyInDoubt
		}
	}
	return m
}
