package simulate

import (
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Summary is the last line of an event log.
type Summary struct {
	Event           string     `json:"event"`
	Payments        uint64     `json:"payments"`
	Attempts        uint64     `json:"attempts"`
	Succeeded       uint64     `json:"succeeded"`
	OracleSucceeded float64    `json:"oracle_succeeded"` // expected, when every payment takes the best channel at that instant
	ExcessFailed    float64    `json:"excess_failed"`    // oracle_succeeded − succeeded; below zero where reroutes beat the oracle's one try
	MovedHealthy    uint64     `json:"moved_healthy"`    // payments kept off a channel that was well
	ProbesFailed    uint64     `json:"probes_failed"`
	Transitions     int        `json:"transitions"`
	FalseCuts       int        `json:"false_cuts"`
	OverCuts        int        `json:"over_cuts"`
	Incidents       []Incident `json:"incidents"`       // detectable ones
	OtherIncidents  []Incident `json:"other_incidents"` // not detectable, or not to be cut

	Cuts       int      `json:"-"` // every cut and degradation by automation
	Alerts     []string `json:"-"` // kinds of alerts, in order
	Violations []string `json:"-"` // of invariants that the run itself checks
	Detail     *Detail  `json:"-"` // every cut and every label
}

// Incident is what became of one label. Times are seconds; nil = did not happen.
type Incident struct {
	Label            string   `json:"label"`
	DetectedAfter    *float64 `json:"detected_after"`
	AttemptsUntilCut *uint64  `json:"attempts_until_cut"`
	RecoveredAfter   *float64 `json:"recovered_after"`
}

// count adds transitions.
func (j *judge) count(n int) { j.sum.Transitions += n }

// alerted notes an alert.
func (j *judge) alerted(a statemachine.Alert) { j.sum.Alerts = append(j.sum.Alerts, a.Kind) }

// finish closes the books and returns the summary.
func (j *judge) summary() *Summary {
	run := j.p.Scenario.Duration
	j.settle(run)
	s := &j.sum
	s.Event = "summary"
	if !j.hurried {
		s.OracleSucceeded = round(j.oracle)
		s.ExcessFailed = round(j.oracle - float64(s.Succeeded-j.angry))
	}
	s.Incidents, s.OtherIncidents = []Incident{}, []Incident{}
	s.Detail = &j.detail
	for _, l := range j.labels {
		f := l.finding(run)
		j.detail.Findings = append(j.detail.Findings, f)
		in := Incident{Label: l.name}
		if l.detected >= 0 {
			in.DetectedAfter, in.AttemptsUntilCut = after(l.detected, l.from), &l.attempts
			if l.recovered >= 0 {
				in.RecoveredAfter = after(l.recovered, l.to)
			}
		}
		if f.Detectable {
			s.Incidents = append(s.Incidents, in)
		} else {
			s.OtherIncidents = append(s.OtherIncidents, in)
		}
	}
	return s
}

func after(at, since time.Duration) *float64 {
	seconds := (at - since).Seconds()
	return &seconds
}
