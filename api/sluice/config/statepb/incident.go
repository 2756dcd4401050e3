package statepb

import (
	"fmt"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// FromIncident returns the message of an incident.
func FromIncident(i statemachine.Incident) *configv1.Incident {
	return &configv1.Incident{
		Id:         i.ID,
		Kind:       FromKind(i.Kind),
		Scope:      FromScope(i.Scope),
		Generation: i.Generation,
		OpenTime:   FromInstant(i.Opened),
		CloseTime:  FromInstant(i.Closed),
		Answer:     i.Answer,
		Evidence:   FromEvidence(i.Evidence),
		Note:       i.Note,
	}
}

// ToIncident is the inverse of FromIncident.
func ToIncident(m *configv1.Incident) (statemachine.Incident, error) {
	scope, err := ToScope(m.GetScope())
	if err != nil {
		return statemachine.Incident{}, fmt.Errorf("incident %s: %w", m.GetId(), err)
	}
	kind, err := ToKind(m.GetKind())
	if err != nil {
		return statemachine.Incident{}, fmt.Errorf("incident %s: %w", m.GetId(), err)
	}
	evidence, err := ToEvidence(m.GetEvidence())
	if err != nil {
		return statemachine.Incident{}, fmt.Errorf("incident %s: %w", m.GetId(), err)
	}
	return statemachine.Incident{
		ID:         m.GetId(),
		Kind:       kind,
		Scope:      scope,
		Generation: m.GetGeneration(),
		Opened:     ToInstant(m.GetOpenTime()),
		Closed:     ToInstant(m.GetCloseTime()),
		Answer:     m.GetAnswer(),
		Evidence:   evidence,
		Note:       m.GetNote(),
	}, nil
}

// FromEvidence returns the message of evidence.
func FromEvidence(e statemachine.Evidence) *configv1.Evidence {
	m := &configv1.Evidence{
		Detector:    e.Detector,
		Rule:        e.Rule,
		Scope:       FromScope(e.Scope),
		FromSecond:  e.From,
		ToSecond:    e.To,
		Answered:    e.Answered,
		Bad:         e.Bad,
		Rate:        e.Rate,
		Lower:       e.Lower,
		Baseline:    e.Baseline,
		Fault:       e.Fault,
		Statistic:   e.Statistic,
		Threshold:   e.Threshold,
		MinSamples:  e.MinSamples,
		MinCount:    e.MinCount,
		CodedBad:    e.CodedBad,
		Reporters:   uint32(max(0, e.Reporters)), //nolint:gosec // at most 64
		Explanation: e.Explanation,
	}
	for o, n := range e.Outcomes {
		if n > 0 {
			m.Outcomes = append(m.Outcomes, &configv1.OutcomeCount{Outcome: configv1.Outcome(o), Count: n})
		}
	}
	for _, r := range e.Reasons {
		m.Reasons = append(m.Reasons, &configv1.ReasonCount{Reason: r.Reason, Count: r.N})
	}
	for _, c := range e.Considered {
		m.Considered = append(m.Considered, &configv1.ConsideredScope{Scope: FromScope(c.Scope), Answered: c.Answered, Bad: c.Bad, Why: c.Why})
	}
	return m
}

// ToEvidence is the inverse of FromEvidence.
func ToEvidence(m *configv1.Evidence) (statemachine.Evidence, error) {
	scope, err := ToScope(m.GetScope())
	if err != nil {
		return statemachine.Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	e := statemachine.Evidence{
		Detector:    m.GetDetector(),
		Rule:        m.GetRule(),
		Scope:       scope,
		From:        m.GetFromSecond(),
		To:          m.GetToSecond(),
		Answered:    m.GetAnswered(),
		Bad:         m.GetBad(),
		Rate:        m.GetRate(),
		Lower:       m.GetLower(),
		Baseline:    m.GetBaseline(),
		Fault:       m.GetFault(),
		Statistic:   m.GetStatistic(),
		Threshold:   m.GetThreshold(),
		MinSamples:  m.GetMinSamples(),
		MinCount:    m.GetMinCount(),
		CodedBad:    m.GetCodedBad(),
		Reporters:   int(m.GetReporters()),
		Explanation: m.GetExplanation(),
	}
	for _, o := range m.GetOutcomes() {
		if o.GetOutcome() < 0 || o.GetOutcome() >= configv1.Outcome(statemachine.NumOutcomes) {
			return statemachine.Evidence{}, fmt.Errorf("%w: evidence: outcome %v", ErrMessage, o.GetOutcome())
		}
		e.Outcomes[o.GetOutcome()] += o.GetCount()
	}
	for _, r := range m.GetReasons() {
		e.Reasons = append(e.Reasons, statemachine.ReasonCount{Reason: r.GetReason(), N: r.GetCount()})
	}
	for _, c := range m.GetConsidered() {
		s, err := ToScope(c.GetScope())
		if err != nil {
			return statemachine.Evidence{}, fmt.Errorf("evidence: considered: %w", err)
		}
		e.Considered = append(e.Considered, statemachine.Considered{Scope: s, Answered: c.GetAnswered(), Bad: c.GetBad(), Why: c.GetWhy()})
	}
	return e, nil
}

// FromAlert returns the message of an alert.
func FromAlert(a statemachine.Alert) *configv1.Alert {
	return &configv1.Alert{
		Kind:     a.Kind,
		Severity: configv1.Severity(a.Severity) + 1,
		Scope:    FromScope(a.Scope),
		Incident: a.Incident,
		Time:     fromTime(a.At),
		Message:  a.Message,
	}
}

// ToAlert is the inverse of FromAlert.
func ToAlert(m *configv1.Alert) (statemachine.Alert, error) {
	scope, err := ToScope(m.GetScope())
	if err != nil {
		return statemachine.Alert{}, fmt.Errorf("alert: %w", err)
	}
	if m.GetSeverity() < configv1.Severity_SEVERITY_INFO || m.GetSeverity() > configv1.Severity_SEVERITY_CRITICAL {
		return statemachine.Alert{}, fmt.Errorf("%w: alert: severity %v", ErrMessage, m.GetSeverity())
	}
	return statemachine.Alert{
		Kind:     m.GetKind(),
		Severity: statemachine.Severity(m.GetSeverity() - 1), //nolint:gosec // checked above
		Scope:    scope,
		Incident: m.GetIncident(),
		At:       toTime(m.GetTime()),
		Message:  m.GetMessage(),
	}, nil
}
