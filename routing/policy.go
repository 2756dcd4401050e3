package routing

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// policyOver lays what p says over base, field by field; a nil p changes nothing.
func policyOver(base statemachine.Policy, p *configv1.Policy) statemachine.Policy {
	if p == nil {
		return base
	}
	switch p.GetAutomation() {
	case configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE:
		base.Level = statemachine.LevelObserve
	case configv1.AutomationLevel_AUTOMATION_LEVEL_OFF_ONLY:
		base.Level = statemachine.LevelOffOnly
	case configv1.AutomationLevel_AUTOMATION_LEVEL_FULL:
		base.Level = statemachine.LevelFull
	case configv1.AutomationLevel_AUTOMATION_LEVEL_UNSPECIFIED:
	}
	switch p.GetDetector() {
	case configv1.Detector_DETECTOR_WINDOWS:
		base.Detector = statemachine.DetectorWindows
	case configv1.Detector_DETECTOR_SEQUENTIAL:
		base.Detector = statemachine.DetectorSequential
	case configv1.Detector_DETECTOR_UNSPECIFIED:
	}
	setDuration(&base.OffMax, p.GetOverrideExpiryMax())
	sequentialOver(&base, p.GetSequential())
	windowsOver(&base, p.GetWindows())
	recoveryOver(&base, p.GetRecovery())
	guardsOver(&base, p.GetGuards())
	return base
}

func sequentialOver(base *statemachine.Policy, s *configv1.SequentialPolicy) {
	if s == nil {
		return
	}
	set(&base.FalseAlarmDays, s.FalseAlarmDays)
	set(&base.MildBelow, s.MildBelow)
	setDuration(&base.HangAfterMin, s.GetHangAfterMin())
}

func windowsOver(base *statemachine.Policy, w *configv1.WindowsPolicy) {
	if w == nil {
		return
	}
	setDuration(&base.Window, w.GetWindow())
	setDuration(&base.Every, w.GetEvery())
	set(&base.FailureRate, w.FailureRate)
	set(&base.MinSamples, w.MinSamples)
	set(&base.MildRate, w.MildRate)
	if w.WidenFactorMax != nil {
		base.WidenFactor = int(w.GetWidenFactorMax())
	}
	if r := w.GetCountRatio(); r != nil {
		set(&base.RatioCount, r.Count)
		set(&base.Ratio, r.Ratio)
		setDuration(&base.RatioWindow, r.GetWindow())
	}
}

func recoveryOver(base *statemachine.Policy, r *configv1.RecoveryPolicy) {
	if r == nil {
		return
	}
	setDuration(&base.CoolDown, r.GetCoolDown())
	set(&base.CoolDownGrowth, r.CoolDownGrowth)
	setDuration(&base.CoolDownMax, r.GetCoolDownMax())
	setDuration(&base.ProbeInterval, r.GetProbeInterval())
	setShare(&base.ProbeBudget, r.ProbeBudgetPpm)
	set(&base.ProbeEvidence, r.ProbeEvidence)
	set(&base.ProbeFailRate, r.FailureLimit)
	set(&base.QuietRate, r.QuietRate)
	setShare(&base.FirstShare, r.FirstSharePpm)
	setShare(&base.FirstShareMin, r.FirstShareMinPpm)
	setShare(&base.FirstShareMax, r.FirstShareMaxPpm)
	set(&base.Factor, r.Factor)
	setDuration(&base.Dwell, r.GetDwell())
	set(&base.StepEvidence, r.StepEvidence)
	set(&base.StepSettled, r.StepSettled)
	setDuration(&base.Probation, r.GetProbation())
}

func guardsOver(base *statemachine.Policy, g *configv1.GuardPolicy) {
	if g == nil {
		return
	}
	set(&base.CapacityHeadroom, g.CapacityHeadroom)
	set(&base.MinWeightLeft, g.MinWeightShare)
	set(&base.CertainFailure, g.CertainFailure)
	if g.CutsPerMinute != nil {
		base.CutsPerMinute = int(g.GetCutsPerMinute())
	}
}

func set(to, from *float64) {
	if from != nil {
		*to = *from
	}
}

func setShare(to *statemachine.Share, from *uint32) {
	if from != nil {
		*to = statemachine.Share(*from)
	}
}

func setDuration(to *time.Duration, from *durationpb.Duration) {
	if from != nil {
		*to = from.AsDuration()
	}
}

// checkPolicy reports what the state machine says about a policy, each under the field of the catalogue that set it.
func checkPolicy(ps *problems, path string, p statemachine.Policy) {
	joined, ok := p.Validate().(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, err := range joined.Unwrap() {
		text := strings.TrimPrefix(err.Error(), statemachine.ErrPolicy.Error()+": ")
		field, rest, _ := strings.Cut(text, " ")
		message, want, _ := strings.Cut(rest, ": want ")
		name, known := policyFields()[field]
		if !known {
			ps.add(path, text, "")
			continue
		}
		ps.add(path+"."+name, message+" is out of range", want)
	}
}

// policyFields maps the fields of a statemachine.Policy to those of the catalogue's.
func policyFields() map[string]string {
	return map[string]string{
		"Level": "automation", "Detector": "detector", "OffMax": "override_expiry_max",
		"FalseAlarmDays": "sequential.false_alarm_days", "MildBelow": "sequential.mild_below",
		"HangAfterMin": "sequential.hang_after_min",
		"Window":       "windows.window", "WidenFactor": "windows.widen_factor_max", "FailureRate": "windows.failure_rate",
		"MinSamples": "windows.min_samples", "MildRate": "windows.mild_rate", "Every": "windows.every",
		"RatioWindow": "windows.count_ratio.window", "RatioCount": "windows.count_ratio.count",
		"Ratio":    "windows.count_ratio.ratio",
		"CoolDown": "recovery.cool_down", "CoolDownGrowth": "recovery.cool_down_growth",
		"CoolDownMax": "recovery.cool_down_max", "ProbeInterval": "recovery.probe_interval",
		"ProbeBudget": "recovery.probe_budget_ppm", "ProbeEvidence": "recovery.probe_evidence",
		"ProbeFailRate": "recovery.failure_limit", "QuietRate": "recovery.quiet_rate",
		"Probation": "recovery.probation", "FirstShare": "recovery.first_share_ppm",
		"FirstShareMin": "recovery.first_share_min_ppm", "FirstShareMax": "recovery.first_share_max_ppm",
		"Factor": "recovery.factor", "Dwell": "recovery.dwell", "StepEvidence": "recovery.step_evidence",
		"StepSettled":      "recovery.step_settled",
		"CapacityHeadroom": "guards.capacity_headroom", "MinWeightLeft": "guards.min_weight_share",
		"CutsPerMinute": "guards.cuts_per_minute", "CertainFailure": "guards.certain_failure",
	}
}

// probing is what a channel's policy says about its best probes.
type probing struct {
	tiers []string // user tiers that tolerate a probe, empty = any
	small int64    // greatest amount in minor units, 0 = any
}

func probingOver(base probing, p *configv1.Policy) probing {
	r := p.GetRecovery()
	if t := r.GetTolerantTiers(); len(t) > 0 {
		base.tiers = t
	}
	if r != nil && r.SmallAmount != nil {
		base.small = r.GetSmallAmount()
	}
	return base
}
