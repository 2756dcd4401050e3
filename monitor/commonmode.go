package monitor

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	commonRecheck  = 5   // seconds between examinations while cuts are withheld
	commonDoubt    = 10  // seconds for which calm channels are not yet taken for a proof that our side works
	commonPropose  = 60  // seconds after which people are told what to cut, domain by domain
	commonConfirm  = 2   // seconds that an alarm without coded replies must last …
	commonLeans    = 5   // … and while another channel's newest results speak for a fault
	commonLeaning  = 2   // log likelihood ratio from which on they do
	commonRate     = 0.6 // uncoded failure rate of a channel that our own fault reached
	commonSpan     = 30  // seconds over which it must show
	commonLookBack = 10  // seconds of failures before the detection that are forgotten with it
)

// CommonMode withholds cuts while channels that share no failure domain fail at once: then the fault is ours. Only
// failures without a coded reply speak for it; a coded reply proves that our network works.
type CommonMode struct {
	since    int64 // second it began, 0 = not active
	checked  int64
	proposed bool
	cleared  int64 // second it last ended: calm channels are believed at once for a minute
	without  Without
}

// Active reports whether cuts are withheld.
func (m *CommonMode) Active() bool { return m.since != 0 }

// uncoded counts the distinct payers' failures without a coded reply in a tally, and returns the results that count.
func uncoded(t *Tally) (answered, bad float64) {
	answered, _ = t.Weighted()
	return answered, float64(t.BadPayers - min(t.BadPayers, t.CodedBad))
}

// codedAlone reports whether the coded replies satisfy the rule without any uncoded failure.
func codedAlone(e statemachine.Evidence) bool {
	answered := e.Answered - (e.Bad - e.CodedBad)
	switch {
	case answered <= 0 || e.CodedBad <= 0:
		return false
	case e.Detector == SequentialDetector:
		threshold := e.Threshold
		if isPart(&e) {
			threshold /= suspectPart
		}
		return e.CodedBad >= e.MinCount && explained(answered, e.CodedBad, e.Baseline) >= leadPart*threshold
	}
	return answered >= e.MinSamples && e.CodedBad > e.MinCount && e.CodedBad/answered >= e.Threshold
}

// Observe examines one second with its localised verdicts, and takes out those that must wait until it is known whether
// other channels fail as well. ended is the second from which failures must be forgotten when the common mode ends with this
// call, else 0.
func (m *CommonMode) Observe(views []*view, f *statemachine.Fleet, second int64) (alerts []statemachine.Alert, ended int64) {
	switch {
	case m.without.CommonMode:
		return nil, 0
	case !m.Active():
		var suspects []string
		ours := false
		for _, v := range views {
			v.verdicts = slices.DeleteFunc(v.verdicts, func(verdict statemachine.Verdict) bool {
				found, wait := m.examine(&verdict, v.history, views[0].history, f, second)
				if found || wait {
					suspects = append(suspects, channelsOf(verdict.Scope, f)...)
				}
				ours = ours || found
				return wait
			})
		}
		if !ours {
			return nil, 0
		}
		m.since, m.checked, m.proposed = second, second, false
		slices.Sort(suspects)
		return []statemachine.Alert{m.alert("COMMON_MODE", second,
			"channels without a common failure domain fail at once ("+listed(slices.Compact(suspects), 5)+"): the fault is ours, nothing is cut; look at our own network, DNS, certificates and gateways")}, 0
	case second-m.checked >= commonRecheck:
		m.checked = second
		if !m.lasts(views, f, second) {
			ended = max(1, m.since-commonLookBack)
			m.since, m.cleared = 0, second
			return []statemachine.Alert{{
				Kind: "COMMON_MODE_OVER", Severity: statemachine.Info, At: time.Unix(second, 0).UTC(),
				Message: "unrelated channels no longer fail at once; cuts are possible again",
			}}, ended
		}
	}
	if !m.proposed && second-m.since >= commonPropose {
		m.proposed = true
		alerts = append(alerts, m.alert("COMMON_MODE_PROPOSAL", second,
			"unrelated channels have failed at once for a minute; if our side is proved to work, switch off, one by one: "+
				listed(proposals(sickChannels(views, f), f), 12)))
	}
	return alerts, 0
}

// mayBeOurs reports whether a verdict would cut something for failures that may be our own side's.
func mayBeOurs(v *statemachine.Verdict) bool {
	return (v.Kind == statemachine.Failing || v.Kind == statemachine.MildlyFailing) && !codedAlone(v.Evidence)
}

// examine reports whether channels that have nothing to do with a failing scope fail with it, or whether that is not known
// yet. results are what came back; seen may be what did not.
func (m *CommonMode) examine(v *statemachine.Verdict, seen, results *History, f *statemachine.Fleet, second int64) (found, wait bool) {
	if !mayBeOurs(v) {
		return false, false
	}
	age := second - seen.alarmed(v.Scope, f)
	if age < commonConfirm && (seen == results || !results.answerElsewhere(v, f)) {
		return false, true // a fault of ours may reach the others in this very second
	}
	young := seen == results && age < commonLeans
	for _, c := range channelsOf(v.Scope, f) {
		others := unrelated(c, seen, f)
		wait = wait || young && slices.ContainsFunc(others, func(o statemachine.Scope) bool { return leans(o, seen) })
		l := seen.poolUntil(others, v.Evidence.From, seen.lastBad(v.Scope), v.Evidence.Rate, uncoded)
		l.coincides = slices.ContainsFunc(others, func(o statemachine.Scope) bool { return coincides(o, seen) }) || justClosed(c, f, second)
		switch {
		case !l.doubtful() || m.believes(second) && calmMajority(others, seen, v.Evidence.Rate):
		case l.joined():
			return true, false
		default:
			wait = wait || seen.younger(v.Scope, others, l.patience())
		}
	}
	return false, wait
}

// answerElsewhere reports whether unrelated channels go on answering well after a scope has fallen silent. Silence shows late: what
// they answered meanwhile was mostly sent after it began.
func (h *History) answerElsewhere(v *statemachine.Verdict, f *statemachine.Fleet) bool {
	return !slices.ContainsFunc(channelsOf(v.Scope, f), func(c string) bool {
		others := unrelated(c, h, f)
		return len(others) == 0 || h.pool(others, v.Evidence.From-1, v.Evidence.Rate, uncoded).doubtful()
	})
}

// doubts reports whether a relapse may be our own fault: other channels fail as well, or have shown nothing since.
func (m *CommonMode) doubts(e *ScopeEvidence, seen *History, f *statemachine.Fleet) bool {
	if codedAlone(e.Evidence) || m.without.CommonMode {
		return false
	}
	if m.Active() {
		return true
	}
	for _, c := range channelsOf(e.Scope, f) {
		others := unrelated(c, seen, f)
		l := seen.pool(others, seen.now-poolFresh, commonRate, uncoded)
		if l.doubtful() && (l.joined() || seen.now-e.Evidence.From < poolWait && len(others) > 0) {
			return true
		}
	}
	return false
}

// coincides reports whether another channel fails beyond doubt in the same moment. That two unrelated ones begin to fail within
// seconds is hardly chance, even while a third is still well: a fault of ours may reach one after the other.
func coincides(item statemachine.Scope, seen *History) bool {
	const bad, ratio = 3, 4
	l := seen.pool([]statemachine.Scope{item}, seen.now-poolFresh+1, commonRate, uncoded)
	return l.bad >= bad && l.suffix >= ratio
}

// leans reports whether the newest results of another channel speak for a fault, be it a single one: it may begin there as well.
func leans(item statemachine.Scope, seen *History) bool {
	return seen.pool([]statemachine.Scope{item}, seen.now, commonRate, uncoded).suffix >= commonLeaning
}

// justClosed reports whether automation closed an unrelated channel seconds ago: what fails now may be the same.
func justClosed(channel string, f *statemachine.Fleet, second int64) bool {
	return slices.ContainsFunc(f.Recent, func(r statemachine.RecentCut) bool {
		if r.Scope.Kind != statemachine.ScopeChannel || r.Scope.Channel == channel || second-int64(r.At)/1000 > commonDoubt {
			return false
		}
		return !related(r.Scope.Channel, channel, f)
	})
}

// uncodedRate is the part of a channel's results of the last half minute that failed without a coded reply, at least what
// speaks at all.
func (h *History) uncodedRate(channel string) float64 {
	t := h.Over(statemachine.ChannelScope(channel), h.now-commonSpan+1, h.now)
	n, bad := uncoded(&t)
	return min(commonRate, max(poolLeastRate, bad/max(1, n)))
}

// alarmed is the second in which the running alarm began that a scope is blamed for: its own, or of a scope that raises none
// itself, the first on its channels. 0 without one.
func (h *History) alarmed(scope statemachine.Scope, f *statemachine.Fleet) (since int64) {
	if s := h.items[scope]; s != nil && s.track.crossed != 0 {
		return s.track.crossed
	}
	channels := channelsOf(scope, f)
	for _, s := range h.order {
		if at := s.track.crossed; at != 0 && (since == 0 || at < since) && slices.Contains(channels, s.item.Channel) {
			since = at
		}
	}
	return since
}

// lastBad is the newest second in which a scope failed without a coded reply, the present for one without results of its own.
func (h *History) lastBad(scope statemachine.Scope) int64 {
	s := h.items[scope]
	if s == nil {
		return h.now
	}
	for i := len(s.points) - 1; i >= 0; i-- {
		if _, bad := uncoded(&s.points[i].tally); bad > 0 {
			return s.points[i].second
		}
	}
	return h.now
}

// younger reports whether an alarm is so young that evidence of others may still come within so many seconds. Where they
// stand by, it is not worth waiting.
func (h *History) younger(scope statemachine.Scope, others []statemachine.Scope, longest int64) bool {
	s := h.items[scope]
	if s == nil {
		return false
	}
	age := int64(0) // of a part, which raises no alarm itself
	if s.track.crossed != 0 {
		age = h.now - s.track.crossed
	}
	perSecond := 0.0
	for _, o := range others {
		if s := h.items[o]; s != nil {
			perSecond += s.track.perSecond()
		}
	}
	return perSecond*float64(longest) >= 1 && age < longest
}

// lasts reports whether unrelated channels still fail at once.
func (m *CommonMode) lasts(views []*view, f *statemachine.Fleet, second int64) bool {
	for _, v := range views {
		for _, c := range sickIn(v.history, f) {
			others := unrelated(c, v.history, f)
			rate := v.history.uncodedRate(c)
			l := v.history.pool(others, second-commonLookBack+1, rate, uncoded)
			if l.joined() && !(m.believes(second) && calmMajority(others, v.history, rate)) {
				return true
			}
		}
	}
	return false
}

func (m *CommonMode) alert(kind string, second int64, message string) statemachine.Alert {
	return statemachine.Alert{Kind: kind, Severity: statemachine.Critical, At: time.Unix(second, 0).UTC(), Message: message}
}

// Withhold gives verdicts that must not lead to a cut their ruling: all that rest on uncoded failures while the common
// mode is active, and those whose uncoded failures a single gateway instance saw while others report as well.
func (m *CommonMode) Withhold(verdicts []statemachine.Verdict, seen *History) {
	for i := range verdicts {
		verdicts[i].Ruling = m.ruling(&verdicts[i], seen)
	}
}

func (m *CommonMode) ruling(v *statemachine.Verdict, seen *History) statemachine.Ruling {
	reporters := seen.Reporters()
	switch {
	case !mayBeOurs(v):
	case m.Active():
		return statemachine.Ruling{
			Answer: statemachine.Refuse, Guard: statemachine.GuardCommonMode,
			Reason: "channels without a common failure domain fail at once: the fault is ours",
		}
	case popcount(reporters) > 1 && !m.without.SingleReporter && (v.Evidence.Reporters == 1 || v.Evidence.Reporters > 1 && seen.loneReporter(v.Scope, v.Evidence.From, v.Evidence.To)):
		return statemachine.Ruling{
			Answer: statemachine.Refuse, Guard: statemachine.GuardSingleReporter,
			Reason: fmt.Sprintf("of %d gateway instances one alone sees failures of %s, without a coded reply: look at that instance", popcount(reporters), v.Scope),
		}
	}
	return v.Ruling
}

// channelsOf are the channels that a scope lies in.
func channelsOf(s statemachine.Scope, f *statemachine.Fleet) []string {
	if s.Kind == statemachine.ScopeDomain {
		return membersOf(s.Of, f)
	}
	return []string{s.Channel}
}

// sickChannels are the open channels with uncoded failures beyond the usual, or without answers.
func sickChannels(views []*view, f *statemachine.Fleet) []string {
	var channels []string
	for _, v := range views {
		channels = append(channels, sickIn(v.history, f)...)
	}
	slices.Sort(channels)
	return slices.Compact(channels)
}

func sickIn(seen *History, f *statemachine.Fleet) []string {
	var channels []string
	for _, item := range seen.Items() {
		if item.Kind == statemachine.ScopeChannel && isOpen(item.Channel, f) && sick(item, seen) {
			channels = append(channels, item.Channel)
		}
	}
	return channels
}

func sick(item statemachine.Scope, seen *History) bool {
	return seen.pool([]statemachine.Scope{item}, seen.now-commonSpan, commonRate, uncoded).lately()
}

// isOpen reports whether a channel's results speak of today: one that is closed, or lies in a failure domain that is, shows a
// fault that is known already.
func isOpen(channel string, f *statemachine.Fleet) bool {
	phase, _ := f.State(statemachine.ChannelScope(channel)).Effective()
	return phase == statemachine.Healthy && closedDomain(channel, f) == ""
}

// closedDomain is the first failure domain of a channel that is not fully open, empty if all are.
func closedDomain(channel string, f *statemachine.Fleet) string {
	for _, d := range f.Channels[channel].Domains {
		if phase, _ := f.State(statemachine.DomainScope(d)).Effective(); phase != statemachine.Healthy {
			return d
		}
	}
	return ""
}

// believes reports whether calm channels prove that our side works: a fault of ours may reach one channel after the
// other within seconds, but not slower.
func (m *CommonMode) believes(second int64) bool {
	if m.Active() {
		return second-m.since >= commonDoubt
	}
	return m.cleared != 0 && second-m.cleared < commonPropose
}

// unrelated are the open channels with evidence that share no failure domain with a channel.
func unrelated(channel string, seen *History, f *statemachine.Fleet) []statemachine.Scope {
	var others []statemachine.Scope
	for _, item := range seen.Items() {
		if item.Kind == statemachine.ScopeChannel && item.Channel != channel && isOpen(item.Channel, f) && !related(item.Channel, channel, f) {
			others = append(others, item)
		}
	}
	return others
}

// related reports whether two channels share a failure domain.
func related(a, b string, f *statemachine.Fleet) bool {
	return slices.ContainsFunc(f.Channels[a].Domains, func(d string) bool { return slices.Contains(f.Channels[b].Domains, d) })
}

// calmMajority reports whether at least half of the others with results in the last half minute show that they are well. One
// that has shown too little counts as not well, and together they must leave no doubt: one payment that succeeds proves nothing.
func calmMajority(others []statemachine.Scope, seen *History, rate float64) bool {
	live := 0
	var calm []statemachine.Scope
	from, rate := seen.now-commonSpan+1, min(commonRate, rate)
	for _, item := range others {
		l := seen.pool([]statemachine.Scope{item}, from, rate, uncoded)
		if l.members == 0 {
			continue
		}
		live++
		if l.calm() {
			calm = append(calm, item)
		}
	}
	return live > 0 && 2*len(calm) >= live && !seen.pool(calm, from, rate, uncoded).doubtful()
}

// proposals names the scopes that cover the sick channels: a failure domain where all its channels with evidence are sick
// and there are several, else the channels.
func proposals(sickOnes []string, f *statemachine.Fleet) []string {
	var names []string
	covered := map[string]bool{}
	for _, d := range domainsOf(sickOnes, f) {
		members := membersOf(d, f)
		all := len(members) > 1 && !slices.ContainsFunc(members, func(c string) bool { return !slices.Contains(sickOnes, c) })
		if !all {
			continue
		}
		names = append(names, statemachine.DomainScope(d).String())
		for _, c := range members {
			covered[c] = true
		}
	}
	for _, c := range sickOnes {
		if !covered[c] {
			names = append(names, c)
		}
	}
	return names
}
