package simulate

import "github.com/sluice-pay/sluice/statemachine"

type evidenceJSON struct {
	Detector    string            `json:"detector"`
	Rule        string            `json:"rule"`
	From        int64             `json:"from"`
	To          int64             `json:"to"`
	Answered    float64           `json:"answered"`
	Bad         float64           `json:"bad"`
	Rate        float64           `json:"rate"`
	Lower       float64           `json:"lower"`
	Baseline    float64           `json:"baseline"`
	Statistic   float64           `json:"statistic"`
	Threshold   float64           `json:"threshold"`
	MinSamples  float64           `json:"min_samples,omitempty"`
	MinCount    float64           `json:"min_count,omitempty"`
	CodedBad    float64           `json:"coded_bad"`
	Reporters   int               `json:"reporters"`
	Outcomes    map[string]uint64 `json:"outcomes,omitempty"`
	Reasons     []reasonJSON      `json:"reasons,omitempty"`
	Considered  []consideredJSON  `json:"considered,omitempty"`
	Explanation string            `json:"explanation,omitempty"`
}

type reasonJSON struct {
	Reason string `json:"reason"`
	N      uint64 `json:"n"`
}

type consideredJSON struct {
	Scope    string  `json:"scope"`
	Answered float64 `json:"answered"`
	Bad      float64 `json:"bad"`
	Why      string  `json:"why"`
}

// newEvidence renders evidence; times are Unix seconds, as the verdict has them.
func newEvidence(e *statemachine.Evidence) *evidenceJSON {
	out := &evidenceJSON{
		Detector: e.Detector, Rule: e.Rule, From: e.From, To: e.To, Answered: e.Answered, Bad: e.Bad, Rate: e.Rate,
		Lower: e.Lower, Baseline: e.Baseline, Statistic: e.Statistic, Threshold: e.Threshold, MinSamples: e.MinSamples,
		MinCount: e.MinCount, CodedBad: e.CodedBad, Reporters: e.Reporters, Outcomes: outcomeCounts(&e.Outcomes),
		Explanation: e.Explanation,
	}
	for _, r := range e.Reasons {
		out.Reasons = append(out.Reasons, reasonJSON{Reason: r.Reason, N: r.N})
	}
	for _, c := range e.Considered {
		out.Considered = append(out.Considered, consideredJSON{Scope: c.Scope.String(), Answered: c.Answered, Bad: c.Bad, Why: c.Why})
	}
	return out
}

// outcomeCounts names the outcomes that occurred.
func outcomeCounts(n *[statemachine.NumOutcomes]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for o, c := range n {
		if c > 0 {
			out[statemachine.Outcome(o).String()] = c
		}
	}
	return out
}
