package monitor

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// checkpointVersion is the second byte of a checkpoint. It changes with the layout.
const checkpointVersion = 5

// newCheckpoint begins a checkpoint, or a part of one.
func newCheckpoint() packer { return packer{[]byte{packVersion, checkpointVersion}} }

// checkpoint takes what newCheckpoint began with.
func (u *unpacker) checkpoint() {
	u.version()
	if v := u.byte(); v != checkpointVersion {
		u.fail(fmt.Sprintf("checkpoint layout %d, want %d", v, checkpointVersion))
	}
}

func (h *History) pack() []byte {
	p := newCheckpoint()
	p.int(h.now)
	p.uint(uint64(len(h.reporters)))
	for _, s := range h.reporters {
		p.int(s.second)
		p.word(s.bitmap)
	}
	p.uint(uint64(len(h.marks)))
	for _, scope := range slices.SortedFunc(maps.Keys(h.marks), statemachine.Scope.Compare) {
		m := h.marks[scope]
		p.scope(scope)
		p.uint(m.generation)
		p.int(m.after)
		p.b = append(p.b, byte(m.phase))
		p.uint(uint64(m.lowered))
	}
	p.uint(uint64(len(h.order)))
	for _, s := range h.order {
		p.scope(s.item)
		p.int(s.floor)
		p.bool(s.open)
		p.b = append(p.b, byte(s.kind))
		s.track.pack(&p)
		p.uint(uint64(len(s.points)))
		for i := range s.points {
			p.int(s.points[i].second)
			p.tally(&s.points[i].tally)
			p.reasons(s.points[i].reasons)
		}
	}
	return p.b
}

func parseHistory(b []byte, x *expectation) (*History, error) {
	u, h := &unpacker{b: b}, newHistory(x)
	u.checkpoint()
	h.waking.everyone = true
	h.now = u.int()
	h.reporters = unpackList(u, 9, func() seenReporters { return seenReporters{u.int(), u.word()} })
	type marked struct {
		scope statemachine.Scope
		mark
	}
	for _, m := range unpackList(u, 7, func() marked {
		return marked{u.scope(), mark{u.uint(), u.int(), statemachine.Phase(u.byte()), statemachine.Share(min(u.uint(), uint64(statemachine.FullShare)))}}
	}) {
		h.marks[m.scope] = m.mark
	}
	for _, s := range unpackList(u, 5, func() *series { return parseSeries(u, x) }) {
		if n := len(h.order); n > 0 && h.order[n-1].item.Compare(s.item) >= 0 {
			u.fail("items out of order")
		}
		h.items[s.item] = s
		h.order = append(h.order, s)
	}
	return h, u.done()
}

func parseSeries(u *unpacker, x *expectation) *series {
	s := &series{item: u.scope(), floor: u.int(), open: u.bool(), kind: statemachine.LaneKind(u.byte())}
	if s.kind >= statemachine.NumLaneKinds {
		u.fail("unknown lane kind")
		s.kind = 0
	}
	s.track.expects = x
	s.track.parse(u)
	s.points = unpackList(u, 4, func() point { return point{u.int(), u.tally(), u.reasons()} })
	if !slices.IsSortedFunc(s.points, func(a, b point) int { return cmp.Compare(a.second, b.second) }) {
		u.fail("seconds out of order")
	}
	return s
}

// numbers are the floats of a track that a checkpoint keeps; what follows from them is computed anew.
func (t *track) numbers() []*float64 {
	b := &t.base
	all := []*float64{
		&b.n, &b.bad, &b.run.n, &b.run.bad, &b.pending.n, &b.pending.bad, &b.hour,
		&b.spread.square, &b.spread.chance, &b.spread.mean, &b.spread.doubt, &b.spread.minutes,
		&t.prior, &t.threshold, &t.traffic.results, &t.traffic.active, &t.traffic.seconds, &t.traffic.rate,
	}
	for i := range designs {
		all = append(all, &t.sr[i], &t.w[i])
	}
	return all
}

func (t *track) times() []*int64 {
	all := []*int64{&t.base.hourEnds, &t.crossed, &t.ended, &t.well}
	for i := range designs {
		all = append(all, &t.since[i])
	}
	return all
}

func (t *track) pack(p *packer) {
	for _, x := range t.numbers() {
		p.word(math.Float64bits(*x))
	}
	for _, x := range t.times() {
		p.int(*x)
	}
}

func (t *track) parse(u *unpacker) {
	for _, x := range t.numbers() {
		if *x = math.Float64frombits(u.word()); math.IsNaN(*x) || math.IsInf(*x, 0) || *x < 0 {
			u.fail("a number out of range")
			*x = 0
		}
	}
	for _, x := range t.times() {
		*x = u.int()
	}
	t.aim(min(100, max(thresholdMin, t.threshold)))
	t.tune(min(1, t.prior))
}
