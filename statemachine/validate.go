package statemachine

import (
	"errors"
	"fmt"
	"time"
)

// ErrPolicy is wrapped by every error of Policy.Validate.
var ErrPolicy = errors.New("invalid policy")

// Validate reports every field that is out of its range, by its name in Go, with the range.
func (p Policy) Validate() error {
	var c policyCheck
	c.check(p.Level <= LevelOffOnly, "Level", p.Level, "full, observe or off-only")
	c.detector(p)
	c.recovery(p)
	c.ramp(p)
	c.guards(p)
	return errors.Join(c.errs...)
}

type policyCheck struct{ errs []error }

func (c *policyCheck) check(ok bool, field string, got any, want string) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf("%w: %s %v: want %s", ErrPolicy, field, got, want))
	}
}

func (c *policyCheck) duration(field string, d, least, most time.Duration) {
	c.check(d >= least && d <= most, field, d, fmt.Sprintf("%s to %s", least, most))
}

func (c *policyCheck) number(field string, x, least, most float64) {
	c.check(x >= least && x <= most, field, x, fmt.Sprintf("%g to %g", least, most))
}

func (c *policyCheck) share(field string, s, least Share) {
	c.check(s >= least && s <= FullShare, field, s, fmt.Sprintf("%s to %s", least, FullShare))
}

func (c *policyCheck) detector(p Policy) {
	c.check(p.Detector <= DetectorSequential, "Detector", p.Detector, "windows or sequential")
	c.check(p.FalseAlarmDays == 0 || p.FalseAlarmDays >= 1 && p.FalseAlarmDays <= 1e6, "FalseAlarmDays", p.FalseAlarmDays, "0 (by traffic) or 1 to 1e+06")
	c.number("MildBelow", p.MildBelow, 0, 1)
	c.duration("HangAfterMin", p.HangAfterMin, time.Second, time.Minute)
	c.duration("Window", p.Window, time.Second, 90*time.Second) // × 10 must fit what the exchange keeps, 15 minutes
	c.check(p.WidenFactor >= 1 && p.WidenFactor <= 10, "WidenFactor", p.WidenFactor, "1 to 10")
	c.number("FailureRate", p.FailureRate, 0.01, 1)
	c.number("MinSamples", p.MinSamples, 1, 1e6)
	c.check(p.MildRate >= 0 && p.MildRate < p.FailureRate, "MildRate", p.MildRate, "0 (off) or less than FailureRate")
	c.duration("RatioWindow", p.RatioWindow, time.Second, 90*time.Second)
	c.number("RatioCount", p.RatioCount, 0, 1e6)
	c.number("Ratio", p.Ratio, 0.01, 1)
	c.duration("Every", p.Every, time.Second, 90*time.Second)
}

func (c *policyCheck) recovery(p Policy) {
	c.duration("CoolDown", p.CoolDown, time.Second, 24*time.Hour)
	c.number("CoolDownGrowth", p.CoolDownGrowth, 1, 10)
	c.duration("CoolDownMax", p.CoolDownMax, time.Second, 24*time.Hour)
	c.check(p.CoolDownMax >= p.CoolDown, "CoolDownMax", p.CoolDownMax, "at least CoolDown")
	c.duration("ProbeInterval", p.ProbeInterval, 100*time.Millisecond, 10*time.Minute)
	c.share("ProbeBudget", p.ProbeBudget, 1)
	c.number("ProbeEvidence", p.ProbeEvidence, 1, 1e4)
	c.number("ProbeFailRate", p.ProbeFailRate, 0.01, 1)
	c.number("QuietRate", p.QuietRate, 0, 1e3)
	c.duration("Probation", p.Probation, 0, 24*time.Hour)
}

func (c *policyCheck) ramp(p Policy) {
	c.share("FirstShare", p.FirstShare, 0)
	c.share("FirstShareMin", p.FirstShareMin, 1)
	c.share("FirstShareMax", p.FirstShareMax, 1)
	c.check(p.FirstShareMax >= p.FirstShareMin, "FirstShareMax", p.FirstShareMax, "at least FirstShareMin")
	c.number("Factor", p.Factor, 1.1, 100)
	c.duration("Dwell", p.Dwell, time.Second, time.Hour)
	c.number("StepEvidence", p.StepEvidence, 1, 1e6)
	c.number("StepSettled", p.StepSettled, 0.5, 1)
}

func (c *policyCheck) guards(p Policy) {
	c.number("CapacityHeadroom", p.CapacityHeadroom, 1, 10)
	c.number("MinWeightLeft", p.MinWeightLeft, 0, 1)
	c.check(p.CutsPerMinute >= 1 && p.CutsPerMinute <= 100, "CutsPerMinute", p.CutsPerMinute, "1 to 100")
	c.number("CertainFailure", p.CertainFailure, 0.5, 1)
	c.duration("OffMax", p.OffMax, time.Second, 90*24*time.Hour)
}
