package monitor

import "github.com/sluice-pay/sluice/statemachine"

// LatencyBounds are the upper bounds of the latency buckets in milliseconds; the last bucket of a Tally is open.
var LatencyBounds = [...]uint32{50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200} //nolint:gochecknoglobals // read-only table

// AgeBounds are the upper bounds, in seconds from the decision to its result, of the age buckets; the last bucket is open.
var AgeBounds = [...]int32{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144} //nolint:gochecknoglobals // read-only table

// NumAgeBuckets is the number of age buckets.
const NumAgeBuckets = len(AgeBounds) + 1

// NumLatencyBuckets is the number of latency buckets.
const NumLatencyBuckets = len(LatencyBounds) + 1

// Tally is the evidence of one item, second and lane kind: first non-pending results of decisions that count for the
// item's current generation.
type Tally struct {
	Outcomes   [statemachine.NumOutcomes]uint32 // by outcome, PENDING included
	Bad        uint32                           // bad results
	BadPayers  uint32                           // bad results by distinct payer: repeats of payer × item within 120 s left out
	Half       uint32                           // results at half weight (unmapped codes)
	HalfPayers uint32                           // the same by distinct payer
	CodedBad   uint32                           // bad results of distinct payers that carried a coded reply: the network worked
	Reporters  uint64                           // bitmap (hash mod 64) of the reporters of uncoded bad results
}

// Answered is the number of results with a meaning for the item's health.
func (t *Tally) Answered() uint32 { return t.Good() + t.Bad + t.Half }

// Good is the number of results that say the channel answered.
func (t *Tally) Good() uint32 {
	return t.Outcomes[statemachine.Succeeded] + t.Outcomes[statemachine.UserDeclined] + t.Outcomes[statemachine.Rejected]
}

// Add adds u to t.
func (t *Tally) Add(u *Tally) {
	for i := range t.Outcomes {
		t.Outcomes[i] += u.Outcomes[i]
	}
	t.Bad += u.Bad
	t.BadPayers += u.BadPayers
	t.Half += u.Half
	t.HalfPayers += u.HalfPayers
	t.CodedBad += u.CodedBad
	t.Reporters |= u.Reporters
}

// ItemCounts is one item in one second.
type ItemCounts struct {
	Item          statemachine.Scope
	Evidence      [statemachine.NumLaneKinds]Tally
	Totals        [statemachine.NumOutcomes]int32   // every result, evidence or not, and corrections as (−old, +new)
	Latency       [NumLatencyBuckets]uint32         // of every first result
	LatencyMillis uint64                            // sum
	Ages          [NumAgeBuckets]uint32             // first results by their age since the decision, where it is known
	Sent          [statemachine.NumLaneKinds]uint32 // decisions given out
	Reasons       []statemachine.ReasonCount        // top causes of bad results, most frequent first, at most 8
}

// SecondCounts is everything counted in one closed second, of one replica or the sum over all. Lists are sorted.
type SecondCounts struct {
	Second    int64  // Unix seconds
	Revision  int64  // lowest table revision it was counted under; 0 = nothing counted
	Reporters uint64 // bitmap (hash mod 64) of everyone who reported anything
	Items     []ItemCounts
	Lanes     []statemachine.LaneCount
	Gates     []GateSum
	Quotas    []statemachine.QuotaCount // what succeeded under quotas, corrections as (−old, +new)
}

// countsFor reports whether a second's results are evidence about a scope in a state: they were counted under a table that knows it.
func (c *SecondCounts) countsFor(st statemachine.State) bool {
	return st.After == 0 || c.Revision > st.After
}

// GateSum is the gate counts of a not-healthy scope, with how many routers saw would-be traffic in that second.
type GateSum struct {
	statemachine.GateCount
	Routers uint32
}
