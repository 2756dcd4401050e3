package campaign

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"
)

// Result is what one unit showed: one line of the file of results. Times are seconds of the unit's day.
type Result struct {
	Unit

	Policy       string     `json:"policy"` // who decided: a name, or the fingerprint of a policy file
	Seconds      float64    `json:"seconds"`
	Channels     int        `json:"channels"`
	Payments     uint64     `json:"payments"`
	Attempts     uint64     `json:"attempts"`
	Succeeded    uint64     `json:"succeeded"`
	Excess       int64      `json:"excess_failed"` // failures beyond those of the oracle, on the same random numbers
	MovedHealthy uint64     `json:"moved_healthy"`
	ProbesFailed uint64     `json:"probes_failed"`
	Entries      int        `json:"entries"` // most entries into DISABLED of one scope in ten minutes
	Incidents    []Incident `json:"incidents"`
	Cuts         []Cut      `json:"cuts"`
	Traps        []Trap     `json:"traps"`
	Alerts       []Count    `json:"alerts,omitempty"`
	Violations   []string   `json:"violations,omitempty"`

	banded *float64 // channel-days of a band of traffic; nil = all
}

// channelDays is the time of the channels whose incidents and cuts are listed.
func (r *Result) channelDays() float64 {
	if r.banded != nil {
		return *r.banded
	}
	return float64(r.Channels) * r.Seconds / 86400
}

// Incident is what became of one labelled fault. Samples are payments that would have met the fault.
type Incident struct {
	Label       string   `json:"label"`
	Kind        string   `json:"kind"`
	From        float64  `json:"from"`
	Affected    int      `json:"affected"`
	Crossing    int      `json:"crossing"` // after how many samples the clairvoyant is sure, 0 = never
	Detectable  bool     `json:"detectable"`
	DetectedIn  *float64 `json:"detected_in,omitempty"`  // seconds since its start; nil = not
	Samples     int      `json:"samples,omitempty"`      // before the first right cut
	RecoveredIn *float64 `json:"recovered_in,omitempty"` // seconds since its end
	Held        bool     `json:"held,omitempty"`         // traffic was still kept off at its end
	Moved       int      `json:"moved,omitempty"`        // samples moved after the first right cut
	Saved       int      `json:"saved,omitempty"`        // of these, would have failed
	EarlyFailed int      `json:"early_failed,omitempty"` // failed because a disabled scope was returned too early
}

// Cut is one automatic decision to cut a scope or lower its share.
type Cut struct {
	T          float64          `json:"t"`
	Scope      string           `json:"scope"`
	From       string           `json:"from"`
	To         string           `json:"to"`
	Share      float64          `json:"share"`
	Verdict    simulate.Verdict `json:"verdict"`
	Label      string           `json:"label,omitempty"`       // of the fault, or of the trap it fell for
	SinceFault *float64         `json:"since_fault,omitempty"` // false: seconds since the last fault of its traffic ended
	Why        string           `json:"why,omitempty"`
}

// Trap is one event that must not be cut.
type Trap struct {
	Label string  `json:"label"`
	Kind  string  `json:"kind"`
	From  float64 `json:"from"`
	Cuts  int     `json:"cuts,omitempty"` // decisions that fell for it
}

// Count is how often something was raised.
type Count struct {
	Kind string `json:"kind"`
	N    int    `json:"n"`
}

// newResult turns what the judge saw into a line.
func newResult(t *Trace, policy string, sum *simulate.Summary) *Result {
	r := &Result{
		Unit: t.Unit, Policy: policy, Seconds: t.Scenario.Duration.Seconds(), Channels: len(channels()), Payments: sum.Payments,
		Attempts: sum.Attempts, Succeeded: sum.Succeeded, Excess: sum.Detail.ExcessFailed, MovedHealthy: sum.MovedHealthy,
		ProbesFailed: sum.ProbesFailed, Entries: sum.Detail.Entries, Violations: sum.Violations,
		Incidents: []Incident{}, Cuts: []Cut{}, Traps: []Trap{},
	}
	for i := range sum.Detail.Findings {
		r.Incidents = append(r.Incidents, newIncident(&sum.Detail.Findings[i]))
	}
	for _, e := range t.Events {
		if e.Trap {
			r.Traps = append(r.Traps, Trap{Label: e.Label, Kind: e.Kind, From: e.From.Seconds()})
		}
	}
	for i := range sum.Detail.Rulings {
		c := newCut(&sum.Detail.Rulings[i])
		if k := trapOf(t.Events, &sum.Detail.Rulings[i]); k >= 0 && c.Verdict != simulate.Right {
			c.Label = t.Events[k].Label
			at := slices.IndexFunc(r.Traps, func(t Trap) bool { return t.Label == c.Label })
			r.Traps[at].Cuts++
		}
		r.Cuts = append(r.Cuts, c)
	}
	r.Alerts = countAlerts(sum.Alerts)
	return r
}

func newIncident(f *simulate.Finding) Incident {
	kind, _, _ := strings.Cut(f.Label, "/")
	in := Incident{
		Label: f.Label, Kind: kind, From: f.From.Seconds(), Affected: f.Affected, Crossing: f.Crossing, Detectable: f.Detectable,
		Held: f.HeldAtEnd, Moved: f.Moved, Saved: f.Saved, EarlyFailed: f.EarlyFailed,
	}
	if f.Detected >= 0 {
		in.DetectedIn, in.Samples = seconds(f.Detected-f.From), f.Samples
		if f.Recovered >= 0 {
			in.RecoveredIn = seconds(f.Recovered - f.To)
		}
	}
	return in
}

func newCut(r *simulate.Ruling) Cut {
	c := Cut{
		T: r.At.Seconds(), Scope: r.Scope.String(), From: r.From.String(), To: r.To.String(), Share: r.Share, Verdict: r.Verdict,
		Label: r.Label,
	}
	if r.SinceFault >= 0 {
		c.SinceFault = seconds(r.SinceFault)
	}
	if c.Verdict != simulate.Right {
		c.Why = strings.TrimSpace(r.Reason + ": " + r.Explanation)
	}
	return c
}

// aftermath is how long after a trap a false cut is still its doing.
const aftermath = time.Minute

// trapOf returns the trap that a cut fell for, -1 if none.
func trapOf(events []Event, r *simulate.Ruling) int {
	return slices.IndexFunc(events, func(e Event) bool {
		return e.Trap && r.At >= e.From && r.At < e.To+aftermath &&
			(e.Channel == "" || r.Scope.Kind == statemachine.ScopeDomain || e.Channel == r.Scope.Channel)
	})
}

func countAlerts(alerts []string) []Count {
	sorted := slices.Sorted(slices.Values(alerts))
	var out []Count
	for _, a := range sorted {
		if len(out) == 0 || out[len(out)-1].Kind != a {
			out = append(out, Count{Kind: a})
		}
		out[len(out)-1].N++
	}
	return out
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}
