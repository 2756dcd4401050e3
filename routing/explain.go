package routing

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Explanation says why a payment was, or would be, routed as it was. Its String is for people.
type Explanation struct {
	ID         DecisionID
	Revision   Revision
	Second     int64
	Admission  Admission
	Lane       statemachine.Lane // zero if the catalogue has none for the payment
	Route      string            // id of the route that served it; empty where none did
	ValidUntil int64             // Unix milliseconds, 0 if it was refused
	Err        error             // ErrNoTable, *Refusal, *PreviousAttemptError, or nil if a channel was given
	Candidates []ExplainedCandidate
}

// ExplainedCandidate is one candidate of the route and what became of it; the usable ones come first, in order.
type ExplainedCandidate struct {
	Candidate
	Rank   int                // place in the decision, -1 = not usable
	Vetoed bool               // live counters vetoed it
	State  statemachine.State // that weighs most on it; zero if every scope that applies is healthy
	Until  int64              // Unix seconds when it may be usable again, 0 = not known
	Text   string             // one sentence for people

	Strategy string             // that ranked it; empty = none, or it was dropped before
	Decided  string             // criterion of the strategy that decided its place, e.g. "2 success_rate"; empty = none
	Values   []CriterionValue   // what each criterion saw of it, in order
	Score    statemachine.Share // success rate that a criterion used, 0 = none did
}

// Explain makes a decision once more and keeps what Decide throws away: every candidate, beyond max_channels too, and the
// members of the route that have no account of the entity or no such instrument.
func Explain(t *Table, r *Request, second int64, a Admission) *Explanation {
	var d Decision
	err := Decide(t, r, second, a, &d)
	e := &Explanation{ID: d.ID, Revision: d.Revision, Second: second, Admission: d.Admission, Route: d.Route, ValidUntil: d.ValidUntil}
	switch err := err.(type) { //nolint:errorlint // Decide returns them bare; copies outlive the buffer
	case *Refusal:
		refusal := *err
		e.Err = &refusal
	case *PreviousAttemptError:
		previous := *err
		e.Err = &previous
	default:
		e.Err = err
	}
	if t == nil {
		return e
	}
	rk := &d.ranking
	if rk.lane >= 0 {
		e.Lane = t.plan.lanes[rk.lane].Lane
	}
	for i := range d.Candidates {
		e.add(&d, &d.Candidates[i], i)
	}
	rk.beyond(&d, e)
	for i := range d.Dropped {
		e.add(&d, &d.Dropped[i], -1)
	}
	if rk.route >= 0 {
		e.absent(t.plan, rk)
	}
	return e
}

// beyond adds the usable candidates that max_channels left out.
func (rk *Ranking) beyond(d *Decision, e *Explanation) {
	if len(d.Candidates) == 0 {
		return
	}
	rank := 0
	for i := range rk.ranked {
		if i == int(d.Admission.Lifted) || rk.closedBy(i, d.Admission) != DropNone {
			continue
		}
		place := rank
		if d.Admission.Lifted >= 0 {
			place++
		}
		if rank++; place >= len(d.Candidates) {
			c := rk.candidate(&rk.list[i], i)
			e.add(d, &c, place)
		}
	}
}

func (e *Explanation) add(d *Decision, c *Candidate, rank int) {
	x := ExplainedCandidate{Candidate: *c, Rank: rank}
	x.Vetoed = c.Index >= 0 && e.Admission.Vetoed&(1<<c.Index) != 0
	x.State, _ = d.State(c)
	x.standing(&d.ranking)
	if c.Drop != DropNone {
		x.Until = d.table.until(c, e.Second)
	}
	x.Text = x.sentence()
	e.Candidates = append(e.Candidates, x)
}

// absent adds the route's members that are no candidates for the lane.
func (e *Explanation) absent(p *Plan, rk *Ranking) {
	for _, m := range p.routes[rk.route].members {
		ch := &p.channels[m]
		if e.has(ch.id) {
			continue
		}
		c := Candidate{Channel: ch.id, Index: -1, Drop: DropNoAccount, closing: -1, channel: m, account: -1}
		if _, ok := ch.instruments[p.shaped(rk.request.Instrument)]; !ok {
			c.Drop = DropInstrument
		}
		x := ExplainedCandidate{Candidate: c, Rank: -1}
		x.Text = x.sentence()
		e.Candidates = append(e.Candidates, x)
	}
}

func (e *Explanation) has(channel string) bool {
	for i := range e.Candidates {
		if e.Candidates[i].Channel == channel {
			return true
		}
	}
	return false
}

// sentence says in one sentence what became of a candidate.
func (x *ExplainedCandidate) sentence() string {
	var b strings.Builder
	if x.Drop != DropNone {
		b.WriteString(x.Drop.Text())
	} else {
		b.WriteString(x.placed())
	}
	if x.State.Scope != (statemachine.Scope{}) {
		fmt.Fprintf(&b, "; %s is %s", x.State.Scope, stateText(&x.State))
	}
	if x.Until > 0 {
		fmt.Fprintf(&b, "; may be usable from %s", instantText(x.Until))
	}
	return b.String()
}

func (x *ExplainedCandidate) placed() string {
	text := x.placedByRoute()
	if x.Strategy != "" && x.Why != WhyProbe {
		text = x.byStrategy()
		if x.Decided == "" && x.Why != WhyExploration {
			text += "; " + x.placedByRoute()
		}
	}
	return text
}

func (x *ExplainedCandidate) placedByRoute() string {
	switch x.Why {
	case WhyPriority:
		return fmt.Sprintf("priority %d of the route", x.Priority)
	case WhySplit:
		return fmt.Sprintf("drawn by the split of priority %d (hash %016x)", x.Priority, x.Hash)
	case WhyWeight:
		return fmt.Sprintf("drawn by the weights of priority %d (hash %016x)", x.Priority, x.Hash)
	case WhyOriginal:
		return "channel and account of the original payment"
	case WhyProbe:
		return "lifted to first place as a probe"
	case WhyCriterion, WhyExploration: // byStrategy tells
	case WhyNone:
	}
	return "usable"
}

func stateText(s *statemachine.State) string {
	phase, share := s.Effective()
	text := phase.String()
	if phase == statemachine.Ramping {
		text += fmt.Sprintf(" at %g %%", share.Fraction()*100)
	}
	for _, o := range []struct {
		name string
		statemachine.Override
	}{{"suspended", s.Suspend}, {"switched off", s.Off}} {
		if o.Set() {
			return fmt.Sprintf("%s: %s by %s (%s)", text, o.name, o.Author, o.Reason)
		}
	}
	if s.Incident != "" {
		text += ", incident " + s.Incident
	}
	return text
}

func instantText(second int64) string { return time.Unix(second, 0).UTC().Format(time.RFC3339) }

// String renders the explanation, a line a candidate.
func (e *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "decision %s, second %s, table %d/%d\n", e.ID, instantText(e.Second), e.Revision.Epoch, e.Revision.Revision)
	if e.Lane != (statemachine.Lane{}) {
		fmt.Fprintf(&b, "lane %s", e.Lane)
		if e.Route != "" {
			fmt.Fprintf(&b, ", route %s", e.Route)
		}
		b.WriteByte('\n')
	}
	if e.Err != nil {
		fmt.Fprintf(&b, "refused: %v\n", e.Err)
	}
	for i := range e.Candidates {
		x := &e.Candidates[i]
		place := "   -"
		if x.Rank >= 0 {
			place = fmt.Sprintf("%4d", x.Rank+1)
		}
		name := x.Channel
		if x.Account != "" {
			name += " (" + x.Account + ")"
		}
		kind := x.Drop.String()
		if x.Drop == DropNone {
			kind = x.Kind.String()
		}
		fmt.Fprintf(&b, "%s  %s  %s: %s\n", place, name, kind, x.Text)
	}
	return b.String()
}
