package routing

import "github.com/sluice-pay/sluice/statemachine"

// NoAdmission is the admission of one without live counters: nothing is vetoed but what is being probed, as probes need a
// token, and what the scores say has used up a hard quota. Call it after Rank.
func NoAdmission(rk *Ranking) Admission {
	a := Admission{Lifted: -1}
	for i := range rk.ranked {
		switch c := &rk.list[i]; {
		case c.phase == statemachine.Probing:
			a.Vetoed |= 1 << i
		case rk.table.usedUp(rk.request, c.account):
			a.Veto(i, VetoQuota)
		}
	}
	return a
}

// Candidate is one (channel, account) of a decision. Its strings belong to the plan.
type Candidate struct {
	Channel  string
	Account  string // empty where none was found
	Index    int8   // index in the ranking, the bit of Admission; -1 = dropped before ranking
	Kind     statemachine.LaneKind
	Why      Why
	Drop     DropReason // DropNone = usable
	Priority uint16     // priority in the route, lower first
	Hash     uint64     // hash that placed it within its priority, 0 = none did

	// Criterion is the criterion of the route's strategy that decided its place, counted from 1: that set it apart from the
	// candidate ranked before it, or the first from the second. 0 = none did.
	Criterion uint8

	closing int32 // hot scope of the table that weighs most on it, -1 = none
	channel int32
	account int32
}

// Decision is the answer of Decide and Route. It is a buffer of the caller, valid until its next use; errors and slices of it
// lie inside. It is large (about 20 KB): keep it in a pool.
type Decision struct {
	ID         DecisionID
	Candidates []Candidate // usable, in order; only the first may be attempted, the others are information
	Dropped    []Candidate // not usable, in rank order, each with its reason
	ValidUntil int64       // Unix milliseconds until which the first may be started
	Revision   Revision    // of the table
	Admission  Admission
	Route      string // id of the route that served it; empty for REFUND, CANCEL and QUERY

	table    *Table
	err      error // that Finish returned
	refusal  Refusal
	previous PreviousAttemptError
	ranking  Ranking
	usable   [MaxCandidates]Candidate
	dropped  [MaxCandidates]Candidate
}

// State returns the state that weighs most on a candidate of this decision, and whether any scope that applies is not healthy.
func (d *Decision) State(c *Candidate) (statemachine.State, bool) {
	if d.table == nil || c.closing < 0 {
		return statemachine.State{}, false
	}
	return d.table.states[d.table.hot[c.closing].state], true
}

// AppendID appends the decision's id.
func (d *Decision) AppendID(b []byte) []byte { return d.ID.Append(b) }

// AppendAttemptID appends the attempt id of the candidate at a rank: its index in Candidates.
func (d *Decision) AppendAttemptID(b []byte, rank int) []byte { return d.ID.AppendAttempt(b, rank) }
