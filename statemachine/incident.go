package statemachine

import "time"

// IncidentKind says what automation did about a detection.
type IncidentKind uint8

// The kinds of incident.
const (
	KindNone IncidentKind = iota
	Cut                   // the scope was disabled
	Degraded              // its share was lowered
	Observed              // automation was not allowed to act (level, hold, override)
	Refused               // a guard said no
)

// String returns CUT, DEGRADED, OBSERVED, REFUSED or NONE.
func (k IncidentKind) String() string {
	switch k {
	case Cut:
		return "CUT"
	case Degraded:
		return "DEGRADED"
	case Observed:
		return "OBSERVED"
	case Refused:
		return "REFUSED"
	case KindNone:
	}
	return "NONE"
}

// Incident is one fault of one scope from detection to healthy again. Its id is a hash of scope and generation of detection.
type Incident struct {
	ID         string
	Kind       IncidentKind
	Scope      Scope
	Generation uint64 // of the state when it was detected
	Opened     Instant
	Closed     Instant // 0 while open
	Answer     string  // why automation did not act, for OBSERVED and REFUSED: the guard's or level's reason
	Evidence   Evidence
	Note       string // last annotation of a person
}

// RuleHanging is the Evidence.Rule of attempts that get no answer, seen before their timeouts return.
const RuleHanging = "hanging"

// Evidence is what a verdict rests on: enough to recompute it.
type Evidence struct {
	Detector    string // "windows", "sequential"
	Rule        string // which rule of the detector spoke, e.g. "rate", "count-and-ratio"
	Scope       Scope
	From, To    int64   // first and last closed second counted, Unix seconds
	Answered    float64 // results with a health meaning
	Bad         float64 // weighted bad results (distinct payers; unmapped codes count half)
	Rate        float64 // Bad / Answered
	Lower       float64 // 99 % lower confidence bound of the failure rate (Wilson)
	Baseline    float64 // failure rate taken as normal
	Fault       float64 // failure rate it was tested against by a sequential test; 0 = no such test
	Statistic   float64 // the detector's statistic …
	Threshold   float64 // … and what it had to reach
	MinSamples  float64 // least Answered the rule asks for
	MinCount    float64 // least Bad the rule asks for
	CodedBad    float64 // bad results with a coded reply from the channel
	Reporters   int     // distinct reporters of uncoded bad results (at most 64 told apart)
	Outcomes    [NumOutcomes]uint64
	Reasons     []ReasonCount // top causes, most frequent first
	Considered  []Considered  // the scopes looked at, and why this one
	Explanation string        // one sentence a person understands
}

// ReasonCount is how often a reason (raw code or text) was reported.
type ReasonCount struct {
	Reason string
	N      uint64
}

// Considered is one scope the localisation looked at.
type Considered struct {
	Scope    Scope
	Answered float64
	Bad      float64
	Why      string // "chosen", "explained by …", "not failing without …"
}

// Severity of an alert.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Warning
	Critical
)

// String returns INFO, WARNING or CRITICAL.
func (s Severity) String() string {
	switch s {
	case Warning:
		return "WARNING"
	case Critical:
		return "CRITICAL"
	case Info:
	}
	return "INFO"
}

// Alert is something people must be told. Kind is a stable word (e.g. COMMON_MODE, REFUSED, CONTRADICTING_FINALS).
type Alert struct {
	Kind     string
	Severity Severity
	Scope    Scope // zero if none
	Incident string
	At       time.Time
	Message  string
}
