package monitor

import (
	"cmp"
	"math"
	mathbits "math/bits"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// SequentialDetector is the name of the sequential detector in Evidence.Detector.
const SequentialDetector = "sequential"

const (
	leastBad    = 3   // bad results of distinct payers that an alarm takes at least
	overRate    = 0.9 // a fault that lets one in ten pass could be any graver one
	overRatio   = 3.0 // log likelihood ratio of the newest results for the end of a fault: 20 to 1
	lowerAgain  = 9   // evidence that lowers a share further
	mildConfirm = 2   // seconds that an alarm of a mild fault must last: a grave one passes through mild rates
)

// sequential is the detector of likelihood ratios: every item is tested, second by second, against its own learned baseline,
// without a window and without a minimum of results. See track.
type sequential struct {
	history  *History
	onItsWay func(item statemachine.Scope, since, now int64, p *statemachine.Policy) uint32 // nil = nothing
}

// learn takes the newest second of the history.
func (d *sequential) learn(f *statemachine.Fleet) {
	for _, s := range d.history.touched {
		n, bad := s.points[len(s.points)-1].tally.Weighted()
		if n > 0 && !s.track.observe(d.history.now, n, bad) {
			d.history.waking.stirred = append(d.history.waking.stirred, s)
		}
	}
	if d.history.now%60 == 0 {
		d.roll(f)
	}
}

// roll ends a minute for every item. While one item of a channel is suspected, none of them learns: they share its payments.
// While automation may not act on a fault, its minutes are not learned at all.
func (d *sequential) roll(f *statemachine.Fleet) {
	order := d.history.order
	d.history.waking.everyone = true
	for len(order) > 0 {
		n, suspected := 1, false
		for n < len(order) && order[n].item.Channel == order[0].item.Channel {
			n++
		}
		for _, s := range order[:n] {
			suspected = suspected || s.track.suspicion() >= suspectPart
		}
		d.rollChannel(order[:n], suspected, f)
		order = order[n:]
	}
}

// rollChannel ends a minute for the items of one channel, the channel itself first.
func (d *sequential) rollChannel(items []*series, suspected bool, f *statemachine.Fleet) {
	policy := f.Policy(items[0].item.Channel)
	prior := d.history.expects.prior
	days, parts := budget(&policy, items[0].track.perSecond())
	for i, s := range items {
		if s.moved && f.States[s.item].Incident != "" {
			s.track.base.drop()
		}
		s.track.roll(d.history.now, prior, days, suspected)
		if i == 0 {
			prior, days = s.track.base.rate(prior), parts
		}
	}
}

// judge judges every open item that the sequential detector speaks for. Nothing is to be said of an item that was calm when
// it was last judged, is in no special state, and has not become suspect since: these are left out.
func (d *sequential) judge(f *statemachine.Fleet) (alarms []statemachine.Verdict) {
	w := &d.history.waking
	items := w.items(d.history.order)
	for _, s := range items {
		if v, ok := d.judgeItem(s, f); ok {
			alarms = append(alarms, v)
		}
	}
	w.judged(items)
	return alarms
}

// judgeItem judges one item: it fails, is only suspected, or is well again.
func (d *sequential) judgeItem(s *series, f *statemachine.Fleet) (statemachine.Verdict, bool) {
	t := &s.track
	if t.calm() {
		t.ended = 0
		if !s.special {
			t.crossed = 0
			return statemachine.Verdict{}, false
		}
	}
	threshold := d.threshold(s, f)
	alarm := t.crosses(threshold)
	switch {
	case !alarm:
		t.crossed = 0
	case t.crossed == 0:
		if alarm = s.failed(d.history.now); alarm { // old evidence is no news when the threshold falls
			t.crossed = d.history.now
		}
	}
	if !s.open || !alarm && t.suspicion() < suspectPart {
		return d.recovered(s, f)
	}
	policy := f.Policy(s.item.Channel)
	if policy.Detector != statemachine.DetectorSequential {
		return statemachine.Verdict{}, false
	}
	from := t.began()
	if from == 0 {
		from = d.history.now
	}
	v := d.verdict(s, from, &policy, threshold)
	alarm = alarm && t.explained(v.Evidence.Answered+d.coming(s, from, &policy), v.Evidence.Bad) >= leadPart*threshold
	if v.Evidence.Bad < leastBad {
		return d.recovered(s, f)
	}
	if !alarm {
		return part(v, t), true
	}
	return v, v.Kind != statemachine.MildlyFailing || d.history.now-t.crossed >= mildConfirm
}

// crosses reports whether what an item shows is an alarm at a threshold, its own or a lower one.
func (t *track) crosses(threshold float64) bool {
	return (t.alarms() || threshold < t.threshold && t.statistic() >= threshold) && t.leads(threshold)
}

// threshold is the statistic that is an alarm for an item: less while it is on probation, where the risk is bounded for the
// probation alone, and while its share is lowered, where only how far is in question.
func (d *sequential) threshold(s *series, f *statemachine.Fleet) float64 {
	if !s.moved {
		return s.track.threshold
	}
	const least = 8
	switch st := f.States[s.item]; {
	case st.Lowered():
		return min(s.track.threshold, lowerAgain)
	case st.Phase == statemachine.Healthy && int64(st.Probation)/1000 > d.history.now:
		policy := f.Policy(s.item.Channel)
		results := max(1, policy.Probation.Seconds()*s.track.perSecond())
		return min(s.track.threshold, max(least, math.Log(results)+probationRisk))
	}
	return s.track.threshold
}

// coming is the number of answers that are still on their way: failures may be faster than successes, so an alarm must hold even
// if all of these are good.
func (d *sequential) coming(s *series, from int64, p *statemachine.Policy) float64 {
	if d.onItsWay == nil {
		return 0
	}
	return float64(d.onItsWay(s.item, from, d.history.now, p))
}

// part makes a verdict about an item that is only suspected.
func part(v statemachine.Verdict, t *track) statemachine.Verdict {
	v.Part = true
	e := &v.Evidence
	e.Rule, e.Threshold = RulePart, suspectPart*t.threshold
	if v.Kind == statemachine.MildlyFailing {
		e.Rule = RuleMildPart
	}
	e.Statistic = t.explained(e.Answered, e.Bad)
	return v
}

// verdict describes an item since a fault began; causes and a sentence are added where it is chosen.
func (d *sequential) verdict(s *series, from int64, p *statemachine.Policy, threshold float64) statemachine.Verdict {
	t, now := &s.track, d.history.now
	tally := s.sum(from, now)
	e := evidence(s.item, &tally, from, now)
	e.Detector, e.Rule, e.Baseline = SequentialDetector, RuleFailing, t.normal
	e.Statistic, e.Threshold, e.MinCount = t.statistic(), threshold, leastBad
	kind := statemachine.Failing
	if e.Rate < p.MildBelow {
		e.Rule, kind = RuleMild, statemachine.MildlyFailing
	}
	over := s.over(e.Rate, now) || d.passed(s, from, threshold)
	if t.ended != 0 && t.calm() { // one that localisation asked about: to be forgotten when it is judged next
		d.history.waking.everyone = true
	}
	return statemachine.Verdict{Kind: kind, Scope: s.item, Evidence: e, Over: over}
}

// passed reports whether an item shows only what its channel's fault, which has ended since, did to it.
func (d *sequential) passed(s *series, from int64, threshold float64) bool {
	channel := d.history.items[statemachine.ChannelScope(s.item.Channel)]
	if channel == nil || channel == s || channel.track.well <= from {
		return false
	}
	since := s.sum(channel.track.well, d.history.now)
	return s.track.explained(since.Weighted()) < leadPart*threshold
}

// failed reports whether an item has a bad result in a second.
func (s *series) failed(second int64) bool {
	of := s.sum(second, second)
	_, bad := of.Weighted()
	return bad > 0
}

// over reports whether the fault seems to have ended: the newest results speak for the normal rate against the fault's. Acting
// then would punish what is well again. It lasts until what came since is a fault by itself.
func (s *series) over(rate float64, now int64) bool {
	t := &s.track
	if t.ended != 0 {
		since := s.sum(t.ended, now)
		if t.explained(since.Weighted()) < leadPart*t.threshold {
			return true
		}
		t.ended = 0
		return false
	}
	_, _, ended := s.calmed(min(overRate, rate), overRatio, overRatio)
	if ended {
		t.ended, t.well = now, now
	}
	return ended
}

// calmed walks back from the newest second until the results speak for the normal rate against another by a log likelihood
// ratio of enough, and returns where that is and the ratio; it gives up where they speak for the other by against.
func (s *series) calmed(rate, enough, against float64) (from int64, ratio float64, ok bool) {
	for i := len(s.points) - 1; i >= 0 && ratio > -against; i-- {
		n, bad := s.points[i].tally.Weighted()
		if ratio -= logRatio(n, bad, rate, s.track.normal); ratio >= enough {
			return s.points[i].second, ratio, true
		}
	}
	return 0, ratio, false
}

// recovered looks for the end of a fault that was only observed or that a guard refused to act on: the newest results speak
// for the normal rate against the fault's.
func (d *sequential) recovered(s *series, f *statemachine.Fleet) (statemachine.Verdict, bool) {
	if !s.moved {
		return statemachine.Verdict{}, false
	}
	st := f.States[s.item]
	if st.Incident == "" || st.Kind != statemachine.Observed && st.Kind != statemachine.Refused {
		return statemachine.Verdict{}, false
	}
	policy := f.Policy(s.item.Channel)
	if policy.Detector != statemachine.DetectorSequential {
		return statemachine.Verdict{}, false
	}
	rate := max(policy.MildBelow, 3*s.track.normal, st.Base.Fraction())
	from, ratio, ok := s.calmed(rate, recoveredRatio, math.Inf(1))
	if !ok {
		return statemachine.Verdict{}, false
	}
	tally := s.sum(from, d.history.now)
	e := evidence(s.item, &tally, from, d.history.now)
	e.Detector, e.Rule, e.Baseline = SequentialDetector, RuleRecovered, s.track.normal
	e.Statistic, e.Threshold = ratio, recoveredRatio
	e.Explanation = explain(e)
	s.track.reset()
	return statemachine.Verdict{Kind: statemachine.Recovered, Scope: s.item, Evidence: e}, true
}

// baseline is the upper end of the failure rate that is normal for a scope; of a failure domain, that of its worst channel.
func (h *History) baseline(scope statemachine.Scope, f *statemachine.Fleet) float64 {
	if scope.Kind != statemachine.ScopeDomain {
		if s := h.items[scope]; s != nil {
			return s.track.normal
		}
		return h.expects.cold
	}
	worst := 0.0
	for _, c := range membersOf(scope.Of, f) {
		worst = max(worst, h.baseline(statemachine.ChannelScope(c), f))
	}
	return cmp.Or(worst, h.expects.cold)
}

// rest judges what is left of a failing item without its suspected parts, by two likelihood ratios against normal: of the
// parts' own rate, as if they were picked by chance, and of the whole item's, as if all of it failed alike.
func (h *History) rest(normal, whole, answered, bad, rate float64) clarity {
	part := logRatio(answered, bad, min(poolMostRate, max(poolLeastRate, rate)), normal)
	alike := logRatio(answered, bad, min(poolMostRate, whole), normal)
	switch {
	case max(part, alike) >= restFails:
		return unexplained
	case min(part, alike) <= poolCalm:
		return explainedBy
	}
	return unclear
}

// restOfChannel judges what is left of a channel without a set that crosses a failing item, which carried so many of the
// channel's results: if the item failed by itself, it would show there.
func (h *History) restOfChannel(set []suspect, v statemachine.Verdict, carried, rate float64) clarity {
	channel := statemachine.ChannelScope(v.Scope.Channel)
	t := h.Over(channel, v.Evidence.From, v.Evidence.To)
	part := carried / max(1, float64(t.Answered()))
	answered, bad := t.Weighted()
	for _, s := range set {
		t := h.Over(s.v.Scope, v.Evidence.From, v.Evidence.To)
		n, b := t.Weighted()
		answered, bad = answered-n, bad-b
	}
	answered, bad = max(0, answered), min(max(0, bad), max(0, answered))
	normal := v.Evidence.Baseline
	if s := h.items[channel]; s != nil {
		normal = s.track.normal
	}
	return h.rest(normal, normal+part*v.Evidence.Rate, answered, bad, rate)
}

// waits reports whether it is worth waiting for more results of a channel: at most for a few of them.
func (h *History) waits(verdicts []statemachine.Verdict) bool {
	const results, longest = 8, 120
	first := h.now
	for _, v := range verdicts {
		if s := h.items[v.Scope]; s != nil && s.track.crossed != 0 {
			first = min(first, s.track.crossed)
		}
	}
	perSecond := 0.0
	if s := h.items[statemachine.ChannelScope(verdicts[0].Scope.Channel)]; s != nil {
		perSecond = s.track.perSecond()
	}
	return float64(h.now-first) < min(longest, results/max(perSecond, 1e-3))
}

// calm reports whether an item's results since a second speak against a fault.
func (h *History) calm(item statemachine.Scope, from int64) bool {
	return h.pool([]statemachine.Scope{item}, from, poolCalmRate, (*Tally).Weighted).calm()
}

// sickens reports whether an item's newest results speak for a fault; where the fault shows in coded replies, so must they.
func (h *History) sickens(item statemachine.Scope, coded bool) bool {
	return h.pool([]statemachine.Scope{item}, h.now, poolCalmRate, speaking(coded)).lately()
}

// forgetAround forgets what items that share payments with a scope show: it was not their own fault.
func (h *History) forgetAround(scope statemachine.Scope, f *statemachine.Fleet) {
	for _, s := range h.order {
		if overlap(scope, s.item, f) {
			s.track.reset()
		}
	}
}

// loneReporter returns whether nearly all failures of an item without a coded reply were reported by one instance: it has a
// part in four of five such failures, and no other in more than a third.
func (h *History) loneReporter(item statemachine.Scope, from, to int64) bool {
	const most, others = 0.8, 1.0 / 3
	s := h.items[item]
	if s == nil {
		return false
	}
	var seen [64]float64
	all := 0.0
	for i := s.first(from); i < len(s.points) && s.points[i].second <= to; i++ {
		t := &s.points[i].tally
		if t.Reporters == 0 {
			continue
		}
		_, bad := uncoded(t)
		all += bad
		for bits := t.Reporters; bits != 0; bits &= bits - 1 {
			seen[mathbits.TrailingZeros64(bits)] += bad
		}
	}
	slices.SortFunc(seen[:], func(a, b float64) int { return cmp.Compare(b, a) })
	return all > 0 && seen[0] >= most*all && seen[1] <= others*all
}

// unlearn forgets the minutes that no baseline has believed yet: they show a fault that is no channel's own.
func (h *History) unlearn() {
	for _, s := range h.order {
		s.track.base.drop()
	}
}
