package cli

import (
	"fmt"
	"strings"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// incidentText tells the story of an incident in sentences: what was seen, why this scope, what was done, what comes next.
func (v view) incidentText(r *sluicev1.GetIncidentResponse) string {
	i, scope := r.GetIncident().GetIncident(), incidentScope(r.GetIncident())
	var b strings.Builder
	b.WriteString(wrap(v.incidentHead(r.GetIncident(), scope), 0, v.width))
	if note := clean(i.GetNote()); note != "" {
		b.WriteString(wrap("Note: "+note, 0, v.width))
	}
	b.WriteString("\n" + v.paint.text(bold, "What was seen") + "\n")
	for _, line := range v.findings(i.GetEvidence()) {
		b.WriteString(wrap(line, 2, v.width))
	}
	if considered := v.considered(i.GetEvidence(), scope); considered != "" {
		b.WriteString("\n" + v.paint.text(bold, "Why this scope") + "\n" + considered)
	}
	b.WriteString(v.restraint(r))
	b.WriteString("\n" + v.paint.text(bold, "What was done") + "\n" + v.timeline(r.GetTransitions()))
	b.WriteString("\n" + v.paint.text(bold, "What comes next") + "\n" + v.outlook(r, scope))
	return b.String()
}

// incidentHead says in one sentence what happened to what, when, and how it stands.
func (v view) incidentHead(s *sluicev1.IncidentSummary, scope statemachine.Scope) string {
	i := s.GetIncident()
	deed := map[configv1.IncidentKind]string{
		configv1.IncidentKind_INCIDENT_KIND_UNSPECIFIED: "was noticed",
		configv1.IncidentKind_INCIDENT_KIND_CUT:         "was closed",
		configv1.IncidentKind_INCIDENT_KIND_DEGRADED:    "had its share lowered",
		configv1.IncidentKind_INCIDENT_KIND_OBSERVED:    "was seen failing and only observed",
		configv1.IncidentKind_INCIDENT_KIND_REFUSED:     "was seen failing, and a guard refused to close it",
	}[i.GetKind()]
	head := fmt.Sprintf("Incident %s: %s %s at %s.", clean(i.GetId()), people(scope), deed, v.ago(i.GetOpenTime()))
	if name, _ := withheld(i); name != "" {
		tense := map[bool]string{true: "does", false: "did"}[i.GetCloseTime() == nil]
		head += " Automation " + tense + " not act: " + answerForPeople(name) + "."
	}
	if i.GetCloseTime() != nil {
		return head + fmt.Sprintf(" It was over at %s, after %s.", v.clock(i.GetCloseTime().AsTime()), v.lasted(i))
	}
	return head + fmt.Sprintf(" It is open; the scope is %s at %s.", phaseName(s.GetPhase()), percent(s.GetSharePpm()))
}

// timeline renders transitions as Story does, with their days where they are not of today.
func (v view) timeline(list []*sluicev1.Transition) string {
	if len(list) == 0 {
		return "  Nothing is kept of it.\n"
	}
	var b strings.Builder
	day := v.now.In(v.loc).Format(time.DateOnly)
	for _, t := range list {
		if d := t.GetTime().AsTime().In(v.loc).Format(time.DateOnly); d != day {
			day = d
			b.WriteString("  " + d + "\n")
		}
		b.WriteString("  " + storyOfTransition(t, v.loc) + "\n")
	}
	return b.String()
}

// outlook says what comes next and what one can do.
func (v view) outlook(r *sluicev1.GetIncidentResponse, scope statemachine.Scope) string {
	var b strings.Builder
	if r.GetIncident().GetIncident().GetCloseTime() != nil {
		return "  Nothing: it is over.\n"
	}
	s := r.GetStatus()
	lines := v.orders(s.GetState())
	if line := progressLine(s); line != "" {
		lines = append(lines, line)
	}
	if line := v.nextLine(s); line != "" {
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = []string{"Automation goes on watching."}
	}
	for _, line := range lines {
		b.WriteString(wrap(line, 2, v.width))
	}
	answer := s.GetState().GetAnswer()
	if _, short := shortOfCapacity(r); short && answer == "" {
		answer = statemachine.GuardCapacity
	}
	return b.String() + v.deeds(s, scope, answer)
}

// deeds are the commands that fit a scope as it is, where answer is what keeps automation from closing it.
func (v view) deeds(s *sluicev1.ScopeStatus, scope statemachine.Scope, answer string) string {
	name := quote(scope.String())
	var b strings.Builder
	do := func(what, command string) { fmt.Fprintf(&b, "  %s sluice %s\n", pad(what, 28), command) }
	switch st := standingOf(s); {
	case st.word == "SUSPENDED":
		do("lift the suspension:", "lift "+name+" --reason '…'")
	case st.word == "OFF" || st.word == "HELD" || st.word == "ON NOW":
		do("give it back to automation:", "release "+name+" --reason '…'")
	case st.harm == harmClosed || st.harm == harmProbing:
		do("open it through the ramp:", "on "+name+" --reason '…'")
		do("keep it closed:", "off "+name+" --reason '…' --for 2h")
	default:
		if answer == statemachine.WithheldByHold || answer == statemachine.WithheldByOnNow {
			do("give it back to automation:", "release "+name+" --reason '…'")
		}
		do("close it:", "off "+name+overrideOf(answer)+" --reason '…' --for 30m")
	}
	return b.String()
}
