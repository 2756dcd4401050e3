package statepb

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// FromScope returns the message of a scope, nil for the zero scope.
func FromScope(s statemachine.Scope) *configv1.Scope {
	if s == (statemachine.Scope{}) {
		return nil
	}
	return &configv1.Scope{Kind: configv1.ScopeKind(s.Kind), Channel: s.Channel, Of: s.Of}
}

// ToScope is the inverse of FromScope. A scope that is not well formed is an error that wraps statemachine.ErrScope.
func ToScope(m *configv1.Scope) (statemachine.Scope, error) {
	if m == nil {
		return statemachine.Scope{}, nil
	}
	if m.GetKind() < 0 || m.GetKind() > configv1.ScopeKind(statemachine.ScopeInstrument) {
		return statemachine.Scope{}, fmt.Errorf("%w: kind %d is unknown", statemachine.ErrScope, m.GetKind())
	}
	s := statemachine.Scope{Kind: statemachine.ScopeKind(m.GetKind()), Channel: m.GetChannel(), Of: m.GetOf()} //nolint:gosec // checked above
	return s, s.Validate()
}

// FromPhase returns the message's phase.
func FromPhase(p statemachine.Phase) configv1.Phase { return configv1.Phase(p) + 1 }

// ToPhase is the inverse of FromPhase.
func ToPhase(p configv1.Phase) (statemachine.Phase, error) {
	if p < configv1.Phase_PHASE_HEALTHY || p > configv1.Phase_PHASE_RAMPING {
		return 0, fmt.Errorf("%w: phase %v", ErrMessage, p)
	}
	return statemachine.Phase(p - 1), nil
}

// FromCause returns the message's cause.
func FromCause(c statemachine.Cause) configv1.Cause { return configv1.Cause(c) }

// ToCause is the inverse of FromCause.
func ToCause(c configv1.Cause) (statemachine.Cause, error) {
	if c < 0 || c > configv1.Cause_CAUSE_EXPIRY {
		return 0, fmt.Errorf("%w: cause %v", ErrMessage, c)
	}
	return statemachine.Cause(c), nil
}

// FromKind returns the message's kind of incident.
func FromKind(k statemachine.IncidentKind) configv1.IncidentKind { return configv1.IncidentKind(k) }

// ToKind is the inverse of FromKind.
func ToKind(k configv1.IncidentKind) (statemachine.IncidentKind, error) {
	if k < 0 || k > configv1.IncidentKind_INCIDENT_KIND_REFUSED {
		return 0, fmt.Errorf("%w: incident kind %v", ErrMessage, k)
	}
	return statemachine.IncidentKind(k), nil
}

// FromState returns the message of a state.
func FromState(s statemachine.State) *configv1.ScopeState {
	m := &configv1.ScopeState{
		Scope:          FromScope(s.Scope),
		Phase:          FromPhase(s.Phase),
		SharePpm:       uint32(s.Share),
		Generation:     s.Generation,
		Step:           s.Step,
		After:          s.After,
		Since:          FromInstant(s.Since),
		StepSince:      FromInstant(s.StepSince),
		CutBy:          FromCause(s.CutBy),
		Kind:           FromKind(s.Kind),
		Incident:       s.Incident,
		Answer:         s.Answer,
		BasePpm:        uint32(s.Base),
		Relapses:       s.Relapses,
		FailedProbings: s.FailedProbings,
		Hangs:          s.Hangs,
		CoolUntil:      FromInstant(s.CoolUntil),
		ProbationUntil: FromInstant(s.Probation),
		Suspend:        fromOverride(s.Suspend),
		Off:            fromOverride(s.Off),
		OnNow:          fromOverride(s.OnNow),
		Hold:           fromOverride(s.Hold),
	}
	for _, c := range s.Cuts {
		if c != 0 {
			m.Cuts = append(m.Cuts, FromInstant(c))
		}
	}
	return m
}

// ToState is the inverse of FromState. It refuses what FromState never makes: a bad scope, phase, share or cause.
func ToState(m *configv1.ScopeState) (statemachine.State, error) {
	scope, err := ToScope(m.GetScope())
	if err != nil {
		return statemachine.State{}, err
	}
	if scope == (statemachine.Scope{}) {
		return statemachine.State{}, fmt.Errorf("%w: state without a scope", ErrMessage)
	}
	s := statemachine.State{
		Scope:          scope,
		Share:          statemachine.Share(m.GetSharePpm()),
		Generation:     m.GetGeneration(),
		Step:           m.GetStep(),
		After:          m.GetAfter(),
		Since:          ToInstant(m.GetSince()),
		StepSince:      ToInstant(m.GetStepSince()),
		Incident:       m.GetIncident(),
		Answer:         m.GetAnswer(),
		Base:           statemachine.Share(m.GetBasePpm()),
		Relapses:       m.GetRelapses(),
		FailedProbings: m.GetFailedProbings(),
		Hangs:          m.GetHangs(),
		CoolUntil:      ToInstant(m.GetCoolUntil()),
		Probation:      ToInstant(m.GetProbationUntil()),
		Suspend:        toOverride(m.GetSuspend()),
		Off:            toOverride(m.GetOff()),
		OnNow:          toOverride(m.GetOnNow()),
		Hold:           toOverride(m.GetHold()),
	}
	if s.Share > statemachine.FullShare || s.Base > statemachine.FullShare {
		return statemachine.State{}, fmt.Errorf("%w: %s: share %d or base %d over %d ppm", ErrMessage, scope, s.Share, s.Base, statemachine.FullShare)
	}
	if s.Phase, err = ToPhase(m.GetPhase()); err != nil {
		return statemachine.State{}, fmt.Errorf("%s: %w", scope, err)
	}
	if s.CutBy, err = ToCause(m.GetCutBy()); err != nil {
		return statemachine.State{}, fmt.Errorf("%s: %w", scope, err)
	}
	if s.Kind, err = ToKind(m.GetKind()); err != nil {
		return statemachine.State{}, fmt.Errorf("%s: %w", scope, err)
	}
	if err := toCuts(m.GetCuts(), &s.Cuts); err != nil {
		return statemachine.State{}, fmt.Errorf("%s: %w", scope, err)
	}
	return s, nil
}

func toCuts(from []*timestamppb.Timestamp, to *[2]statemachine.Instant) error {
	if len(from) > len(to) {
		return fmt.Errorf("%w: %d cuts, want at most %d", ErrMessage, len(from), len(to))
	}
	for i, c := range from {
		to[i] = ToInstant(c)
	}
	return nil
}

func fromOverride(o statemachine.Override) *configv1.Override {
	if !o.Set() {
		return nil
	}
	return &configv1.Override{Author: o.Author, Reason: o.Reason, Since: FromInstant(o.Since), Until: FromInstant(o.Until)}
}

func toOverride(m *configv1.Override) statemachine.Override {
	if m == nil {
		return statemachine.Override{}
	}
	return statemachine.Override{Author: m.GetAuthor(), Reason: m.GetReason(), Since: ToInstant(m.GetSince()), Until: ToInstant(m.GetUntil())}
}
