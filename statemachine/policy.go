package statemachine

import "time"

// Level is how far automation may go on a channel.
type Level uint8

// The automation levels.
const (
	LevelFull    Level = iota // cuts and brings back
	LevelObserve              // only records incidents
	LevelOffOnly              // cuts; people bring back
)

// Detector names the detector that speaks for a channel.
type Detector uint8

// The detectors.
const (
	DetectorWindows    Detector = iota // failure rates over sliding windows, and counts
	DetectorSequential                 // sequential tests against learned baselines
)

// Policy is the behaviour of one channel (or of the default), from the catalogue. All durations are positive;
// DefaultPolicy gives the defaults and Validate the ranges.
type Policy struct {
	Level Level

	Detector Detector

	// Sequential detector.
	FalseAlarmDays float64       // days between two false alarms of a channel, its other items get five times as many; 0 = by its traffic
	MildBelow      float64       // a fault that fails less than this part lowers the share instead of cutting
	HangAfterMin   time.Duration // attempts are never taken for hanging sooner

	// Windows detector.
	Window      time.Duration // base length of the rate window
	WidenFactor int           // how often the window may be as long at low traffic (by doubling), 1..10
	FailureRate float64       // rate rule: Bad/Answered over the window at or above this …
	MinSamples  float64       // … with at least so many results
	MildRate    float64       // rate that lowers the share instead of cutting; 0 = off
	RatioWindow time.Duration // count-and-ratio rule: over this window …
	RatioCount  float64       // … more bad results than this …
	Ratio       float64       // … and a larger part than this
	Every       time.Duration // how often the rules are evaluated, ≥ 1 s

	// Recovery.
	CoolDown       time.Duration // DISABLED before the first probe
	CoolDownGrowth float64       // factor a relapse; a failed probing lengthens it by 1.6, or by this if it is less
	CoolDownMax    time.Duration // … up to this
	ProbeInterval  time.Duration // between probe tokens of one scope
	ProbeBudget    Share         // most of the would-be traffic that probes may take
	ProbeEvidence  float64       // good results that end PROBING
	ProbeFailRate  float64       // failure rate of probes or a ramp step that fails it
	QuietRate      float64       // would-be payments/s below which PROBING goes straight to HEALTHY; 0 = never
	FirstShare     Share         // 0 = by formula: clip(1.5·R/would-be per second, FirstShareMin, FirstShareMax)
	FirstShareMin  Share
	FirstShareMax  Share
	Factor         float64       // share × factor a step
	Dwell          time.Duration // least time of a step
	StepEvidence   float64       // results a ramp step asks for
	StepSettled    float64       // part of a step's attempts that must be final before it ends, 0.95
	Probation      time.Duration // HEALTHY: a relapse within it lengthens the next cool-down

	// Guards.
	CapacityHeadroom float64       // survivors must carry this times the last minute's demand, 1.2
	MinWeightLeft    float64       // without declared capacities: part of normal weight that must stay usable, 0.4
	CutsPerMinute    int           // automatic channel-wide cuts a minute over all channels, 2
	CertainFailure   float64       // 99 % lower bound of failure above which the budget does not hold back a cut, 0.9
	OffMax           time.Duration // longest expiry of an override
}

// DefaultPolicy returns the defaults of the product.
func DefaultPolicy() Policy {
	return Policy{
		Level:     LevelFull,
		Detector:  DetectorSequential,
		MildBelow: 0.15, HangAfterMin: 3 * time.Second,
		Window: 10 * time.Second, WidenFactor: 10, FailureRate: 0.5, MinSamples: 20, MildRate: 0.2,
		RatioWindow: 10 * time.Second, RatioCount: 10, Ratio: 0.8, Every: time.Second,
		CoolDown: 2 * time.Second, CoolDownGrowth: 2, CoolDownMax: 15 * time.Second,
		ProbeInterval: time.Second, ProbeBudget: ShareOf(0.12), ProbeEvidence: 3, ProbeFailRate: 0.3,
		QuietRate: 0.3, FirstShareMin: ShareOf(0.02), FirstShareMax: ShareOf(0.5), Factor: 2,
		Dwell: 3 * time.Second, StepEvidence: 5, StepSettled: 0.95, Probation: 5 * time.Minute,
		CapacityHeadroom: 1.2, MinWeightLeft: 0.4, CutsPerMinute: 2, CertainFailure: 0.9, OffMax: 72 * time.Hour,
	}
}
