package monitor

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	commonRecheck  = 5    // seconds between examinations while cuts are withheld
	commonDoubt    = 10   // seconds for which calm channels are not yet taken for a proof that our side works
	commonPropose  = 60   // seconds after which people are told what to cut, domain by domain
	commonBaseline = 0.05 // uncoded failures that are nothing unusual
	commonOdds     = 2    // log likelihood ratio that speaks for a fault of several channels
	commonSickRate = 0.3  // uncoded failure rate of a sick channel
	commonLookBack = 10   // seconds of failures before the detection that are forgotten with it
)

// CommonMode withholds cuts while channels that share no failure domain fail at once: then the fault is ours. Only
// failures without a coded reply speak for it; a coded reply proves that our network works.
type CommonMode struct {
	since    int64 // second it began, 0 = not active
	checked  int64
	proposed bool
	cleared  int64 // second it last ended: calm channels are believed at once for a minute
}

// Active reports whether cuts are withheld.
func (m *CommonMode) Active() bool { return m.since != 0 }

// uncoded estimates the distinct payers' failures without a coded reply in a tally, and returns the results that count.
func uncoded(t *Tally) (answered, bad float64) {
	answered, _ = t.Weighted()
	if t.Bad == 0 {
		return answered, 0
	}
	return answered, float64(t.BadPayers) * (1 - float64(min(t.CodedBad, t.Bad))/float64(t.Bad))
}

// codedAlone reports whether the coded replies satisfy the rule without any uncoded failure.
func codedAlone(e statemachine.Evidence) bool {
	answered := e.Answered - (e.Bad - e.CodedBad)
	if answered <= 0 || e.CodedBad <= 0 {
		return false
	}
	return answered >= e.MinSamples && e.CodedBad > e.MinCount && e.CodedBad/answered >= e.Threshold
}

// Observe examines one second with its localised verdicts. ended is the second from which failures must be forgotten when
// the common mode ends with this call, else 0.
func (m *CommonMode) Observe(verdicts []statemachine.Verdict, seen Tallies, f *statemachine.Fleet, second int64) (alerts []statemachine.Alert, ended int64) {
	switch {
	case !m.Active():
		suspects := suspectChannels(verdicts, f)
		if !m.ours(suspects, seen, f, second) {
			return nil, 0
		}
		m.since, m.checked, m.proposed = second, second, false
		return []statemachine.Alert{m.alert("COMMON_MODE", second,
			"channels without a common failure domain fail at once ("+listed(suspects, 5)+"): the fault is ours, nothing is cut; look at our own network, DNS, certificates and gateways")}, 0
	case second-m.checked >= commonRecheck:
		m.checked = second
		if suspects := sickChannels(seen, f, second); !m.ours(suspects, seen, f, second) {
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
				listed(proposals(sickChannels(seen, f, second), f), 12)))
	}
	return alerts, 0
}

func (m *CommonMode) alert(kind string, second int64, message string) statemachine.Alert {
	return statemachine.Alert{Kind: kind, Severity: statemachine.Critical, At: time.Unix(second, 0).UTC(), Message: message}
}

// Withhold gives verdicts that must not lead to a cut their ruling: all that rest on uncoded failures while the common
// mode is active, and those whose uncoded failures a single gateway instance saw while others report as well.
func (m *CommonMode) Withhold(verdicts []statemachine.Verdict, reporters uint64) {
	for i := range verdicts {
		verdicts[i].Ruling = m.ruling(verdicts[i], reporters)
	}
}

func (m *CommonMode) ruling(v statemachine.Verdict, reporters uint64) statemachine.Ruling {
	failing := v.Kind == statemachine.Failing || v.Kind == statemachine.MildlyFailing
	switch {
	case !failing || codedAlone(v.Evidence):
	case m.Active():
		return statemachine.Ruling{
			Answer: statemachine.Refuse, Guard: statemachine.GuardCommonMode,
			Reason: "channels without a common failure domain fail at once: the fault is ours",
		}
	case v.Evidence.Reporters == 1 && popcount(reporters) > 1:
		return statemachine.Ruling{
			Answer: statemachine.Refuse, Guard: statemachine.GuardSingleReporter,
			Reason: fmt.Sprintf("only one gateway instance of %d sees failures of %s, none with a coded reply: look at that instance", popcount(reporters), v.Scope),
		}
	}
	return v.Ruling
}

// suspectChannels are the channels whose cut is proposed on uncoded failures.
func suspectChannels(verdicts []statemachine.Verdict, f *statemachine.Fleet) []string {
	var channels []string
	for _, v := range verdicts {
		if v.Kind != statemachine.Failing && v.Kind != statemachine.MildlyFailing || codedAlone(v.Evidence) {
			continue
		}
		if v.Scope.Kind == statemachine.ScopeDomain {
			channels = append(channels, membersOf(v.Scope.Of, f)...)
		} else {
			channels = append(channels, v.Scope.Channel)
		}
	}
	slices.Sort(channels)
	return slices.Compact(channels)
}

// sickChannels are the open channels with uncoded failures beyond the usual in the last ten seconds.
func sickChannels(seen Tallies, f *statemachine.Fleet, second int64) []string {
	var channels []string
	for _, item := range seen.Items() {
		if item.Kind == statemachine.ScopeChannel && sick(item.Channel, seen, f, second) {
			channels = append(channels, item.Channel)
		}
	}
	return channels
}

func sick(channel string, seen Tallies, f *statemachine.Fleet, second int64) bool {
	t := channelTally(channel, seen, f, second-9, second)
	n, bad := uncoded(&t)
	return bad >= 2 && bad >= commonSickRate*n
}

// channelTally is the evidence of an open channel. A channel that is not, or lies in a failure domain that is not, shows
// a fault that is known already: nothing.
func channelTally(channel string, seen Tallies, f *statemachine.Fleet, from, to int64) Tally {
	item := statemachine.ChannelScope(channel)
	if phase, _ := f.State(item).Effective(); phase != statemachine.Healthy || closedDomain(channel, f) != "" {
		return Tally{}
	}
	return seen.Over(item, from, to)
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

// ours reports whether any suspect is joined by channels that have nothing to do with it.
func (m *CommonMode) ours(suspects []string, seen Tallies, f *statemachine.Fleet, second int64) bool {
	for _, c := range suspects {
		others := unrelated(c, seen, f)
		if !joined(others, seen, f, second) {
			continue
		}
		if m.believes(second) && calmMajority(others, seen, f, second) {
			continue
		}
		return true
	}
	return false
}

// believes reports whether calm channels prove that our side works: a fault of ours may reach one channel after the
// other within seconds, but not slower.
func (m *CommonMode) believes(second int64) bool {
	if m.Active() {
		return second-m.since >= commonDoubt
	}
	return m.cleared != 0 && second-m.cleared < commonPropose
}

// unrelated are the channels with evidence that share no failure domain with a channel.
func unrelated(channel string, seen Tallies, f *statemachine.Fleet) []string {
	var others []string
	for _, item := range seen.Items() {
		if item.Kind != statemachine.ScopeChannel || item.Channel == channel {
			continue
		}
		shares := slices.ContainsFunc(f.Channels[item.Channel].Domains, func(d string) bool {
			return slices.Contains(f.Channels[channel].Domains, d)
		})
		if !shares {
			others = append(others, item.Channel)
		}
	}
	return others
}

// joined tests the pooled uncoded failures of the other channels against what is usual, by the likelihood ratio of the
// design rates, over the newest second and over longer looks back: a fault of ours may have begun just now, and the
// longer looks would be diluted by what succeeded before.
func joined(others []string, seen Tallies, f *statemachine.Fleet, second int64) bool {
	for _, length := range []int64{1, 3, 10, 30} {
		n, bad := 0.0, 0.0
		for _, c := range others {
			t := channelTally(c, seen, f, second-length+1, second)
			answered, failed := uncoded(&t)
			n, bad = n+answered, bad+failed
		}
		if bad < 2 {
			continue
		}
		for _, rate := range []float64{0.3, 0.5, 0.95} {
			odds := bad*math.Log(rate/commonBaseline) + (n-bad)*math.Log((1-rate)/(1-commonBaseline))
			if odds >= commonOdds {
				return true
			}
		}
	}
	return false
}

// calmMajority reports whether fewer than half of the others with results in the last ten seconds, or exactly half, are sick.
func calmMajority(others []string, seen Tallies, f *statemachine.Fleet, second int64) bool {
	live, ill := 0, 0
	for _, c := range others {
		t := channelTally(c, seen, f, second-9, second)
		if n, _ := t.Weighted(); n == 0 {
			continue
		}
		live++
		if sick(c, seen, f, second) {
			ill++
		}
	}
	return live > 0 && 2*ill <= live
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
