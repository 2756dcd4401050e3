package statemachine

import "time"

// Event is what may happen to a scope. The set is sealed: Verdict, Tick, StepEvidence, Order.
// Expiry of an override, the end of a cool-down and of probation are found by Tick.
//
//sumtype:decl
type Event interface{ event() }

// VerdictKind is what a detector says of a scope.
type VerdictKind uint8

// The verdicts.
const (
	VerdictNone   VerdictKind = iota
	Failing                   // cut it
	MildlyFailing             // lower its share
	Recovered                 // an OBSERVED or REFUSED fault is over
)

// String returns failing, mildly-failing, recovered or none.
func (k VerdictKind) String() string {
	switch k {
	case Failing:
		return "failing"
	case MildlyFailing:
		return "mildly-failing"
	case Recovered:
		return "recovered"
	case VerdictNone:
	}
	return "none"
}

// Verdict is a detector's finding about one scope after localisation, and what the guard made of it.
type Verdict struct {
	Kind     VerdictKind
	Scope    Scope
	Evidence Evidence
	// Over says that the failures have ended: it explains those of wider scopes, but nobody acts on it.
	Over bool
	// Part says that the item is only suspected: it may be chosen because it explains what a wider scope shows, but raises
	// no alarm itself.
	Part bool
	// PerSecond is the would-be payments a second of a scope whose share is lowered already, 0 = not known.
	PerSecond float64
	// Ruling is filled by the control before Step: the guard's answer, or that the common-mode check withheld the cut.
	Ruling Ruling
}

// Tick says that time has passed: cool-downs, expiries, probation, announced maintenance.
type Tick struct {
	// Reopens says that the scope's announced maintenance is about to end: like after an OFF, it comes back through probes.
	Reopens bool
}

// Judgement is what the evidence of a probing phase or ramp step amounts to.
type Judgement uint8

// The judgements of a step's evidence.
const (
	Gathering Judgement = iota // not enough yet
	Passed                     // enough good evidence
	Failed                     // evidence of failure
)

// String returns gathering, passed or failed.
func (j Judgement) String() string {
	switch j {
	case Passed:
		return "passed"
	case Failed:
		return "failed"
	case Gathering:
	}
	return "gathering"
}

// StepEvidence is what was seen of a PROBING or RAMPING scope since its current step began. Evidence of another
// generation or step is ignored.
type StepEvidence struct {
	Generation uint64
	Step       uint32
	Judgement  Judgement
	Answered   float64       // results with a health meaning, of this step's own attempts
	Bad        float64       // weighted bad results among them
	WouldBe    uint64        // would-be payments since the step began
	Sent       uint64        // attempts admitted since the step began
	Settled    uint64        // of those final, or older than the channel's learned p99 of the result delay
	PerSecond  float64       // would-be payments a second over the last minute
	Routers    int           // routers that saw would-be traffic in the last minute
	Fault      float64       // failure rate of the fault: of what closed the scope, and of the probes that failed since; 0 = unknown
	Odds       float64       // nats by which the newest probes speak for a scope that is well against that fault, >= 0
	Calm       time.Duration // how long they have spoken for it, if they do so clearly; they pass once it is Settle
	Settle     time.Duration
	Raised     bool // the step before passed: the fault for which a share was lowered seems to be over
	Fallen     int  // how often it seemed so and the share had to be lowered again
	Evidence   Evidence
	// Ruling is filled by the control for a Failed judgement of a RAMPING scope: closing it takes away what its share carries.
	Ruling Ruling
}

// Action is what an operator orders.
type Action uint8

// The actions of SwitchChannel.
const (
	ActionNone    Action = iota
	ActionOff            // closed until released or expired; expiry goes to PROBING
	ActionOn             // opened through the ramp, at the first share; automation may cut again
	ActionOnNow          // fully open until released or expired; automation only observes
	ActionHold           // automation keeps its hands off: phase and share are frozen
	ActionRelease        // takes off, on-now and hold away
	ActionSuspend        // compliance or contract: closed, no expiry
	ActionLift           // takes suspend away (an approver only); goes to PROBING
)

// String returns the name of the API: OFF, ON, ON_NOW, HOLD, RELEASE, SUSPEND, LIFT.
func (a Action) String() string {
	switch a {
	case ActionOff:
		return "OFF"
	case ActionOn:
		return "ON"
	case ActionOnNow:
		return "ON_NOW"
	case ActionHold:
		return "HOLD"
	case ActionRelease:
		return "RELEASE"
	case ActionSuspend:
		return "SUSPEND"
	case ActionLift:
		return "LIFT"
	case ActionNone:
	}
	return "NONE"
}

// Order is an operator's order. Guards were asked before; an order that overrides guards names them.
type Order struct {
	Action    Action
	Author    string
	Reason    string
	For       time.Duration // 0 = no expiry where the action allows it
	PerSecond float64       // would-be payments a second, for the first share of ON
	Routers   int
}

func (Verdict) event()      {}
func (Tick) event()         {}
func (StepEvidence) event() {}
func (Order) event()        {}

// Effect is what a step asks its interpreter (monitor's Control) to do. The set is sealed: Moved, IncidentOpened,
// IncidentChanged, IncidentClosed, Raised.
//
//sumtype:decl
type Effect interface{ effect() }

// Moved says that the state changed: commit To.Rebased(From, revision) with a journal entry, and compile a new table after
// the commit. It is the first effect of every step that changes anything, and there is at most one.
type Moved struct {
	From, To State
	Cause    Cause
	Author   string // the operator, also of an override that expired; empty for automation
	Reason   string
	Evidence Evidence // what an automatic move rests on; zero for orders and expiries
}

// IncidentOpened asks to store a new incident in the same transaction as the state.
type IncidentOpened struct{ Incident Incident }

// IncidentChanged asks to update the open incident in the same transaction: automation does something else about the same
// fault than before. Apply makes the new record.
type IncidentChanged struct {
	ID       string
	Kind     IncidentKind
	Answer   string
	Evidence *Evidence // what the new kind rests on; nil where only the answer changed: the stored evidence stays
}

// Apply returns the stored incident with the change made; what it does not mention stays.
func (c IncidentChanged) Apply(i Incident) Incident {
	i.Kind, i.Answer = c.Kind, c.Answer
	if c.Evidence != nil {
		i.Evidence = *c.Evidence
	}
	return i
}

// IncidentClosed asks to set Closed on the incident in the same transaction.
type IncidentClosed struct {
	ID string
	At Instant
}

// Raised asks to tell people; it goes into the journal entry of the same transaction.
type Raised struct{ Alert Alert }

func (Moved) effect()           {}
func (IncidentOpened) effect()  {}
func (IncidentChanged) effect() {}
func (IncidentClosed) effect()  {}
func (Raised) effect()          {}
