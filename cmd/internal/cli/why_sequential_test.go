package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// sbiScope is the bank of these incidents as the state machine has it.
var sbiScope = statemachine.InstrumentScope("upi-gateway-a", statemachine.Instrument{Method: "UPI", Bank: "SBI", CardType: "-"})

// sbiFails is what the sequential detector says of a bank that is down on one channel.
func sbiFails(mutate ...func(*statemachine.Evidence)) statemachine.Verdict {
	e := statemachine.Evidence{
		Detector: "sequential", Rule: "failing", Scope: sbiScope, From: at(3, 0, 56).GetSeconds(), To: at(3, 1, 7).GetSeconds(),
		Answered: 44, Bad: 41, Rate: 41.0 / 44, Lower: statemachine.WilsonLower(41, 44), Baseline: 0.012, Statistic: 61.3, Threshold: 20.7,
		MinCount: 3, CodedBad: 38, Reporters: 3,
		Reasons: []statemachine.ReasonCount{{Reason: "BANK_SYSTEM_ERROR", N: 38}, {Reason: "TIMEOUT", N: 3}},
		Considered: []statemachine.Considered{
			{Scope: statemachine.ChannelScope("upi-gateway-a"), Answered: 556, Bad: 44, Why: "well without upi-gateway-a/instrument=UPI:SBI:-: 3 of 512 failed"},
			{Scope: sbiScope, Answered: 44, Bad: 41, Why: "chosen: the smallest scope that explains the failures"},
		},
		Explanation: "upi-gateway-a/instrument=UPI:SBI:-: 41 of 44 results failed since 19:00:56 UTC (93 %); at most 1.2 % is normal here, and the evidence of 61.3" +
			" is beyond the 20.7 that chance would need; most often BANK_SYSTEM_ERROR (38); UPI:SBI fails on this channel only: on the other 2 channels that carry it 0 of 57 failed; the channel without it is well (3 of 512)",
	}
	for _, m := range mutate {
		m(&e)
	}
	return statemachine.Verdict{Kind: statemachine.Failing, Scope: sbiScope, Evidence: e}
}

// mildly makes a verdict about a fault that fails a small part.
func mildly() statemachine.Verdict {
	v := sbiFails(func(e *statemachine.Evidence) {
		e.Rule, e.From, e.Answered, e.Bad, e.Statistic, e.Threshold = "mild", at(2, 58, 8).GetSeconds(), 412, 38, 22.4, 20.7
		e.Rate, e.Lower, e.CodedBad, e.Reasons = 38.0/412, statemachine.WilsonLower(38, 412), 38, e.Reasons[:1]
		e.Reporters = 0
		e.Considered, e.Explanation = nil, "38 of 412 results failed since 18:58:08 UTC (9 %)"
	})
	v.Kind = statemachine.MildlyFailing
	return v
}

// hanging makes a verdict about attempts that nobody answers.
func hanging() statemachine.Verdict {
	return sbiFails(func(e *statemachine.Evidence) {
		e.Rule, e.Answered, e.Bad, e.Rate, e.Lower = "hanging", 25, 23, 23.0/25, statemachine.WilsonLower(23, 25)
		e.Baseline, e.Statistic, e.Threshold, e.CodedBad, e.Reporters, e.Reasons = 0.04, 33.25, 20.7, 0, 0, nil
		e.Considered, e.Explanation = nil, "23 of 25 attempts got no answer in time since 19:00:56 UTC (92 %); as a rule all but 4 % are answered after 9 s"
	})
}

func ruled(v statemachine.Verdict, r statemachine.Ruling) statemachine.Verdict {
	v.Ruling = r
	return v
}

// happened is what the server tells after the state machine has acted upon a verdict.
func happened(t *testing.T, from statemachine.State, v statemachine.Verdict, p statemachine.Policy) *sluicev1.GetIncidentResponse {
	t.Helper()
	now := time.Unix(at(3, 1, 8).GetSeconds(), 0)
	to, effects := statemachine.Step(from, v, p, now)
	phase, share := to.Effective()
	r := &sluicev1.GetIncidentResponse{Status: &sluicev1.ScopeStatus{
		Scope: scope(sbi), State: statepb.FromState(to), Phase: statepb.FromPhase(phase), SharePpm: uint32(share),
	}}
	for _, e := range effects {
		switch e := e.(type) {
		case statemachine.IncidentOpened:
			r.Incident = &sluicev1.IncidentSummary{
				Incident: statepb.FromIncident(e.Incident), Scope: scope(sbi), Phase: statepb.FromPhase(phase), SharePpm: uint32(share),
			}
			r.Incident.Incident.Id = "5f0c3a9d2b41"
		case statemachine.Moved:
			before, was := e.From.Effective()
			r.Transitions = append(r.Transitions, &sluicev1.Transition{
				Time: at(3, 1, 8), Scope: scope(sbi), From: statepb.FromPhase(before), To: statepb.FromPhase(phase), FromSharePpm: uint32(was),
				ToSharePpm: uint32(share), Cause: configv1.Cause_CAUSE_AUTOMATION, Reason: e.Reason, Evidence: statepb.FromEvidence(e.Evidence),
				IncidentKind: statepb.FromKind(to.Kind), Status: r.GetStatus(),
			})
		case statemachine.IncidentChanged, statemachine.IncidentClosed, statemachine.Raised:
		}
	}
	if r.GetIncident() == nil {
		t.Fatal("the state machine opened no incident")
	}
	return r
}

// TestWhyText_Sequential tells what the sequential detector found, for each thing automation may make of it.
func TestWhyText_Sequential(t *testing.T) {
	healthy := statemachine.NewState(sbiScope)
	full, observe := statemachine.DefaultPolicy(), statemachine.DefaultPolicy()
	observe.Level = statemachine.LevelObserve
	held := healthy
	held.Hold = statemachine.Override{Author: "li.wei", Reason: "drill", Since: statemachine.At(at(3, 0, 0).AsTime())}
	lastUsable := statemachine.Ruling{
		Answer: statemachine.Refuse, Guard: statemachine.GuardLastUsable, Reason: "nothing else usable would be left for e1/COLLECT/UPI:SBI:- (3.7 payments/s)",
	}
	capacity := statemachine.Ruling{
		Answer: statemachine.Lower, Guard: statemachine.GuardCapacity, Share: statemachine.ShareOf(0.35), Reason: "the others cannot carry e1/COLLECT/UPI:SBI:-",
	}
	over := happened(t, healthy, ruled(sbiFails(), lastUsable), full)
	over.Incident.Incident.CloseTime = at(3, 4, 30)
	for name, r := range map[string]*sluicev1.GetIncidentResponse{
		"over":     over,
		"cut":      happened(t, healthy, sbiFails(), full),
		"hanging":  happened(t, healthy, hanging(), full),
		"mild":     happened(t, healthy, mildly(), full),
		"capacity": happened(t, healthy, ruled(sbiFails(), capacity), full),
		"refused":  happened(t, healthy, ruled(sbiFails(), lastUsable), full),
		"observed": happened(t, healthy, sbiFails(), observe),
		"held":     happened(t, held, sbiFails(), full),
	} {
		t.Run(name, func(t *testing.T) { golden(t, "why_sequential_"+name, testView(100).incidentText(r)) })
	}
}

func TestIncidentsText_Sequential(t *testing.T) {
	full, healthy := statemachine.DefaultPolicy(), statemachine.NewState(sbiScope)
	list := &sluicev1.ListIncidentsResponse{}
	for _, v := range []statemachine.Verdict{sbiFails(), hanging(), mildly()} {
		list.Incidents = append(list.Incidents, happened(t, healthy, v, full).GetIncident())
	}
	golden(t, "incidents_sequential", testView(200).incidentsText(list))
}

func TestStory_Sequential(t *testing.T) {
	r := happened(t, statemachine.NewState(sbiScope), sbiFails(), statemachine.DefaultPolicy())
	want := "03:01:08  CUT           upi-gateway-a / SBI  41 of 44 failed in 12 s (BANK_SYSTEM_ERROR 38, TIMEOUT 3)," +
		" normal at most 1.2 %, evidence 61.3 (needs 20.7); other banks on the channel untouched"
	if got := story(transition(r.GetTransitions()[0]), zone); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestWithheld reads the answers that the state machine writes, and old ones that are a name alone.
func TestWithheld(t *testing.T) {
	healthy := statemachine.NewState(sbiScope)
	for _, guard := range []string{
		statemachine.GuardLastUsable, statemachine.GuardCapacity, statemachine.GuardBudget, statemachine.GuardCommonMode, statemachine.GuardSingleReporter,
	} {
		for _, explanation := range []string{"", "41 of 44 failed; the others are well"} {
			v := ruled(sbiFails(func(e *statemachine.Evidence) { e.Explanation = explanation }),
				statemachine.Ruling{Answer: statemachine.Refuse, Guard: guard, Reason: "the others are few"})
			i := happened(t, healthy, v, statemachine.DefaultPolicy()).GetIncident().GetIncident()
			if name, said := withheld(i); name != guard || said != "the others are few" {
				t.Errorf("%s, explanation %q: got %q, %q of %q", guard, explanation, name, said, i.GetAnswer())
			}
			if wouldTake(guard) == "" || answerForPeople(guard) == guard {
				t.Errorf("%s is not put into words", guard)
			}
			i.Evidence.Explanation = "what the first verdict said" // only the answer has changed since
			if name, said := withheld(i); name != guard || said != "the others are few" {
				t.Errorf("%s, another explanation: got %q, %q", guard, name, said)
			}
		}
	}
	for _, answer := range []string{"", statemachine.GuardLastUsable, statemachine.WithheldByLevel, "not closed (broken"} {
		if name, said := withheld(&configv1.Incident{Answer: answer}); name != answer || said != "" {
			t.Errorf("%q: got %q, %q", answer, name, said)
		}
	}
}

// TestRuleLine puts every rule of the sequential detector into words of its own.
func TestRuleLine(t *testing.T) {
	told := map[string]string{}
	for _, rule := range []string{ruleFailing, rulePart, ruleHanging, ruleMild, ruleProbes, ruleRamp, ruleLowered, ruleRaised, ruleRelapse, ruleRecovered, "", "new-rule"} {
		line := ruleLine(&configv1.Evidence{Detector: "sequential", Rule: rule, Statistic: 61.3, Threshold: 20.7})
		if other, twice := told[line]; twice || !strings.HasSuffix(line, "; the evidence is 61.3, and 20.7 was needed.") {
			t.Errorf("%s: %q, like %q", rule, line, other)
		}
		told[line] = rule
	}
	part := ruleLine(&configv1.Evidence{Detector: "sequential", Rule: rulePart, Statistic: 9.1, Threshold: 20.7})
	if !strings.HasSuffix(part, "; on its own its evidence is 9.1, and 20.7 would be needed.") {
		t.Errorf("a part: %q", part)
	}
}

func TestRateLine(t *testing.T) {
	probes := &configv1.Evidence{Detector: "sequential", Rule: ruleProbes, Answered: 6, Bad: 0, Baseline: 0.012, Fault: 0.93}
	if got, want := rateLine(probes), "That is 0 % failing; normal here is at most 1.2 %, and it was weighed against a fault of 93 %"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFurther keeps of an explanation what the figures beside it do not say, and all of it where there are none.
func TestFurther(t *testing.T) {
	const text = "c: 3 of 4 results failed since 10:00:00 UTC; at most 1 % is normal here, and the evidence of 9.5 is beyond the 8; most often E1 (2); E2 (1) is rarer"
	e := &configv1.Evidence{Answered: 4, Bad: 3, Statistic: 9.5, Threshold: 8, Reasons: []*configv1.ReasonCount{reason("E1", 2)}, Explanation: text}
	if got, want := further(e), "E2 (1) is rarer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Answered, e.Bad = 0, 0
	if got := further(e); got != text {
		t.Errorf("without counts: got %q", got)
	}
}

func TestPolicyText(t *testing.T) {
	days := 100.0
	for want, p := range map[string]*configv1.Policy{
		"": nil,
		"automation level: full; detector: windows": {Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_FULL, Detector: configv1.Detector_DETECTOR_WINDOWS},
		"automation level: full; detector: sequential, its budget of false alarms by the channel's traffic": {
			Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_FULL, Detector: configv1.Detector_DETECTOR_SEQUENTIAL,
		},
		"automation level: observe; detector: sequential, one false alarm of the channel in 100 days": {
			Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE, Detector: configv1.Detector_DETECTOR_SEQUENTIAL,
			Sequential: &configv1.SequentialPolicy{FalseAlarmDays: &days},
		},
	} {
		if got := policyText(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
