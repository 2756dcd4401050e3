package monitor

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// Localised is what localisation makes of the verdicts about items.
type Localised struct {
	Verdicts  []statemachine.Verdict // about the smallest scopes that explain the failures, sorted by scope
	BanksDown []BankDown             // banks that fail wherever they are carried: cutting would help nobody
}

// Localise finds the smallest scopes that explain the failing items: sets of items of one channel such that every failing
// item is in the set or no longer fails without what the set contributed to it. Among these the set that carries the
// fewest results wins. Channels of one failure domain that fail together become one verdict about the domain; a bank that
// fails on every channel that carries it is reported, not cut. Verdicts that something recovered are passed on.
//
// Items that are only suspected may be chosen where they explain what fails, but need no explanation themselves. While it is
// not clear which set explains the failures of a channel, nothing is said about it. suspects are the banks that seem to be
// down, or were until now: what they explain is no fault of a channel.
func Localise(verdicts []statemachine.Verdict, seen *History, f *statemachine.Fleet, suspects []suspectBank) Localised {
	var out Localised
	var down []string
	for _, s := range suspects {
		down = append(down, s.bank)
	}
	var parts []statemachine.Verdict
	byChannel := map[string][]statemachine.Verdict{}
	var channels []string
	for _, v := range verdicts {
		if v.Part {
			parts = append(parts, v)
			continue
		}
		if v.Kind != statemachine.Failing && v.Kind != statemachine.MildlyFailing {
			out.Verdicts = append(out.Verdicts, v)
			continue
		}
		if !seen.beyondBanks(&v, suspects) {
			continue
		}
		if byChannel[v.Scope.Channel] == nil {
			channels = append(channels, v.Scope.Channel)
		}
		byChannel[v.Scope.Channel] = append(byChannel[v.Scope.Channel], v)
	}
	slices.Sort(channels)
	var chosen []statemachine.Verdict
	for _, c := range channels {
		suspects := slices.DeleteFunc(slices.Clone(parts), func(v statemachine.Verdict) bool { return v.Scope.Channel != c })
		suspects = append(suspects, seen.banksOf(c, slices.Concat(byChannel[c], suspects), f)...)
		chosen = append(chosen, smallest(byChannel[c], suspects, down, seen, f)...)
	}
	chosen = domains(chosen, seen, f)
	chosen, out.BanksDown = banksDown(chosen, seen, f, down)
	out.Verdicts = append(out.Verdicts, slices.DeleteFunc(chosen, func(v statemachine.Verdict) bool { return v.Over || unsupported(&v.Evidence) })...)
	slices.SortStableFunc(out.Verdicts, func(a, b statemachine.Verdict) int { return a.Scope.Compare(b.Scope) })
	return out
}

// unsupported reports whether a part was chosen that its own evidence does not even make suspect: nobody may act on it.
func unsupported(e *statemachine.Evidence) bool {
	return isPart(e) && (e.Statistic < e.Threshold || e.Bad < e.MinCount)
}

// suspect is a failing item of one channel with what it carried over the common window.
type suspect struct {
	v       statemachine.Verdict
	carried uint32
	part    bool // raises no alarm itself
}

// smallest picks, out of all unions of the kinds of suspected items of one channel, the cheapest that explains all that fail.
// What banks explain that are known to be down needs no other explanation.
func smallest(verdicts, parts []statemachine.Verdict, down []string, seen *History, f *statemachine.Fleet) []statemachine.Verdict {
	sets := unions(verdicts, parts, seen)
	if known := ofBanks(down, verdicts, parts); len(known) > 0 && explainsAll(known, verdicts, unclear, seen, f) {
		return verdictsOf(known, verdicts, parts, seen)
	}
	surely, likely := cheapest(sets, verdicts, explainedBy, seen, f), cheapest(sets, verdicts, unclear, seen, f)
	best := surely
	if !slices.Equal(scopesOf(surely), scopesOf(likely)) {
		if seen.waits(verdicts) {
			return nil
		}
		if !slices.ContainsFunc(likely, func(s suspect) bool { return s.part }) {
			best = likely
		}
	}
	return verdictsOf(needed(best, verdicts, seen, f), verdicts, parts, seen) // the union of all kinds explains everything, so it is never empty
}

// verdictsOf are the verdicts of a chosen set, with all that were considered, causes and a sentence.
func verdictsOf(set []suspect, verdicts, parts []statemachine.Verdict, seen *History) []statemachine.Verdict {
	chosen := make([]statemachine.Verdict, 0, len(set))
	looked := considered(append(slices.Clone(verdicts), parts...), set)
	for _, s := range set {
		v := s.v
		v.Part = false
		e := &v.Evidence
		e.Considered, e.Reasons = looked, seen.Reasons(e.Scope, e.From, e.To)
		e.Explanation = explain(*e)
		chosen = append(chosen, v)
	}
	return chosen
}

// ofBanks are the suspected instruments of some banks.
func ofBanks(banks []string, verdicts, parts []statemachine.Verdict) (set []suspect) {
	for i, v := range slices.Concat(verdicts, parts) {
		if bank := bankOf(v.Scope); bank != "" && slices.Contains(banks, bank) {
			set = append(set, suspect{v: v, part: i >= len(verdicts)})
		}
	}
	return set
}

// unions lists the suspects of every union of their kinds.
func unions(verdicts, parts []statemachine.Verdict, seen *History) [][]suspect {
	from, to := verdicts[0].Evidence.From, verdicts[0].Evidence.To
	for _, v := range verdicts {
		from, to = min(from, v.Evidence.From), max(to, v.Evidence.To)
	}
	var kinds []statemachine.ScopeKind
	byKind := make(map[statemachine.ScopeKind][]suspect)
	add := func(v statemachine.Verdict, part bool) {
		t := seen.Over(v.Scope, from, to)
		if byKind[v.Scope.Kind] == nil {
			kinds = append(kinds, v.Scope.Kind)
		}
		byKind[v.Scope.Kind] = append(byKind[v.Scope.Kind], suspect{v, t.Answered(), part})
	}
	for _, v := range verdicts {
		add(v, false)
	}
	for _, v := range parts {
		add(v, true)
	}
	slices.Sort(kinds)
	var sets [][]suspect
	mixed := verdicts[0].Evidence.Detector != SequentialDetector
	for mask := 1; mask < 1<<len(kinds); mask++ {
		if !mixed && bits.OnesCount(uint(mask)) > 1 && mask != 1<<len(kinds)-1 {
			continue // one fault has one kind; a second one shows when the first is dealt with
		}
		var set []suspect
		for i, kind := range kinds {
			if mask&(1<<i) != 0 {
				set = append(set, byKind[kind]...)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// cheapest is the cheapest set that explains the verdicts at least so well.
func cheapest(sets [][]suspect, verdicts []statemachine.Verdict, least clarity, seen *History, f *statemachine.Fleet) []suspect {
	var best []suspect
	for _, set := range sets {
		if (best == nil || cheaper(set, best)) && explainsAll(set, verdicts, least, seen, f) {
			best = set
		}
	}
	return best
}

// needed leaves out the parts that nothing needs for its explanation, those with the least evidence first.
func needed(set []suspect, verdicts []statemachine.Verdict, seen *History, f *statemachine.Fleet) []suspect {
	order := slices.SortedStableFunc(slices.Values(set), func(a, b suspect) int { return cmp.Compare(a.v.Evidence.Statistic, b.v.Evidence.Statistic) })
	for _, s := range order {
		if !s.part || len(set) == 1 {
			continue
		}
		without := slices.DeleteFunc(slices.Clone(set), func(o suspect) bool { return o.v.Scope == s.v.Scope })
		if explainsAll(without, verdicts, explainedBy, seen, f) {
			set = without
		}
	}
	return set
}

func scopesOf(set []suspect) []statemachine.Scope {
	scopes := make([]statemachine.Scope, 0, len(set))
	for _, s := range set {
		scopes = append(scopes, s.v.Scope)
	}
	return scopes
}

// clarity is how well a set explains what an item shows.
type clarity int8

const (
	unexplained clarity = iota // the rest fails too
	unclear                    // too little is known of the rest
	explainedBy                // the rest is well
)

// anotherScope is how many results another scope costs: that two fail at once is less likely than that a greater one does.
const anotherScope = 4

// cheaper orders sets by the results they carry, then by the number of scopes, then by kind.
func cheaper(a, b []suspect) bool {
	cost := func(set []suspect) uint64 {
		sum := uint64(len(set)) * anotherScope
		for _, s := range set {
			sum += uint64(s.carried)
		}
		return sum
	}
	return cmp.Or(cmp.Compare(cost(a), cost(b)), cmp.Compare(len(a), len(b)), cmp.Compare(preference(a[0]), preference(b[0]))) < 0
}

// preference breaks ties of single scopes that carry the same: the instrument where it is the only one, else the channel
// (everything with traffic fails), else the narrowest.
func preference(s suspect) int {
	switch s.v.Scope.Kind {
	case statemachine.ScopeInstrument:
		return 0
	case statemachine.ScopeChannel:
		return 1
	case statemachine.ScopeAccount:
		return 2
	case statemachine.ScopeMethod:
		return 3
	case statemachine.ScopeBusiness:
		return 4
	case statemachine.ScopeDomain, statemachine.ScopeUnspecified:
	}
	return 5
}

func explainsAll(set []suspect, verdicts []statemachine.Verdict, least clarity, seen *History, f *statemachine.Fleet) bool {
	for _, v := range verdicts {
		if explains(set, v, seen, f) < least {
			return false
		}
	}
	return true
}

// explains reports whether the item no longer fails without what the set contributed to it. What an instrument and an
// account that cross have in common was not counted. The sequential detector looks at the rest of the channel instead: what is
// well there has no failures left for the item. For the windows the set gets the benefit of the doubt, for as many failures as
// the rest of the channel does not account for.
func explains(set []suspect, v statemachine.Verdict, seen *History, f *statemachine.Fleet) clarity {
	from, to := v.Evidence.From, v.Evidence.To
	whole := seen.Over(v.Scope, from, to)
	answered, bad := whole.Weighted()
	without, badWithout, parts, rate, crossing := answered, bad, 0, 0.0, false
	policy := f.Policy(v.Scope.Channel)
	sequential := policy.Detector == statemachine.DetectorSequential
	for _, s := range set {
		if inside(v.Scope, s.v.Scope, f) {
			return explainedBy
		}
		if !overlap(v.Scope, s.v.Scope, f) {
			continue
		}
		rate = max(rate, s.v.Evidence.Rate)
		t := seen.Over(s.v.Scope, from, to)
		n, b := t.Weighted()
		switch {
		case inside(s.v.Scope, v.Scope, f):
			parts++
		case sequential:
			crossing = true
		default:
			b = min(b, max(0, bad-failuresOutside(set, v.Scope.Channel, from, to, seen)))
			n = b
		}
		without, badWithout = without-n, badWithout-b
	}
	without, badWithout = max(0, without), max(0, badWithout)
	switch {
	case crossing:
		return seen.restOfChannel(set, v, answered, rate)
	case sequential:
		return seen.rest(v.Evidence.Baseline, v.Evidence.Rate, without, badWithout, rate)
	case parts > 1 && wilsonUpper(badWithout, without) >= v.Evidence.Rate:
		return unexplained // several parts fail and nothing shows that the rest does not: it is the item itself
	case stillFails(without, badWithout, v, &policy):
		return unexplained
	}
	return explainedBy
}

// failuresOutside is how many failures of the channel the set certainly does not hold.
func failuresOutside(set []suspect, channel string, from, to int64, seen *History) float64 {
	t := seen.Over(statemachine.ChannelScope(channel), from, to)
	_, rest := t.Weighted()
	for _, s := range set {
		t := seen.Over(s.v.Scope, from, to)
		_, b := t.Weighted()
		rest -= b
	}
	return max(0, rest)
}

// stillFails applies the verdict's own threshold to the rest, with two failures as the least: the verdict had enough
// results together, and a rest that keeps its rate is no healthy one.
func stillFails(answered, bad float64, v statemachine.Verdict, p *statemachine.Policy) bool {
	if bad < 2 || answered <= 0 {
		return false
	}
	threshold := p.FailureRate
	if v.Kind == statemachine.MildlyFailing {
		threshold = p.MildRate
	}
	return bad/max(answered, bad) >= threshold
}

// considered says of every failing item why it was chosen or not.
func considered(verdicts []statemachine.Verdict, best []suspect) []statemachine.Considered {
	var names []string
	chosen := map[statemachine.Scope]bool{}
	for _, s := range best {
		names = append(names, s.v.Scope.String())
		chosen[s.v.Scope] = true
	}
	list := make([]statemachine.Considered, 0, len(verdicts))
	for _, v := range verdicts {
		c := statemachine.Considered{Scope: v.Scope, Answered: v.Evidence.Answered, Bad: v.Evidence.Bad, Why: "chosen"}
		if !chosen[v.Scope] {
			c.Why = "explained by " + listed(names, 3)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b statemachine.Considered) int { return a.Scope.Compare(b.Scope) })
	return list
}

// listed joins names, naming at most a few.
func listed(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
