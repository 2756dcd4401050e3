package routing

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	// MaxAttemptID is the greatest length of an attempt id in bytes.
	MaxAttemptID = 160
	maxCode      = 64
)

// Plan is a compiled catalogue: immutable, shared by tables.
type Plan struct{}

// CompilePlan compiles a catalogue. The error joins one *Problem per mistake. prev keeps item indices stable (nil = none).
func CompilePlan(c *configv1.Catalog, prev *Plan) (*Plan, error) { return nil, ErrNoTable }

// Items returns every item, in index order; removed items of earlier plans keep their index.
func (p *Plan) Items() []statemachine.Scope { return nil }

// Fleet returns the static part of the fleet.
func (p *Plan) Fleet() statemachine.Fleet { return statemachine.Fleet{} }

// Policy returns the policy of a channel, the default one for an unknown channel or "".
func (p *Plan) Policy(channel string) statemachine.Policy { return statemachine.Policy{} }

// Has reports whether the scope exists in the catalogue.
func (p *Plan) Has(s statemachine.Scope) bool { return false }

// Instruments returns the instruments of a channel that match; empty parts match all.
func (p *Plan) Instruments(channel, bank, cardType, method string) []statemachine.Instrument {
	return nil
}

// Stranded returns the scopes with an order in force that this plan does not know.
func (p *Plan) Stranded(states []statemachine.State) []statemachine.Scope { return nil }

// Interpret returns what a result means: a mapped code wins over the outcome, an unmapped code without an outcome is UNMAPPED.
func (p *Plan) Interpret(channel string, o statemachine.Outcome, code string) (Meaning, error) {
	return Meaning{}, ErrNoTable
}

// Revision orders tables: greater (Epoch, Revision) is newer.
type Revision struct {
	Epoch    uint64
	Revision int64 // head revision
}

// Scores are the published scores of items.
type Scores struct{ Scores []Score }

// Score is what is known about one item.
type Score struct {
	Item        statemachine.Scope
	SuccessRate statemachine.Share
	Feedback    uint32
	Headroom    statemachine.Share
	Frozen      bool
}

// Table is a plan with the states and scores of one revision: immutable.
type Table struct{}

// Table makes the table of one revision. It is cheap: one per state change. States of unknown scopes are left out.
func (p *Plan) Table(rev Revision, states []statemachine.State, sc *Scores) *Table { return nil }

// Plan returns the table's plan.
func (t *Table) Plan() *Plan { return nil }

// Revision returns the table's revision.
func (t *Table) Revision() Revision { return Revision{} }

// State returns the state of a scope.
func (t *Table) State(s statemachine.Scope) statemachine.State { return statemachine.NewState(s) }

// Attribution says where a report counts.
type Attribution struct {
	Items    [5]int32                 // channel, business type, method, account, instrument: indices of Plan.Items
	Kinds    [5]statemachine.LaneKind // lane kind per item
	Evidence bool                     // counts as evidence, not in totals only
}

// Attribute says where a report counts; decided is the table revision of its decision, 0 = no decision.
func (t *Table) Attribute(channel, account string, b statemachine.BusinessType, i statemachine.Instrument, decided int64) (Attribution, error) {
	return Attribution{}, ErrNoTable
}

// Ranking is the first half of a decision: a buffer of the caller.
type Ranking struct{}

// Rank fills rk with the candidates of a request in order. It is pure.
func Rank(t *Table, r *Request, second int64, rk *Ranking) error { return ErrNoTable }

// Finish makes the decision of a ranking under an admission. It is pure.
func Finish(rk *Ranking, a Admission, out *Decision) error { return ErrNoTable }

// Decide is Finish(Rank): pure.
func Decide(t *Table, r *Request, second int64, a Admission, out *Decision) error { return ErrNoTable }

// NoAdmission vetoes nothing but probes, which need a token.
func NoAdmission(rk *Ranking) Admission { return Admission{Lifted: -1} }

// DecisionID identifies a decision.
type DecisionID struct {
	Epoch     uint64
	Revision  int64
	Second    int64
	Admission Admission
	Hash      uint64
}

// Append renders the id.
func (id DecisionID) Append(b []byte) []byte { return b }

// AppendAttempt renders the attempt id of a rank (0 = first).
func (id DecisionID) AppendAttempt(b []byte, rank int) []byte { return b }

// ParseDecisionID is the inverse of Append.
func ParseDecisionID(s string) (DecisionID, error) { return DecisionID{}, ErrNoTable }

// ParseAttemptID is the inverse of AppendAttempt.
func ParseAttemptID(s string) (DecisionID, int, error) { return DecisionID{}, 0, ErrNoTable }

// Router is one atomic pointer to a table and the admission counters. It is safe for concurrent use.
type Router struct{}

// NewRouter returns a router without a table.
func NewRouter() *Router { return &Router{} }

// Swap puts a table in force.
func (r *Router) Swap(t *Table) {}

// Table returns the table in force, nil before the first Swap.
func (r *Router) Table() *Table { return nil }

// Route decides and counts.
func (r *Router) Route(q *Request, second int64, out *Decision) error { return ErrNoTable }

// Grant is the probe tokens of one scope for this router.
type Grant struct {
	Scope      statemachine.Scope
	Generation uint64
	Tokens     uint64 // cumulative since the generation began
	From       int64  // second it was given
	Until      int64  // last second in which they may be used
	Lift       bool
}

// Grant hands over probe tokens.
func (r *Router) Grant(g Grant) {}

// RouterCounts is what a router counted since the last Drain. Lists are sorted.
type RouterCounts struct {
	Second   int64
	Revision int64 // lowest table revision it was counted under, 0 = nothing counted
	Lanes    []statemachine.LaneCount
	Gates    []statemachine.GateCount
	Sent     []statemachine.SentCount
}

// Drain returns and resets what was counted since the last Drain.
func (r *Router) Drain(second int64) RouterCounts { return RouterCounts{} }

// OptionStatus says whether an instrument can be offered.
type OptionStatus uint8

// The answers of ListOptions.
const (
	OptionUnsupported OptionStatus = iota
	OptionDown
	OptionAvailable
)

// Option is one instrument and whether it can be offered.
type Option struct {
	Instrument statemachine.Instrument
	Status     OptionStatus
	Reason     DropReason // of its best channel, DropNone = fully available
	Until      int64      // Unix seconds when that may change, 0 = not known
	Supporting int        // channels that support it
	Usable     int        // channels usable now
}

// ListOptions answers for every instrument of the request's business type; method, bank and card type narrow if given.
func ListOptions(t *Table, r *Request, second int64) []Option { return nil }

// Explanation says why a payment was, or would be, routed as it was.
type Explanation struct {
	Second     int64
	Revision   Revision
	Admission  Admission
	ID         DecisionID
	Route      string
	Err        error // *Refusal or *PreviousAttemptError, nil if a channel was given
	Candidates []ExplainedCandidate
}

// ExplainedCandidate is one candidate with what became of it.
type ExplainedCandidate struct {
	Candidate
	Vetoed bool
	State  statemachine.State // the state that dropped it; zero scope = no state did
	Until  int64              // Unix seconds when it may be usable again, 0 = not known
	Text   string
}

// Explain explains a decision from the same evaluation.
func Explain(t *Table, r *Request, second int64, a Admission) *Explanation { return nil }
