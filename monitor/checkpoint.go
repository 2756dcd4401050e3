package monitor

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Checkpoint returns the windows, packed.
func (w *Windows) Checkpoint() []byte { return w.history.pack() }

// Restore takes back what Checkpoint returned, replacing everything seen so far. On an error, which wraps ErrPacked,
// nothing changes.
func (w *Windows) Restore(b []byte) error {
	h, err := parseHistory(b)
	if err != nil {
		return fmt.Errorf("restore the windows detector: %w", err)
	}
	*w.history = *h
	return nil
}

func (h *History) pack() []byte {
	p := packer{[]byte{packVersion}}
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
	}
	p.uint(uint64(len(h.items)))
	for _, item := range h.Items() {
		s := h.items[item]
		p.scope(item)
		p.int(s.floor)
		p.uint(uint64(len(s.points)))
		for i := range s.points {
			p.int(s.points[i].second)
			p.tally(&s.points[i].tally)
			p.reasons(s.points[i].reasons)
		}
	}
	return p.b
}

func parseHistory(b []byte) (*History, error) {
	u, h := &unpacker{b: b}, NewHistory()
	u.version()
	h.now = u.int()
	h.reporters = unpackList(u, 9, func() seenReporters { return seenReporters{u.int(), u.word()} })
	type marked struct {
		scope statemachine.Scope
		mark
	}
	for _, m := range unpackList(u, 6, func() marked {
		return marked{u.scope(), mark{u.uint(), u.int(), statemachine.Phase(u.byte())}}
	}) {
		h.marks[m.scope] = m.mark
	}
	type named struct {
		item statemachine.Scope
		series
	}
	for _, n := range unpackList(u, 5, func() named {
		return named{u.scope(), series{u.int(), unpackList(u, 4, func() point { return point{u.int(), u.tally(), u.reasons()} })}}
	}) {
		if !slices.IsSortedFunc(n.points, func(a, b point) int { return int(min(1, max(-1, a.second-b.second))) }) {
			u.fail("seconds out of order")
		}
		h.items[n.item] = &n.series
	}
	return h, u.done()
}
