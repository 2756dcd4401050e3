package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Revision orders tables: the greater (Epoch, Revision) is newer.
type Revision struct {
	Epoch    uint64
	Revision int64 // of the ledger's head
}

// Newer reports whether r is newer than o.
func (r Revision) Newer(o Revision) bool {
	return r.Epoch > o.Epoch || r.Epoch == o.Epoch && r.Revision > o.Revision
}

// Scores are the published scores of items, sorted by item.
type Scores struct {
	Scores []Score
	Second int64 // Unix, the newest whose results went in; 0 = not known
}

// Score is what is known about one item. Success rate, deviation, samples, feedback and result time of a candidate are those of
// its most specific item that has them: channel × instrument, then method, business type, channel. Headroom, commitment and
// quota are those of the channel, or of the account where there is less left.
type Score struct {
	Item             statemachine.Scope
	SuccessRate      statemachine.Share // user declines excluded; not known where it and Samples are 0
	Deviation        statemachine.Share // what exploration draws the success rate with: a part of its standard error
	Samples          uint32             // results behind the success rate, older ones discounted
	Feedback         uint32             // 10,000 = no negative feedback; not known where the success rate is not
	Headroom         statemachine.Share // capacity left of the declared capacity; FullShare where none is declared
	QuotaLeft        statemachine.Share // part of the quota that is left; FullShare where it has none
	Commitment       statemachine.Share // how far behind its minimum commitment; 0 where it has none
	ResultTimeMillis uint32             // learned 90th percentile of the time until results come back; 0 = not known
	Frozen           bool               // kept as before an incident
}

// Table is a plan with the states and scores of one revision. It is immutable.
type Table struct {
	plan   *Plan
	rev    Revision
	scores *Scores
	scored *scored              // by the plan's strategies, nil without
	states []statemachine.State // of scopes the plan knows, sorted

	hot   []hotScope // scopes that are not healthy, sorted
	marks marks      // of the hot scopes, by channel
	known knownMarks // of all states, by channel
}

// hotScope is one scope that routers do not treat as healthy.
type hotScope struct {
	scope      statemachine.Scope
	state      int32 // index in Table.states
	phase      statemachine.Phase
	share      statemachine.Share
	generation uint64
	step       uint32
}

// place says which of the items of a candidate a scope is compared with.
type place uint8

// The places, in the order of Attribution.Items.
const (
	placeChannel place = iota
	placeBusiness
	placeMethod
	placeAccount
	placeInstrument
	numPlaces
	placeDomain = numPlaces // applies to every candidate of the channel
)

// mark says that a hot scope applies to a channel, or to a part of it.
type mark struct {
	item  int32 // -1 for a domain
	hot   int32
	place place
}

// marks are grouped by channel: those of channel c are list[first[c]:first[c+1]]. first is nil if there are none.
type marks struct {
	first []int32
	list  []mark
}

func (m *marks) of(channel int32) []mark {
	if m.first == nil {
		return nil
	}
	return m.list[m.first[channel]:m.first[channel+1]]
}

// knownMark is what the attribution of a report needs of a state.
type knownMark struct {
	item  int32 // -1 for a domain
	place place
	phase statemachine.Phase // effective
	after int64
}

// knownMarks are grouped as marks are.
type knownMarks struct {
	first []int32
	list  []knownMark
}

func (m *knownMarks) of(channel int32) []knownMark {
	if m.first == nil {
		return nil
	}
	return m.list[m.first[channel]:m.first[channel+1]]
}

// Table makes the table of one revision: one per state change, so it is cheap. States of scopes the plan does not know have
// no effect. The slices are kept: they must not be changed afterwards.
func (p *Plan) Table(rev Revision, states []statemachine.State, sc *Scores) *Table {
	t := &Table{plan: p, rev: rev, scores: sc, scored: p.scoredBy(sc)}
	t.states = p.knownStates(states)
	for i := range t.states {
		if phase, share := t.states[i].Effective(); phase != statemachine.Healthy {
			s := &t.states[i]
			t.hot = append(t.hot, hotScope{s.Scope, int32(i), phase, share, s.Generation, s.Step})
		}
	}
	t.markHot()
	t.markKnown()
	return t
}

// knownStates returns the states sorted and without unknown scopes; the slice itself if it is so already.
func (p *Plan) knownStates(states []statemachine.State) []statemachine.State {
	order := func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) }
	unknown := func(s statemachine.State) bool { return !p.Has(s.Scope) }
	sorted := slices.IsSortedFunc(states, order)
	if sorted && !slices.ContainsFunc(states, unknown) {
		return states
	}
	out := slices.DeleteFunc(slices.Clone(states), unknown)
	slices.SortStableFunc(out, order)
	return out
}

// reach calls do for every channel a scope applies to.
func (p *Plan) reach(s statemachine.Scope, do func(channel int32)) {
	if s.Kind != statemachine.ScopeDomain {
		do(p.channelOf[s.Channel])
		return
	}
	for _, c := range p.domainChannels[p.domainOf[s.Of]] {
		do(c)
	}
}

// placeOf returns the item of a scope and where it stands among the items of a candidate.
func (p *Plan) placeOf(s statemachine.Scope) (int32, place) {
	switch s.Kind {
	case statemachine.ScopeChannel:
		return p.itemOf[s], placeChannel
	case statemachine.ScopeBusiness:
		return p.itemOf[s], placeBusiness
	case statemachine.ScopeMethod:
		return p.itemOf[s], placeMethod
	case statemachine.ScopeAccount:
		return p.itemOf[s], placeAccount
	case statemachine.ScopeInstrument:
		return p.itemOf[s], placeInstrument
	case statemachine.ScopeDomain, statemachine.ScopeUnspecified:
	}
	return -1, placeDomain
}

func (t *Table) markHot() {
	if len(t.hot) == 0 {
		return
	}
	first := make([]int32, len(t.plan.channels)+1)
	for i := range t.hot {
		t.plan.reach(t.hot[i].scope, func(c int32) { first[c+1]++ })
	}
	next := sums(first)
	list := make([]mark, first[len(first)-1])
	for i := range t.hot {
		item, at := t.plan.placeOf(t.hot[i].scope)
		t.plan.reach(t.hot[i].scope, func(c int32) {
			list[next[c]] = mark{item: item, hot: i32(i), place: at}
			next[c]++
		})
	}
	t.marks = marks{first, list}
}

func (t *Table) markKnown() {
	if len(t.states) == 0 {
		return
	}
	first := make([]int32, len(t.plan.channels)+1)
	for i := range t.states {
		t.plan.reach(t.states[i].Scope, func(c int32) { first[c+1]++ })
	}
	next := sums(first)
	list := make([]knownMark, first[len(first)-1])
	for i := range t.states {
		s := &t.states[i]
		phase, _ := s.Effective()
		item, at := t.plan.placeOf(s.Scope)
		t.plan.reach(s.Scope, func(c int32) {
			list[next[c]] = knownMark{item: item, place: at, phase: phase, after: s.After}
			next[c]++
		})
	}
	t.known = knownMarks{first, list}
}

// sums turns counts into positions in place and returns a copy to count up from.
func sums(first []int32) []int32 {
	for i := 1; i < len(first); i++ {
		first[i] += first[i-1]
	}
	return slices.Clone(first)
}

// Plan returns the table's plan.
func (t *Table) Plan() *Plan { return t.plan }

// Revision returns the table's revision.
func (t *Table) Revision() Revision { return t.rev }

// Scores returns the table's scores, nil if it has none.
func (t *Table) Scores() *Scores { return t.scores }

// States returns the states of all scopes the plan knows, sorted by scope. The slice must not be changed.
func (t *Table) States() []statemachine.State { return t.states }

// State returns the state of a scope; NewState for one that was never touched or is unknown.
func (t *Table) State(s statemachine.Scope) statemachine.State {
	i, ok := slices.BinarySearchFunc(t.states, s, func(st statemachine.State, s statemachine.Scope) int { return st.Scope.Compare(s) })
	if !ok {
		return statemachine.NewState(s)
	}
	return t.states[i]
}

// Places of a candidate's items: channel, business type, method, account, instrument; -1 where a payment names none.
type places [numPlaces]int32

// maxDomains is the most failure domains of a channel, maxHot the most hot scopes that can apply to one candidate.
const (
	maxDomains = 16
	maxHot     = int(numPlaces) + maxDomains
)

// hotOf appends the hot scopes that apply to a candidate, in scope order.
func (t *Table) hotOf(channel int32, at *places, buf []int32) []int32 {
	for _, m := range t.marks.of(channel) {
		if m.place == placeDomain || at[m.place] == m.item {
			if len(buf) == cap(buf) {
				break
			}
			buf = append(buf, m.hot)
		}
	}
	return buf
}

// closed returns the state that weighs most on a candidate: its phase and the index of the hot scope, -1 if all are healthy.
func (t *Table) closed(channel int32, at *places) (statemachine.Phase, int32) {
	phase, hot := statemachine.Healthy, int32(-1)
	for _, m := range t.marks.of(channel) {
		if m.place != placeDomain && at[m.place] != m.item {
			continue
		}
		if p := t.hot[m.hot].phase; hot < 0 || strength(p) > strength(phase) {
			phase, hot = p, m.hot
		}
	}
	return phase, hot
}

// strength orders phases by how much they close.
func strength(p statemachine.Phase) int {
	switch p {
	case statemachine.Disabled:
		return 3
	case statemachine.Probing:
		return 2
	case statemachine.Ramping:
		return 1
	case statemachine.Healthy:
	}
	return 0
}

// kindOf is the lane kind of a phase. A disabled scope only sees queries, and they are probes of it.
func kindOf(p statemachine.Phase) statemachine.LaneKind {
	switch p {
	case statemachine.Ramping:
		return statemachine.KindRamp
	case statemachine.Probing, statemachine.Disabled:
		return statemachine.KindProbe
	case statemachine.Healthy:
	}
	return statemachine.KindNormal
}
