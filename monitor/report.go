package monitor

import (
	"fmt"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// ItemsPerReport is the number of items one report counts in: channel, business type, method, account, instrument.
const ItemsPerReport = 5

// NoItem stands in Report.Items for an item that does not apply.
const NoItem int32 = -1

// NoAge stands in Report.Age for a report without a decision.
const NoAge int32 = -1

// Report is one reported result of an attempt, resolved against the table: what the ingest hands to Counters.
type Report struct {
	Attempt       uint64                                // fingerprint of the attempt id
	Items         [ItemsPerReport]int32                 // indices into the list given to SetItems, NoItem = none
	Kinds         [ItemsPerReport]statemachine.LaneKind // the lane each item counts it in
	Evidence      [ItemsPerReport]bool                  // whether it may be evidence for the item
	Outcome       statemachine.Outcome
	Coded         bool   // the channel answered with a code: our network worked
	Final         bool   // FINAL; a PENDING is never final
	Reason        string // raw code or text, counted for bad results; may alias a buffer of the caller
	LatencyMillis uint32
	Age           int32  // seconds since the decision, NoAge = without a decision
	Payer         uint64 // fingerprint of the payer, 0 = unknown
	Payment       uint64 // fingerprint of the payment id, stands for the payer where it is unknown
	Reporter      uint64 // fingerprint of the gateway instance
	Revision      int64  // revision of the table it is counted under
	// Quotas are what the attempt uses of quotas if it succeeds; kept, never changed. nil for most.
	Quotas []statemachine.QuotaCount
	// Settles is set by counting: this is the first definite result of its attempt, so that what the attempt held is free.
	Settles bool
}

// payer is the fingerprint by which repeated failures are told apart.
func (r *Report) payer() uint64 {
	switch {
	case r.Payer != 0:
		return r.Payer
	case r.Payment != 0:
		return r.Payment
	}
	return r.Attempt
}

// Disposition is what became of one delivered report.
type Disposition uint8

// The dispositions; every delivery has exactly one.
const (
	Applied    Disposition = iota // the first report of its attempt: counted
	Corrected                     // a later result of a known attempt: totals changed, evidence only if it is the first non-PENDING
	Duplicate                     // says nothing new, or contradicts a final result: nothing changed
	RejectedIn                    // refused at the edge: nothing changed
	Late                          // too old to know whether it was counted: nothing changed
)

// String returns applied, corrected, duplicate, rejected or late: the words of the metrics.
func (d Disposition) String() string {
	switch d {
	case Corrected:
		return "corrected"
	case Duplicate:
		return "duplicate"
	case RejectedIn:
		return "rejected"
	case Late:
		return "late"
	case Applied:
	}
	return "applied"
}

// Books account for every delivery since the replica started:
// Deliveries = Applied + Corrected + Duplicate + Rejected + Late, exactly.
type Books struct {
	Deliveries, Applied, Corrected, Duplicate, Rejected, Late uint64
	Contradictions                                            uint64 // part of Duplicate: finals that contradict a final
	Unverified                                                uint64 // part of Applied and Corrected: not claimed, another replica may count them too
}

// Balanced reports whether every delivery is accounted for.
func (b Books) Balanced() bool {
	return b.Deliveries == b.Applied+b.Corrected+b.Duplicate+b.Rejected+b.Late
}

// book enters one disposition.
func book(b *Books, d Disposition) {
	b.Deliveries++
	switch d {
	case Applied:
		b.Applied++
	case Corrected:
		b.Corrected++
	case Duplicate:
		b.Duplicate++
	case RejectedIn:
		b.Rejected++
	case Late:
		b.Late++
	}
}

// Contradiction is a final result that contradicts an earlier final result of the same attempt.
type Contradiction struct {
	Attempt uint64 // fingerprint of the attempt id
	Second  int64
	Scope   statemachine.Scope // the channel
	Kept    statemachine.Outcome
	Refused statemachine.Outcome
}

// Alert returns the alert that people get about it.
func (c Contradiction) Alert() statemachine.Alert {
	return statemachine.Alert{
		Kind: "CONTRADICTING_FINALS", Severity: statemachine.Critical, Scope: c.Scope, At: time.Unix(c.Second, 0).UTC(),
		Message: fmt.Sprintf("%s reported two final results of one attempt (fingerprint %016x): %s is kept, %s was refused; reconcile it with the channel",
			c.Scope, c.Attempt, c.Kept, c.Refused),
	}
}
