package routing

import "github.com/sluice-pay/sluice/statemachine"

// Admission is what live counters said about the ranked candidates of a decision. With it the decision can be made again.
// The zero value vetoes the first... nothing; lifted must then be -1: use NoAdmission.
type Admission struct {
	Vetoed uint64 // bit i: the i-th ranked candidate was not admitted
	Lifted int8   // index of the candidate that a probe lifted to first place, -1 = none
}

// Candidate is one (channel, account) of a decision. Its strings belong to the plan.
type Candidate struct {
	Channel  string
	Account  string // empty where none was found
	Index    uint8  // index in the ranking, the bit of Admission
	Kind     statemachine.LaneKind
	Why      Why
	Drop     DropReason
	Priority uint16 // priority in the route, lower first
	Hash     uint64 // hash that placed it within its priority, 0 = none did

	closing int32 // index into the table's not-healthy scopes of the one that dropped it, -1 = none
}

// Decision is the answer of Route. It lives in a buffer of the caller and is valid until the buffer's next use; it is large
// (about 15 KB), so keep it in a pool.
type Decision struct {
	ID         DecisionID
	Candidates []Candidate // usable, in order; only the first may be attempted
	Dropped    []Candidate // not usable, in rank order, with the reason
	ValidUntil int64       // Unix milliseconds until which the first may be started
	Revision   Revision
	Admission  Admission
	Route      string // id of the route that served it; empty for REFUND, CANCEL and QUERY

	refusal  Refusal
	previous PreviousAttemptError
	ranking  Ranking
	usable   [MaxCandidates]Candidate
	dropped  [MaxCandidates]Candidate
}
