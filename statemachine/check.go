package statemachine

import (
	"errors"
	"fmt"
	"time"
)

// What may be wrong with an order; each says what to do about it. State.Check wraps them.
var (
	ErrAction        = errors.New("unknown action: want OFF, ON, ON_NOW, HOLD, RELEASE, SUSPEND or LIFT")
	ErrAuthorMissing = errors.New("an order needs an author: say who gives it")
	ErrReasonMissing = errors.New("an order needs a reason: say why, for whoever reads it at night")
	ErrExpiryMissing = errors.New("OFF and ON_NOW end by themselves: give a duration, or use SUSPEND to close without expiry")
	ErrExpiryRange   = errors.New("expiry out of range")
	ErrExpiryNoUse   = errors.New("this action has no expiry: leave the duration out")
	ErrSuspended     = errors.New("the scope is suspended: an approver has to LIFT that first")
	ErrNotSuspended  = errors.New("the scope is not suspended: there is nothing to lift; use ON or RELEASE")
)

// Check says what is wrong with an order on this state, nil if nothing; errors.Is finds each of the errors above. Whether the
// author may give it is the caller's business, and so are the guards.
func (s State) Check(o Order, p Policy, now time.Time) error {
	var errs []error
	if o.Action == ActionNone || o.Action > ActionLift {
		errs = append(errs, ErrAction)
	}
	if o.Author == "" {
		errs = append(errs, ErrAuthorMissing)
	}
	if o.Reason == "" {
		errs = append(errs, ErrReasonMissing)
	}
	errs = append(errs, checkExpiry(o, p, now), s.checkSuspend(o))
	return errors.Join(errs...)
}

func checkExpiry(o Order, p Policy, now time.Time) error {
	switch o.Action {
	case ActionOff, ActionOnNow:
		if o.For == 0 {
			return ErrExpiryMissing
		}
	case ActionHold:
	case ActionOn, ActionRelease, ActionSuspend, ActionLift:
		if o.For != 0 {
			return ErrExpiryNoUse
		}
		return nil
	case ActionNone:
		return nil
	}
	if o.For < 0 || o.For > p.OffMax || o.For > 0 && o.For < time.Second {
		return fmt.Errorf("%w: %s: want 1s to %s, so until %s at the latest", ErrExpiryRange, o.For, p.OffMax,
			now.Add(p.OffMax).UTC().Format(time.RFC3339))
	}
	return nil
}

func (s State) checkSuspend(o Order) error {
	switch {
	case o.Action == ActionLift && !s.Suspend.Set():
		return ErrNotSuspended
	case s.Suspend.Set() && o.Action != ActionLift && o.Action != ActionSuspend:
		return fmt.Errorf("%w (by %s: %s)", ErrSuspended, s.Suspend.Author, s.Suspend.Reason)
	}
	return nil
}
