package monitor

import (
	"errors"
	"fmt"
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

// The rules of the windows detector, as they stand in Evidence.Rule.
const (
	RuleRate      = "rate"            // failure rate over a widening window
	RuleMild      = "mild"            // a lower rate, shown to be no accident
	RuleRatio     = "count-and-ratio" // more than so many failures, and more than such a part
	RuleRecovered = "recovered"       // the rate fell below half the threshold
	RuleStep      = "step"            // probes or a ramp step failed
)

// ErrEvidence is wrapped by Recompute for evidence that contradicts itself.
var ErrEvidence = errors.New("the evidence contradicts itself")

// wilsonUpper is the upper end of the one-sided 95 % interval, 1 without results.
func wilsonUpper(bad, n float64) float64 {
	const z = 1.6448536269514722
	if n <= 0 {
		return 1
	}
	p := min(1, bad/n)
	return min(1, (p+z*z/(2*n)+z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n)))/(1+z*z/n))
}

// Weighted returns the results that count, and the bad ones among them, as the rules see them: one payer's repeated
// failures within 120 s are one result, and a result at half weight is half bad.
func (t *Tally) Weighted() (answered, bad float64) {
	answered = float64(t.Good()) + float64(t.BadPayers) + float64(t.HalfPayers)
	return answered, float64(t.BadPayers) + 0.5*float64(t.HalfPayers)
}

// evidence describes what a tally shows, without rule and threshold.
func evidence(scope statemachine.Scope, t *Tally, from, to int64) statemachine.Evidence {
	answered, bad := t.Weighted()
	e := statemachine.Evidence{
		Scope: scope, From: from, To: to, Answered: answered, Bad: bad, Lower: statemachine.WilsonLower(bad, answered),
		CodedBad: min(float64(t.CodedBad), bad), Reporters: popcount(t.Reporters),
	}
	if answered > 0 {
		e.Rate = bad / answered
	}
	e.Statistic = e.Rate
	for o, n := range t.Outcomes {
		e.Outcomes[o] = uint64(n)
	}
	return e
}

// Recompute says what stored evidence amounts to, from its numbers alone. The error wraps
// ErrEvidence if they contradict one another, so that the verdict cannot be trusted.
func Recompute(e statemachine.Evidence) (statemachine.VerdictKind, error) {
	if err := consistent(e); err != nil {
		return statemachine.VerdictNone, err
	}
	if e.Detector == SequentialDetector {
		return recomputeSequential(e)
	}
	kind := statemachine.Failing
	var holds bool
	enough := e.Answered >= e.MinSamples
	switch e.Rule {
	case RuleRate:
		holds = enough && e.Rate >= e.Threshold
	case RuleRatio:
		holds = e.Bad > e.MinCount && e.Rate > e.Threshold
	case RuleStep:
		holds = stepFails(e)
	case RuleMild:
		kind, holds = statemachine.MildlyFailing, enough && mild(e)
	case RuleRecovered:
		kind, holds = statemachine.Recovered, enough && e.Rate < e.Threshold/2
	default:
		return statemachine.VerdictNone, fmt.Errorf("%w: unknown rule %q", ErrEvidence, e.Rule)
	}
	if !holds {
		return statemachine.VerdictNone, nil
	}
	return kind, nil
}

// mildCertainty is the part of MildRate that the lower bound must reach. At a half, six failures of twenty-three lowered shares
// of channels whose baseline merely wandered.
const mildCertainty = 0.75

// mild is the rule of MildRate: the rate reaches it, and the lower bound comes near it. Without the second condition four
// failures of twenty, which a healthy channel has now and then, would lower a share.
func mild(e statemachine.Evidence) bool {
	return e.Threshold > 0 && e.Rate >= e.Threshold && e.Lower >= e.Threshold*mildCertainty
}

// consistent checks the derived numbers against the counted ones.
func consistent(e statemachine.Evidence) error {
	const slack = 1e-9
	var good, all uint64
	for o, n := range e.Outcomes {
		switch statemachine.Outcome(o).Health() {
		case statemachine.HealthGood:
			good += n
			all += n
		case statemachine.HealthBad, statemachine.HealthHalf, statemachine.HealthAccountBad:
			all += n
		case statemachine.HealthNone:
		}
	}
	rate := 0.0
	if e.Answered > 0 {
		rate = e.Bad / e.Answered
	}
	switch {
	case e.Bad < 0 || e.Bad > e.Answered:
		return fmt.Errorf("%w: %g bad of %g results", ErrEvidence, e.Bad, e.Answered)
	case math.Abs(e.Rate-rate) > slack:
		return fmt.Errorf("%w: rate %g, but %g of %g are bad", ErrEvidence, e.Rate, e.Bad, e.Answered)
	case math.Abs(e.Lower-statemachine.WilsonLower(e.Bad, e.Answered)) > slack:
		return fmt.Errorf("%w: lower bound %g, but %g of %g are bad", ErrEvidence, e.Lower, e.Bad, e.Answered)
	case e.Rule == RuleHanging: // silence has no outcome
	case e.Answered > float64(all)+slack:
		return fmt.Errorf("%w: %g results, but the outcomes sum up to %d", ErrEvidence, e.Answered, all)
	case e.Answered-float64(good) > float64(all-good)+slack || e.Answered+slack < float64(good):
		return fmt.Errorf("%w: %d good outcomes in %g results", ErrEvidence, good, e.Answered)
	}
	if e.From > e.To {
		return fmt.Errorf("%w: from second %d to %d", ErrEvidence, e.From, e.To)
	}
	return nil
}
