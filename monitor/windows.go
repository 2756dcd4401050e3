package monitor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// WindowsDetector is the name of the windows detector in Evidence.Detector.
const WindowsDetector = "windows"

// Windows is the detector of the published rules. Over a sliding window of closed seconds, an item is
//   - failing, if its failure rate reaches FailureRate with at least MinSamples results (rule rate); while there are too
//     few, the window doubles, up to WidenFactor times its length;
//   - failing, if it has more than RatioCount failures that are more than Ratio of the results (rule count-and-ratio);
//   - mildly failing, if the rate reaches MildRate in the same window, or a wider one, beyond doubt (rule mild);
//   - recovered, if an OBSERVED or REFUSED incident is open and the rate fell below half the threshold.
//
// It keeps no baseline.
type Windows struct{ history *History }

// overSamples is how many good results in a row show that failures have ended: fewer come by chance while half fail.
const overSamples = 4

// NewWindows returns a detector with empty windows.
func NewWindows() *Windows { return &Windows{history: NewHistory()} }

// Observe takes one sealed second and judges every item whose turn it is.
func (w *Windows) Observe(sum *SecondCounts, f *statemachine.Fleet) []statemachine.Verdict {
	if sum.Second <= w.history.Now() {
		return nil
	}
	w.history.Add(sum, f)
	return w.verdicts(f)
}

// verdicts judges every item of the newest second that the windows detector speaks for.
func (w *Windows) verdicts(f *statemachine.Fleet) []statemachine.Verdict {
	var verdicts []statemachine.Verdict
	var policy statemachine.Policy
	channel, ours := "", false
	for _, s := range w.history.order {
		item := s.item
		if item.Channel != channel {
			channel, policy = item.Channel, f.Policy(item.Channel)
			ours = policy.Detector == statemachine.DetectorWindows && w.history.now%seconds(policy.Every) == 0
		}
		if !ours || len(s.points) == 0 {
			continue
		}
		st := f.State(item)
		if _, ok := judgedKind(st); !ok {
			continue
		}
		if v, ok := w.judge(item, st, policy); ok {
			verdicts = append(verdicts, v)
		}
	}
	return slices.DeleteFunc(verdicts, func(v statemachine.Verdict) bool {
		return v.Kind == statemachine.MildlyFailing && w.unsettled(v.Scope.Channel, f)
	})
}

// unsettled reports whether some item of a channel has just begun to fail. Until the windows tell which, what is mild beside it
// may be no more than its mixture with what is well: one bank makes its channel, account and method look mildly ill.
func (w *Windows) unsettled(channel string, f *statemachine.Fleet) bool {
	return slices.ContainsFunc(w.history.Items(), func(item statemachine.Scope) bool {
		if item.Channel != channel || !w.rising(item, f.Policy(channel)) {
			return false
		}
		_, open := judgedKind(f.State(item))
		return open
	})
}

// judge applies the rules to one item, the gravest first.
func (w *Windows) judge(item statemachine.Scope, st statemachine.State, p statemachine.Policy) (statemachine.Verdict, bool) {
	e, kind := w.rate(item, p)
	if r := w.ratio(item, p); kind != statemachine.Failing && r.Rule != "" {
		e, kind = r, statemachine.Failing
	}
	if kind == statemachine.VerdictNone {
		open := st.Incident != "" && (st.Kind == statemachine.Observed || st.Kind == statemachine.Refused)
		if !open {
			return statemachine.Verdict{}, false
		}
		if e, kind = w.recovered(item, p); kind == statemachine.VerdictNone {
			return statemachine.Verdict{}, false
		}
	}
	e.Detector = WindowsDetector
	e.Reasons = w.history.Reasons(item, e.From, e.To)
	e.Explanation = explain(e)
	return statemachine.Verdict{Kind: kind, Scope: item, Evidence: e, Over: w.over(kind, e, p)}, true
}

// rate widens the window until it holds enough results, and judges it; a window that shows a mild fault not yet beyond
// doubt widens further.
func (w *Windows) rate(item statemachine.Scope, p statemachine.Policy) (statemachine.Evidence, statemachine.VerdictKind) {
	to, judged := w.history.Now(), false
	for length, widest := seconds(p.Window), widest(p); ; length = min(2*length, widest) {
		t := w.history.Over(item, to-length+1, to)
		e := evidence(item, &t, to-length+1, to)
		e.MinSamples = p.MinSamples
		if e.Answered >= p.MinSamples && e.Answered > 0 {
			if e.Rule, e.Threshold = RuleRate, p.FailureRate; !judged && e.Rate >= p.FailureRate {
				return e, statemachine.Failing
			}
			judged = true // a wider window would only add older seconds
			if e.Rule, e.Threshold = RuleMild, p.MildRate; mild(e) {
				if w.rising(item, p) {
					return e, statemachine.VerdictNone
				}
				return e, statemachine.MildlyFailing
			}
			if p.MildRate <= 0 || e.Rate < p.MildRate {
				return e, statemachine.VerdictNone
			}
		}
		if length >= widest {
			return e, statemachine.VerdictNone
		}
	}
}

// over reports whether the failures of a window have ended within it: its newest part, a quarter where all fails and half
// where some do, holds results, and fails at less than half the rate that would be a fault. Acting then would punish what is
// well again.
func (w *Windows) over(kind statemachine.VerdictKind, e statemachine.Evidence, p statemachine.Policy) bool {
	length, rate := e.To-e.From+1, p.FailureRate
	newest := max(1, length/4)
	if kind == statemachine.MildlyFailing {
		newest, rate = (length+1)/2, p.MildRate
	}
	t := w.history.Over(e.Scope, e.To-newest+1, e.To)
	answered, bad := t.Weighted()
	return kind != statemachine.Recovered && answered >= overSamples && bad < answered*rate/2
}

// rising reports whether the newer half of the window fails the rate rule: a fault that has just begun passes through the
// mild rates on its way, and the whole window will tell soon.
func (w *Windows) rising(item statemachine.Scope, p statemachine.Policy) bool {
	to := w.history.Now()
	t := w.history.Over(item, to-(seconds(p.Window)+1)/2+1, to)
	answered, bad := t.Weighted()
	return answered >= p.MinSamples/4 && bad >= p.FailureRate*answered && bad > 1
}

func widest(p statemachine.Policy) int64 {
	return min(keptSeconds, seconds(p.Window)*int64(max(1, p.WidenFactor)))
}

// ratio applies the count-and-ratio rule; Rule stays empty if it does not speak.
func (w *Windows) ratio(item statemachine.Scope, p statemachine.Policy) statemachine.Evidence {
	to := w.history.Now()
	from := to - seconds(p.RatioWindow) + 1
	t := w.history.Over(item, from, to)
	e := evidence(item, &t, from, to)
	if p.Ratio > 0 && e.Bad > p.RatioCount && e.Rate > p.Ratio {
		e.Rule, e.Threshold, e.MinCount = RuleRatio, p.Ratio, p.RatioCount
	}
	return e
}

// recovered looks for enough results, in the narrowest window that has them, with a rate below half the lowest
// threshold that is in use.
func (w *Windows) recovered(item statemachine.Scope, p statemachine.Policy) (statemachine.Evidence, statemachine.VerdictKind) {
	to := w.history.Now()
	threshold := p.FailureRate
	if p.MildRate > 0 {
		threshold = min(threshold, p.MildRate)
	}
	for length, widest := seconds(p.Window), widest(p); ; length = min(2*length, widest) {
		t := w.history.Over(item, to-length+1, to)
		e := evidence(item, &t, to-length+1, to)
		e.Rule, e.Threshold, e.MinSamples = RuleRecovered, threshold, p.MinSamples
		if e.Answered >= p.MinSamples && e.Answered > 0 {
			if e.Rate < threshold/2 {
				return e, statemachine.Recovered
			}
			return e, statemachine.VerdictNone
		}
		if length >= widest {
			return e, statemachine.VerdictNone
		}
	}
}

// explain says in one sentence what the evidence shows.
func explain(e statemachine.Evidence) string {
	if e.Detector == SequentialDetector {
		return tell(e)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s of %s results failed in %d s (%.0f %%, surely more than %.0f %%)",
		e.Scope, amount(e.Bad), amount(e.Answered), e.To-e.From+1, 100*e.Rate, 100*e.Lower)
	switch e.Rule {
	case RuleRate:
		fmt.Fprintf(&b, ", and %.0f %% of at least %s means failing", 100*e.Threshold, amount(e.MinSamples))
	case RuleMild:
		fmt.Fprintf(&b, ", and %.0f %% beyond doubt means mildly failing", 100*e.Threshold)
	case RuleRatio:
		fmt.Fprintf(&b, ", and more than %s that are more than %.0f %% mean failing", amount(e.MinCount), 100*e.Threshold)
	case RuleRecovered:
		fmt.Fprintf(&b, ", less than half of the %.0f %% that would be a fault", 100*e.Threshold)
	case RuleStep:
		fmt.Fprintf(&b, " of what was let through on the way back, and %.0f %% means a relapse", 100*e.Threshold)
	}
	if len(e.Reasons) > 0 {
		fmt.Fprintf(&b, "; most often %s (%d)", e.Reasons[0].Reason, e.Reasons[0].N)
	}
	return b.String()
}

// amount prints a count, with a half where unmapped codes leave one.
func amount(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return fmt.Sprintf("%.1f", v)
}
