package statemachine

import (
	"fmt"
	"time"
)

// loadWindow is what the fleet's demand and loads are averages of. A share lowered for want of capacity is looked at again no
// sooner: before, the same spare capacity would be counted twice.
const loadWindow = time.Minute

// healthyTick closes an incident that an operator's ON_NOW left open, once the scope was well for its probation.
func (t *turn) healthyTick() {
	if s := t.from; s.Incident != "" && (s.Kind == Cut || s.Kind == Degraded) && t.now >= s.Probation {
		t.reason = "well through its probation"
		t.close()
	}
}

// healthyVerdict answers a fault of an open scope: cut, lower, or say why not.
func (t *turn) healthyVerdict(v Verdict) {
	if t.mayNotAct(v.Evidence, v.Ruling) {
		return
	}
	mild := v.Kind == MildlyFailing || t.mildAgain(v.Evidence)
	if !mild && v.Ruling.Answer == Allow {
		t.cut(v.Evidence)
		return
	}
	t.degrade(lowered(FullShare, mild, v.Ruling), v.Evidence, because(v.Ruling))
}

// mildAgain reports whether a scope on probation fails no worse than when its share was lowered: a relapse is found early, on
// few results, whose own rate says little.
func (t *turn) mildAgain(ev Evidence) bool {
	return t.from.Phase == Healthy && t.now < t.from.Probation && t.mild() && !t.from.Worse(ev)
}

// mild reports whether the known fault is a mild one, and not one whose cut was limited by capacity.
func (t *turn) mild() bool { return t.from.Base != 0 && t.from.Base < ShareOf(t.policy.MildBelow) }

// disabledTick starts probing when the cool-down is over. With level observe or off-only people bring back.
func (t *turn) disabledTick() {
	if t.policy.Level == LevelFull && t.now >= t.from.CoolUntil {
		t.reason = "cool-down over"
		t.move(Probing, 0)
	}
}

// probingEvidence ends PROBING: back to DISABLED, on to the ramp, or home where a ramp would gather nothing.
func (t *turn) probingEvidence(e StepEvidence) {
	switch e.Judgement {
	case Failed:
		if t.policy.Level != LevelObserve {
			t.again(t.stepFinding(e))
		}
	case Passed:
		if e.Answered <= 0 || t.from.oscillating(t.now) != 0 {
			return
		}
		t.evidence = t.stepFinding(e)
		if e.PerSecond < t.policy.QuietRate {
			t.home("probes passed, too quiet for a ramp: "+finding(t.evidence), e)
			return
		}
		t.reason = "probes passed: " + finding(t.evidence)
		t.move(Ramping, t.policy.firstShare(e.PerSecond, e.Routers))
	case Gathering:
	}
}

// rampingVerdict answers a fault seen in the share that is let through.
func (t *turn) rampingVerdict(v Verdict) {
	degraded := t.from.Kind != Cut
	if v.Kind == MildlyFailing && !degraded {
		return // after a cut the step's own evidence decides
	}
	if t.mayNotAct(v.Evidence, v.Ruling) {
		return
	}
	if v.Kind == MildlyFailing || degraded && t.from.Base != 0 && !t.deserves(v.Evidence) {
		t.lower(true, v)
		return
	}
	if v.Ruling.Answer == Lower {
		t.lower(false, v)
		return
	}
	t.cut(v.Evidence)
}

// lower takes a further part of the share away, at most once per dwell (capacity: per loadWindow).
func (t *turn) lower(mild bool, v Verdict) {
	wait := t.policy.Dwell
	if v.Ruling.Answer == Lower {
		wait = max(wait, loadWindow)
	}
	if mild && t.from.Share <= leastShare(v.PerSecond) {
		return
	}
	share := lowered(t.from.Share, mild, v.Ruling)
	if share < t.from.Share && t.now.Sub(t.from.StepSince) >= wait {
		t.degrade(share, v.Evidence, because(v.Ruling))
	}
}

// deserves says whether a lowered scope must be closed after all: it is clearly worse than the fault it was lowered for, or
// that fault was a failing one from the start and only capacity held the cut back.
func (t *turn) deserves(ev Evidence) bool {
	if t.from.Worse(ev) {
		return true
	}
	return t.from.Base >= ShareOf(t.policy.FailureRate) && t.now.Sub(t.from.StepSince) >= loadWindow
}

// rampingEvidence advances the ramp or ends it.
func (t *turn) rampingEvidence(e StepEvidence) {
	switch e.Judgement {
	case Failed:
		ev := t.stepFinding(e)
		worse := t.from.Kind != Degraded || t.from.Worse(ev)
		switch {
		case !worse && !e.Raised, t.mayNotAct(ev, e.Ruling):
		case !worse: // raised too early
			t.lower(true, Verdict{Evidence: ev, PerSecond: e.PerSecond, Ruling: e.Ruling})
		case e.Ruling.Answer == Lower:
			t.lower(false, Verdict{Evidence: ev, PerSecond: e.PerSecond, Ruling: e.Ruling})
		default:
			t.cut(ev)
		}
	case Passed:
		if t.stepOver(e) {
			t.advance(e)
		}
	case Gathering:
	}
}

// stepOver says whether a passed step has lasted long enough, has its attempts answered and, for a lowered share, is back at
// the old baseline.
func (t *turn) stepOver(e StepEvidence) bool {
	if e.Answered <= 0 || t.now.Sub(t.from.StepSince) < t.policy.Dwell {
		return false
	}
	if float64(e.Settled) < t.policy.StepSettled*float64(e.Sent) {
		return false
	}
	return t.from.Kind != Degraded || backAtBaseline(e, t.from.Base.Fraction())
}

// advance goes to the next ramp step, from the step at full share home.
func (t *turn) advance(e StepEvidence) {
	t.evidence = t.stepFinding(e)
	if t.from.Share >= FullShare {
		t.home("full share held: "+finding(t.evidence), e)
		return
	}
	factor := t.policy.Factor
	if t.from.Kind == Degraded && t.mild() {
		factor = max(factor, backFactor)
	}
	share := t.from.Share.times(factor)
	t.reason = fmt.Sprintf("step %d passed at %s: %s", t.from.Step, t.from.Share, finding(t.evidence))
	t.shift(share)
}

// home ends the incident: HEALTHY, on probation.
func (t *turn) home(reason string, e StepEvidence) {
	t.reason = reason
	t.move(Healthy, FullShare)
	t.to.Probation = t.now.Add(t.policy.probation(e.PerSecond))
	t.close()
}

// mayNotAct records why automation does not act on a fault, if it may not.
func (t *turn) mayNotAct(ev Evidence, r Ruling) bool {
	switch {
	case t.policy.Level == LevelObserve:
		t.withhold(Observed, WithheldByLevel, "", ev)
	case r.Answer == Refuse:
		t.withhold(Refused, r.Guard, r.Reason, ev)
	default:
		return false
	}
	return true
}
