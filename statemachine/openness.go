package statemachine

import (
	"maps"
	"slices"
)

// opened is how far one scope lets payments through, and since when, where that is less than wholly.
type opened struct {
	matcher matcher
	share   float64
	changed Instant
}

// openness holds the scopes of a fleet that are not wholly open, by channel; domains under the empty name.
type openness map[string][]opened

// opennessOf gathers what is not wholly open. The cost is that of the states that are not HEALTHY.
func opennessOf(f *Fleet) openness {
	o := openness{}
	for _, s := range slices.SortedFunc(maps.Keys(f.States), Scope.Compare) {
		st := f.States[s]
		phase, share := st.Effective()
		if phase == Healthy {
			continue
		}
		o[s.Channel] = append(o[s.Channel], opened{matchScope(s), share.Fraction(), max(st.StepSince, st.Off.Since, st.Suspend.Since)})
	}
	return o
}

// since lists the scopes that changed after a moment, in no order that matters.
func (o openness) since(moment Instant) (out []matcher) {
	for _, list := range o {
		for i := range list {
			if list[i].changed > moment {
				out = append(out, list[i].matcher)
			}
		}
	}
	return out
}

// of returns the part of its traffic a member may carry: the least of the shares of all scopes that apply, and the last moment
// one of them changed.
func (o openness) of(l *Lane, m *Member) (part float64, changed Instant) {
	part = 1
	for _, list := range [...][]opened{o[m.Channel], o[""]} {
		for i := range list {
			if e := &list[i]; e.matcher.covers(l, m) {
				part, changed = min(part, e.share), max(changed, e.changed)
			}
		}
	}
	return part, changed
}

// matcher is a scope made ready to be compared with many members, without building strings.
type matcher struct {
	scope      Scope
	business   BusinessType
	instrument Instrument
}

func matchScope(s Scope) matcher {
	m := matcher{scope: s}
	switch s.Kind {
	case ScopeBusiness:
		m.business, _ = ParseBusinessType(s.Of) // a malformed scope covers nothing
	case ScopeInstrument:
		m.instrument, _ = ParseInstrument(s.Of)
	case ScopeUnspecified, ScopeDomain, ScopeChannel, ScopeMethod, ScopeAccount:
	}
	return m
}

// covers says whether the scope applies to a member in a lane: the same scopes as Member.Scopes.
func (x *matcher) covers(l *Lane, m *Member) bool {
	if x.scope.Kind == ScopeDomain {
		return slices.Contains(m.Domains, x.scope.Of)
	}
	if x.scope.Channel != m.Channel {
		return false
	}
	switch x.scope.Kind {
	case ScopeChannel:
		return true
	case ScopeBusiness:
		return x.business == l.Business && x.business != BusinessUnspecified
	case ScopeMethod:
		return x.scope.Of == l.Instrument.Method
	case ScopeAccount:
		return x.scope.Of == m.Account
	case ScopeInstrument:
		return x.instrument == l.Instrument
	case ScopeUnspecified, ScopeDomain:
	}
	return false
}

// places is what the guards know of one lane that a scope touches.
type places struct {
	lane          *LaneMembers
	members       []place
	normal        float64 // Σ able
	covered, rest sums    // what is usable now: of the members the scope covers, of the others
}

type sums struct{ flow, able float64 }

// place is one member of such a lane.
type place struct {
	member  *Member
	flow    float64 // part of the lane's payments that comes here when all is well: by weight, else all to the first in rank
	able    float64 // part it can take if need be: its weight; a standby of weight 0 counts as the mean of the others
	part    float64 // of its traffic that its states let through now
	covered bool    // by the scope in question
}

// placesOf lists the lanes in which the scope covers a member that is usable now, in the fleet's order. The cost is one pass
// over lanes × members, a string comparison each, plus the states of the channels met.
func placesOf(f *Fleet, o openness, s Scope) []places {
	x := matchScope(s)
	var out []places
	for i := range f.Lanes {
		l := &f.Lanes[i]
		for j := range l.Members {
			if !x.covers(&l.Lane, &l.Members[j]) {
				continue
			}
			if p := placesIn(l, o, &x); p.anyCoveredUsable() {
				out = append(out, p)
			}
			break
		}
	}
	return out
}

// placesIn fills in one lane; x may cover nothing (the zero matcher).
func placesIn(l *LaneMembers, o openness, x *matcher) places {
	p := places{lane: l, members: make([]place, len(l.Members))}
	weights, weighted := 0.0, 0
	for i := range l.Members {
		if w := l.Members[i].Weight; w > 0 {
			weights += w
			weighted++
		}
	}
	for i := range l.Members {
		m := &l.Members[i]
		q := place{member: m, covered: x.covers(&l.Lane, m)}
		q.part, _ = o.of(&l.Lane, m)
		switch {
		case m.Weight > 0:
			q.flow, q.able = m.Weight/weights, m.Weight
		case weighted > 0:
			q.able = weights / float64(weighted)
		default:
			q.able = 1
			if i == 0 {
				q.flow = 1
			}
		}
		p.members[i] = q
		p.normal += q.able
		side := &p.rest
		if q.covered {
			side = &p.covered
		}
		side.flow += q.flow * q.part
		side.able += q.able * q.part
	}
	return p
}

func (p *places) anyCoveredUsable() bool { return p.covered.able > 0 }

// survives says whether a usable member would be left if everything covered were closed.
func (p *places) survives() bool { return p.rest.able > 0 }

// carried is the part of the lane's demand that goes through the covered members now. Where only standbys are usable, the
// first in rank has it all.
func (p *places) carried() float64 {
	if flow := p.covered.flow + p.rest.flow; flow > 0 {
		return p.covered.flow / flow
	}
	for _, m := range p.members {
		if m.part > 0 {
			if m.covered {
				return 1
			}
			return 0
		}
	}
	return 0
}
