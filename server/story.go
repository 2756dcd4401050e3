package server

import (
	"fmt"
	"math"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// because says in one sentence why a scope is as it is.
func (v *viewer) because(st statemachine.State) string {
	text := ""
	switch {
	case st.Suspend.Set():
		text = "suspended by " + st.Suspend.Author + ": " + st.Suspend.Reason
	case st.Off.Set():
		text = "switched off by " + st.Off.Author + ": " + st.Off.Reason
	case st.OnNow.Set():
		text = "switched on fully by " + st.OnNow.Author + ": " + st.OnNow.Reason
	case st.Hold.Set():
		text = "held by " + st.Hold.Author + ": " + st.Hold.Reason
	}
	if i := v.incidents[st.Incident]; st.Incident != "" && i != nil {
		if text != "" {
			text += "; "
		}
		text += i.Evidence.Explanation
		if st.Answer != "" {
			text += "; automation does not act: " + st.Answer
		}
	}
	if text == "" && st.CutBy == statemachine.Operator && st.Phase != statemachine.Healthy {
		text = "coming back after an operator's order"
	}
	return text
}

// next says what comes next, and when at the earliest; never for a state that nothing will move.
func (v *viewer) next(st statemachine.State) (string, statemachine.Instant) {
	policy := v.Fleet.Policy(st.Scope.Channel)
	switch {
	case st.Suspend.Set():
		return "stays closed until an approver lifts it", 0
	case st.Off.Set():
		return "probes begin when the order expires or is released", st.Off.Until
	case st.OnNow.Set():
		return "automation takes over, on probation, when the order expires or is released", st.OnNow.Until
	case st.Hold.Set():
		return "automation goes on when the hold expires or is released", st.Hold.Until
	}
	switch st.Phase {
	case statemachine.Disabled:
		if policy.Level != statemachine.LevelFull {
			return "stays closed until people open it: automation may not", 0
		}
		return "probes begin when the cool-down is over", st.CoolUntil
	case statemachine.Probing:
		if missing := v.missing(st, policy.ProbeEvidence, policy); missing != "" {
			return "the ramp begins after " + missing + " of probes", 0
		}
		return "the ramp begins", 0
	case statemachine.Ramping:
		return v.nextStep(st, policy)
	case statemachine.Healthy:
	}
	if st.Incident != "" {
		return "the incident is closed once the fault is over", st.Probation
	}
	return "", 0
}

func (v *viewer) nextStep(st statemachine.State, policy statemachine.Policy) (string, statemachine.Instant) {
	at := st.StepSince.Add(policy.Dwell)
	if st.Kind == statemachine.Degraded {
		return "the share grows when results are back at the old baseline", at
	}
	missing := v.missing(st, policy.StepEvidence, policy)
	if missing != "" {
		missing = " and " + missing
	}
	if st.Share >= statemachine.FullShare {
		return fmt.Sprintf("healthy after %s%s at full share", policy.Dwell.Round(time.Second), missing), at
	}
	next := statemachine.ShareOf(st.Share.Fraction() * policy.Factor)
	if missing != "" {
		missing += " of this step"
	}
	return fmt.Sprintf("share %s after %s%s", next, policy.Dwell.Round(time.Second), missing), at
}

// missing says how many good results a phase waits for: fixed is how many the windows ask for. The sequential detector asks
// for as many as its test needs after what it has seen. Empty = enough have been seen.
func (v *viewer) missing(st statemachine.State, fixed float64, policy statemachine.Policy) string {
	if policy.Detector == statemachine.DetectorWindows {
		return fmt.Sprintf("%g good results", fixed)
	}
	p, ok := v.world.Progress(st.Scope)
	switch more := p.Needed - p.Answered; {
	case !ok || p.Generation != st.Generation || p.Step != st.Step:
		return "enough good results"
	case more <= 0:
		return ""
	case more <= 1:
		return "1 more good result"
	default:
		return fmt.Sprintf("%g more good results", math.Ceil(more))
	}
}
