package statemachine

// expire ends the overrides whose time is over, by the clock of whoever leads. It works whatever else holds the scope.
func (t *turn) expire() bool {
	ended := func(o Override) bool { return o.Set() && o.Until != 0 && t.now >= o.Until }
	switch s := t.from; {
	case ended(s.Off):
		t.expired(s.Off, "OFF")
		t.releaseOff()
	case ended(s.OnNow):
		t.expired(s.OnNow, "ON_NOW")
		t.releaseOnNow()
	case ended(s.Hold):
		t.expired(s.Hold, "HOLD")
		t.to.Hold = Override{}
	default:
		return false
	}
	return true
}

func (t *turn) expired(o Override, what string) {
	t.cause, t.author = Expired, o.Author
	t.reason = what + " ran out: " + o.Reason
}

// releaseOff opens again what was closed by order: never at once, always through probes.
func (t *turn) releaseOff() {
	t.to.Off, t.to.OnNow = Override{}, Override{}
	t.move(Probing, 0)
}

// releaseOnNow gives a scope opened by force back to automation as it is: open, on probation. Closing it without evidence
// would be a cut that no guard was asked about.
func (t *turn) releaseOnNow() {
	t.to.OnNow = Override{}
	t.to.Probation = t.now.Add(t.policy.Probation)
}

// order carries out what an operator wants. While suspended only LIFT and a new SUSPEND do anything.
func (t *turn) order(o Order) {
	t.cause, t.author, t.reason = Operator, o.Author, o.Reason
	if t.from.Suspend.Set() && o.Action != ActionLift && o.Action != ActionSuspend {
		return
	}
	switch o.Action {
	case ActionOff:
		t.to.OnNow = Override{} // the newer of the two overrides stands
		t.to.Off = t.override(t.from.Off, o)
	case ActionOn:
		t.on(o)
	case ActionOnNow:
		t.onNow(o)
	case ActionHold:
		t.to.Hold = t.override(t.from.Hold, o)
	case ActionRelease:
		t.release()
	case ActionSuspend:
		t.to.Suspend = t.override(t.from.Suspend, o)
	case ActionLift:
		if t.from.Suspend.Set() {
			t.to.Suspend = Override{}
			t.move(Probing, 0)
		}
	case ActionNone:
	}
}

// override is the order as it lies over the state; repeating it keeps its beginning. OFF and ON_NOW always end.
func (t *turn) override(old Override, o Order) Override {
	next := Override{Author: o.Author, Reason: o.Reason, Since: max(t.now, 1)}
	if old.Set() {
		next.Since = old.Since
	}
	switch o.Action {
	case ActionOff, ActionOnNow:
		d := o.For
		if d <= 0 || d > t.policy.OffMax {
			d = t.policy.OffMax
		}
		next.Until = t.now.Add(d)
	case ActionHold:
		if o.For > 0 {
			next.Until = t.now.Add(min(o.For, t.policy.OffMax))
		}
	case ActionNone, ActionOn, ActionRelease, ActionSuspend, ActionLift:
	}
	return next
}

// on opens a closed scope through the ramp and gives it back to automation. An open or ramping one keeps its share.
func (t *turn) on(o Order) {
	phase, _ := t.from.Effective()
	t.to.Off, t.to.Hold = Override{}, Override{}
	if t.from.OnNow.Set() {
		t.releaseOnNow()
	}
	if phase == Disabled || phase == Probing {
		t.move(Ramping, t.policy.firstShare(o.PerSecond, o.Routers))
	}
}

// onNow opens the scope wholly, whatever automation thinks. The history of cuts is forgotten, an open incident is not.
func (t *turn) onNow(o Order) {
	if t.from.Phase != Healthy {
		t.move(Healthy, FullShare)
	}
	t.to.Off = Override{}
	t.to.Cuts = [2]Instant{}
	t.to.OnNow = t.override(t.from.OnNow, o)
}

// release takes off, on-now and hold away.
func (t *turn) release() {
	t.to.Hold = Override{}
	if t.from.OnNow.Set() {
		t.releaseOnNow()
	}
	if t.from.Off.Set() {
		t.releaseOff()
	}
}
