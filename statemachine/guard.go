package statemachine

import (
	"fmt"
	"slices"
	"time"
)

// budgetSpan is the time the cut budget looks back.
const budgetSpan = time.Minute

// Guard says whether a scope may be closed or lowered, the same for automation and operators; an operator may override a guard
// by naming it. The guards, in this order:
//
//   - LAST_USABLE: in every lane of the catalogue in which the scope covers a usable member, with demand or without, a usable
//     member must be left, also where the covered member was the only one all along. Effective states of all scopes count; a
//     RAMPING member is usable, a PROBING one is not.
//   - CUT_BUDGET (automation, full cuts): at most one cut per instrument and Policy.CutsPerMinute cuts of anything wider in a
//     minute, unless Proposal.Lower reaches Policy.CertainFailure. A failure domain counts as one.
//   - CAPACITY: CapacityHeadroom × the displaced demand of all lanes must fit, in rank order, into what is left of the
//     survivors' pools; in a lane with a survivor whose capacity nobody declared, MinWeightLeft of the normal weight must stay
//     usable. If not, automation is told to Lower to the least share that fits, within MinLowered and MaxLowered.
//
// The cost is one pass over the fleet's lanes and members, and for CAPACITY some twenty passes over the affected ones.
func Guard(f *Fleet, p Proposal, now time.Time) Ruling {
	o := opennessOf(f)
	lanes := placesOf(f, o, p.Scope)
	if r, no := guardLast(lanes, p); no {
		return r
	}
	if r, no := guardBudget(f, p, At(now)); no {
		return r
	}
	return guardCapacity(f, o, lanes, p, At(now))
}

// overridden says whether an operator switched this guard off by name.
func (p Proposal) overridden(guard string) bool {
	return p.Cause == Operator && slices.Contains(p.Overrides, guard)
}

// guardLast names the lane with the most demand among those that would lose their last usable member.
func guardLast(lanes []places, p Proposal) (Ruling, bool) {
	if p.overridden(GuardLastUsable) {
		return Ruling{}, false
	}
	worst, n := -1, 0
	for i := range lanes {
		if lanes[i].survives() {
			continue
		}
		n++
		if worst < 0 || lanes[i].lane.Demand > lanes[worst].lane.Demand {
			worst = i
		}
	}
	if n == 0 {
		return Ruling{}, false
	}
	l := lanes[worst].lane
	return Ruling{Answer: Refuse, Guard: GuardLastUsable, Reason: fmt.Sprintf(
		"nothing else usable would be left for %s (%.3g payments/s)%s", l.Lane, l.Demand, andOthers(n))}, true
}

func guardBudget(f *Fleet, p Proposal, now Instant) (Ruling, bool) {
	policy := f.policyOf(p.Scope)
	if p.Cause == Operator || p.Share > 0 || p.Lower >= policy.CertainFailure {
		return Ruling{}, false
	}
	wide := 0
	for _, c := range f.Recent {
		if c.Scope == p.Scope || now.Sub(c.At) >= budgetSpan {
			continue // the same fault once more, or long ago
		}
		switch {
		case c.Scope.Kind != ScopeInstrument:
			wide++
		case p.Scope.Kind == ScopeInstrument && c.Scope.Of == p.Scope.Of:
			return Ruling{Answer: Refuse, Guard: GuardBudget, Reason: fmt.Sprintf(
				"%s was closed for this instrument less than a minute ago", c.Scope)}, true
		}
	}
	if p.Scope.Kind != ScopeInstrument && wide >= policy.CutsPerMinute {
		return Ruling{Answer: Refuse, Guard: GuardBudget, Reason: fmt.Sprintf(
			"%d scopes wider than an instrument were closed in the last minute, at most %d may be", wide, policy.CutsPerMinute)}, true
	}
	return Ruling{}, false
}

// guardCapacity finds the largest part of the scope's traffic that can leave.
func guardCapacity(f *Fleet, o openness, lanes []places, p Proposal, now Instant) Ruling {
	if p.overridden(GuardCapacity) || len(lanes) == 0 {
		return Ruling{}
	}
	c := newCapacity(f, o, now, f.policyOf(p.Scope))
	share := f.State(p.Scope).shareNow()
	wish := 1 - min(p.Share.Fraction()/share.Fraction(), 1) // the part of what flows now that should leave
	if wish == 0 {
		return Ruling{}
	}
	fits, short := c.fits(lanes, wish)
	if fits {
		return Ruling{}
	}
	least := ShareOf(share.Fraction() * (1 - c.most(lanes, wish)))
	reason := fmt.Sprintf("the others cannot carry %s%s", short.lane.Lane, andOthers(short.lanes))
	if p.Cause == Operator || least > MaxLowered || least >= share {
		return Ruling{Answer: Refuse, Guard: GuardCapacity, Reason: reason}
	}
	return Ruling{Answer: Lower, Guard: GuardCapacity, Share: max(least, MinLowered), Reason: reason}
}

// shareNow is the share that flows, never 0: the parts of a closed scope are not affected by closing it.
func (s State) shareNow() Share {
	if _, share := s.Effective(); share > 0 {
		return share
	}
	return FullShare
}

func (f *Fleet) policyOf(s Scope) Policy { return f.Policy(s.Channel) }

func andOthers(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" and %d more lanes", n-1)
}
