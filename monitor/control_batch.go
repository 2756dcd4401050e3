package monitor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// maxReason keeps the summary of a batch readable; each move has its own reason in full.
const maxReason = 500

// ScopeRuling is what the guard said about one scope.
type ScopeRuling struct {
	Scope  statemachine.Scope
	Ruling statemachine.Ruling
}

// batch is one change in the making: scopes are stepped one after another, each seeing what the earlier ones did.
type batch struct {
	base      *View
	fleet     *statemachine.Fleet // our copy, with the states of base and of this batch
	now       time.Time
	states    []statemachine.Scope // changed, in order
	moves     []Move
	incidents []statemachine.Incident // opened, changed or closed
	alerts    []statemachine.Alert
	rulings   []ScopeRuling
	unfounded []statemachine.Scope
	shared    bool // the fleet's states are not ours yet
}

func newBatch(base *View, fleet *statemachine.Fleet, now time.Time) *batch {
	if fleet == nil {
		fleet = &statemachine.Fleet{Default: statemachine.DefaultPolicy()}
	}
	own := *fleet
	own.States = base.StatesByScope()
	own.Recent = RecentCuts(base, now)
	return &batch{base: base, fleet: &own, now: now}
}

// batch is newBatch for the calls that mostly change nothing: they share the states of the view until the first change.
func (c *Control) batch(base *View, fleet *statemachine.Fleet, now time.Time) *batch {
	if c.states == nil || c.statesOf != base {
		c.states, c.statesOf = base.StatesByScope(), base
	}
	own := statemachine.Fleet{Default: statemachine.DefaultPolicy()}
	if fleet != nil {
		own = *fleet
	}
	own.States, own.Recent = c.states, RecentCuts(base, now)
	return &batch{base: base, fleet: &own, now: now, shared: true}
}

// step applies one event to one scope and reports whether anything changed.
func (b *batch) step(scope statemachine.Scope, event statemachine.Event) bool {
	from := b.fleet.State(scope)
	to, effects := statemachine.Step(from, b.ruled(from, event), b.fleet.Policy(scope.Channel), b.now)
	if len(effects) == 0 {
		return false
	}
	if unfounded(effects) {
		b.unfounded = append(b.unfounded, scope)
		return false
	}
	to = to.Rebased(from, b.base.Revision)
	if b.shared {
		b.fleet.States, b.shared = maps.Clone(b.fleet.States), false
	}
	b.fleet.States[scope] = to
	if !slices.Contains(b.states, scope) {
		b.states = append(b.states, scope)
	}
	if to.Cuts[0] != from.Cuts[0] && to.Cuts[0] != 0 {
		b.fleet.Recent = append(b.fleet.Recent, statemachine.RecentCut{Scope: scope, At: to.Cuts[0]})
	}
	for _, effect := range effects {
		b.effect(from, to, effect)
	}
	b.moves[len(b.moves)-1].Evidence = evidenceOf(effects)
	return true
}

// evidenceOf is what a move rests on, nil where an incident of the same step holds it or nothing was needed.
func evidenceOf(effects []statemachine.Effect) *statemachine.Evidence {
	var evidence *statemachine.Evidence
	for _, effect := range effects {
		switch e := effect.(type) {
		case statemachine.Moved:
			if e.Evidence.Answered > 0 {
				evidence = &e.Evidence
			}
		case statemachine.IncidentOpened:
			return nil
		case statemachine.IncidentChanged:
			if e.Evidence != nil {
				return nil
			}
		case statemachine.IncidentClosed, statemachine.Raised:
		}
	}
	return evidence
}

// unfounded says whether automation would close or lower a scope on no evidence at all.
func unfounded(effects []statemachine.Effect) bool {
	moved, ok := effects[0].(statemachine.Moved)
	if !ok || moved.Cause != statemachine.Automation || moved.Evidence.Answered > 0 {
		return false
	}
	_, before := moved.From.Effective()
	phase, after := moved.To.Effective()
	return after < before && phase != statemachine.Probing
}

func (b *batch) effect(from, to statemachine.State, effect statemachine.Effect) {
	switch e := effect.(type) {
	case statemachine.Moved:
		b.moves = append(b.moves, Move{Before: from, After: to, Cause: e.Cause, Reason: e.Reason})
	case statemachine.IncidentOpened:
		b.keep(e.Incident)
	case statemachine.IncidentChanged:
		b.keep(e.Apply(b.incident(e.ID, to.Scope)))
	case statemachine.IncidentClosed:
		i := b.incident(e.ID, to.Scope)
		i.Closed = e.At
		b.keep(i)
	case statemachine.Raised:
		b.alerts = append(b.alerts, e.Alert)
	}
}

// incident returns an incident as this batch left it, else as it is stored.
func (b *batch) incident(id string, scope statemachine.Scope) statemachine.Incident {
	for _, list := range [][]statemachine.Incident{b.incidents, b.base.Incidents} {
		for _, i := range list {
			if i.ID == id {
				return i
			}
		}
	}
	return statemachine.Incident{ID: id, Scope: scope, Opened: statemachine.At(b.now)}
}

func (b *batch) keep(i statemachine.Incident) {
	for at := range b.incidents {
		if b.incidents[at].ID == i.ID {
			b.incidents[at] = i
			return
		}
	}
	b.incidents = append(b.incidents, i)
}

// ruled asks the guard about events that may close or lower a scope and puts the ruling in. A ruling that refuses already (common mode,
// single reporter) stands. Where no gate would be closed the guard is not asked: states that are held, closed or probing.
func (b *batch) ruled(s statemachine.State, event statemachine.Event) statemachine.Event {
	open := s.Phase == statemachine.Healthy || s.Phase == statemachine.Ramping
	if s.Held() || !open {
		return event
	}
	switch e := event.(type) {
	case statemachine.Verdict:
		switch {
		case e.Ruling.Answer == statemachine.Refuse:
		case e.Kind == statemachine.Failing:
			e.Ruling = b.ask(s.Scope, 0, e.Evidence.Lower)
		case e.Kind == statemachine.MildlyFailing: // half of the share is to leave, and has to find room, too
			e.Ruling = b.ask(s.Scope, max(s.Share/2, statemachine.MinLowered), e.Evidence.Lower)
		}
		return e
	case statemachine.StepEvidence:
		if e.Judgement == statemachine.Failed && s.Phase == statemachine.Ramping && e.Generation == s.Generation && e.Step == s.Step &&
			e.Ruling.Answer != statemachine.Refuse {
			e.Ruling = b.ask(s.Scope, 0, e.Evidence.Lower)
		}
		return e
	case statemachine.Tick, statemachine.Order:
	}
	return event
}

func (b *batch) ask(scope statemachine.Scope, share statemachine.Share, lower float64) statemachine.Ruling {
	p := statemachine.Proposal{Scope: scope, Share: share, Cause: statemachine.Automation, Lower: lower}
	r := statemachine.Guard(b.fleet, p, b.now)
	b.rulings = append(b.rulings, ScopeRuling{Scope: scope, Ruling: r})
	return r
}

// change is the batch as one transaction.
func (b *batch) change(author string, fenced bool) Change {
	slices.SortFunc(b.states, statemachine.Scope.Compare)
	slices.SortStableFunc(b.moves, func(x, y Move) int { return x.After.Scope.Compare(y.After.Scope) })
	c := Change{
		Base:      b.base.Revision,
		Fenced:    fenced,
		Incidents: b.incidents,
		Entry: JournalEntry{
			At: statemachine.At(b.now), Cause: b.cause(), Author: author, Reason: b.reason(),
			Moves: b.moves, Incidents: b.incidents, Alerts: b.alerts,
		},
	}
	for _, s := range b.states {
		c.States = append(c.States, b.fleet.States[s])
	}
	return c
}

// cause is automation's if it moved anything, else that of the first move.
func (b *batch) cause() statemachine.Cause {
	for i := range b.moves {
		if b.moves[i].Cause == statemachine.Automation {
			return statemachine.Automation
		}
	}
	if len(b.moves) > 0 {
		return b.moves[0].Cause
	}
	return statemachine.CauseNone
}

// reason is the move's, or all of them with their scopes.
func (b *batch) reason() string {
	if len(b.moves) == 1 {
		return b.moves[0].Reason
	}
	parts := make([]string, len(b.moves))
	for i := range b.moves {
		parts[i] = b.moves[i].After.Scope.String() + ": " + b.moves[i].Reason
	}
	return clip(fmt.Sprintf("%d moves: %s", len(parts), strings.Join(parts, "; ")))
}

// clip shortens a text to maxReason bytes, at a rune's boundary.
func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason-len("…")], "") + "…"
}

// ticking lists the scopes for which the passing of time may mean something, sorted.
func (b *batch) ticking() []statemachine.Scope {
	var out []statemachine.Scope
	for i := range b.base.States {
		s := &b.base.States[i]
		if s.Phase != statemachine.Healthy || s.Incident != "" || s.Held() {
			out = append(out, s.Scope)
		}
	}
	return out
}

// together merges two lists of scopes, sorted and without repeats.
func together(a []statemachine.Scope, more map[statemachine.Scope][]proposal) []statemachine.Scope {
	all := slices.AppendSeq(slices.Clone(a), maps.Keys(more))
	slices.SortFunc(all, statemachine.Scope.Compare)
	return slices.Compact(all)
}
