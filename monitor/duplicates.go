package monitor

import "github.com/sluice-pay/sluice/statemachine"

// duplicates remembers what was counted for each attempt: the outcome its totals hold, and whether that is final.
type duplicates struct {
	table *generations[uint8]
	first int64 // first second seen, 0 = none

	elsewhere int64 // seconds after which another replica's claim may be forgotten, 0 = there is no other replica
}

// elsewhere returns for how many seconds after its decision an attempt unknown here is still taken for a first one.
func elsewhere(o CountersOptions) int64 {
	if !o.Claims {
		return 0
	}
	return o.ClaimWindow
}

// known is the packed memory of one attempt: the outcome in the low bits, finality above.
const knownFinal uint8 = 1 << 7

// change is what a delivery does to the counts.
type change struct {
	disposition Disposition
	evidence    bool // it is the first non-PENDING result, or a PENDING answer
	corrects    bool // old leaves the totals
	contradicts bool
	old         statemachine.Outcome
}

// resolve decides what the delivery is and remembers it. PENDING never says anything about a known attempt; the first
// non-PENDING result is the evidence of the attempt, in its own receipt second; a FINAL corrects a provisional result
// once, in the totals only (and confirms it without a change if it is equal); everything else is a duplicate.
func (d *duplicates) resolve(r *Report, o statemachine.Outcome, second int64) change {
	if d.first == 0 {
		d.first = second
	}
	final := r.Final && o != statemachine.Pending
	known, ok := d.table.get(r.Attempt * fingerprint)
	if !ok {
		if r.Age >= 0 && (second-int64(r.Age) < d.table.complete || d.elsewhere > 0 && int64(r.Age) > d.elsewhere) {
			return change{disposition: Late}
		}
		d.remember(r.Attempt, o, final, second)
		return change{disposition: Applied, evidence: true}
	}
	old := statemachine.Outcome(known &^ knownFinal)
	switch {
	case o == statemachine.Pending, !final && old != statemachine.Pending:
		return change{disposition: Duplicate}
	case known&knownFinal != 0:
		return change{disposition: Duplicate, contradicts: old != o, old: old}
	}
	d.remember(r.Attempt, o, final, second)
	return change{disposition: Corrected, evidence: old == statemachine.Pending, corrects: true, old: old}
}

func (d *duplicates) remember(attempt uint64, o statemachine.Outcome, final bool, second int64) {
	d.table.put(attempt*fingerprint, remembered(o, final), second)
}

// remembered packs what is known of an attempt.
func remembered(o statemachine.Outcome, final bool) uint8 {
	if final {
		return uint8(o) | knownFinal
	}
	return uint8(o)
}

// window returns the seconds back from second for which every repeated report is recognised.
func (d *duplicates) window(second int64) int64 {
	if d.first == 0 {
		return 0
	}
	return max(0, second-max(d.first, d.table.complete))
}
