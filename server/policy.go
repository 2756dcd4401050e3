package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// policyMessage renders the policy in force, defaults filled in. What package statemachine does not hold is taken from the
// channel's policy or the default one, as routing does.
func policyMessage(p statemachine.Policy, c *configv1.Channel, catalog *configv1.Catalog) *configv1.Policy {
	m := &configv1.Policy{
		Automation: levelMessage(p.Level), Detector: detectorMessage(p.Detector), OverrideExpiryMax: durationpb.New(p.OffMax),
		Sequential: &configv1.SequentialPolicy{
			FalseAlarmDays: &p.FalseAlarmDays, MildBelow: &p.MildBelow, HangAfterMin: durationpb.New(p.HangAfterMin),
		},
		Windows: &configv1.WindowsPolicy{
			Window: durationpb.New(p.Window), Every: durationpb.New(p.Every), FailureRate: &p.FailureRate, MinSamples: &p.MinSamples,
			WidenFactorMax: new(uint32(p.WidenFactor)), MildRate: &p.MildRate, //nolint:gosec // 1 to 10
			CountRatio: &configv1.CountRatioRule{Count: &p.RatioCount, Ratio: &p.Ratio, Window: durationpb.New(p.RatioWindow)},
		},
		Recovery: recoveryMessage(p),
		Guards: &configv1.GuardPolicy{
			CapacityHeadroom: &p.CapacityHeadroom, MinWeightShare: &p.MinWeightLeft, CutsPerMinute: new(uint32(p.CutsPerMinute)), //nolint:gosec // 1 to 100
			CertainFailure: &p.CertainFailure,
		},
	}
	probesOver(m.GetRecovery(), catalog.GetDefaultPolicy().GetRecovery())
	probesOver(m.GetRecovery(), c.GetPolicy().GetRecovery())
	rule := FeedbackRule(catalog.GetDefaultPolicy().GetFeedback(), c.GetPolicy().GetFeedback())
	m.Feedback = &configv1.FeedbackPolicy{Count: &rule.Count, Ratio: &rule.Ratio}
	return m
}

// FeedbackRule is when a channel gets negative feedback: monitor's default, over which each of the policies lays what it says.
func FeedbackRule(over ...*configv1.FeedbackPolicy) monitor.FeedbackRule {
	rule := monitor.DefaultFeedback()
	for _, p := range over {
		if p != nil && p.Count != nil {
			rule.Count = p.GetCount()
		}
		if p != nil && p.Ratio != nil {
			rule.Ratio = p.GetRatio()
		}
	}
	return rule
}

// probesOver lays over m what r says about the best probes: an empty list says nothing, an amount of 0 that any will do.
func probesOver(m, r *configv1.RecoveryPolicy) {
	if tiers := r.GetTolerantTiers(); len(tiers) > 0 {
		m.TolerantTiers = tiers
	}
	if r != nil && r.SmallAmount != nil {
		m.SmallAmount = new(r.GetSmallAmount())
	}
}

func recoveryMessage(p statemachine.Policy) *configv1.RecoveryPolicy {
	share := func(s statemachine.Share) *uint32 { return new(uint32(s)) }
	return &configv1.RecoveryPolicy{
		CoolDown: durationpb.New(p.CoolDown), CoolDownGrowth: &p.CoolDownGrowth, CoolDownMax: durationpb.New(p.CoolDownMax),
		ProbeEvidence: &p.ProbeEvidence, FailureLimit: &p.ProbeFailRate, ProbeInterval: durationpb.New(p.ProbeInterval),
		ProbeBudgetPpm: share(p.ProbeBudget), QuietRate: &p.QuietRate, FirstSharePpm: share(p.FirstShare),
		FirstShareMinPpm: share(p.FirstShareMin), FirstShareMaxPpm: share(p.FirstShareMax), Factor: &p.Factor,
		Dwell: durationpb.New(p.Dwell), StepEvidence: &p.StepEvidence, StepSettled: &p.StepSettled, Probation: durationpb.New(p.Probation),
		SmallAmount: new(int64(0)),
	}
}

func levelMessage(l statemachine.Level) configv1.AutomationLevel {
	switch l {
	case statemachine.LevelObserve:
		return configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE
	case statemachine.LevelOffOnly:
		return configv1.AutomationLevel_AUTOMATION_LEVEL_OFF_ONLY
	case statemachine.LevelFull:
	}
	return configv1.AutomationLevel_AUTOMATION_LEVEL_FULL
}

func detectorMessage(d statemachine.Detector) configv1.Detector {
	switch d {
	case statemachine.DetectorSequential:
		return configv1.Detector_DETECTOR_SEQUENTIAL
	case statemachine.DetectorWindows:
	}
	return configv1.Detector_DETECTOR_WINDOWS
}
