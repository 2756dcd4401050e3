package statemachine

import (
	"fmt"
	"time"
)

// turn is one Step in the making. Phases write to; done turns the difference into effects.
type turn struct {
	from, to State
	policy   Policy
	now      Instant
	cause    Cause
	author   string
	reason   string
	evidence Evidence
	also     []Effect // what follows Moved
}

// done is the only place that makes a Moved.
func (t *turn) done() (State, []Effect) {
	if t.to == t.from {
		return t.from, nil
	}
	moved := Moved{From: t.from, To: t.to, Cause: t.cause, Author: t.author, Reason: t.reason, Evidence: t.evidence}
	return t.to, append([]Effect{moved}, t.also...)
}

// move is the only place that begins a phase (also the same one anew).
func (t *turn) move(phase Phase, share Share) {
	to := &t.to
	if to.Phase == Healthy {
		to.CutBy = t.cause
		if t.cause == Expired {
			to.CutBy = Operator // the override was theirs
		}
		to.Base = 0 // of a fault before: whoever knows it to be this one says so
	}
	to.Phase, to.Share = phase, share
	to.Generation++
	to.Step = 0
	to.Since, to.StepSince = t.now, t.now
	to.CoolUntil = 0
	to.Answer = ""
	if phase == Healthy || phase == Ramping {
		to.FailedProbings = 0
	}
	if phase == Healthy {
		to.CutBy = CauseNone
		if !t.from.Lowered() || !t.mild() { // the relapse of a mild fault is to be known as one
			to.Base = 0
		}
		to.Hangs = false
		to.Probation = t.now.Add(t.policy.Probation)
	}
}

// shift is the only place that begins a ramp step.
func (t *turn) shift(share Share) {
	t.to.Share = share
	t.to.Step++
	t.to.StepSince = t.now
	t.to.Answer = ""
}

// cut closes an open or ramping scope: by automation, on evidence.
func (t *turn) cut(ev Evidence) {
	from := t.from
	switch {
	case from.Incident != "" && from.Kind == Cut, t.now < from.Probation:
		t.to.Relapses++
	default:
		t.to.Relapses = 0
	}
	t.reason = "closed: " + finding(ev)
	t.move(Disabled, 0)
	t.to.FailedProbings = 0
	t.to.CoolUntil = t.now.Add(t.policy.coolDown(t.to.Relapses, 0))
	t.to.Base, t.to.Hangs = from.faultRate(ev), ev.hangs()
	t.record(Cut, "", ev)
	t.raise("CUT", Warning, t.reason)
	t.to.Cuts = [2]Instant{t.now, from.Cuts[0]}
	if until := t.to.oscillating(t.now); until != 0 {
		t.raise("OSCILLATING", Critical, "closed twice within "+oscillationSpan.String()+
			"; it is probed but not opened before "+until.Time().Format(time.RFC3339))
	}
}

// again closes a scope whose probes failed. That is no relapse, for it never came back, and it is told to people only where
// nothing told them before: while the fault lasts, every attempt ends like this.
func (t *turn) again(ev Evidence) {
	known := t.from.Incident != "" && t.from.Kind == Cut
	if !known {
		t.to.Relapses = 0
	}
	t.to.FailedProbings++
	t.reason = "closed again: " + finding(ev)
	t.move(Disabled, 0)
	t.to.CoolUntil = t.now.Add(t.policy.coolDown(t.to.Relapses, t.to.FailedProbings))
	t.to.Hangs = t.from.Hangs || ev.hangs()
	t.record(Cut, "", ev)
	if !known {
		t.raise("CUT", Warning, t.reason)
	}
}

// degrade lowers a share because of a fault: from HEALTHY it begins a ramp, in a ramp a step.
func (t *turn) degrade(share Share, ev Evidence, why string) {
	t.reason = fmt.Sprintf("share lowered to %s: %s%s", share, finding(ev), why)
	if t.from.Phase == Healthy {
		t.move(Ramping, share)
		t.to.Base = ShareOf(ev.Rate)
		if t.mildAgain(ev) {
			t.to.Base = t.from.Base
		}
	} else {
		t.shift(share)
	}
	kind := Degraded
	if t.from.Incident != "" && t.from.Kind == Cut {
		kind = Cut // a cut that comes back slowly stays one
	} else if t.to.Base == 0 {
		t.to.Base = ShareOf(ev.Rate)
	}
	t.record(kind, "", ev)
	t.raise("DEGRADED", Warning, t.reason)
}

// Why automation withheld itself, beside the names of the guards; values of State.Answer.
const (
	WithheldByLevel = "LEVEL_OBSERVE" // the channel's automation level
	WithheldByHold  = "HOLD"          // an operator's hold
	WithheldByOnNow = "ON_NOW"        // an operator's on-now
)

// withhold records a fault that automation does nothing about; once, until the answer changes.
func (t *turn) withhold(kind IncidentKind, answer, reason string, ev Evidence) {
	alert := kind.String()
	if t.from.Phase != Healthy && t.from.Incident != "" && (t.from.Kind == Cut || t.from.Kind == Degraded) {
		kind = t.from.Kind // an incident that was acted upon stays what it is
	}
	if t.from.Incident != "" && t.from.Kind == kind && t.from.Answer == answer {
		return
	}
	t.reason = "not closed (" + answer + "): " + finding(ev)
	if reason != "" {
		t.reason += "; " + reason
	}
	t.to.Answer = answer
	t.record(kind, t.reason, ev)
	t.raise(alert, Critical, t.reason)
}

// observeHeld records a fault seen while an operator's order ties automation's hands. A scope that is closed by order
// carries nothing that could be seen.
func (t *turn) observeHeld(v Verdict) {
	if phase, _ := t.from.Effective(); phase != Healthy && phase != Ramping {
		return
	}
	by, o := WithheldByHold, t.from.Hold
	if t.from.OnNow.Set() {
		by, o = WithheldByOnNow, t.from.OnNow
	}
	t.withhold(Observed, by, "ordered by "+o.Author+": "+o.Reason, v.Evidence)
}

// recovered closes what automation only watched. A cut or a lowered share comes back by evidence of its own steps; only
// where an operator opened it by force, nothing but this verdict says that it is over.
func (t *turn) recovered() {
	s := t.from
	if s.Incident == "" || s.Phase != Healthy && s.Kind != Observed && s.Kind != Refused {
		return
	}
	t.reason = "the fault is over"
	t.close()
	// The next detection of this life needs an id of its own; ids hash the generation.
	t.to.Generation++
	t.to.StepSince = t.now
}

// record opens the incident, or brings the open one up to date.
func (t *turn) record(kind IncidentKind, answer string, ev Evidence) {
	t.evidence = ev
	if t.from.Incident == "" {
		t.to.Incident = IncidentID(t.from.Scope, t.from.Generation)
		t.also = append(t.also, IncidentOpened{Incident{
			ID: t.to.Incident, Kind: kind, Scope: t.from.Scope, Generation: t.from.Generation, Opened: t.now, Answer: answer, Evidence: ev,
		}})
	} else if kind != t.from.Kind || t.to.Answer != t.from.Answer {
		change := IncidentChanged{ID: t.from.Incident, Kind: kind, Answer: answer}
		if kind != t.from.Kind {
			change.Evidence = &ev
		}
		t.also = append(t.also, change)
	}
	t.to.Kind = kind
}

// close ends the open incident.
func (t *turn) close() {
	if t.from.Incident == "" {
		return
	}
	t.raise("RECOVERED", Info, t.reason)
	t.also = append(t.also, IncidentClosed{ID: t.from.Incident, At: t.now})
	t.to.Incident, t.to.Kind, t.to.Answer = "", KindNone, ""
}

// raise tells people, under the incident open at that moment.
func (t *turn) raise(kind string, severity Severity, message string) {
	t.also = append(t.also, Raised{Alert{
		Kind: kind, Severity: severity, Scope: t.from.Scope, Incident: t.to.Incident, At: t.now.Time(), Message: message,
	}})
}
