package monitor

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// The rules of the sequential detector, as they stand in Evidence.Rule, beside RuleMild and RuleRecovered.
const (
	RuleFailing  = "failing"   // fails beyond what a false alarm would need
	RuleMildPart = "mild-part" // the same, of a mild fault
	RulePart     = "part"      // suspected, and explains a wider item that fails
	RuleHanging  = "hanging"   // attempts that nobody answers
)

// isPart reports whether evidence is of an item that raised no alarm itself.
func isPart(e *statemachine.Evidence) bool { return e.Rule == RulePart || e.Rule == RuleMildPart }

// recoveredRatio is the log likelihood ratio for the normal rate that ends a fault nobody acted on: 100 to 1.
const recoveredRatio = 2 * math.Ln10

// recomputeSequential says what evidence of the sequential detector amounts to, from its numbers alone.
func recomputeSequential(e statemachine.Evidence) (statemachine.VerdictKind, error) {
	if e.Baseline <= 0 || e.Baseline >= 1 {
		return statemachine.VerdictNone, fmt.Errorf("%w: a baseline of %g", ErrEvidence, e.Baseline)
	}
	ratio := explained(e.Answered, e.Bad, e.Baseline)
	over := e.Statistic >= e.Threshold && e.Bad >= e.MinCount
	kind := statemachine.Failing
	var holds bool
	switch e.Rule {
	case RuleFailing, RuleHanging:
		holds = over && ratio >= leadPart*e.Threshold
	case RuleMild:
		kind, holds = statemachine.MildlyFailing, over && ratio >= leadPart*e.Threshold
	case RulePart:
		holds = over && ratio >= e.Threshold
	case RuleMildPart:
		kind, holds = statemachine.MildlyFailing, over && ratio >= e.Threshold
	case RuleRecovered:
		kind, holds = statemachine.Recovered, e.Statistic >= e.Threshold
	case RuleProbes, RuleRamp, RuleLowered, RuleRaised, RuleRelapse:
		holds = recomputeStep(e)
	default:
		return statemachine.VerdictNone, fmt.Errorf("%w: unknown rule %q", ErrEvidence, e.Rule)
	}
	if !holds {
		return statemachine.VerdictNone, nil
	}
	return kind, nil
}

// tell says in a sentence what evidence of the sequential detector shows.
func tell(e statemachine.Evidence) string {
	var b strings.Builder
	what := "results failed"
	if e.Rule == RuleHanging {
		what = "attempts got no answer in time"
	}
	fmt.Fprintf(&b, "%s: %s of %s %s since %s (%s)", e.Scope, amount(e.Bad), amount(e.Answered), what,
		time.Unix(e.From, 0).UTC().Format("15:04:05 UTC"), percent(e.Rate))
	switch e.Rule {
	case RuleRecovered:
		fmt.Fprintf(&b, "; that is as usual (at most %s), the evidence of %.1f is beyond %.1f", percent(e.Baseline), e.Statistic, e.Threshold)
	case RulePart, RuleMildPart:
		fmt.Fprintf(&b, "; at most %s is normal here, and it explains what fails around it", percent(e.Baseline))
	default:
		fmt.Fprintf(&b, "; at most %s is normal here, and the evidence of %.1f is beyond the %.1f that chance would need", percent(e.Baseline), e.Statistic, e.Threshold)
	}
	if len(e.Reasons) > 0 {
		fmt.Fprintf(&b, "; most often %s (%d)", e.Reasons[0].Reason, e.Reasons[0].N)
	}
	return b.String()
}

// percent prints a rate with a decimal where it is small.
func percent(rate float64) string {
	if rate < 0.1 {
		return fmt.Sprintf("%.1f %%", 100*rate)
	}
	return fmt.Sprintf("%.0f %%", 100*rate)
}
