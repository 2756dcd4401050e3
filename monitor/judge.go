package monitor

import "github.com/sluice-pay/sluice/statemachine"

// certainty is the part of ProbeFailRate that the 99 % lower bound must reach before probes or a ramp step fail: two
// failures of two, four of ten, but not two of ten.
const certainty = 1.0 / 3

// stepFails is the rule by which probes or a ramp step fail, as early as it is certain enough: at least two failures, at
// a rate of the threshold or more whose lower bound reaches a third of it.
func stepFails(e statemachine.Evidence) bool {
	return e.Bad >= 2 && e.Rate >= e.Threshold && e.Lower >= e.Threshold*certainty
}

// Judge says what the evidence of a probing phase or ramp step amounts to. Evidence of failure goes first. Probes pass
// with ProbeEvidence good results, a step with StepEvidence results; both only below ProbeFailRate. A step of a DEGRADED
// scope fails only clearly above the fault's own rate, and passes below half of MildRate: back at normal.
func (w *Windows) Judge(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy) statemachine.Judgement {
	e := stepEvidence(st, ev, p)
	good := ev.Answered - ev.Bad
	switch {
	case st.Phase != statemachine.Probing && st.Phase != statemachine.Ramping, ev.Generation != st.Generation, ev.Step != st.Step:
		return statemachine.Gathering
	case stepFails(e) && (st.Kind != statemachine.Degraded || e.Lower > st.Base.Fraction()):
		return statemachine.Failed
	case e.Rate >= p.ProbeFailRate:
		return statemachine.Gathering
	case st.Phase == statemachine.Probing:
		return passedIf(good >= p.ProbeEvidence && good > 0)
	case float64(ev.Settled) < p.StepSettled*float64(ev.Sent):
		return statemachine.Gathering
	case st.Kind == statemachine.Degraded && p.MildRate > 0 && e.Rate >= p.MildRate/2:
		return statemachine.Gathering
	}
	return passedIf(ev.Answered >= p.StepEvidence && good > 0)
}

func passedIf(ok bool) statemachine.Judgement {
	if ok {
		return statemachine.Passed
	}
	return statemachine.Gathering
}

// stepEvidence completes the evidence of a step with rule, thresholds and derived numbers.
func stepEvidence(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy) statemachine.Evidence {
	e := ev.Evidence
	e.Detector, e.Rule, e.Scope = WindowsDetector, RuleStep, st.Scope
	e.Answered, e.Bad, e.Rate, e.Lower = ev.Answered, ev.Bad, 0, statemachine.WilsonLower(ev.Bad, ev.Answered)
	if ev.Answered > 0 {
		e.Rate = ev.Bad / ev.Answered
	}
	e.Statistic, e.Threshold, e.MinCount, e.MinSamples = e.Rate, p.ProbeFailRate, 2, p.StepEvidence
	if st.Phase == statemachine.Probing {
		e.MinSamples = p.ProbeEvidence
	}
	e.Explanation = explain(e)
	return e
}
