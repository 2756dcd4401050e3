package monitor

import (
	"math"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// The evidence about a bank, in nats: log likelihood ratios of bankRate against what is normal on each channel.
const (
	bankRate    = 0.6     // failure rate of a bank that is down
	bankSuspect = 9       // of all channels together: the bank is suspected
	bankElse    = 4.5     // of it, what the channels show beside the one that shows most
	bankPart    = 5       // what one channel counts for at most: one alone is that channel's fault
	bankCalm    = 1       // below it the bank is well again
	bankDown    = 14      // beyond it, that was no chance: what it did to others is forgotten afterwards
	bankSilence = 10 * 60 // seconds without results after which nothing is held against a bank
)

// bankTests test every bank over all channels that carry it, so that a bank that is down is known before it has failed often
// enough on any one of them: until then, what it does to channels and accounts would be blamed on these. The zero value has
// seen nothing.
type bankTests struct {
	of map[string]*bankTest
}

// bankTest is the test of one bank: a CUSUM for each channel on which it fails.
type bankTest struct {
	parts     []bankChannel // sorted by scope
	suspected bool
	most      float64 // the most evidence since it is
	last      int64   // newest second with results
}

// bankChannel is what a bank shows on one channel.
type bankChannel struct {
	scope statemachine.Scope
	sum   float64
	began int64 // second in which sum left zero
}

// observe takes the newest second of a history, and returns the banks, sorted, that certainly were down until now.
func (b *bankTests) observe(h *History, f *statemachine.Fleet) (over []string) {
	for _, s := range h.touched {
		if bank := bankOf(s.item); bank != "" {
			b.add(bank, s, h.now)
		}
	}
	for bank, t := range b.of {
		all, beside := t.evidence(h, f)
		quiet := h.now-t.last >= bankSilence
		switch {
		case !t.suspected && all >= bankSuspect && beside >= bankElse:
			t.suspected, t.most = true, all
		case t.suspected && (all < bankCalm || quiet):
			if delete(b.of, bank); t.most >= bankDown {
				over = append(over, bank)
			}
		case len(t.parts) == 0 || quiet:
			delete(b.of, bank)
		default:
			t.most = max(t.most, all)
		}
	}
	slices.Sort(over)
	return over
}

// add takes the newest results of a bank on one channel.
func (b *bankTests) add(bank string, s *series, now int64) {
	n, bad := s.points[len(s.points)-1].tally.Weighted()
	t := b.of[bank]
	if t == nil {
		if bad == 0 {
			return
		}
		if b.of == nil {
			b.of = map[string]*bankTest{}
		}
		t = &bankTest{}
		b.of[bank] = t
	}
	t.last = now
	i, found := slices.BinarySearchFunc(t.parts, s.item, func(p bankChannel, item statemachine.Scope) int { return p.scope.Compare(item) })
	if !found {
		if bad == 0 {
			return
		}
		t.parts = slices.Insert(t.parts, i, bankChannel{scope: s.item, began: now})
	}
	p := &t.parts[i]
	if p.sum = min(bankPart, p.sum+s.track.ratio(n, bad, bankRate)); p.sum <= 0 {
		t.parts = slices.Delete(t.parts, i, i+1)
	}
}

// evidence adds up what those channels show that are open and do not fail for other banks' payers as well, and the same
// without the one that shows most.
func (t *bankTest) evidence(h *History, f *statemachine.Fleet) (all, beside float64) {
	most := 0.0
	for i := range t.parts {
		if p := &t.parts[i]; !h.failsBeside(p.scope, p.began, f) {
			all, most = all+p.sum, max(most, p.sum)
		}
	}
	return all, all - most
}

// suspectBank is a bank that seems to be down, with all that speaks for it.
type suspectBank struct {
	bank  string
	ratio float64 // infinite for a bank that people were told is down
}

// suspects are the suspected banks and those that were told to be down, sorted.
func (b *bankTests) suspects(told []string, h *History) (list []suspectBank) {
	for _, bank := range told {
		list = append(list, suspectBank{bank, math.Inf(1)})
	}
	for bank, t := range b.of {
		if !t.suspected || slices.Contains(told, bank) {
			continue
		}
		s := suspectBank{bank: bank}
		for _, p := range t.parts {
			items := h.items[p.scope]
			of := items.sum(p.began, h.now)
			n, bad := of.Weighted()
			s.ratio += items.track.ratio(n, bad, bankRate)
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y suspectBank) int { return strings.Compare(x.bank, y.bank) })
	return list
}

// beyondBanks reports whether a channel, or a part of it that is no instrument, fails beyond what suspected banks brought it,
// as far as more speaks for these than for the item itself. What a bank and an account have in common was not counted: the
// account gets the benefit of the doubt.
func (h *History) beyondBanks(v *statemachine.Verdict, down []suspectBank) bool {
	e := &v.Evidence
	if len(down) == 0 || v.Scope.Kind == statemachine.ScopeInstrument || e.Detector != SequentialDetector {
		return true
	}
	t := h.Over(v.Scope, e.From, e.To)
	n, bad := t.Weighted()
	own := explained(n, bad, e.Baseline)
	for _, s := range h.order {
		bank := bankOf(s.item)
		if bank == "" || s.item.Channel != v.Scope.Channel || !slices.ContainsFunc(down, func(d suspectBank) bool { return d.bank == bank && d.ratio >= own }) {
			continue
		}
		of := s.sum(e.From, e.To)
		bankN, bankBad := of.Weighted()
		if v.Scope.Kind == statemachine.ScopeAccount {
			bankN = bankBad
		}
		n, bad = max(0, n-bankN), max(0, bad-bankBad)
	}
	return bad >= e.MinCount && explained(max(n, bad), bad, e.Baseline) >= leadPart*e.Threshold
}
