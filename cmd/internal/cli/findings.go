package cli

import (
	"fmt"
	"strings"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// sequential is the name of the sequential detector in evidence.
const sequential = "sequential"

// The rules of the sequential detector.
const (
	ruleFailing   = "failing"
	rulePart      = "part"    // carries the failures of a wider scope that alarmed
	ruleHanging   = "hanging" // attempts were sent and nobody answered
	ruleMild      = "mild"    // fails more than normal, but by a small part
	ruleProbes    = "probes"  // the test of probes
	ruleRamp      = "ramp"    // the test of a step of the ramp
	ruleLowered   = "lowered" // the test of a step of a lowered share
	ruleRaised    = "raised"  // the same of one that was raised: the fault is still there
	ruleRelapse   = "relapse" // fails again as it did, after its probes had passed
	ruleRecovered = "recovered"
)

// findings renders evidence in sentences: counts, rate and bounds, the rule and its threshold.
func (v view) findings(e *configv1.Evidence) []string {
	if e == nil {
		return []string{"Nothing was counted."}
	}
	var lines []string
	if e.GetAnswered() > 0 {
		line := countsOf(e)
		if e.GetFromSecond() > 0 {
			at := func(second int64) string { return v.clock(time.Unix(second, 0)) }
			line += fmt.Sprintf(", from %s to %s", at(e.GetFromSecond()), at(e.GetToSecond()))
		}
		lines = append(lines, line+".", rateLine(e)+".")
	}
	if e.GetDetector() != "" {
		lines = append(lines, ruleLine(e))
	}
	if e.GetReporters() > 0 || e.GetCodedBad() > 0 {
		line := number(e.GetCodedBad()) + " of the failures carried a code of the channel"
		if e.GetReporters() > 0 {
			line += "; " + plural(int(e.GetReporters()), "gateway") + " saw failures without one"
		}
		lines = append(lines, line+".")
	}
	if text := further(e); text != "" {
		lines = append(lines, sentence(text))
	}
	return lines
}

// further is what an explanation tells beyond the figures of its evidence: without the clauses that repeat the counts, the
// statistic and its threshold, or the top cause.
func further(e *configv1.Evidence) string {
	text := clean(e.GetExplanation())
	if e.GetAnswered() <= 0 {
		return text
	}
	var clauses []string
	for clause := range strings.SplitSeq(text, "; ") {
		repeats := strings.Contains(clause, number(e.GetBad())+" of "+number(e.GetAnswered())+" ") ||
			e.GetThreshold() > 0 && strings.Contains(clause, number(e.GetStatistic())) && strings.Contains(clause, number(e.GetThreshold())) ||
			len(e.GetReasons()) > 0 && strings.Contains(clause, clean(e.GetReasons()[0].GetReason())+" (")
		if !repeats {
			clauses = append(clauses, clause)
		}
	}
	return strings.Join(clauses, "; ")
}

// rateLine says how large the part that fails is, how sure that is, and what is normal.
func rateLine(e *configv1.Evidence) string {
	line := fmt.Sprintf("That is %s %s", fraction(e.GetRate()), failingWord(e))
	if e.GetLower() > 0 {
		line += fmt.Sprintf(", at least %s with 99 %% confidence", fraction(e.GetLower()))
	}
	switch {
	case e.GetBaseline() <= 0:
	case e.GetDetector() == sequential:
		line += "; normal here is at most " + fraction(e.GetBaseline())
		if e.GetFault() > 0 {
			line += ", and it was weighed against a fault of " + fraction(e.GetFault())
		}
	default:
		line += "; normal is " + fraction(e.GetBaseline())
	}
	return line
}

func failingWord(e *configv1.Evidence) string {
	if e.GetRule() == ruleHanging {
		return "without an answer"
	}
	return "failing"
}

// ruleLine says which rule spoke and what it asked for.
func ruleLine(e *configv1.Evidence) string {
	if e.GetDetector() == sequential {
		return sequentialLine(e)
	}
	line := "The detector " + clean(e.GetDetector()) + " spoke"
	if e.GetRule() != "" {
		line += " by its rule " + clean(e.GetRule())
	}
	if e.GetThreshold() > 0 {
		line += fmt.Sprintf(": %.4g reached the threshold %.4g", e.GetStatistic(), e.GetThreshold())
	}
	var least []string
	if e.GetMinSamples() > 0 {
		least = append(least, number(e.GetMinSamples())+" results")
	}
	if e.GetMinCount() > 0 {
		least = append(least, number(e.GetMinCount())+" failures")
	}
	if len(least) > 0 {
		line += ", with at least " + strings.Join(least, " and ")
	}
	return line + "."
}

// ruleWords tells what each rule of the sequential detector found.
func ruleWords() map[string]string {
	return map[string]string{
		ruleFailing:   "found that it fails",
		rulePart:      "found that a wider scope fails and that this part carries its failures",
		ruleHanging:   "found that it hangs: attempts were sent and nobody answered",
		ruleMild:      "found a mild fault: more fails than normal, but only a small part",
		ruleProbes:    "has weighed the probes",
		ruleRamp:      "has weighed this step of the ramp",
		ruleLowered:   "has weighed what the lowered share lets through",
		ruleRaised:    "found the fault still there after the share was raised",
		ruleRelapse:   "found that it fails again as before, soon after it was opened",
		ruleRecovered: "found it back at what is normal",
	}
}

// sequentialLine says what the sequential detector found, and its evidence against what it takes.
func sequentialLine(e *configv1.Evidence) string {
	line, rule := "The sequential detector ", clean(e.GetRule())
	switch told := ruleWords()[rule]; {
	case told != "":
		line += told
	case rule == "":
		line += "spoke"
	default:
		line += "spoke by its rule " + rule
	}
	switch statistic, threshold := number(e.GetStatistic()), number(e.GetThreshold()); {
	case e.GetThreshold() == 0:
	case e.GetRule() == rulePart && e.GetStatistic() < e.GetThreshold():
		line += fmt.Sprintf("; on its own its evidence is %s, and %s would be needed", statistic, threshold)
	default:
		line += fmt.Sprintf("; the evidence is %s, and %s was needed", statistic, threshold)
		if e.GetMinCount() > 0 {
			line += " from at least " + number(e.GetMinCount()) + " failures"
		}
	}
	return line + "."
}

// considered lists the scopes that were looked at, the chosen one marked.
func (v view) considered(e *configv1.Evidence, chosen statemachine.Scope) string {
	if len(e.GetConsidered()) == 0 {
		return ""
	}
	t := table{}
	for _, c := range e.GetConsidered() {
		mark, scope := " ", storedScope(c.GetScope())
		if scope == chosen {
			mark = "→"
		}
		t.add("  "+mark+" "+people(scope), seen(c.GetBad(), c.GetAnswered(), verbOf(e)), clean(c.GetWhy()))
	}
	return t.String()
}
