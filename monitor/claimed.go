package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// SecondClaims remembers every result that was counted in a closed second, until it is settled which of them are this
// replica's. It belongs to one goroutine at a time.
type SecondClaims struct {
	Second  int64
	records []claimRecord
}

// Len is the number of results.
func (s *SecondClaims) Len() int {
	if s == nil {
		return 0
	}
	return len(s.records)
}

// Claims returns the results as Claims.Claim takes them.
func (s *SecondClaims) Claims() []Claim {
	if s.Len() == 0 {
		return nil
	}
	out := make([]Claim, len(s.records))
	for i := range s.records {
		r := &s.records[i]
		out[i] = Claim{Attempt: r.attempt, Stage: r.stage, Outcome: r.outcome, Decided: r.decided}
	}
	return out
}

// Unverified returns those that could not be claimed yet but may be later, nil for none. They are shared no longer: what
// happens to them does not change s.
func (s *SecondClaims) Unverified() *SecondClaims {
	if s.Len() == 0 {
		return nil
	}
	out := &SecondClaims{Second: s.Second}
	for i := range s.records {
		if r := &s.records[i]; r.unverified && !r.settled {
			out.records = append(out.records, *r)
		}
	}
	if len(out.records) == 0 {
		return nil
	}
	return out
}

// claimRecord is what one result entered into its second: enough to take it out again.
type claimRecord struct {
	attempt    uint64
	decided    int64
	items      [ItemsPerReport]int32
	millis     uint32
	kinds      [ItemsPerReport]statemachine.LaneKind
	counted    uint8 // bit i: evidence for item i
	first      uint8 // bit i: the payer's first bad result on item i
	latency    int8  // bucket
	age        int8  // bucket, -1 = unknown
	reporter   uint8 // bit of the bitmap
	reason     uint16
	quotas     []statemachine.QuotaCount
	stage      ClaimStage
	outcome    statemachine.Outcome
	old        statemachine.Outcome // left the totals, if corrects
	corrects   bool
	applied    bool // booked as applied, else as corrected
	result     bool // the first result that is not PENDING
	coded      bool
	out        bool // not in the row: held by another replica
	unverified bool // booked as unverified
	settled    bool // will stay so
}

// record remembers a result for its claim.
func (o *openSecond) record(e *entry) {
	r := claimRecord{
		attempt: e.Attempt, items: e.Items, millis: e.LatencyMillis, kinds: e.Kinds, counted: e.counted, first: e.first,
		latency: int8(e.latency), age: int8(e.age), reporter: uint8(e.Reporter & 63), reason: e.reason, //nolint:gosec // buckets and a bit
		stage: StageResult, outcome: e.outcome, old: e.old, corrects: e.corrects, applied: e.disposition == Applied,
		result: e.result, coded: e.Coded, quotas: e.Quotas,
	}
	switch {
	case e.outcome == statemachine.Pending:
		r.stage = StagePending
	case e.Final:
		r.stage = StageFinal
	}
	if e.Age >= 0 {
		r.decided = e.second - int64(e.Age)
	}
	o.records = append(o.records, r)
}

// TakeClaims returns what was counted in the seconds closed since the last call, oldest first; nothing without
// CountersOptions.Claims.
func (c *Counters) TakeClaims() []*SecondClaims {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.unclaimed
	c.unclaimed = nil
	return out
}

// keep hands the records of a second that closes over to TakeClaims.
func (c *Counters) keep(s *openSecond) {
	if len(s.records) == 0 {
		return
	}
	c.unclaimed = append(c.unclaimed, &SecondClaims{Second: s.second, records: s.records})
	s.records = make([]claimRecord, 0, len(s.records)+len(s.records)/8) // the next second is much like this one
}

// row is a closed second that results are taken out of.
type row struct {
	*SecondCounts
	items []statemachine.Scope
	kinds []statemachine.ScopeKind
	names []string
	dirty map[cellOfKind]uint64 // tallies whose bitmap of reporters must be made anew
}

// cellOfKind names one tally.
type cellOfKind struct {
	item int32
	kind statemachine.LaneKind
}

// find returns an item of the row, nil for none.
func (w *row) find(item int32) *ItemCounts {
	if uint(item) >= uint(len(w.items)) { //nolint:gosec // NoItem wraps to a large number on purpose
		return nil
	}
	at, found := slices.BinarySearchFunc(w.Items, w.items[item], func(c ItemCounts, s statemachine.Scope) int { return c.Item.Compare(s) })
	if !found {
		return nil
	}
	return &w.Items[at]
}

// withdraw takes the evidence of a result out of the row: the totals stay.
func (w *row) withdraw(r *claimRecord) {
	for i, item := range r.items {
		if at := w.find(item); at != nil {
			w.withdrawItem(at, r, i)
		}
	}
	r.counted, r.result = 0, false
}

func (w *row) withdrawItem(at *ItemCounts, r *claimRecord, i int) {
	health := r.outcome.Health()
	bad := health > statemachine.HealthGood && counts(health, w.kinds[r.items[i]])
	if r.result {
		at.Latency[r.latency]--
		at.LatencyMillis -= uint64(r.millis)
		if r.age >= 0 {
			at.Ages[r.age]--
		}
		if bad {
			at.Reasons = lessReason(at.Reasons, w.names[r.reason])
		}
	}
	if r.counted&(1<<i) == 0 {
		return
	}
	t := &at.Evidence[r.kinds[i]]
	t.Outcomes[r.outcome]--
	first := uint32(r.first >> i & 1)
	switch {
	case !bad:
	case health == statemachine.HealthHalf:
		t.Half--
		t.HalfPayers -= first
	default:
		t.Bad--
		t.BadPayers -= first
		if r.coded {
			t.CodedBad -= first
		} else {
			w.dirty[cellOfKind{r.items[i], r.kinds[i]}] = 0
		}
	}
}

// add adds n results of an outcome to the totals of the record's items.
func (w *row) add(r *claimRecord, o statemachine.Outcome, n int32) {
	for _, item := range r.items {
		if at := w.find(item); at != nil {
			at.Totals[o] += n
		}
	}
	w.Quotas = addQuotas(w.Quotas, r.quotas, o, int64(n))
}

// tidy makes the bitmaps of reporters anew from the results that stay, and leaves out items that say nothing any more.
func (w *row) tidy(stay []claimRecord) {
	for i := range stay {
		r := &stay[i]
		if len(w.dirty) == 0 || r.coded || !uncodedBad(r.outcome.Health()) {
			continue
		}
		for k, item := range r.items {
			key := cellOfKind{item, r.kinds[k]}
			if bits, ok := w.dirty[key]; ok && r.counted&(1<<k) != 0 && counts(r.outcome.Health(), w.kinds[item]) {
				w.dirty[key] = bits | 1<<r.reporter
			}
		}
	}
	for key, bits := range w.dirty {
		if at := w.find(key.item); at != nil {
			at.Evidence[key.kind].Reporters = bits
		}
	}
	w.Items = slices.DeleteFunc(w.Items, func(c ItemCounts) bool { return c.empty() })
}

// uncodedBad reports whether a result of that health names its reporter, if it was not coded.
func uncodedBad(h statemachine.Health) bool {
	return h == statemachine.HealthBad || h == statemachine.HealthAccountBad
}

// empty reports whether nothing is counted.
func (c *ItemCounts) empty() bool {
	return c.Evidence == [statemachine.NumLaneKinds]Tally{} && c.Totals == [statemachine.NumOutcomes]int32{} &&
		c.Latency == [NumLatencyBuckets]uint32{} && c.LatencyMillis == 0 && c.Ages == [NumAgeBuckets]uint32{} &&
		c.Sent == [statemachine.NumLaneKinds]uint32{} && len(c.Reasons) == 0
}

// lessReason takes one off a reason, off the rest if the reason is not named.
func lessReason(list []statemachine.ReasonCount, reason string) []statemachine.ReasonCount {
	at := slices.IndexFunc(list, func(r statemachine.ReasonCount) bool { return r.Reason == reason })
	if at < 0 {
		at = slices.IndexFunc(list, func(r statemachine.ReasonCount) bool { return r.Reason == OtherReason })
	}
	if at < 0 {
		return list
	}
	list[at].N--
	list = slices.DeleteFunc(list, func(r statemachine.ReasonCount) bool { return r.N == 0 })
	if len(list) == 0 {
		return nil
	}
	return topReasons(list)
}
