package statepb_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

var scopes = []statemachine.Scope{
	statemachine.DomainScope("unionpay-network"),
	statemachine.ChannelScope("alipay"),
	statemachine.BusinessScope("alipay", statemachine.Collect),
	statemachine.MethodScope("alipay", "QUICKPAY"),
	statemachine.AccountScope("alipay", "a1"),
	statemachine.InstrumentScope("alipay", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}),
}

func instant(t *rapid.T, name string) statemachine.Instant {
	return statemachine.Instant(rapid.Int64Range(0, 4e12).Draw(t, name))
}

func override(t *rapid.T, name string) statemachine.Override {
	if !rapid.Bool().Draw(t, name) {
		return statemachine.Override{}
	}
	return statemachine.Override{Author: "ann", Reason: "drill", Since: 1 + instant(t, name+" since"), Until: instant(t, name+" until")}
}

// A stored state comes back as it was, through the bytes.
func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := statemachine.State{
			Scope:          rapid.SampledFrom(scopes).Draw(t, "scope"),
			Phase:          statemachine.Phase(rapid.IntRange(0, 3).Draw(t, "phase")),
			Share:          statemachine.Share(rapid.Uint32Range(0, uint32(statemachine.FullShare)).Draw(t, "share")),
			Generation:     rapid.Uint64().Draw(t, "generation"),
			Step:           rapid.Uint32().Draw(t, "step"),
			After:          rapid.Int64().Draw(t, "after"),
			Since:          instant(t, "since"),
			StepSince:      instant(t, "step since"),
			CutBy:          statemachine.Cause(rapid.IntRange(0, 3).Draw(t, "cut by")),
			Kind:           statemachine.IncidentKind(rapid.IntRange(0, 4).Draw(t, "kind")),
			Incident:       rapid.SampledFrom([]string{"", "i-1"}).Draw(t, "incident"),
			Answer:         rapid.SampledFrom([]string{"", "LAST_USABLE"}).Draw(t, "answer"),
			Base:           statemachine.Share(rapid.Uint32Range(0, uint32(statemachine.FullShare)).Draw(t, "base")),
			Relapses:       rapid.Uint32().Draw(t, "relapses"),
			FailedProbings: rapid.Uint32().Draw(t, "failed"), Hangs: rapid.Bool().Draw(t, "hangs"),
			CoolUntil: instant(t, "cool until"),
			Probation: instant(t, "probation"),
			Suspend:   override(t, "suspend"),
			Off:       override(t, "off"),
			OnNow:     override(t, "on-now"),
			Hold:      override(t, "hold"),
		}
		if newest := instant(t, "cut"); newest != 0 {
			want.Cuts = [2]statemachine.Instant{newest, instant(t, "cut before")}
		}
		raw, err := proto.Marshal(statepb.FromState(want))
		if err != nil {
			t.Fatal(err)
		}
		var m configv1.ScopeState
		if err := proto.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if got, err := statepb.ToState(&m); err != nil || got != want {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestIncidentAndAlertRoundTrip(t *testing.T) {
	incident := statemachine.Incident{
		ID: "i-1", Kind: statemachine.Refused, Scope: scopes[5], Generation: 7, Opened: 1000, Closed: 2000, Answer: "LAST_USABLE: nothing left", Note: "bank phoned",
		Evidence: statemachine.Evidence{
			Detector: "windows", Rule: "rate", Scope: scopes[5], From: 1, To: 10, Answered: 40, Bad: 30.5, Rate: 0.7625, Lower: 0.55, Baseline: 0.01, Fault: 0.7625,
			Statistic: 0.7625, Threshold: 0.5, MinSamples: 20, MinCount: 3, CodedBad: 12, Reporters: 3, Explanation: "30 of 40 failed",
			Outcomes:   [statemachine.NumOutcomes]uint64{statemachine.Succeeded: 10, statemachine.TimedOut: 30, statemachine.OutcomeUnmapped: 1},
			Reasons:    []statemachine.ReasonCount{{Reason: "E91", N: 12}, {Reason: "timeout", N: 18}},
			Considered: []statemachine.Considered{{Scope: scopes[1], Answered: 400, Bad: 31, Why: "not failing without it"}},
		},
	}
	got, err := statepb.ToIncident(statepb.FromIncident(incident))
	if err != nil || !reflect.DeepEqual(got, incident) {
		t.Errorf("incident: got %+v, %v\nwant %+v", got, err, incident)
	}
	for _, severity := range []statemachine.Severity{statemachine.Info, statemachine.Warning, statemachine.Critical} {
		alert := statemachine.Alert{Kind: "REFUSED", Severity: severity, Scope: scopes[0], Incident: "i-1", At: time.Unix(5, 0).UTC(), Message: "look"}
		if got, err := statepb.ToAlert(statepb.FromAlert(alert)); err != nil || got != alert {
			t.Errorf("alert: got %+v, %v\nwant %+v", got, err, alert)
		}
	}
}

// What FromState never makes is refused, so that a damaged value never becomes an open gate.
func TestDamagedMessagesAreRefused(t *testing.T) {
	good := func() *configv1.ScopeState { return statepb.FromState(statemachine.NewState(scopes[1])) }
	tests := map[string]struct {
		damage func(*configv1.ScopeState)
		want   error
	}{
		"no scope":      {func(m *configv1.ScopeState) { m.Scope = nil }, statepb.ErrMessage},
		"bad scope":     {func(m *configv1.ScopeState) { m.Scope.Channel = "a/b" }, statemachine.ErrScope},
		"unknown kind":  {func(m *configv1.ScopeState) { m.Scope.Kind = 300 }, statemachine.ErrScope},
		"no phase":      {func(m *configv1.ScopeState) { m.Phase = 0 }, statepb.ErrMessage},
		"unknown phase": {func(m *configv1.ScopeState) { m.Phase = 9 }, statepb.ErrMessage},
		"share":         {func(m *configv1.ScopeState) { m.SharePpm = 1_000_001 }, statepb.ErrMessage},
		"cause":         {func(m *configv1.ScopeState) { m.CutBy = 9 }, statepb.ErrMessage},
		"incident kind": {func(m *configv1.ScopeState) { m.Kind = 9 }, statepb.ErrMessage},
		"cuts":          {func(m *configv1.ScopeState) { m.Cuts = append(m.Cuts, nil, nil, nil) }, statepb.ErrMessage},
	}
	for name, test := range tests {
		m := good()
		test.damage(m)
		if _, err := statepb.ToState(m); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if _, err := statepb.ToState(good()); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func TestKeys(t *testing.T) {
	keys, err := statepb.NewKeys("prod")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := keys.State(scopes[5]), "/sluice/prod/state/alipay/instrument=QUICKPAY:ICBC:DEBIT"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if a, b := keys.Journal(9), keys.Journal(10); a >= b {
		t.Errorf("journal keys do not sort like their sequences: %s, %s", a, b)
	}
	if _, err := statepb.NewKeys("a/b"); !errors.Is(err, statemachine.ErrName) {
		t.Errorf("environment a/b: got %v", err)
	}
}
