package ledgertest

import (
	"fmt"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Noon is the instant at which the sample changes are made.
var Noon = statemachine.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) //nolint:gochecknoglobals // a constant that Go cannot spell

// SampleState is a state of channel c<n> with every field set.
func SampleState(n int) statemachine.State {
	order := statemachine.Override{Author: "ann", Reason: "drill", Since: Noon, Until: Noon.Add(time.Hour)}
	return statemachine.State{
		Scope: statemachine.ChannelScope(fmt.Sprintf("c%02d", n)), Phase: statemachine.Ramping, Share: statemachine.ShareOf(0.25),
		Generation: 4, Step: 3, After: 17, Since: Noon.Add(-time.Minute), StepSince: Noon.Add(-time.Second), CutBy: statemachine.Automation,
		Kind: statemachine.Cut, Incident: fmt.Sprintf("i-%d", n), Answer: "HOLD", Base: statemachine.ShareOf(0.1), Relapses: 1, CoolUntil: Noon.Add(-time.Second),
		Probation: Noon.Add(time.Minute), Cuts: [2]statemachine.Instant{Noon.Add(-time.Minute), Noon.Add(-time.Hour)},
		Suspend: order, Off: order, OnNow: order, Hold: order,
	}
}

// SampleEvidence is evidence with every kind of field set.
func SampleEvidence(s statemachine.Scope) statemachine.Evidence {
	return statemachine.Evidence{
		Detector: "windows", Rule: "rate", Scope: s, From: Noon.Time().Unix() - 10, To: Noon.Time().Unix() - 1, Answered: 40, Bad: 30.5, Rate: 0.7625,
		Lower: 0.55, Baseline: 0.01, Statistic: 0.7625, Threshold: 0.5, MinSamples: 20, MinCount: 3, CodedBad: 12, Reporters: 3,
		Outcomes:    [statemachine.NumOutcomes]uint64{statemachine.Succeeded: 10, statemachine.TimedOut: 31},
		Reasons:     []statemachine.ReasonCount{{Reason: "timeout", N: 19}, {Reason: "E91", N: 12}},
		Considered:  []statemachine.Considered{{Scope: s, Answered: 40, Bad: 30.5, Why: "chosen"}},
		Explanation: "30.5 of 40 results failed",
	}
}

// SampleIncident is the incident that SampleState(n) is in.
func SampleIncident(n int) statemachine.Incident {
	s := SampleState(n)
	return statemachine.Incident{
		ID: s.Incident, Kind: statemachine.Cut, Scope: s.Scope, Generation: 1, Opened: Noon.Add(time.Duration(n) * time.Second),
		Answer: "", Evidence: SampleEvidence(s.Scope), Note: "bank phoned",
	}
}

// SampleChange changes the sample states with the given numbers, by an operator.
func SampleChange(base int64, numbers ...int) monitor.Change {
	c := monitor.Change{
		Base:  base,
		Entry: monitor.JournalEntry{At: Noon, Cause: statemachine.Operator, Author: "ann", Reason: fmt.Sprintf("sample %v", numbers)},
	}
	for _, n := range numbers {
		state, incident := SampleState(n), SampleIncident(n)
		evidence := SampleEvidence(state.Scope)
		c.States = append(c.States, state)
		c.Incidents = append(c.Incidents, incident)
		c.Entry.Moves = append(c.Entry.Moves, monitor.Move{
			Before: statemachine.NewState(state.Scope), After: state, Cause: statemachine.Operator, Reason: "sample", Evidence: &evidence,
		})
		c.Entry.Incidents = append(c.Entry.Incidents, incident)
		c.Entry.Alerts = append(c.Entry.Alerts, statemachine.Alert{
			Kind: "SAMPLE", Severity: statemachine.Warning, Scope: state.Scope, Incident: incident.ID, At: Noon.Time(), Message: "look",
		})
	}
	return c
}
