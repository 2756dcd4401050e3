package simulate

import (
	"math"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// Scenario is a parsed scenario file. Times inside it count from the start of the run.
type Scenario struct {
	Name      string
	Seed      uint64
	Start     time.Time
	Duration  time.Duration
	Replicas  int
	Gateways  int
	Catalog   *configv1.Catalog // nil = named on the command line
	Traffic   []Stream
	Reroute   Reroute
	Reports   Reports
	Truth     []Truth
	Operators []Order
	Faults    []Fault

	file string
}

// Stream is an independent Poisson stream of payments that differ in payer alone.
type Stream struct {
	Business   statemachine.BusinessType
	Instrument statemachine.Instrument // bank and card type "-" where the method has none
	Merchant   string
	Entity     string
	Amount     int64 // minor units
	Currency   string
	Tier       string
	Payers     int     // distinct payers
	Rate       float64 // payments/s at shape 1
	Abandon    float64 // share of decisions that never become an attempt
	Shape      Shape

	at     Position
	broken bool // it has problems of its own
}

// ShapeKind names how the rate of a stream changes.
type ShapeKind uint8

// The shapes of traffic.
const (
	ShapeConstant ShapeKind = iota
	ShapeDiurnal            // cosine over the day of UTC, highest at Peak
	ShapeBursts             // Factor for Length at the end of each Every
	ShapeRamp               // linear from 1 to Factor over the run
	ShapeWindow             // 1 between From and To, 0 outside
	ShapeDay                // diurnal times bursts
)

// Shape is how the rate of a stream changes over the run.
type Shape struct {
	Kind      ShapeKind
	Amplitude float64       // diurnal and day, 0..1
	Peak      time.Duration // diurnal and day: time of day
	Every     time.Duration // bursts and day
	Length    time.Duration // bursts and day
	Factor    float64       // bursts, day, ramp
	From, To  time.Duration // window
	Also      []Shape       // further shapes; the rate is multiplied by each
}

// Reroute is what simulated cashiers do after a failure they may reroute.
type Reroute struct {
	MaxAttempts int
}

// Reports is how results travel from gateway to Sluice.
type Reports struct {
	Delay     Spread  // after the result
	Duplicate float64 // share reported twice
	Lost      float64 // share never reported
	Silent    []Silence
}

// Silence is a time in which no report arrives: it is lost, or kept and delivered when the silence ends.
type Silence struct {
	From, To time.Duration
	Gateway  int // from 1; 0 = every instance
	Kept     bool

	at Position
}

// arrives returns when a report arrives that would arrive at the given time; false if it is lost.
func (r *Reports) arrives(at time.Duration, gateway int) (time.Duration, bool) {
	for i := range r.Silent {
		s := &r.Silent[i]
		if at < s.From || at >= s.To || s.Gateway != 0 && s.Gateway != gateway {
			continue
		}
		if !s.Kept {
			return 0, false
		}
		at = s.To
	}
	return at, true
}

// Spread is a constant (P99 = P50) or lognormal duration.
type Spread struct {
	P50, P99 time.Duration

	sigma float64 // of the logarithm
}

// z99 is the 99 % quantile of the standard normal distribution.
const z99 = 2.3263478740408408

// NewSpread returns the lognormal spread with these quantiles; equal ones make a constant.
func NewSpread(p50, p99 time.Duration) Spread {
	s := Spread{P50: p50, P99: p99}
	if p50 > 0 && p99 > p50 {
		s.sigma = math.Log(float64(p99)/float64(p50)) / z99
	}
	return s
}

// Truth is what attempts that match its selectors meet. Of several entries the last that matches wins; an entry without
// outcomes, raw codes and success rate only changes the entry below it.
type Truth struct {
	From, To time.Duration
	Selector Selector

	Outcomes [statemachine.NumOutcomes]float64 // probabilities, if HasOutcomes
	Codes    []CodeChance                      // raw codes, sorted
	Success  *Wave                             // success rate; the rest is Otherwise
	Factor   float64                           // multiplies the success rate of the entry below; 0 = absent
	Wander   Wander                            // multiplies failure rates

	HasOutcomes bool
	Otherwise   statemachine.Outcome // for Success and Factor
	Reason      string               // of bad results
	Latency     *Spread
	Takes       *[statemachine.NumOutcomes]Spread // latency by outcome, with Latency; zero = Latency
	Incident    string                            // label: automation should cut this scope, and only it
	CommonMode  bool                              // ours: nothing may be cut
	Burst       *Burst
	Pending     *Pending // attempts whose final result comes later

	at        Position
	index     int
	otherwise bool // given
}

// Selector says which attempts an entry is about; empty and zero match any.
type Selector struct {
	Channel, Bank, CardType, Account, Method string
	Business                                 statemachine.BusinessType
	Gateway, Replica                         int // from 1
	Domain                                   string
}

// CodeChance is a raw code and its probability.
type CodeChance struct {
	Code string
	P    float64
}

// Wave is a success rate that swings: clip(Base · (1 + Amplitude · sin(2πt/Period + Phase)), 0.001, 0.999).
type Wave struct {
	Base, Amplitude float64
	Period          time.Duration
	Phase           float64
}

// Wander multiplies failure rates by a lognormal draw of mean 1, anew every period and for every channel.
type Wander struct {
	Sigma float64
	Every time.Duration
}

// Burst is one payer who fails again and again.
type Burst struct {
	Failures int
	Over     time.Duration
}

// Pending says that a part of the attempts is answered PENDING first. What they meet is drawn as ever; the final result
// comes After the first answer.
type Pending struct {
	Share float64
	After Spread
}

// Order is what an operator orders at a moment. A bank without card type means every card type of it.
type Order struct {
	At     time.Duration
	Action statemachine.Action
	Scope  Selector
	Reason string
	For    time.Duration

	at Position
}

// FaultKind names a fault of the control plane.
type FaultKind string

// The faults of the control plane.
const (
	RedisDown     FaultKind = "redis_down"
	RedisSlow     FaultKind = "redis_slow"
	EtcdDown      FaultKind = "etcd_down"
	LeaderKilled  FaultKind = "leader_killed"
	ReplicaKilled FaultKind = "replica_killed"
	ClockStep     FaultKind = "clock_step"
)

// Fault is a fault of the control plane.
type Fault struct {
	Kind     FaultKind
	From, To time.Duration
	Replica  int // from 1
	Step     time.Duration

	at Position
}

// Index numbers the entries of the truth: whoever makes a scenario in code calls it once, at the end.
func (s *Scenario) Index() {
	for i := range s.Truth {
		s.Truth[i].index = i
	}
}
