package statemachine

import (
	"math"
	"time"
)

// Instant is a moment in Unix milliseconds, UTC; 0 means never. It keeps State comparable and free of monotonic readings.
type Instant int64

// At converts a time to an Instant.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time converts back; the zero Instant gives the zero time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// Add returns the instant d later, rounded to milliseconds.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d/time.Millisecond) }

// Sub returns the time since j; negative differences (a clock that stepped back) are clamped to zero.
func (i Instant) Sub(j Instant) time.Duration { return max(0, time.Duration(i-j)*time.Millisecond) }

// Share is a part of a scope's would-be traffic in parts per million, 0 to FullShare.
type Share uint32

// FullShare is all of the would-be traffic.
const FullShare Share = 1_000_000

// Fraction returns the share as 0..1.
func (s Share) Fraction() float64 { return float64(s) / float64(FullShare) }

// ShareOf converts a fraction, clamped to 0..1.
func ShareOf(f float64) Share {
	if math.IsNaN(f) { // a rate of nothing
		return 0
	}
	return Share(min(max(f, 0), 1)*float64(FullShare) + 0.5)
}

// Phase is the state of a scope's life.
type Phase uint8

// The phases; the zero value is the state of a scope that was never touched.
const (
	Healthy Phase = iota
	Disabled
	Probing
	Ramping
)

// String returns HEALTHY, DISABLED, PROBING or RAMPING.
func (p Phase) String() string {
	switch p {
	case Disabled:
		return "DISABLED"
	case Probing:
		return "PROBING"
	case Ramping:
		return "RAMPING"
	case Healthy:
	}
	return "HEALTHY"
}

// Cause says who moved a state.
type Cause uint8

// The causes of a change.
const (
	CauseNone Cause = iota
	Automation
	Operator
	Expired // an override ran out, by the leader's clock
)

// String returns AUTOMATION, OPERATOR, EXPIRY or NONE.
func (c Cause) String() string {
	switch c {
	case Automation:
		return "AUTOMATION"
	case Operator:
		return "OPERATOR"
	case Expired:
		return "EXPIRY"
	case CauseNone:
	}
	return "NONE"
}

// Override is one operator's order that lies over the automatic state. The zero value means "not set".
type Override struct {
	Author string
	Reason string
	Since  Instant
	Until  Instant // 0 = no expiry (suspend, hold without expiry)
}

// Set reports whether the override is in force.
func (o Override) Set() bool { return o.Since != 0 }

// State is everything known about one scope. It is comparable with ==; absent means NewState.
//
// The automatic part lies below, the operators' orders above it (suspend > off > on-now > hold); what routers obey is
// Effective.
type State struct {
	Scope      Scope
	Phase      Phase
	Share      Share   // of the would-be traffic; 0 for DISABLED and PROBING, FullShare for HEALTHY
	Generation uint64  // grows at every change of phase
	Step       uint32  // grows at every ramp step, 0 at the start of a phase
	After      int64   // head revision it was decided against: decisions of later revisions only are evidence
	Since      Instant // start of the phase
	StepSince  Instant // start of the step
	CutBy      Cause   // who brought it out of HEALTHY
	Kind       IncidentKind
	Incident   string // id of the open automatic incident, empty if none
	Answer     string // why automation does not act on the open incident: a guard's name or WithheldBy…; empty while it acts
	Base       Share  // failure rate of the fault this incident is about, ppm (0 = unknown): since it began, not of probes; HEALTHY: of the mild one before
	Hangs      bool   // that fault is attempts without an answer: an unanswered one tells as much as a failed one
	Relapses   uint32 // failures after the first cut of this incident or probation; lengthens the cool-down
	// FailedProbings is how often probing failed since the scope was last closed while HEALTHY or RAMPING; it spaces the attempts.
	FailedProbings uint32
	CoolUntil      Instant    // DISABLED: probing starts no earlier
	Probation      Instant    // HEALTHY: until when a relapse counts as one
	Cuts           [2]Instant // the last two automatic entries into DISABLED from HEALTHY or RAMPING, newest first

	Suspend Override
	Off     Override
	OnNow   Override
	Hold    Override
}

// NewState returns the state of a scope that was never touched: HEALTHY at full share.
func NewState(s Scope) State { return State{Scope: s, Phase: Healthy, Share: FullShare} }

// Rebased returns s with After set to revision if it begins a new life or step compared with from, else with from's After.
// Whoever commits calls it with the head revision the step was decided against: Step itself knows no revisions.
func (s State) Rebased(from State, revision int64) State {
	s.After = from.After
	if s.Phase != from.Phase || s.Generation != from.Generation || s.Step != from.Step {
		s.After = revision
	}
	return s
}

// Effective returns what routers obey: the automatic phase and share under the operators' orders.
func (s State) Effective() (Phase, Share) {
	switch {
	case s.Suspend.Set(), s.Off.Set():
		return Disabled, 0
	case s.OnNow.Set():
		return Healthy, FullShare
	}
	if s.Phase == Healthy {
		return Healthy, FullShare
	}
	return s.Phase, s.Share
}

// Lowered reports whether automation has lowered the scope's share for a fault, instead of closing it.
func (s State) Lowered() bool { return s.Phase == Ramping && s.Kind == Degraded }

// Held reports whether automation must not move the state (suspend, off, on-now or hold in force).
func (s State) Held() bool {
	return s.Suspend.Set() || s.Off.Set() || s.OnNow.Set() || s.Hold.Set()
}
