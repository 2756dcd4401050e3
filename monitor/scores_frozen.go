package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// incidentSeconds is how far before the closing of a scope its fault may reach: what was learned since is taken back, so that
// the score stays as before the incident.
const incidentSeconds = 60

// follow takes note of states: what is not healthy freezes the items inside it, and what was learned around it in the last
// minute is taken back. While our own side fails, everything is frozen.
func (s *Scorer) follow(f *statemachine.Fleet, ours bool) {
	var closed, fresh []statemachine.Scope
	for scope, st := range f.States {
		if phase, _ := st.Effective(); phase != statemachine.Healthy {
			closed = append(closed, scope)
		}
	}
	slices.SortFunc(closed, statemachine.Scope.Compare)
	if ours == s.ours && slices.Equal(closed, s.closed) {
		return
	}
	for _, scope := range closed {
		if _, known := slices.BinarySearchFunc(s.closed, scope, statemachine.Scope.Compare); !known {
			fresh = append(fresh, scope)
		}
	}
	begins := ours && !s.ours
	s.closed, s.ours = closed, ours
	for _, it := range s.order {
		touched := begins || slices.ContainsFunc(fresh, func(scope statemachine.Scope) bool { return overlap(scope, it.item, f) })
		if touched && !it.frozen {
			s.takeBack(it)
		}
		it.freeze(ours || s.within(it.item, f), s.now)
	}
	for id, c := range s.channels {
		c.freeze(ours || s.within(statemachine.ChannelScope(id), f), s.now)
	}
}

// within reports whether a scope that is not healthy contains the item.
func (s *Scorer) within(item statemachine.Scope, f *statemachine.Fleet) bool {
	return slices.ContainsFunc(s.closed, func(scope statemachine.Scope) bool { return inside(item, scope, f) })
}

// takeBack forgets what an item taught in the last minute, to its channel as well.
func (s *Scorer) takeBack(it *scored) {
	it.rate.age(s.now)
	c := s.channel(it.item.Channel)
	c.rate.age(s.now)
	it.lately.each(s.now-incidentSeconds, func(second int64, good, n float64) {
		it.rate.remove(second, good, n)
		c.rate.remove(second, good, n)
	})
	it.lately = recent{}
}

// freeze holds or releases them; their clock stands still meanwhile.
func (g *grounds) freeze(frozen bool, now int64) {
	if g.frozen && !frozen {
		g.rate.at, g.times.at = now, now
	}
	if frozen {
		g.feedback = slices10{}
	}
	g.frozen = frozen
}

// recent are the results of the last minute or so, in blocks of ten seconds.
type recent struct {
	blocks [incidentSeconds/recentBlock + 2]recentSum
}

const recentBlock = 10 // seconds

// recentSum is one block; its results count as of its first second.
type recentSum struct {
	second  int64 // of its first result
	good, n float64
}

func (r *recent) add(second int64, good, n float64) {
	b := &r.blocks[second/recentBlock%int64(len(r.blocks))]
	if b.second/recentBlock != second/recentBlock {
		*b = recentSum{second: second}
	}
	b.good += good
	b.n += n
}

// each calls do with every block that ends after a second.
func (r *recent) each(after int64, do func(second int64, good, n float64)) {
	for i := range r.blocks {
		if b := &r.blocks[i]; b.n != 0 && b.second+recentBlock > after {
			do(b.second, b.good, b.n)
		}
	}
}
