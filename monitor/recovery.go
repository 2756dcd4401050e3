package monitor

import (
	"cmp"
	"fmt"
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

// The rules by which the sequential detector judges a way back, as they stand in Evidence.Rule. The statistic of each is the
// log likelihood ratio of what was seen: of a failed one for Fault against Baseline, else for Baseline against Fault.
const (
	RuleProbes  = "probes"  // probes against the fault's own rate
	RuleRamp    = "ramp"    // a ramp step against the fault's own rate, and against any that would matter
	RuleLowered = "lowered" // a step of a lowered share: back at normal, or clearly worse than the fault it was lowered for
	RuleRaised  = "raised"  // a lowered share that was raised: the fault is still there
)

// The rates that a way back is tested for.
const (
	probeNormal   = 0.01 // no scope is taken to be better than this: one failure must not end a test
	probeNormalTo = 0.5  // nor to be worse
	faultLeast    = 0.15 // a milder fault lowers the share
	faultMost     = 0.98 // a fault that lets nothing pass is tested for this
	faultUnknown  = 0.5  // what is assumed of a fault nobody measured: closed by order
	rampFault     = 0.3  // a relapse may be another fault than the one before
)

// The evidence that decides, in nats. A test that passes at ln A passes what is as bad as Fault at most once in A times (Wald
// 1945). A lasting fault is tested several times a minute, and a scope that returned too early twice waits out ten minutes: so
// once in a thousand times on a busy scope, which asks for no more than two probes of a hard fault. Mild faults need many
// probes and do little harm. The quieter the scope, the fewer tests there are, and the more each probe costs in time. Where
// there is no ramp, a wrong return fails two or three payments, whatever the traffic, and a probe costs time in inverse
// proportion to it: so the odds that are asked for grow with it.
const (
	passHard       = 3 * math.Ln10          // ln 1000
	passMild       = 2*math.Ln10 + math.Ln2 // ln 200
	passMedium     = 2 * math.Ln10          // ln 100
	passMediumMild = 3.912023005428146      // ln 50
	passLeast      = 2 * math.Ln2           // ln 4, of quiet scopes
	passFlow       = 150                    // odds for each would-be payment a second of these
	failProbes     = math.Ln10              // a scope that is well fails its probes at most once in ten times
	passStep       = math.Ln10              // of each ramp step
	failStep       = 7.5                    // of a ramp step, and of a lowered share
	backAtNormal   = 2.995732273553991      // ln 20, of a lowered share
	stillNormal    = math.Ln2               // of the steps that follow; statemachine asks for as much
	normalForGood  = 3 * math.Ln10          // ln 1000, of the step at full share, where it costs no payment its channel
	mostFallen     = 3                      // ln 2 more for each time that a raised share was lowered again, so often at most
	failRaised     = 2 * math.Ln10          // of a lowered share that was raised: the fault is still there
)

// Which of these levels a test passes at.
const (
	hardRate   = 0.3 // faults from this rate on are hard
	mediumRate = 2   // would-be payments a second below which a scope is not busy
)

// fault is the rate that probes are tested against: the fault's own, 0 where it is unknown, but never so near to normal that no
// number of probes could tell them apart.
func fault(own, normal, least float64) float64 {
	if own == 0 {
		own = faultUnknown
	}
	least = max(least, min(3*normal, (1+normal)/2))
	return min(max(own, least), faultMost)
}

// passLevel is the evidence at which probes pass, for a fault that is tested for at a rate, on a scope of so many would-be
// payments a second.
func passLevel(fault, perSecond float64, p statemachine.Policy) float64 {
	most, medium := passMild, passMediumMild
	if fault >= hardRate {
		most, medium = passHard, passMedium
	}
	switch {
	case perSecond < p.QuietRate:
		return min(most, max(passLeast, math.Log(passFlow*perSecond)))
	case perSecond < mediumRate:
		return medium
	}
	return most
}

// normalRate is the failure rate of a scope that is well, for tests against its fault. It takes NaN for nothing learned.
func normalRate(baseline float64) float64 {
	if baseline > probeNormal { // false for NaN
		return min(baseline, probeNormalTo)
	}
	return probeNormal
}

// judgeStep is the sequential detector's judgement of a probing phase or ramp step, and the evidence it rests on. baseline is
// the failure rate taken as normal for the scope, its learned upper end, in (0, 1). It is pure: state and evidence say all.
func judgeStep(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy, baseline float64) (statemachine.Judgement, statemachine.Evidence) {
	normal := normalRate(baseline)
	e := ev.Evidence
	e.Detector, e.Scope, e.Baseline = SequentialDetector, st.Scope, normal
	e.Answered, e.Bad, e.Rate = ev.Answered, ev.Bad, 0
	if ev.Answered > 0 {
		e.Rate = ev.Bad / ev.Answered
	}
	e.Lower = statemachine.WilsonLower(ev.Bad, ev.Answered)
	judgement := statemachine.Gathering
	if ev.Generation == st.Generation && ev.Step == st.Step {
		switch {
		case st.Phase == statemachine.Probing:
			judgement = judgeProbes(st, ev, p, &e)
		case st.Lowered():
			judgement = judgeLowered(st, ev, p, &e)
		case st.Phase == statemachine.Ramping:
			judgement = judgeRamp(st, ev, p, &e)
		}
	}
	e.Explanation = tellStep(judgement, &e)
	return judgement, e
}

// judgeProbes is Wald's test of the probes.
func judgeProbes(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy, e *statemachine.Evidence) statemachine.Judgement {
	e.Rule, e.Fault = RuleProbes, fault(cmp.Or(ev.Fault, st.Base.Fraction()), e.Baseline, faultLeast)
	e.Statistic, e.Threshold = statemachine.Odds(e.Answered, e.Bad, e.Baseline, e.Fault), passLevel(e.Fault, ev.PerSecond, p)
	switch {
	case e.Statistic <= -failProbes:
		e.Statistic, e.Threshold = -e.Statistic, failProbes
		return statemachine.Failed
	case e.Statistic >= e.Threshold && ev.Calm >= ev.Settle:
		return statemachine.Passed
	}
	return statemachine.Gathering
}

// judgeRamp tests one step. It fails for the fault it comes from, and for any other that would matter; it passes only when
// neither is likelier than that all is well, and its attempts are answered.
func judgeRamp(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy, e *statemachine.Evidence) statemachine.Judgement {
	e.Rule, e.Fault = RuleRamp, fault(cmp.Or(ev.Fault, st.Base.Fraction()), e.Baseline, rampFault)
	other := fault(rampFault, e.Baseline, rampFault)
	e.Statistic, e.Threshold = statemachine.Odds(e.Answered, e.Bad, e.Baseline, e.Fault), passStep
	against := statemachine.Odds(e.Answered, e.Bad, e.Baseline, other)
	switch {
	case min(e.Statistic, against) <= -failStep:
		if against < e.Statistic {
			e.Statistic, e.Fault = against, other
		}
		e.Statistic, e.Threshold = -e.Statistic, failStep
		return statemachine.Failed
	case e.Statistic >= passStep && against > 0 && complete(ev, p):
		return statemachine.Passed
	}
	return statemachine.Gathering
}

// judgeLowered tests a step of a lowered share: normal against the fault's own rate, and that against twice as much.
func judgeLowered(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy, e *statemachine.Evidence) statemachine.Judgement {
	e.Rule, e.Fault = RuleLowered, loweredFor(st.Base)
	worse := min(2*e.Fault, (1+e.Fault)/2)
	if against := -statemachine.Odds(e.Answered, e.Bad, e.Fault, worse); against >= failStep && e.Lower > e.Fault {
		e.Baseline, e.Fault, e.Statistic, e.Threshold = e.Fault, worse, against, failStep
		return statemachine.Failed
	}
	e.Statistic, e.Threshold = statemachine.Odds(e.Answered, e.Bad, e.Baseline, e.Fault), normalLevel(st.Share, ev)
	if ev.Raised && e.Statistic <= -failRaised {
		e.Rule, e.Statistic, e.Threshold = RuleRaised, -e.Statistic, failRaised
		return statemachine.Failed
	}
	back := e.Statistic >= e.Threshold
	if e.Fault <= e.Baseline { // nothing to tell apart
		e.Statistic, e.Threshold = e.Answered, p.StepEvidence
		back = e.Answered >= p.StepEvidence && e.Rate <= e.Baseline
	}
	return passedIf(back && complete(ev, p))
}

// normalLevel is the evidence at which a step of a lowered share passes. A fault that lasts is tested again and again: the more
// often it seemed to be over, the more is asked, above all of the steps after the first, where results are many.
func normalLevel(share statemachine.Share, ev statemachine.StepEvidence) float64 {
	switch {
	case share >= statemachine.FullShare:
		return normalForGood
	case ev.Raised:
		return stillNormal + math.Ln2*float64(min(ev.Fallen, mostFallen))
	}
	return backAtNormal + math.Ln2*float64(min(ev.Fallen, 1))
}

// loweredFor is the failure rate for which a share was lowered.
func loweredFor(base statemachine.Share) float64 {
	return min(cmp.Or(base.Fraction(), faultUnknown), faultMost)
}

// complete says whether the attempts of a step have answered, as far as they could.
func complete(ev statemachine.StepEvidence, p statemachine.Policy) bool {
	return float64(ev.Settled) >= p.StepSettled*float64(ev.Sent)
}

// recomputeStep says from its numbers alone whether evidence is of probes or a step that failed by judgeStep, or of a relapse.
func recomputeStep(e statemachine.Evidence) bool {
	const slack = 1e-6
	if e.Baseline <= 0 || e.Fault <= e.Baseline || e.Fault >= 1 || e.Bad <= 0 || e.Bad > e.Answered {
		return false
	}
	var least float64
	switch e.Rule {
	case RuleProbes:
		least = failProbes
	case RuleRamp, RuleLowered:
		least = failStep
	case RuleRaised:
		least = failRaised
	case RuleRelapse:
		least = relapseLevel(e.Fault, 0)
		if e.Bad < max(relapseBad, e.MinCount) {
			return false
		}
	default:
		return false
	}
	against := -statemachine.Odds(e.Answered, e.Bad, e.Baseline, e.Fault)
	return e.Threshold >= least-slack && against >= e.Threshold-slack && math.Abs(against-e.Statistic) <= slack*max(1, against)
}

// tellStep says in one sentence what a judgement rests on.
func tellStep(judgement statemachine.Judgement, e *statemachine.Evidence) string {
	what := "results of this step"
	if e.Rule == RuleProbes {
		what = "probes"
	}
	switch {
	case e.Rule == "":
		return "nothing to judge"
	case e.Answered == 0:
		return "no " + what + " answered yet"
	case judgement == statemachine.Failed && e.Rule == RuleLowered:
		return fmt.Sprintf("%s of %s %s failed; that is clearly worse than the fault the share was lowered for (%s fail): %s likelier at %s",
			amount(e.Bad), amount(e.Answered), what, percent(e.Baseline), times(e.Statistic), percent(e.Fault))
	case judgement == statemachine.Failed:
		return fmt.Sprintf("%s of %s %s failed; that is %s likelier of the fault (%s fail) than of a channel that is well (%s fail)",
			amount(e.Bad), amount(e.Answered), what, times(e.Statistic), percent(e.Fault), percent(e.Baseline))
	}
	text := fmt.Sprintf("%s of %s %s succeeded", amount(e.Answered-e.Bad), amount(e.Answered), what)
	switch {
	case e.Fault <= e.Baseline:
		return text + fmt.Sprintf("; up to %s failing is normal", percent(e.Baseline))
	case judgement == statemachine.Passed:
		return text + fmt.Sprintf("; that is %s likelier of a channel that is well (%s fail) than of the fault (%s fail)",
			times(e.Statistic), percent(e.Baseline), percent(e.Fault))
	case e.Statistic >= e.Threshold && e.Rule == RuleProbes:
		return text + "; that is enough once it has lasted, for the fault may come and go"
	case e.Statistic >= e.Threshold:
		return text + "; that is enough once what was sent has answered"
	}
	return text + fmt.Sprintf("; the evidence that the fault of %s is over is %.1f of %.1f", percent(e.Fault), e.Statistic, e.Threshold)
}

// times prints odds of so many nats.
func times(nats float64) string {
	const most = 1e6
	switch n := math.Exp(nats); {
	case n > most:
		return "over a million times"
	case n >= 100:
		return fmt.Sprintf("%.0f times", n)
	default:
		return fmt.Sprintf("%.3g times", n)
	}
}
