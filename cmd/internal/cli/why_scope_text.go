package cli

import (
	"fmt"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// scopeText tells how one scope is doing and why. The wider scopes are those that apply to it and are not healthy: a wider
// closed one wins over whatever this one says.
func (v view) scopeText(s *sluicev1.ScopeStatus, wider []*sluicev1.ScopeStatus) string {
	scope := scopeOf(s.GetScope())
	var b strings.Builder
	b.WriteString(wrap(v.scopeSentence(s, scope), 0, v.width))
	for _, line := range v.details(s) {
		b.WriteString(wrap(line, 2, v.width))
	}
	for _, w := range wider {
		name := scopeOf(w.GetScope())
		b.WriteString(wrap(fmt.Sprintf("%s applies too and is %s at %s: sluice why %s",
			people(name), standingOf(w).word, percent(w.GetSharePpm()), quote(name.String())), 2, v.width))
	}
	return b.String() + v.deeds(s, scope, s.GetState().GetAnswer())
}

// scopeSentence says how a scope is, since when and by whom.
func (v view) scopeSentence(s *sluicev1.ScopeStatus, scope statemachine.Scope) string {
	st := standingOf(s)
	text := fmt.Sprintf("%s %s is %s", st.icon, people(scope), st.word)
	if s.GetSharePpm() > 0 && s.GetSharePpm() < fullPPM {
		text += " at " + percent(s.GetSharePpm())
	}
	if since := sinceOf(s); since != nil {
		text += " since " + v.ago(since)
	}
	if by := byOf(s); by != "" {
		text += ", by " + by
	}
	return text + "."
}

// healthyStatus is the status of a scope that has no state: absent means healthy.
func healthyStatus(s statemachine.Scope) *sluicev1.ScopeStatus {
	return &sluicev1.ScopeStatus{
		Scope: &sluicev1.Scope{Name: s.String()},
		Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
	}
}

// policyText says in a line how automation is set for a channel.
func policyText(p *configv1.Policy) string {
	if p == nil {
		return ""
	}
	text := "automation level: " + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(p.GetAutomation().String(), "AUTOMATION_LEVEL_"), "_", " "))
	switch p.GetDetector() {
	case configv1.Detector_DETECTOR_WINDOWS:
		return text + "; detector: windows"
	case configv1.Detector_DETECTOR_SEQUENTIAL:
		return text + "; detector: sequential, " + falseAlarms(p.GetSequential().GetFalseAlarmDays())
	case configv1.Detector_DETECTOR_UNSPECIFIED:
	}
	return text
}

// falseAlarms says what budget of false alarms a channel has.
func falseAlarms(days float64) string {
	if days == 0 {
		return "its budget of false alarms by the channel's traffic"
	}
	return "one false alarm of the channel in " + number(days) + " days"
}
