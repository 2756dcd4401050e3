package statemachine

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// The bounds of a share lowered by automation, and what a renewed verdict of a mild fault leaves of it.
const (
	MinLowered Share = FullShare / 10
	MaxLowered Share = FullShare / 10 * 9
	mildFactor       = 0.5
)

// backFactor is what a share lowered for a mild fault grows by at least when its end shows: evidence takes the longer the smaller
// the share is, and a mild fault does little in the meantime.
const backFactor = 4

// leastFlow is the payments a second below which a mild fault lowers a share no further.
const leastFlow = 0.6

// How much likelier the old baseline must make a step's results than the fault's own rate before a lowered share is raised (Wald's
// likelihood ratio), and before it is raised once more.
const (
	backOdds  = 10
	stillOdds = 2
)

// worseOdds is how much likelier, in nats, another rate must make the evidence than the rate of the fault a share was lowered for.
const worseOdds = 9

// probingGrowth is the factor by which each failed probing lengthens the cool-down.
const probingGrowth = 1.6

// probationPayments are what a probation should see.
const probationPayments = 20

// oscillationSpan is the time in which automation may close a scope twice from HEALTHY or RAMPING, not thrice.
const oscillationSpan = 10 * time.Minute

// String renders the share in per cent with three digits, fewer where they are zeros: "2%", "12.5%", "19.9%".
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)/1e4, 'g', 3, 64) + "%"
}

// times multiplies the share, at least by one part per million and at most to the full.
func (s Share) times(factor float64) Share {
	return max(min(s+1, FullShare), ShareOf(s.Fraction()*factor))
}

// oscillating returns until when two automatic cuts keep the scope from being opened by automation; 0 if they do not.
func (s State) oscillating(now Instant) Instant {
	if s.Cuts[1] == 0 {
		return 0
	}
	if until := s.Cuts[1].Add(oscillationSpan); now < until {
		return until
	}
	return 0
}

// coolDown is CoolDown × CoolDownGrowth per relapse × 1.6 per failed probing, capped at CoolDownMax: a scope that was down for
// an hour is tried again at most that long after the end. Quiet scopes wait longer: for the budget of their probes.
func (p Policy) coolDown(relapses, failed uint32) time.Duration {
	grown := float64(p.CoolDown) * math.Pow(p.CoolDownGrowth, float64(relapses)) *
		math.Pow(min(probingGrowth, p.CoolDownGrowth), float64(failed))
	if grown >= float64(p.CoolDownMax) {
		return p.CoolDownMax
	}
	return time.Duration(grown)
}

// probation is the policy's, and longer where it would see too few payments: as long as 20 of them take, at most thrice.
func (p Policy) probation(perSecond float64) time.Duration {
	longest := float64(3 * p.Probation)
	if perSecond > 0 {
		longest = min(longest, probationPayments/perSecond*float64(time.Second))
	}
	return max(p.Probation, time.Duration(longest))
}

// faultRate is the rate of the fault after this evidence of it. A relapse speaks for the same fault as before, unless what it
// shows contradicts that: results of a ramp step are few, and those before the relapse are among them. Of a scope that went
// home without a ramp the detector knows what it was closed for.
func (s State) faultRate(ev Evidence) Share {
	known := Share(0)
	switch {
	case s.Phase == Healthy && ev.Fault > 0:
		known = ShareOf(ev.Fault)
	case s.Phase == Ramping && s.Kind == Cut:
		known = s.Base
	}
	if rate := known.Fraction(); rate > 0 && WilsonLower(ev.Bad, ev.Answered) <= rate && rate <= 1-WilsonLower(ev.Answered-ev.Bad, ev.Answered) {
		return known
	}
	return ShareOf(ev.Rate)
}

// hangs says whether the evidence is of attempts that get no answer.
func (e *Evidence) hangs() bool {
	return e.Rule == RuleHanging || e.Bad > 0 && 2*float64(e.Outcomes[TimedOut]) > e.Bad
}

// firstShare is FirstShare where the policy sets it, else clip(1.5·R / would-be per second, FirstShareMin, FirstShareMax):
// enough that every router that sees the traffic lets a payment through in its first second or so.
func (p Policy) firstShare(perSecond float64, routers int) Share {
	switch {
	case p.FirstShare > 0:
		return p.FirstShare
	case !(perSecond > 0):
		return p.FirstShareMax
	}
	return min(max(ShareOf(1.5*float64(max(routers, 1))/perSecond), p.FirstShareMin), p.FirstShareMax)
}

// lowered is the share a fault leaves: half of it for a mild one, never below what the guard says must stay, within
// MinLowered and MaxLowered, and never more than before.
func lowered(share Share, mild bool, r Ruling) Share {
	var target Share
	if mild || r.Answer != Lower {
		target = ShareOf(share.Fraction() * mildFactor)
	}
	if r.Answer == Lower {
		target = max(target, r.Share)
	}
	return min(share, max(MinLowered, min(MaxLowered, target)))
}

// leastShare is the share from which on a mild fault lowers it no further, by the would-be payments a second: what lets through
// less than leastFlow a second takes too long to show that the fault is over. A larger one is halved: taking a little is no use.
func leastShare(perSecond float64) Share {
	if !(perSecond > 0) {
		return MinLowered
	}
	return min(max(ShareOf(leastFlow/perSecond), MinLowered), FullShare/2)
}

// WilsonLower is the lower end of the one-sided 99 % score interval of a failure rate (Wilson 1927); 0 without failures.
func WilsonLower(bad, answered float64) float64 {
	if !(answered > 0) || bad <= 0 {
		return 0
	}
	const z = 2.3263478740408408 // 99 % quantile of the normal distribution
	rate := min(max(bad/answered, 0), 1)
	centre := rate + z*z/(2*answered)
	spread := z * math.Sqrt(rate*(1-rate)/answered+z*z/(4*answered*answered))
	return max(0, (centre-spread)/(1+z*z/answered))
}

// Worse says whether evidence, of the scope or of a part of it, shows clearly more failures than the fault for which its share was
// lowered, by the log likelihood ratio of its own rate against the fault's (Wilks 1938). A verdict that comes while a fault lasts is
// of those among thousands of results that fail most: three of four do now and then where 5 % fail.
func (s State) Worse(ev Evidence) bool {
	base := s.Base.Fraction()
	if ev.Rate <= base || base <= 0 {
		return ev.Rate > base
	}
	return Odds(ev.Answered, ev.Bad, ev.Rate, base) >= worseOdds
}

// backAtBaseline compares two explanations of a step's results: the rate taken as normal (at least 1 %) and the fault's own.
func backAtBaseline(e StepEvidence, fault float64) bool {
	normal := min(max(e.Evidence.Baseline, 0.01), 0.99)
	fault = min(fault, 0.99)
	if fault <= normal {
		return true // nothing to tell apart; the judgement stands
	}
	odds := float64(backOdds)
	if e.Raised {
		odds = stillOdds
	}
	return Odds(e.Answered, min(max(e.Bad, 0), e.Answered), normal, fault) >= math.Log(odds)
}

// Odds is the log of how much likelier results are at one failure rate than at another, in nats; half-weighted ones count half. The
// one may be 1 where none succeeded.
func Odds(answered, bad, rate, other float64) float64 {
	ratio := bad * math.Log(rate/other)
	if good := answered - bad; good > 0 {
		ratio += good * math.Log((1-rate)/(1-other))
	}
	return ratio
}

// stepFinding is the evidence of a step, made whole where the control gave figures only.
func (t *turn) stepFinding(e StepEvidence) Evidence {
	ev := e.Evidence
	ev.Scope = t.from.Scope
	if ev.Answered == 0 && e.Answered > 0 {
		ev.Answered, ev.Bad = e.Answered, e.Bad
		ev.Rate = e.Bad / e.Answered
		ev.Lower = WilsonLower(e.Bad, e.Answered)
	}
	return ev
}

// finding says in a few words what evidence amounts to.
func finding(ev Evidence) string {
	if ev.Explanation != "" {
		return ev.Explanation
	}
	text := fmt.Sprintf("%.4g of %.4g results bad (%.3g%%)", ev.Bad, ev.Answered, ev.Rate*100)
	if ev.Rule != "" {
		text += ", rule " + ev.Rule
	}
	return text
}

// because appends the guard's reason for lowering instead of closing.
func because(r Ruling) string {
	if r.Answer != Lower {
		return ""
	}
	return "; " + r.Guard + ": " + r.Reason
}

// IncidentID names the incident of a scope detected in a generation: 16 hexadecimal digits of an FNV-1a hash, finished so that
// neighbours differ in all of them.
func IncidentID(s Scope, generation uint64) string {
	h := uint64(14695981039346656037)
	for _, part := range [...]string{s.String(), "\x00", strconv.FormatUint(generation, 10)} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h ^= h >> 33
	return fmt.Sprintf("%016x", h)
}
