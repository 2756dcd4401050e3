package monitor

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// RuleRelapse is the rule of a scope that went home from its probes, being too quiet for a ramp, and fails again as it did before.
// What the steps of a ramp would have shown is seen in its first payments: the statistic is the log likelihood ratio of the newest
// results for Fault, the rate of the fault it was closed for, against Baseline.
const RuleRelapse = "relapse"

// The evidence that closes a scope again for the fault it came back from, in nats, of that many bad results of distinct payers.
// It is no matter of days between false alarms, but of how often the level at which its probes passed leaves the fault there: what
// passed at more than relapsePassed must show as much more. After so many results that do not speak for it, it is a fault like any
// other again.
const (
	relapseHard    = passMild
	relapseMild    = passMediumMild
	relapsePassed  = math.Ln10
	relapseBad     = 2
	relapseFirst   = 20 // results in which so few are enough; one more after these
	relapseResults = 60
	relapseBanks   = 60  // seconds before it in which a bank that fails on other channels as well explains it
	relapseMilder  = 0.5 // of the fault's rate, tested for as well: chance had its part in the cut and made it look worse
)

// relapseLevel is the evidence that is a relapse into a fault of a rate, of a scope whose probes passed at a level.
func relapseLevel(fault, passed float64) float64 {
	level := relapseMild
	if fault >= hardRate {
		level = relapseHard
	}
	return level + max(0, passed-relapsePassed)
}

// homecoming is a scope that went home without a ramp, while on probation.
type homecoming struct {
	step             // results since
	rate     float64 // of the fault it came back from
	passed   float64 // the evidence at which its probes passed
	answered float64 // results since
}

// returned begins to watch a scope that went home from its probes. A failure domain is watched by its channels.
func (s *Steps) returned(scope statemachine.Scope, st *step, to statemachine.State, p statemachine.Policy) {
	rate := st.comeback.rate(st.base)
	if st.phase != statemachine.Probing || rate == 0 || scope.Kind == statemachine.ScopeDomain {
		return
	}
	perSecond, _ := s.PerSecond(scope)
	s.home[scope] = &homecoming{step: step{generation: to.Generation}, rate: rate, passed: passLevel(rate, perSecond, p)}
}

// watch takes the results of the scopes that went home, until their probation is over, their state changes, or they have shown
// enough.
func (s *Steps) watch(sum *SecondCounts, f *statemachine.Fleet) {
	for scope, h := range s.home {
		st := f.State(scope)
		if st.Phase != statemachine.Healthy || st.Generation != h.generation || st.Held() || int64(st.Probation)/1000 < sum.Second || h.answered >= relapseResults {
			delete(s.home, scope)
			continue
		}
		at, ok := slices.BinarySearchFunc(sum.Items, scope, func(c ItemCounts, s statemachine.Scope) int { return c.Item.Compare(s) })
		if !ok || !sum.countsFor(st) {
			continue
		}
		answered, _ := sum.Items[at].Evidence[statemachine.KindNormal].Weighted()
		h.answered += answered
		h.add(&sum.Items[at], statemachine.KindNormal, sum.Second, true)
	}
}

// Relapses returns a verdict about every scope that went home without a ramp and fails again as it did before, sorted. normal is
// the upper end of the failure rate that is normal for a scope.
func (s *Steps) Relapses(f *statemachine.Fleet, normal func(statemachine.Scope) float64) []statemachine.Verdict {
	var all []statemachine.Verdict
	for _, scope := range slices.SortedFunc(maps.Keys(s.home), statemachine.Scope.Compare) {
		if f.Policy(scope.Channel).Detector != statemachine.DetectorSequential {
			continue
		}
		h, usual := s.home[scope], normalRate(normal(scope))
		for _, rate := range [...]float64{h.rate, relapseMilder * h.rate} {
			if e := h.relapse(scope, usual, fault(rate, usual, faultLeast), s.now); recomputeStep(e) {
				all = append(all, statemachine.Verdict{Kind: statemachine.Failing, Scope: scope, Evidence: e})
				break
			}
		}
	}
	return all
}

// relapse is the evidence of the newest results that a scope fails at a rate again.
func (h *homecoming) relapse(scope statemachine.Scope, normal, rate float64, now int64) statemachine.Evidence {
	tally, from, _ := newest(h.points, rate, normal) // that it fails, not that it is well
	e := evidence(scope, &tally, from, now)
	e.Detector, e.Rule, e.Baseline, e.Fault, e.MinCount = SequentialDetector, RuleRelapse, normal, rate, relapseBad
	if h.answered > relapseFirst {
		e.MinCount++
	}
	e.Statistic, e.Threshold, e.Reasons = -statemachine.Odds(e.Answered, e.Bad, normal, rate), relapseLevel(rate, h.passed), slices.Clone(h.reasons)
	e.Explanation = fmt.Sprintf("%s: %s of %s results failed soon after it was opened; that is %s likelier of the fault it was closed for (%s fail) than of a channel that is well (%s fail)",
		scope, amount(e.Bad), amount(e.Answered), times(e.Statistic), percent(rate), percent(normal))
	return e
}

// withRelapses adds relapses to the localised verdicts of a second. What is found of a wider scope explains them; where a scope
// that came back fails again, so does what lies in it.
func withRelapses(verdicts, relapses []statemachine.Verdict, f *statemachine.Fleet) []statemachine.Verdict {
	for _, r := range relapses {
		if slices.ContainsFunc(verdicts, func(v statemachine.Verdict) bool {
			return v.Kind == statemachine.Failing && inside(r.Scope, v.Scope, f)
		}) {
			continue
		}
		verdicts = slices.DeleteFunc(verdicts, func(v statemachine.Verdict) bool {
			return v.Kind != statemachine.Recovered && inside(v.Scope, r.Scope, f)
		})
		verdicts = append(verdicts, r)
	}
	slices.SortStableFunc(verdicts, func(a, b statemachine.Verdict) int { return a.Scope.Compare(b.Scope) })
	return verdicts
}

// banksExplain reports whether banks that fail on other channels as well explain what is found of a scope on its way back.
func (h *History) banksExplain(v *statemachine.Verdict, suspects []suspectBank) bool {
	return !h.beyondBanks(v, suspects) || h.bankElsewhere(&v.Evidence)
}

// bankElsewhere reports whether the few bad results of a scope may be those of one bank that fails on other channels as well: it
// has failed there since a little before.
func (h *History) bankElsewhere(e *statemachine.Evidence) bool {
	if e.Bad > leastBad {
		return false
	}
	failed := func(s *series, from int64) float64 {
		t := s.sum(from, e.To)
		_, bad := t.Weighted()
		return bad
	}
	var banks []string
	for _, s := range h.order {
		if bank := bankOf(s.item); bank != "" && s.item.Channel == e.Scope.Channel && failed(s, e.From) >= e.Bad {
			banks = append(banks, bank)
		}
	}
	return slices.ContainsFunc(h.order, func(s *series) bool {
		return s.item.Channel != e.Scope.Channel && slices.Contains(banks, bankOf(s.item)) && failed(s, e.From-relapseBanks) > 0
	})
}
