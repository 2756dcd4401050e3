package cli

import (
	"strings"
	"unicode"
	"unicode/utf8"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// withheld takes an incident's answer apart: the guard or order that ties automation's hands, and what that said in this case.
// The answer reads `not closed (NAME): what was seen; what the guard said`, or is the name alone.
func withheld(i *configv1.Incident) (name, said string) {
	answer := clean(i.GetAnswer())
	rest, ok := strings.CutPrefix(answer, "not closed (")
	if !ok {
		return answer, ""
	}
	name, rest, ok = strings.Cut(rest, "): ")
	switch {
	case !ok:
		return answer, ""
	case name == statemachine.WithheldByLevel:
		return name, "" // the policy says no more
	}
	if seen := clean(i.GetEvidence().GetExplanation()); seen != "" && strings.HasPrefix(rest, seen) {
		return name, strings.TrimPrefix(strings.TrimPrefix(rest, seen), "; ")
	}
	if at := strings.LastIndex(rest, "; "); at >= 0 {
		return name, rest[at+2:]
	}
	return name, ""
}

// restraint says why automation did less than to close the scope, and what closing would take; empty for a cut.
func (v view) restraint(r *sluicev1.GetIncidentResponse) string {
	i := r.GetIncident().GetIncident()
	var title string
	var lines []string
	if name, said := withheld(i); name != "" {
		title = "Why it was not closed"
		lines = answered(name, said)
		if i.GetCloseTime() == nil {
			lines = append(lines, wouldTake(name))
		}
	} else if i.GetKind() == configv1.IncidentKind_INCIDENT_KIND_DEGRADED {
		title, lines = "Why its share was lowered, not closed", lowering(r)
	}
	if title == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n" + v.paint.text(bold, title) + "\n")
	for _, line := range lines {
		b.WriteString(wrap(line, 2, v.width)) // an empty one wraps to nothing
	}
	return b.String()
}

// answered says who spoke against closing, and what about.
func answered(name, said string) []string {
	switch name {
	case statemachine.WithheldByLevel, statemachine.WithheldByHold, statemachine.WithheldByOnNow:
	default:
		if said != "" { // it says in this case what the guard says in every case
			return []string{sentence("the guard " + name + " said no: " + said)}
		}
	}
	return []string{sentence(answerForPeople(name)), sentence(said)}
}

// wouldTake says what would have to change for the scope to be closed.
func wouldTake(name string) string {
	switch name {
	case statemachine.GuardLastUsable:
		return "It would take another usable channel for these payments. Bring one back (`sluice now` shows what is closed), or close it by hand and override the guard: these payments then have nowhere to go."
	case statemachine.GuardCapacity:
		return "It would take more room on the other channels: less demand, one of them back, or a higher capacity in the catalogue. Closing it by hand takes an override of the guard."
	case statemachine.GuardBudget:
		return "It would take the minute to pass, or failures beyond doubt (guards.certain_failure of its policy): automation asks again every second. Closing it by hand is not held back."
	case statemachine.GuardCommonMode:
		return "It would take the other channels to be well while this one fails, or failures with a code of this channel. Look at our own network and gateways first."
	case statemachine.GuardSingleReporter:
		return "It would take a second gateway instance that sees it, or failures with a code of the channel. Look at that one instance first."
	case statemachine.WithheldByLevel:
		return "It would take `automation: FULL` or `OFF_ONLY` in its policy, or an order by hand."
	case statemachine.WithheldByHold, statemachine.WithheldByOnNow:
		return "It would take the end of that order: release it, or close the scope by hand."
	}
	return ""
}

// overrideOf is the flag without which an order to close the scope would be refused as automation was.
func overrideOf(answer string) string {
	switch answer {
	case statemachine.GuardLastUsable, statemachine.GuardCapacity:
		return " --override " + answer
	}
	return ""
}

// lowering says why a share was lowered only: by the guard that spoke when it was, else because the fault is mild.
func lowering(r *sluicev1.GetIncidentResponse) []string {
	if said, short := shortOfCapacity(r); short {
		return append(answered(statemachine.GuardCapacity, said),
			"The largest part that the others can take has left. "+wouldTake(statemachine.GuardCapacity))
	}
	return []string{
		"The fault is mild: most payments succeed, so closing it would cost more than it saves.",
		"It is closed only if it becomes clearly worse than when its share was lowered; the share grows again once results are back at what was normal.",
	}
}

// shortOfCapacity reports whether the newest lowering of a share was one because the others cannot carry the rest.
func shortOfCapacity(r *sluicev1.GetIncidentResponse) (said string, short bool) {
	for _, t := range r.GetTransitions() {
		if t.GetTo() == configv1.Phase_PHASE_RAMPING && t.GetToSharePpm() < t.GetFromSharePpm() {
			_, said, short = strings.Cut(clean(t.GetReason()), "; "+statemachine.GuardCapacity+": ")
		}
	}
	return said, short
}

// sentence begins with a capital and ends with a full stop; nothing stays nothing.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}
