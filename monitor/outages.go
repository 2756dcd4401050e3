package monitor

import (
	"slices"
	"strings"
)

// DownBank is a bank that fails on every channel that carries it.
type DownBank struct {
	Bank  string
	Since int64 // second in which its failures began, Unix
}

// outageHold is how many seconds without a failure cashiers are still told that a bank is down: a quiet one has few.
const outageHold = 60

// outages are the banks that are down, as cashiers are told: each by itself, until for outageHold seconds it was not found
// down, or nothing failed. A suspicion may stand for as long as there are no results; cashiers that therefore do not offer the
// bank would never bring any. The zero value knows none.
type outages struct {
	banks []outage // sorted by bank
}

type outage struct {
	DownBank

	last int64 // newest second in which it was found down and something failed
}

// see takes that a bank was found down in a second, and reports whether that begins an outage.
func (o *outages) see(d BankDown, sum *SecondCounts) (begins bool) {
	second := sum.Second
	o.forget(second)
	if !fails(sum, d.Bank) {
		return false
	}
	at, found := slices.BinarySearchFunc(o.banks, d.Bank, func(b outage, bank string) int { return strings.Compare(b.Bank, bank) })
	if !found {
		since := d.Evidence.From
		if since <= 0 || since > second {
			since = second
		}
		o.banks = slices.Insert(o.banks, at, outage{DownBank: DownBank{Bank: d.Bank, Since: since}})
	}
	o.banks[at].last = second
	return !found
}

// fails reports whether a second shows a failure of a bank: a bad result, or attempts and no good one.
func fails(sum *SecondCounts, bank string) bool {
	var bad, good, sent uint32
	for i := range sum.Items {
		c := &sum.Items[i]
		if bankOf(c.Item) != bank {
			continue
		}
		for k := range c.Evidence {
			e := &c.Evidence[k]
			bad, good, sent = bad+e.Bad+e.Half, good+e.Good(), sent+c.Sent[k]
		}
	}
	return bad > 0 || sent > 0 && good == 0
}

func (o *outages) forget(second int64) {
	o.banks = slices.DeleteFunc(o.banks, func(b outage) bool { return second-b.last >= outageHold })
}

// BanksDown returns the banks that fail wherever they are carried, sorted by name, nil if there are none. second is the
// present: what no evidence has confirmed for a minute, for want of failures or because no second could be sealed, is not
// claimed any more.
func (p *Pipeline) BanksDown(second int64) []DownBank {
	p.outages.forget(second)
	var all []DownBank
	for _, b := range p.outages.banks {
		all = append(all, b.DownBank)
	}
	return all
}
