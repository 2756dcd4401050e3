package cli

import (
	"fmt"
	"strings"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// deedWidth is the width of the column that says what was done.
const deedWidth = 12

// Story renders one message of WatchChannels as one line that can be read aloud, without a line break, in local time:
//
//	08:01:07  CUT           upi-gateway-a / SBI  19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19); other banks on the channel untouched
//
// It is empty for what is no news: full states, heartbeats, and alerts about an incident that its transition has told already.
func Story(r *sluicev1.WatchChannelsResponse) string { return story(r, time.Local) }

func story(r *sluicev1.WatchChannelsResponse, loc *time.Location) string {
	switch e := r.GetEvent().(type) {
	case *sluicev1.WatchChannelsResponse_Transition:
		return storyOfTransition(e.Transition, loc)
	case *sluicev1.WatchChannelsResponse_Alert:
		return storyOfAlert(e.Alert, loc)
	case *sluicev1.WatchChannelsResponse_Catalog:
		return storyOfCatalog(e.Catalog.GetRevision(), loc)
	}
	return ""
}

func storyOfTransition(t *sluicev1.Transition, loc *time.Location) string {
	scope := scopeOf(t.GetScope())
	line := storyLine(t.GetTime().AsTime().In(loc), deed(t), people(scope))
	if told := tell(t, scope); told != "" {
		line += "  " + told
	}
	return line
}

func storyLine(at time.Time, deed, what string) string {
	return at.Format("15:04:05") + "  " + pad(deed, deedWidth) + "  " + what
}

func storyOfCatalog(r *sluicev1.CatalogRevision, loc *time.Location) string {
	what := fmt.Sprintf("revision %d", r.GetRevision())
	if r.GetVersion() != "" {
		what += " (" + clean(r.GetVersion()) + ")"
	}
	if r.GetRollbackOf() != 0 {
		what += fmt.Sprintf(", back to %d", r.GetRollbackOf())
	}
	return storyLine(r.GetCreateTime().AsTime().In(loc), "CATALOGUE", what) + fmt.Sprintf("  by %s: %q", clean(r.GetAuthor()), clean(r.GetReason()))
}

// storyOfAlert leaves out the alerts that accompany a transition, which is a line of its own.
func storyOfAlert(r *sluicev1.RaisedAlert, loc *time.Location) string {
	a := r.GetAlert()
	switch a.GetKind() {
	case "CUT", "DEGRADED", "OBSERVED", "REFUSED", "RECOVERED":
		if a.GetIncident() != "" {
			return ""
		}
	}
	line := a.GetTime().AsTime().In(loc).Format("15:04:05") + "  " + pad("ALERT", deedWidth) + "  " +
		strings.TrimPrefix(a.GetSeverity().String(), "SEVERITY_") + " " + clean(a.GetKind())
	if scope := storedScope(a.GetScope()); scope != (statemachine.Scope{}) {
		line += " on " + people(scope)
	}
	line += ": " + clean(a.GetMessage())
	if owner := r.GetOwner(); owner != nil {
		line += "; owner: " + clean(owner.GetName()) + ", " + clean(owner.GetAddress())
	}
	return line
}

// deed is the word for what a transition did.
func deed(t *sluicev1.Transition) string {
	byOperator := t.GetCause() == configv1.Cause_CAUSE_OPERATOR
	if byOperator {
		if word := ordered(t); word != "" {
			return word
		}
	}
	if t.GetFrom() == t.GetTo() && t.GetFromSharePpm() == t.GetToSharePpm() {
		return unmoved(t)
	}
	switch t.GetTo() {
	case configv1.Phase_PHASE_DISABLED:
		return "CUT"
	case configv1.Phase_PHASE_PROBING:
		return "PROBE"
	case configv1.Phase_PHASE_RAMPING:
		lowered := t.GetFrom() == configv1.Phase_PHASE_HEALTHY || t.GetFrom() == configv1.Phase_PHASE_RAMPING && t.GetToSharePpm() < t.GetFromSharePpm()
		if lowered {
			return "LOWER " + percent(t.GetToSharePpm())
		}
		return "RAMP " + percent(t.GetToSharePpm())
	case configv1.Phase_PHASE_HEALTHY, configv1.Phase_PHASE_UNSPECIFIED:
	}
	return "HEALTHY"
}

// ordered is the word for an operator's order by what lies over the scope after it, empty where only the phase tells.
func ordered(t *sluicev1.Transition) string {
	st := t.GetStatus().GetState()
	own := func(o *configv1.Override) bool {
		return o != nil && o.GetAuthor() == t.GetAuthor() && o.GetReason() == t.GetReason()
	}
	switch {
	case own(st.GetSuspend()):
		return "SUSPEND"
	case own(st.GetOff()):
		return "OFF"
	case own(st.GetOnNow()):
		return "ON NOW"
	case own(st.GetHold()):
		return "HOLD"
	case t.GetFrom() == t.GetTo() && t.GetFromSharePpm() == t.GetToSharePpm():
		return "RELEASE"
	}
	return ""
}

// unmoved is the word for a change under which phase and share stayed.
func unmoved(t *sluicev1.Transition) string {
	if t.GetCause() == configv1.Cause_CAUSE_EXPIRY {
		return "EXPIRED"
	}
	switch t.GetIncidentKind() {
	case configv1.IncidentKind_INCIDENT_KIND_OBSERVED, configv1.IncidentKind_INCIDENT_KIND_REFUSED:
		if t.GetStatus().GetState().GetIncident() == "" {
			return "OVER"
		}
		return kindName(t.GetIncidentKind())
	case configv1.IncidentKind_INCIDENT_KIND_CUT, configv1.IncidentKind_INCIDENT_KIND_DEGRADED, configv1.IncidentKind_INCIDENT_KIND_UNSPECIFIED:
	}
	return "NOTED"
}

// tell is the sentence behind the deed: what it rests on, or who ordered it and why.
func tell(t *sluicev1.Transition, scope statemachine.Scope) string {
	reason := clean(t.GetReason())
	if t.GetCause() == configv1.Cause_CAUSE_OPERATOR {
		told := fmt.Sprintf("by %s: %q", clean(t.GetAuthor()), reason)
		if until := orderOf(t.GetStatus().GetState()).GetUntil(); until != nil {
			told += ", for " + span(until.AsTime().Sub(t.GetTime().AsTime()))
		}
		return told
	}
	line := evidenceLine(t.GetEvidence())
	switch d := deed(t); {
	case line == "":
		return reason
	case d == "CUT":
		if rest := untouched(scope); rest != "" && t.GetFrom() != configv1.Phase_PHASE_PROBING {
			line += "; " + rest
		}
		return where(t) + line
	case d == "OBSERVED" || d == "REFUSED":
		return line + "; not closed: " + answerForPeople(t.GetStatus().GetState().GetAnswer())
	case d == "EXPIRED" || d == "NOTED" || d == "OVER" || d == "PROBE":
		return reason
	}
	return where(t) + line
}

// where says what the evidence of a transition was counted in: probes, a share, or (nothing said) all traffic.
func where(t *sluicev1.Transition) string {
	switch t.GetFrom() {
	case configv1.Phase_PHASE_PROBING:
		return "probes: "
	case configv1.Phase_PHASE_RAMPING:
		return "at " + percent(t.GetFromSharePpm()) + ": "
	case configv1.Phase_PHASE_HEALTHY, configv1.Phase_PHASE_DISABLED, configv1.Phase_PHASE_UNSPECIFIED:
	}
	return ""
}

// untouched says what a cut of this scope leaves alone.
func untouched(s statemachine.Scope) string {
	switch s.Kind {
	case statemachine.ScopeInstrument:
		return "other banks on the channel untouched"
	case statemachine.ScopeAccount:
		return "other accounts on the channel untouched"
	case statemachine.ScopeMethod:
		return "other methods on the channel untouched"
	case statemachine.ScopeBusiness:
		return "other business types on the channel untouched"
	case statemachine.ScopeDomain:
		return "every channel that depends on it"
	case statemachine.ScopeChannel, statemachine.ScopeUnspecified:
	}
	return ""
}
