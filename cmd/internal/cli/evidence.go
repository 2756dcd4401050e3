package cli

import (
	"fmt"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

const (
	// manyResults is from where on a percentage says more than `19 of 21`.
	manyResults = 100
	// topReasons is how many causes a line names.
	topReasons = 3
)

// evidenceLine renders evidence in a line: `61 % of 842 failed in 10 s (TIMEOUT 78 %, CONN_RESET 14 %)`, and where it was held
// against a learned baseline what is normal and how much evidence was needed. Without counts it is the evidence's own
// explanation, or empty.
func evidenceLine(e *configv1.Evidence) string {
	if e.GetAnswered() <= 0 {
		return clean(e.GetExplanation())
	}
	return countsOf(e) + againstBaseline(e)
}

// countsOf renders the counts of evidence and their causes.
func countsOf(e *configv1.Evidence) string {
	line := seen(e.GetBad(), e.GetAnswered(), verbOf(e))
	if e.GetToSecond() >= e.GetFromSecond() && e.GetFromSecond() > 0 {
		line += " in " + seconds(e.GetToSecond()-e.GetFromSecond()+1)
	}
	if causes := causesOf(e); causes != "" {
		line += " (" + causes + ")"
	}
	return line
}

// againstBaseline renders `, normal at most 1.2 %, evidence 61.3 (needs 20.7)` for what the sequential detector found.
func againstBaseline(e *configv1.Evidence) string {
	line := ""
	if e.GetDetector() != sequential {
		return line
	}
	if e.GetBaseline() > 0 {
		line += ", normal at most " + fraction(e.GetBaseline())
	}
	if e.GetThreshold() > 0 {
		line += ", evidence " + number(e.GetStatistic()) + " (needs " + number(e.GetThreshold()) + ")"
	}
	return line
}

// verbOf says what the results counted as bad did.
func verbOf(e *configv1.Evidence) string {
	if e.GetRule() == ruleHanging {
		return "unanswered"
	}
	return "failed"
}

// seen renders `19 of 21 failed`, or `61 % of 842 failed` where there are many.
func seen(bad, answered float64, verb string) string {
	if answered < manyResults {
		return number(bad) + " of " + number(answered) + " " + verb
	}
	return fraction(bad/answered) + " of " + number(answered) + " " + verb
}

func seconds(n int64) string {
	if n >= 120 && n%60 == 0 {
		return fmt.Sprintf("%d min", n/60)
	}
	return fmt.Sprintf("%d s", n)
}

// causesOf names the top causes: reasons where some were reported, else bad outcomes.
func causesOf(e *configv1.Evidence) string {
	type cause struct {
		name  string
		count uint64
	}
	var causes []cause
	for _, r := range e.GetReasons() {
		causes = append(causes, cause{clean(r.GetReason()), r.GetCount()})
	}
	if len(causes) == 0 {
		for _, o := range e.GetOutcomes() {
			if badOutcome(o.GetOutcome()) {
				causes = append(causes, cause{outcomeName(o.GetOutcome()), o.GetCount()})
			}
		}
	}
	var parts []string
	for _, c := range causes[:min(len(causes), topReasons)] {
		if e.GetAnswered() >= manyResults && e.GetBad() > 0 {
			parts = append(parts, c.name+" "+fraction(min(1, float64(c.count)/e.GetBad())))
		} else {
			parts = append(parts, fmt.Sprintf("%s %d", c.name, c.count))
		}
	}
	if more := len(causes) - topReasons; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

func outcomeName(o configv1.Outcome) string { return strings.TrimPrefix(o.String(), "OUTCOME_") }

// badOutcome reports whether an outcome speaks against the health of a scope.
func badOutcome(o configv1.Outcome) bool {
	switch o {
	case configv1.Outcome_OUTCOME_UNSPECIFIED, configv1.Outcome_OUTCOME_CHANNEL_FAILED, configv1.Outcome_OUTCOME_ACCOUNT_FAILED,
		configv1.Outcome_OUTCOME_NETWORK_FAILED, configv1.Outcome_OUTCOME_TIMED_OUT, configv1.Outcome_OUTCOME_UNMAPPED:
		return true
	case configv1.Outcome_OUTCOME_SUCCEEDED, configv1.Outcome_OUTCOME_PENDING, configv1.Outcome_OUTCOME_USER_DECLINED,
		configv1.Outcome_OUTCOME_REJECTED, configv1.Outcome_OUTCOME_THROTTLED:
	}
	return false
}
