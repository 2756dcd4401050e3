package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// BankDown is a bank that fails on every channel that carries it.
type BankDown struct {
	Bank     string
	Scopes   []statemachine.Scope // the instruments that fail, sorted
	Evidence statemachine.Evidence
}

// Alert returns the alert that people get about it.
func (b BankDown) Alert(second int64) statemachine.Alert {
	var names []string
	for _, s := range b.Scopes {
		names = append(names, s.String())
	}
	return statemachine.Alert{
		Kind: "BANK_DOWN", Severity: statemachine.Critical, At: time.Unix(second, 0).UTC(),
		Message: fmt.Sprintf("bank %s fails wherever it is carried (%s): nothing is cut, payers need another card; %s",
			b.Bank, listed(names, 6), b.Evidence.Explanation),
	}
}

// calmSamples is how many results show that a sibling does not fail.
const calmSamples = 5

// calm reports whether an item has enough results, at less than half the rate that means failing. The base window decides
// if it holds enough: a longer one may be full of what succeeded before the fault.
func calm(item statemachine.Scope, from, to int64, seen *History, f *statemachine.Fleet) bool {
	p := f.Policy(item.Channel)
	if p.Detector == statemachine.DetectorSequential {
		return seen.calm(item, from)
	}
	for _, start := range []int64{max(from, to-seconds(p.Window)+1), from} {
		t := seen.Over(item, start, to)
		if n, bad := t.Weighted(); n >= calmSamples {
			return bad < n*p.FailureRate/2
		}
	}
	return false
}

// sickens reports whether an item begins to fail: its newest seconds hold failures of several payers, at half the rate that
// means failing; where the fault shows in coded replies, so must they. The first channel to show a fault must not be cut while
// the others are on their way to show it too.
func sickens(item statemachine.Scope, to int64, coded bool, seen *History, f *statemachine.Fleet) bool {
	const newest, payers = 5, 2
	if p := f.Policy(item.Channel); p.Detector == statemachine.DetectorSequential {
		return seen.sickens(item, coded)
	}
	t := seen.Over(item, to-newest+1, to)
	n, bad := t.Weighted()
	if coded {
		bad = min(bad, float64(t.CodedBad))
	}
	return bad >= payers && bad >= n*f.Policy(item.Channel).FailureRate/2
}

// closedLately reports whether automation closed the scope within the last minute.
func closedLately(s statemachine.Scope, f *statemachine.Fleet) bool {
	return slices.ContainsFunc(f.Recent, func(r statemachine.RecentCut) bool { return r.Scope == s })
}

// domains turns channels of one failure domain that fail together into one verdict about the domain: at least two of them
// fail now or were closed in the last minute, none is calm, and no channel outside fails.
func domains(chosen []statemachine.Verdict, seen *History, f *statemachine.Fleet) []statemachine.Verdict {
	chosen = slices.DeleteFunc(chosen, func(v statemachine.Verdict) bool { return domainsRelapse(v, seen, f) || channelsTrace(v, seen, f) })
	failing := map[string]bool{}
	var channels []string
	for _, v := range chosen {
		if v.Scope.Kind == statemachine.ScopeChannel && v.Kind == statemachine.Failing {
			failing[v.Scope.Channel] = true
			channels = append(channels, v.Scope.Channel)
		}
	}
	var best *statemachine.Verdict
	covers := 0
	for _, d := range domainsOf(channels, f) {
		inside := 0
		for _, c := range channels {
			if slices.Contains(f.Channels[c].Domains, d) {
				inside++
			}
		}
		if inside < len(channels) || inside == 0 {
			continue // a channel outside fails as well: common mode's business
		}
		members := membersOf(d, f)
		if best != nil && len(members) >= covers {
			continue // the smaller population explains it too
		}
		if v, ok := domainVerdict(d, members, failing, chosen, seen, f); ok {
			best, covers = &v, len(members)
		}
	}
	if best == nil {
		return chosen
	}
	rest := slices.DeleteFunc(slices.Clone(chosen), func(v statemachine.Verdict) bool {
		return slices.Contains(f.Channels[v.Scope.Channel].Domains, best.Scope.Of)
	})
	return append(rest, *best)
}

// domainsRelapse reports whether what fails lies in a failure domain on its way back: unless it goes on failing while
// another channel of the domain is calm, that is the domain's fault, which its own step tells.
func domainsRelapse(v statemachine.Verdict, seen *History, f *statemachine.Fleet) bool {
	d := closedDomain(v.Scope.Channel, f)
	if d == "" || v.Kind == statemachine.Recovered {
		return false
	}
	return !sickens(v.Scope, v.Evidence.To, false, seen, f) || !slices.ContainsFunc(membersOf(d, f), func(c string) bool {
		return c != v.Scope.Channel && calm(statemachine.ChannelScope(c), v.Evidence.From, v.Evidence.To, seen, f)
	})
}

// channelsTrace reports whether what a part of a channel shows is the channel's own fault: the channel is on its way back and
// not both, the part goes on failing and the others of its kind are well; or its share is lowered and the part is no worse.
func channelsTrace(v statemachine.Verdict, seen *History, f *statemachine.Fleet) bool {
	if v.Scope.Kind == statemachine.ScopeChannel || v.Scope.Kind == statemachine.ScopeDomain || v.Kind == statemachine.Recovered {
		return false
	}
	st := f.State(statemachine.ChannelScope(v.Scope.Channel))
	phase, _ := st.Effective()
	if phase != statemachine.Ramping && phase != statemachine.Probing {
		return false
	}
	others := seen.siblings(v.Scope)
	if st.Kind == statemachine.Degraded && v.Evidence.Detector == SequentialDetector {
		return len(others) == 0 || !st.Worse(v.Evidence) // a part that is clearly worse has a fault of its own
	}
	return !sickens(v.Scope, v.Evidence.To, false, seen, f) ||
		v.Evidence.Detector == SequentialDetector && !seen.pool(others, v.Evidence.From, v.Evidence.Rate, (*Tally).Weighted).calm()
}

// siblings are the other items of a scope's kind on its channel, sorted. A scope that has none sees the channel's own payments.
func (h *History) siblings(scope statemachine.Scope) (others []statemachine.Scope) {
	for _, s := range h.order {
		if s.item.Channel == scope.Channel && s.item.Kind == scope.Kind && s.item != scope {
			others = append(others, s.item)
		}
	}
	return others
}

func domainsOf(channels []string, f *statemachine.Fleet) []string {
	var all []string
	for _, c := range channels {
		all = append(all, f.Channels[c].Domains...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func membersOf(domain string, f *statemachine.Fleet) []string {
	var members []string
	for c, facts := range f.Channels {
		if slices.Contains(facts.Domains, domain) {
			members = append(members, c)
		}
	}
	slices.Sort(members)
	return members
}

// domainVerdict sums up the evidence of the channels of a domain; ok is false if it does not explain the failures.
func domainVerdict(domain string, members []string, failing map[string]bool, chosen []statemachine.Verdict, seen *History, f *statemachine.Fleet) (statemachine.Verdict, bool) {
	scope := statemachine.DomainScope(domain)
	if phase, _ := f.State(scope).Effective(); phase != statemachine.Healthy {
		return statemachine.Verdict{}, false
	}
	var from, to int64
	for _, v := range chosen {
		if v.Scope.Kind == statemachine.ScopeChannel && failing[v.Scope.Channel] {
			if to == 0 {
				from = v.Evidence.From
			}
			from, to = min(from, v.Evidence.From), max(to, v.Evidence.To)
		}
	}
	var sum Tally
	var reasons [][]statemachine.ReasonCount
	var looked []statemachine.Considered
	sick := 0
	for _, c := range members {
		item := statemachine.ChannelScope(c)
		t := seen.Over(item, from, to)
		n, bad := t.Weighted()
		why := "explained by " + scope.String()
		switch {
		case failing[c], closedLately(item, f), sickens(item, to, false, seen, f):
			sick++
		case calm(item, from, to, seen, f):
			return statemachine.Verdict{}, false
		default:
			why = "too little traffic to tell"
		}
		sum.Add(&t)
		reasons = append(reasons, seen.Reasons(item, from, to))
		looked = append(looked, statemachine.Considered{Scope: item, Answered: n, Bad: bad, Why: why})
	}
	e := evidence(scope, &sum, from, to)
	if sick < 2 || !domainFails(&e, chosen, seen, f) {
		return statemachine.Verdict{}, false
	}
	e.Reasons = mergeReasons(reasons...)
	e.Considered = append([]statemachine.Considered{{Scope: scope, Answered: e.Answered, Bad: e.Bad, Why: "chosen"}}, looked...)
	e.Explanation = explain(e)
	return statemachine.Verdict{Kind: statemachine.Failing, Scope: scope, Evidence: e}, true
}

// domainFails completes the evidence of a failure domain and reports whether it meets the rule of its channels' detector.
func domainFails(e *statemachine.Evidence, chosen []statemachine.Verdict, seen *History, f *statemachine.Fleet) bool {
	first, p := &chosen[0].Evidence, f.Policy(chosen[0].Scope.Channel)
	e.Detector = first.Detector
	if e.Detector == SequentialDetector {
		e.Rule, e.Baseline, e.Threshold, e.MinCount = RuleFailing, seen.baseline(e.Scope, f), first.Threshold, leastBad
		if seen.expects == &silenceExpected {
			e.Rule = RuleHanging
		}
		if isPart(first) {
			e.Threshold /= suspectPart
		}
		e.Statistic = explained(e.Answered, e.Bad, e.Baseline)
		return e.Statistic >= e.Threshold && e.Bad >= e.MinCount && e.Rate >= p.MildBelow
	}
	e.Rule, e.Threshold, e.MinSamples = RuleRate, p.FailureRate, p.MinSamples
	return e.Answered >= e.MinSamples && e.Rate >= e.Threshold
}

// banksDown takes out the verdicts about instruments of banks that fail on every channel that carries them, at least two.
func banksDown(chosen []statemachine.Verdict, seen *History, f *statemachine.Fleet, known []string) ([]statemachine.Verdict, []BankDown) {
	if !slices.ContainsFunc(chosen, func(v statemachine.Verdict) bool { return bankOf(v.Scope) != "" }) {
		return chosen, nil
	}
	carriers := carriersOf(f)
	failing := map[string][]statemachine.Verdict{}
	var banks []string
	for _, v := range chosen {
		if bank := bankOf(v.Scope); bank != "" {
			if failing[bank] == nil {
				banks = append(banks, bank)
			}
			failing[bank] = append(failing[bank], v)
		}
	}
	slices.Sort(banks)
	var down []BankDown
	var unknown []string
	for _, bank := range banks {
		isEverywhere, wait := everywhere(failing[bank], carriers[bank], seen, f)
		if !isEverywhere && !seen.calmElsewhere(failing[bank], carriers[bank]) && slices.Contains(known, bank) {
			isEverywhere, wait = true, false // until others show that they are well again
		}
		if wait {
			unknown = append(unknown, bank)
		}
		if isEverywhere {
			d := BankDown{Bank: bank, Evidence: failing[bank][0].Evidence}
			for _, v := range failing[bank] {
				d.Scopes = append(d.Scopes, v.Scope)
			}
			slices.SortFunc(d.Scopes, statemachine.Scope.Compare)
			down = append(down, d)
		}
	}
	isDown := func(v statemachine.Verdict) bool {
		return slices.Contains(unknown, bankOf(v.Scope)) && bankOf(v.Scope) != "" || slices.ContainsFunc(down, func(d BankDown) bool { return slices.Contains(d.Scopes, v.Scope) })
	}
	return slices.DeleteFunc(chosen, isDown), down
}

// carriersOf are the instruments' scopes of each bank, over all channels, in no order.
func carriersOf(f *statemachine.Fleet) map[string][]statemachine.Scope {
	carriers := map[string][]statemachine.Scope{}
	for c, facts := range f.Channels {
		for _, i := range facts.Instruments {
			if i.Bank != statemachine.NoBank {
				carriers[i.Bank] = append(carriers[i.Bank], statemachine.InstrumentScope(c, i))
			}
		}
	}
	return carriers
}

// bankOf is the bank of an instrument's scope, empty for other scopes and for instruments without a bank.
func bankOf(s statemachine.Scope) string {
	if s.Kind != statemachine.ScopeInstrument {
		return ""
	}
	_, rest, _ := strings.Cut(s.Of, ":")
	bank, _, _ := strings.Cut(rest, ":")
	if bank == statemachine.NoBank {
		return ""
	}
	return bank
}

// everywhere reports whether at least two channels fail for a bank, or were closed for it in the last minute, and none
// that carries it is calm; and whether the others have shown too little to tell.
func everywhere(verdicts []statemachine.Verdict, carriers []statemachine.Scope, seen *History, f *statemachine.Fleet) (down, wait bool) {
	sick := map[string]bool{}
	e := verdicts[0].Evidence
	from, to := e.From, e.To
	failing, coded := map[statemachine.Scope]bool{}, false
	for _, v := range verdicts {
		sick[v.Scope.Channel] = true
		coded = coded || v.Evidence.CodedBad >= v.Evidence.Bad/2
		failing[v.Scope] = true
		from, to = min(from, v.Evidence.From), max(to, v.Evidence.To)
	}
	var others []statemachine.Scope
	for _, s := range carriers {
		switch {
		case failing[s]:
		case closedLately(s, f):
			sick[s.Channel] = true
		case e.Detector == SequentialDetector && seen.failsBeside(s, from, f):
		default:
			others = append(others, s)
		}
	}
	if e.Detector == SequentialDetector {
		l := seen.pool(others, from, e.Rate, speaking(coded))
		down = l.joined() || len(sick) >= 2 && !l.calm()
		longest := int64(bankWait)
		if l.since <= bankWell {
			longest = bankSure
		}
		return down, !down && l.doubtful() && seen.younger(verdicts[0].Scope, others, longest)
	}
	return sickEverywhere(sick, others, from, to, coded, seen, f), false
}

// sickEverywhere is the windows' answer: at least two channels fail, and none of the others is calm.
func sickEverywhere(sick map[string]bool, others []statemachine.Scope, from, to int64, coded bool, seen *History, f *statemachine.Fleet) bool {
	for _, s := range others {
		switch {
		case sickens(s, to, coded, seen, f):
			sick[s.Channel] = true
		case calm(s, from, to, seen, f):
			return false
		}
	}
	return len(sick) >= 2
}

// banksOf suspects, where a channel fails, the instruments of those banks that fail over all channels together: on one channel
// alone a bank that is down may show too little, and what it does to accounts and channels would be blamed on them.
func (h *History) banksOf(channel string, seen []statemachine.Verdict, f *statemachine.Fleet) []statemachine.Verdict {
	policy := f.Policy(channel)
	if policy.Detector != statemachine.DetectorSequential {
		return nil
	}
	from := h.now
	for _, v := range seen {
		from = min(from, v.Evidence.From)
	}
	var more []statemachine.Verdict
	for _, in := range f.Channels[channel].Instruments {
		scope := statemachine.InstrumentScope(channel, in)
		s := h.items[scope]
		if s == nil || !s.open || in.Bank == statemachine.NoBank || slices.ContainsFunc(seen, func(v statemachine.Verdict) bool { return v.Scope == scope }) {
			continue
		}
		var carriers []statemachine.Scope
		for c := range f.Channels {
			carriers = append(carriers, statemachine.Scope{Kind: scope.Kind, Channel: c, Of: scope.Of})
		}
		slices.SortFunc(carriers, statemachine.Scope.Compare)
		if l := h.pool(carriers, from, bankRate, (*Tally).Weighted); l.ratio < poolJoined {
			continue
		}
		d := sequential{history: h}
		v := d.verdict(s, from, &policy, s.track.threshold)
		more = append(more, part(v, &s.track))
	}
	return more
}

// calmElsewhere reports whether a bank's other channels show that it is well there.
func (h *History) calmElsewhere(verdicts []statemachine.Verdict, carriers []statemachine.Scope) bool {
	others := slices.DeleteFunc(slices.Clone(carriers), func(s statemachine.Scope) bool {
		return slices.ContainsFunc(verdicts, func(v statemachine.Verdict) bool { return v.Scope == s })
	})
	return h.pool(others, h.now-bankWait, verdicts[0].Evidence.Rate, (*Tally).Weighted).calm()
}

// failsBeside reports whether a channel is closed, or fails for others than an item's payers as well: then what the item shows
// says nothing about the bank.
func (h *History) failsBeside(item statemachine.Scope, from int64, f *statemachine.Fleet) bool {
	if !isOpen(item.Channel, f) {
		return true
	}
	channel := h.items[statemachine.ChannelScope(item.Channel)]
	if channel == nil {
		return false
	}
	all, own := h.Over(channel.item, from, h.now), h.Over(item, from, h.now)
	n, bad := all.Weighted()
	ownN, ownBad := own.Weighted()
	return logRatio(max(0, n-ownN), max(0, bad-ownBad), bankRate, channel.track.normal) >= poolJoined
}

// The waits for evidence of a bank on other channels. One success there proves nothing: one payment in ten passes while it is down.
const (
	bankWait = 120  // longest, seconds …
	bankWell = -3.0 // … until this log likelihood ratio says that it is well there …
	bankSure = 10   // … and, in seconds, until it is beyond doubt
)

// speaking says what of a tally speaks for a fault that shows in coded replies, or in any failure.
func speaking(coded bool) counted {
	if !coded {
		return (*Tally).Weighted
	}
	return func(t *Tally) (answered, bad float64) {
		answered, bad = t.Weighted()
		return answered, min(bad, float64(t.CodedBad))
	}
}
