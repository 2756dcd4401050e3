package statemachine

import (
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
		return fmt.Errorf("generation went back")
	case to.Phase != from.Phase && to.Generation != from.Generation+1:
		return fmt.Errorf("a new phase without a new generation")
	case to.Generation == from.Generation && to.Step != from.Step && (to.Step != from.Step+1 || to.Phase != Ramping):
		return fmt.Errorf("step jumped")
	case to.Generation == from.Generation && to.Step == from.Step && to.Share != from.Share:
		return fmt.Errorf("share changed within a step")
	}
	if move := moveOf(from, e, to); move != "" && !documentedMoves()[move] {
		return fmt.Errorf("move not in doc.go: %s", move)
	}
	return nil
}

// moveOf names what happened to phase and share as the table in doc.go does, empty if nothing.
func moveOf(from State, e Event, to State) string {
	var by string
	switch e := e.(type) {
	case Verdict:
		by = "verdict " + e.Kind.String()
	case StepEvidence:
		by = "evidence " + e.Judgement.String()
	case Order:
		by = "order " + e.Action.String()
	case Tick:
		by = "tick"
	}
	if to.Phase == from.Phase && to.Share == from.Share && by == "verdict recovered" || to.Generation == from.Generation && to.Step == from.Step {
		return "" // an incident closed, or nothing of the automatic state changed
	}
	if to.Phase == from.Phase && to.Phase != Ramping {
		return fmt.Sprintf("%s | %s | %s | anew", from.Phase, by, to.Phase)
	}
	share := to.Share.String()
	if to.Phase == Ramping {
		switch _, verdict := e.(Verdict); {
		case from.Phase == Ramping && to.Generation == from.Generation && to.Share > from.Share:
			share = "up"
		case from.Phase == Ramping && to.Generation == from.Generation:
			share = "down"
		case verdict:
			share = "lowered"
		default:
			share = "first share"
		}
	}
	return fmt.Sprintf("%s | %s | %s | %s", from.Phase, by, to.Phase, share)
}

// legalEffects checks order and content of the effects.
func legalEffects(from State, _ Event, to State, effects []Effect, _ Policy, _ time.Time) error {
	for i, e := range effects {
		switch e := e.(type) {
		case Moved:
			if i != 0 || e.From != from || e.To != to || e.Cause == CauseNone || e.Reason == "" {
				return fmt.Errorf("bad Moved %+v", e)
			}
			if e.Cause != Automation && e.Author == "" {
				return fmt.Errorf("14: a change without author")
			}
		case IncidentOpened:
			if from.Incident != "" || to.Incident != e.Incident.ID || e.Incident.Kind != to.Kind {
				return fmt.Errorf("bad IncidentOpened %+v", e)
			}
		case IncidentChanged:
			if e.ID != from.Incident || to.Incident != from.Incident || e.Kind != to.Kind || e.Answer == "" && to.Answer != "" {
				return fmt.Errorf("bad IncidentChanged %+v", e)
			}
		case IncidentClosed:
			if e.ID != from.Incident || to.Incident != "" {
				return fmt.Errorf("bad IncidentClosed %+v", e)
			}
		case Raised:
			if e.Alert.Incident == "" || e.Alert.Message == "" {
				return fmt.Errorf("bad alert %+v", e)
			}
		}
	}
	if (from.Incident == "" || to.Incident == "" || from.Incident != to.Incident || from.Kind != to.Kind) && from.Incident+to.Incident != "" && len(effects) < 2 {
		return fmt.Errorf("an incident changed without an effect")
	}
	return nil
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
		return fmt.Errorf("incident and kind differ")
	case s.Phase == Disabled && (s.Kind != Cut || s.CoolUntil == 0):
		return fmt.Errorf("DISABLED without a cut or a cool-down")
	case (s.Phase == Healthy) != (s.CutBy == CauseNone) || s.CutBy == Expired:
		return fmt.Errorf("cut by %s in %s", s.CutBy, s.Phase)
	case s.Answer != "" && s.Incident == "":
		return fmt.Errorf("an answer without an incident")
	case s.Off.Set() && s.OnNow.Set():
		return fmt.Errorf("off and on-now at once")
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
			return fmt.Errorf("06: the ramp advanced without evidence of its step, too early, or held")
		}
	case Order: // people may do what they like
	case Verdict, Tick:
		return fmt.Errorf("06: the ramp advanced without evidence")
	}
	return nil
}

// invariant12: an operator's order outranks automation.
func invariant12(from State, e Event, to State, _ []Effect, _ Policy, _ time.Time) error {
	switch e.(type) {
	case Order:
		return nil
	case Tick:
		if from.Suspend.Set() && !to.Suspend.Set() {
			return fmt.Errorf("12: a suspension ended by itself")
		}
		if from.Off != to.Off || from.OnNow != to.OnNow || from.Hold != to.Hold {
			return nil // the order itself ran out
		}
	default:
		if from.Off != to.Off || from.OnNow != to.OnNow || from.Hold != to.Hold || from.Suspend != to.Suspend {
			return fmt.Errorf("12: automation touched an order")
		}
	}
	if from.Held() && (from.Phase != to.Phase || from.Share != to.Share || from.Step != to.Step) {
		return fmt.Errorf("12: automation moved a held scope")
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
	if o, ok := e.(Order); ok && to != from && (o.Action == ActionOn || o.Action == ActionOnNow) {
		w.entries = nil
	}
	if to.Phase != Disabled || from.Phase != Healthy && from.Phase != Ramping {
		return nil
	}
	w.entries = append(w.entries, At(now))
	if n := len(w.entries); n > 2 && w.entries[n-1].Sub(w.entries[n-3]) < oscillationSpan {
		return fmt.Errorf("17: three automatic cuts within ten minutes")
	}
	return nil
}
