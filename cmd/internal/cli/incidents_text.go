package cli

import (
	"fmt"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// incidentScope is the scope of an incident, as the reply names it.
func incidentScope(s *sluicev1.IncidentSummary) statemachine.Scope {
	if scope := scopeOf(s.GetScope()); scope != (statemachine.Scope{}) {
		return scope
	}
	return storedScope(s.GetIncident().GetScope())
}

// incidentsText renders `sluice incidents`: one line per incident, newest first.
func (v view) incidentsText(r *sluicev1.ListIncidentsResponse) string {
	if len(r.GetIncidents()) == 0 {
		return "no incidents\n"
	}
	t := table{}
	t.add("INCIDENT", "KIND", "SCOPE", "OPENED", "LASTED", "NOW", "SEEN")
	for _, s := range r.GetIncidents() {
		i := s.GetIncident()
		lasted, now := v.lasted(i), v.nowOf(s)
		t.add(clean(i.GetId()), kindName(i.GetKind()), people(incidentScope(s)), v.clock(i.GetOpenTime().AsTime()), lasted, now, evidenceLine(i.GetEvidence()))
	}
	var b strings.Builder
	for line := range strings.Lines(t.String()) {
		b.WriteString(cut(strings.TrimSuffix(line, "\n"), v.width) + "\n")
	}
	return b.String()
}

// lasted is how long an incident took, or takes.
func (v view) lasted(i *configv1.Incident) string {
	if i.GetCloseTime() != nil {
		return span(i.GetCloseTime().AsTime().Sub(i.GetOpenTime().AsTime()))
	}
	return span(v.now.Sub(i.GetOpenTime().AsTime()))
}

// nowOf is how an incident stands: over, or the phase and share of its scope.
func (v view) nowOf(s *sluicev1.IncidentSummary) string {
	if s.GetIncident().GetCloseTime() != nil {
		return "over"
	}
	return fmt.Sprintf("%s %s", phaseName(s.GetPhase()), percent(s.GetSharePpm()))
}
