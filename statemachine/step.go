package statemachine

import "time"

// Step moves one scope's state on one event. It is pure: the same four arguments give the same answer.
//
// The returned state equals s iff there are no effects; otherwise the first effect is Moved. Step cannot know revisions:
// whoever commits stores State.Rebased. Verdicts and StepEvidence of a wider or narrower scope, of another generation or of
// another step are ignored. Orders should have passed State.Check; an order Check would refuse for its state (e.g. OFF while
// suspended) changes nothing here.
func Step(s State, e Event, p Policy, now time.Time) (State, []Effect) {
	t := turn{from: s, to: s, policy: p, now: At(now), cause: Automation}
	switch e := e.(type) {
	case Order:
		t.order(e)
	case Tick:
		if !t.expire() && !s.Held() {
			t.tick(e)
		}
	case Verdict:
		if t.applies(e) {
			t.verdict(e)
		}
	case StepEvidence:
		switch {
		case e.Generation != s.Generation || e.Step != s.Step:
		case !s.Held():
			t.judge(e)
		case e.Judgement == Failed:
			t.observeHeld(Verdict{Kind: Failing, Evidence: t.stepFinding(e)})
		}
	}
	return t.done()
}

// tick lets time pass for a scope that automation may move.
func (t *turn) tick(e Tick) {
	switch t.from.Phase {
	case Healthy:
		if e.Reopens && t.policy.Level == LevelFull {
			t.reason = "announced maintenance ends"
			t.move(Probing, 0)
			return
		}
		t.healthyTick()
	case Disabled:
		t.disabledTick()
	case Probing, Ramping: // both wait for evidence, however long it takes
	}
}

// verdict takes a detector's finding. Whoever holds the scope, a fault that is over closes what was only observed or refused,
// and one that is seen while automation's hands are tied is recorded.
func (t *turn) verdict(v Verdict) {
	switch {
	case v.Kind == VerdictNone:
	case v.Kind == Recovered:
		t.recovered()
	case t.from.Held():
		t.observeHeld(v)
	case t.from.Phase == Healthy:
		t.healthyVerdict(v)
	case t.from.Phase == Ramping:
		t.rampingVerdict(v)
	}
	// DISABLED has no traffic to judge; PROBING is judged by its probes alone, as StepEvidence.
}

// judge takes what was seen of the running phase or ramp step.
func (t *turn) judge(e StepEvidence) {
	switch t.from.Phase {
	case Probing:
		t.probingEvidence(e)
	case Ramping:
		t.rampingEvidence(e)
	case Healthy, Disabled: // nothing to judge
	}
}

// applies says whether a verdict is about this scope and about its running step: evidence that ended before the step
// began says nothing about it.
func (t *turn) applies(v Verdict) bool {
	if v.Scope != (Scope{}) && v.Scope != t.from.Scope {
		return false
	}
	return v.Evidence.To == 0 || t.from.StepSince == 0 || Instant(v.Evidence.To+1)*1000 > t.from.StepSince
}
