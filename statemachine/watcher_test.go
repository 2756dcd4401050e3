package statemachine

import (
	"errors"
	"fmt"
	"time"
)

// watcher follows one scope's life and says which rule a step broke. Scenarios, the walk and the fuzz test share it.
type watcher struct {
	cut     map[string]bool // incident + generation that entered DISABLED
	entries []Instant       // automatic entries into DISABLED from HEALTHY or RAMPING since an operator last opened the scope
}

// see checks one step; the error begins with the invariant's number.
func (w *watcher) see(from State, e Event, to State, effects []Effect, p Policy, now time.Time) error {
	if (to == from) != (len(effects) == 0) {
		return fmt.Errorf("effects without change, or a change without effects: %v", effects)
	}
	if to == from {
		return nil
	}
	for _, check := range []func(State, Event, State, []Effect, Policy, time.Time) error{
		legalMove, legalEffects, legalState, invariant06, invariant12, w.invariant01, w.invariant17,
	} {
		if err := check(from, e, to, effects, p, now); err != nil {
			return fmt.Errorf("%w\nfrom %+v\nto   %+v\nby   %+v", err, from, to, e)
		}
	}
	return nil
}

// legalMove checks generations, steps and the doc table.
func legalMove(from State, e Event, to State, _ []Effect, _ Policy, _ time.Time) error {
	switch {
	case to.Generation < from.Generation:
		return errors.New("generation went back")
	case to.Phase != from.Phase && to.Generation != from.Generation+1:
		return errors.New("a new phase without a new generation")
	case to.Generation == from.Generation && to.Step != from.Step && (to.Step != from.Step+1 || to.Phase != Ramping):
		return errors.New("step jumped")
	case to.Generation == from.Generation && to.Step == from.Step && to.Share != from.Share:
		return errors.New("share changed within a step")
	}
	if move := moveOf(from, e, to); move != "" && !documentedMoves()[move] {
		return fmt.Errorf("move not in doc.go: %s", move)
	}
	return nil
}

// moveOf names what happened to phase and share as the table in doc.go does, empty if nothing.
func moveOf(from State, e Event, to State) string {
	by := eventName(e)
	if to.Phase == from.Phase && to.Share == from.Share && by == "verdict recovered" || to.Generation == from.Generation && to.Step == from.Step {
		return "" // an incident closed, or nothing of the automatic state changed
	}
	return fmt.Sprintf("%s | %s | %s | %s", from.Phase, by, to.Phase, shareOf(from, e, to))
}

func eventName(e Event) string {
	switch e := e.(type) {
	case Verdict:
		return "verdict " + e.Kind.String()
	case StepEvidence:
		return "evidence " + e.Judgement.String()
	case Order:
		return "order " + e.Action.String()
	case Tick:
	}
	return "tick"
}

func shareOf(from State, e Event, to State) string {
	switch _, verdict := e.(Verdict); {
	case to.Phase == from.Phase && to.Phase != Ramping:
		return "anew"
	case to.Phase != Ramping:
		return to.Share.String()
	case to.Generation == from.Generation && to.Share > from.Share:
		return "up"
	case to.Generation == from.Generation:
		return "down"
	case verdict:
		return "lowered"
	}
	return "first share"
}

// legalEffects checks order and content of the effects.
func legalEffects(from State, _ Event, to State, effects []Effect, _ Policy, _ time.Time) error {
	incidents := 0
	for i, e := range effects {
		if moved, ok := e.(Moved); ok != (i == 0) || ok && (moved.From != from || moved.To != to) {
			return fmt.Errorf("bad order of effects %+v", effects)
		}
		if !legalEffect(from, to, e) {
			return fmt.Errorf("bad effect %+v", e)
		}
		switch e.(type) {
		case IncidentOpened, IncidentChanged, IncidentClosed:
			incidents++
		case Moved, Raised:
		}
	}
	if changed := from.Incident != to.Incident || from.Kind != to.Kind; incidents > 1 || changed && incidents == 0 {
		return fmt.Errorf("%d effects on incidents", incidents)
	}
	return nil
}

func legalEffect(from, to State, e Effect) bool {
	switch e := e.(type) {
	case Moved: // 14: every change has author and reason
		return e.Reason != "" && e.Cause != CauseNone && (e.Cause == Automation) == (e.Author == "")
	case IncidentOpened:
		return from.Incident == "" && to.Incident == e.Incident.ID && e.Incident.Kind == to.Kind
	case IncidentChanged:
		same := from.Incident == to.Incident && e.ID == to.Incident && e.Kind == to.Kind
		return same && (e.Evidence != nil) == (from.Kind != to.Kind)
	case IncidentClosed:
		return e.ID == from.Incident && to.Incident == ""
	case Raised:
		return e.Alert.Incident != "" && e.Alert.Message != ""
	}
	return false
}

// legalState checks what must always hold of a state.
func legalState(_ State, _ Event, s State, _ []Effect, _ Policy, _ time.Time) error {
	want := map[Phase]bool{
		Healthy: s.Share == FullShare, Disabled: s.Share == 0, Probing: s.Share == 0, Ramping: s.Share > 0 && s.Share <= FullShare,
	}
	switch {
	case !want[s.Phase]:
		return fmt.Errorf("%s with share %s", s.Phase, s.Share)
	case (s.Incident == "") != (s.Kind == KindNone):
		return errors.New("incident and kind differ")
	case s.Phase == Disabled && (s.Kind != Cut || s.CoolUntil == 0):
		return errors.New("DISABLED without a cut or a cool-down")
	case (s.Phase == Healthy) != (s.CutBy == CauseNone) || s.CutBy == Expired:
		return fmt.Errorf("cut by %s in %s", s.CutBy, s.Phase)
	case s.Answer != "" && s.Incident == "":
		return errors.New("an answer without an incident")
	case s.Off.Set() && s.OnNow.Set():
		return errors.New("off and on-now at once")
	}
	return nil
}

// invariant06: a ramp never advances without evidence of that step, nor while held.
func invariant06(from State, e Event, to State, _ []Effect, p Policy, now time.Time) error {
	if from.Phase != Ramping || to.Share <= from.Share && to.Phase != Healthy {
		return nil
	}
	switch e := e.(type) {
	case StepEvidence:
		if e.Judgement != Passed || e.Generation != from.Generation || e.Step != from.Step || e.Answered <= 0 || from.Held() ||
			float64(e.Settled) < p.StepSettled*float64(e.Sent) || At(now).Sub(from.StepSince) < p.Dwell {
			return errors.New("06: the ramp advanced without evidence of its step, too early, or held")
		}
	case Order: // people may do what they like
	case Verdict, Tick:
		return errors.New("06: the ramp advanced without evidence")
	}
	return nil
}

// invariant12: an operator's order outranks automation.
func invariant12(from State, e Event, to State, _ []Effect, _ Policy, _ time.Time) error {
	_, tick := e.(Tick)
	if _, order := e.(Order); order {
		return nil
	}
	if from.Suspend != to.Suspend {
		return errors.New("12: automation touched a suspension")
	}
	if ended := from.Off != to.Off || from.OnNow != to.OnNow || from.Hold != to.Hold; ended && tick {
		return nil // by the order's own expiry
	} else if ended {
		return errors.New("12: automation touched an order")
	}
	if from.Held() && (from.Phase != to.Phase || from.Share != to.Share || from.Step != to.Step) {
		return errors.New("12: automation moved a held scope")
	}
	return nil
}

// invariant01: one (incident, generation) enters DISABLED exactly once, and always with its incident's evidence.
func (w *watcher) invariant01(from State, _ Event, to State, _ []Effect, _ Policy, _ time.Time) error {
	if to.Phase != Disabled || from.Phase == Disabled && from.Generation == to.Generation {
		return nil
	}
	if w.cut == nil {
		w.cut = map[string]bool{}
	}
	key := fmt.Sprint(to.Incident, "/", to.Generation)
	if w.cut[key] {
		return fmt.Errorf("01: entered DISABLED twice: %s", key)
	}
	w.cut[key] = true
	return nil
}

// invariant17: at most two automatic entries into DISABLED from HEALTHY or RAMPING in ten minutes. An operator who opens the
// scope (ON, ON_NOW) begins a new count.
func (w *watcher) invariant17(from State, e Event, to State, _ []Effect, _ Policy, now time.Time) error {
	if opensByOrder(e) && to != from {
		w.entries = nil
	}
	if to.Phase != Disabled || from.Phase != Healthy && from.Phase != Ramping {
		return nil
	}
	w.entries = append(w.entries, At(now))
	if n := len(w.entries); n > 2 && w.entries[n-1].Sub(w.entries[n-3]) < oscillationSpan {
		return errors.New("17: three automatic cuts within ten minutes")
	}
	return nil
}

// opensByOrder says whether an operator opens the scope.
func opensByOrder(e Event) bool {
	o, ok := e.(Order)
	return ok && (o.Action == ActionOn || o.Action == ActionOnNow)
}
