package cli

import (
	"strings"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const sbi = "upi-gateway-a/instrument=UPI:SBI:-"

// life is what a bank goes through in one incident.
func life() []*sluicev1.Transition {
	const (
		healthy, disabled = configv1.Phase_PHASE_HEALTHY, configv1.Phase_PHASE_DISABLED
		probing, ramping  = configv1.Phase_PHASE_PROBING, configv1.Phase_PHASE_RAMPING
		automation        = configv1.Cause_CAUSE_AUTOMATION
	)
	move := func(minute, second int, from, to configv1.Phase, before, after uint32, reason string) *sluicev1.Transition {
		return &sluicev1.Transition{
			Time: at(3, minute, second), Scope: scope(sbi), From: from, To: to, FromSharePpm: before, ToSharePpm: after,
			Cause: automation, Author: "automation/a", Reason: reason, IncidentId: "5f0c3a9d2b41",
			IncidentKind: configv1.IncidentKind_INCIDENT_KIND_CUT, Status: &sluicev1.ScopeStatus{Scope: scope(sbi), State: &configv1.ScopeState{}},
		}
	}
	cutting := move(1, 7, healthy, disabled, fullPPM, 0, "19 of 21 results bad (90.5%)")
	cutting.Evidence = evidence(19, 21, 2, reason("BANK_SYSTEM_ERROR", 19))
	list := []*sluicev1.Transition{
		cutting,
		move(1, 37, disabled, probing, 0, 0, "cool-down over"),
		move(2, 0, probing, ramping, 0, 40_000, "probes passed: 0 of 8 results bad (0%)"),
		move(2, 30, ramping, ramping, 40_000, 80_000, "step 0 passed at 4%: 1 of 30 results bad (3.33%)"),
		move(4, 30, ramping, healthy, fullPPM, fullPPM, "full share held: 2 of 300 results bad (0.667%)"),
	}
	list[2].Evidence, list[3].Evidence, list[4].Evidence = evidence(0, 8, 20), evidence(1, 30, 30), evidence(2, 300, 30)
	return list
}

func transition(t *sluicev1.Transition) *sluicev1.WatchChannelsResponse {
	return &sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Transition{Transition: t}}
}

func raised(a *configv1.Alert) *sluicev1.WatchChannelsResponse {
	return &sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Alert{Alert: &sluicev1.RaisedAlert{Alert: a}}}
}

// order is an operator's order as the watch tells it.
func order(mutate func(*sluicev1.Transition, *configv1.ScopeState)) *sluicev1.Transition {
	st := &configv1.ScopeState{}
	t := &sluicev1.Transition{
		Time: at(3, 5, 0), Scope: scope("alipay"), From: configv1.Phase_PHASE_HEALTHY, To: configv1.Phase_PHASE_HEALTHY,
		FromSharePpm: fullPPM, ToSharePpm: fullPPM, Cause: configv1.Cause_CAUSE_OPERATOR, Author: "zhao.q", Reason: "CHG-8812",
		Status: &sluicev1.ScopeStatus{State: st},
	}
	mutate(t, st)
	return t
}

func owned(r *sluicev1.WatchChannelsResponse) *sluicev1.WatchChannelsResponse {
	r.GetAlert().Owner = &configv1.Contact{Name: "Li Wei", Address: "+86 10 5678"}
	return r
}

func TestStory_LifeOfAnIncident(t *testing.T) {
	var lines []string
	for _, m := range life() {
		lines = append(lines, story(transition(m), zone))
	}
	golden(t, "story", strings.Join(lines, "\n")+"\n")
}

func TestStory_Words(t *testing.T) {
	mine := &configv1.Override{Author: "zhao.q", Reason: "CHG-8812", Since: at(3, 5, 0), Until: at(3, 35, 0)}
	observed := life()[0]
	observed.To, observed.ToSharePpm = observed.GetFrom(), observed.GetFromSharePpm()
	observed.IncidentKind = configv1.IncidentKind_INCIDENT_KIND_REFUSED
	observed.Status.State = &configv1.ScopeState{Incident: "1", Answer: statemachine.GuardLastUsable}
	over := life()[0]
	over.To, over.ToSharePpm, over.Evidence, over.Reason = over.GetFrom(), over.GetFromSharePpm(), nil, "the fault is over"
	over.IncidentKind = configv1.IncidentKind_INCIDENT_KIND_OBSERVED
	degraded := life()[0]
	degraded.To, degraded.ToSharePpm = configv1.Phase_PHASE_RAMPING, 500_000
	inRamp, probed := life()[0], life()[0]
	inRamp.From, inRamp.FromSharePpm = configv1.Phase_PHASE_RAMPING, 80_000
	probed.From, probed.FromSharePpm = configv1.Phase_PHASE_PROBING, 0
	for _, tc := range []struct {
		name string
		m    *sluicev1.WatchChannelsResponse
		want string
	}{
		{"off", transition(order(func(t *sluicev1.Transition, s *configv1.ScopeState) {
			t.To, t.ToSharePpm, s.Off = configv1.Phase_PHASE_DISABLED, 0, mine
		})), `03:05:00  OFF           alipay  by zhao.q: "CHG-8812", for 30m`},
		{"hold", transition(order(func(_ *sluicev1.Transition, s *configv1.ScopeState) { s.Hold = mine })), `03:05:00  HOLD          alipay  by zhao.q: "CHG-8812", for 30m`},
		{"release", transition(order(func(*sluicev1.Transition, *configv1.ScopeState) {})), `03:05:00  RELEASE       alipay  by zhao.q: "CHG-8812"`},
		{"on", transition(order(func(t *sluicev1.Transition, _ *configv1.ScopeState) {
			t.From, t.FromSharePpm, t.To, t.ToSharePpm = configv1.Phase_PHASE_DISABLED, 0, configv1.Phase_PHASE_RAMPING, 20_000
		})), `03:05:00  RAMP 2 %      alipay  by zhao.q: "CHG-8812"`},
		{"refused", transition(observed), "03:01:07  REFUSED       upi-gateway-a / SBI  19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19); not closed: nothing else usable would be left (LAST_USABLE)"},
		{"over", transition(over), "03:01:07  OVER          upi-gateway-a / SBI  the fault is over"},
		{"degraded", transition(degraded), "03:01:07  LOWER 50 %    upi-gateway-a / SBI  19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19)"},
		{"cut in the ramp", transition(inRamp), "03:01:07  CUT           upi-gateway-a / SBI  at 8 %: 19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19); other banks on the channel untouched"},
		{"cut by probes", transition(probed), "03:01:07  CUT           upi-gateway-a / SBI  probes: 19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19)"},
		{"alert", raised(&configv1.Alert{Kind: "COMMON_MODE", Severity: configv1.Severity_SEVERITY_CRITICAL, Time: at(3, 1, 0), Message: "the fault is ours"}), "03:01:00  ALERT         CRITICAL COMMON_MODE: the fault is ours"},
		{"alert with an owner", owned(raised(&configv1.Alert{Kind: "ACCOUNT_FAILED", Severity: configv1.Severity_SEVERITY_WARNING, Time: at(3, 1, 0), Message: "refused"})), "03:01:00  ALERT         WARNING ACCOUNT_FAILED: refused; owner: Li Wei, +86 10 5678"},
		{"alert of a transition", raised(&configv1.Alert{Kind: "CUT", Incident: "1", Time: at(3, 1, 0), Message: "cut"}), ""},
		{"heartbeat", &sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Heartbeat{}}, ""},
		{"unknown", &sluicev1.WatchChannelsResponse{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := story(tc.m, zone); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestEvidenceLine(t *testing.T) {
	byOutcome := evidence(30, 60, 1)
	byOutcome.Outcomes = []*configv1.OutcomeCount{
		{Outcome: configv1.Outcome_OUTCOME_SUCCEEDED, Count: 30}, {Outcome: configv1.Outcome_OUTCOME_TIMED_OUT, Count: 30},
	}
	for _, tc := range []struct {
		name string
		e    *configv1.Evidence
		want string
	}{
		{"few", evidence(19, 21, 2, reason("BANK_SYSTEM_ERROR", 19)), "19 of 21 failed in 2 s (BANK_SYSTEM_ERROR 19)"},
		{"many", evidence(610, 1000, 600, reason("A", 305), reason("B", 61), reason("C", 5), reason("D", 1)), "61 % of 1000 failed in 10 min (A 50 %, B 10 %, C 0.8 %, 1 more)"},
		{"half weights", evidence(7.5, 30, 5), "7.5 of 30 failed in 5 s"},
		{"outcomes", byOutcome, "30 of 60 failed in 1 s (TIMED_OUT 30)"},
		{"explained", &configv1.Evidence{Explanation: "hangs"}, "hangs"},
		{"none", nil, ""},
	} {
		if got := evidenceLine(tc.e); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
