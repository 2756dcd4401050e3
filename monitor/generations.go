package monitor

import "math"

// generations is a bounded hash table of fingerprints in two generations: entries go into the young one; when that is
// full or older than the window, it becomes the old one and the former old one is dropped as a whole. Nothing is
// allocated once both generations have reached their size.
type generations[V any] struct {
	young, old generation[V]
	limit      int   // most slots of a generation, a power of two
	window     int64 // seconds after which a generation is replaced although it is not full
	complete   int64 // everything put in at this second or later is still there
}

// generation is an open-addressed table with linear probing.
type generation[V any] struct {
	slots []slot[V]
	used  int
	start int64 // second of the first entry
}

// slot holds key and value side by side: one access to memory finds both. Key 0 marks a free slot.
type slot[V any] struct {
	key   uint64
	value V
}

const (
	firstSlots  = 1 << 10
	fingerprint = 0x9E3779B97F4A7C15 // odd multiplier that spreads keys over the slots
)

func newGenerations[V any](limit int, window int64) *generations[V] {
	slots := firstSlots
	for slots < limit {
		slots *= 2
	}
	return &generations[V]{limit: slots, window: max(1, window), complete: math.MinInt64}
}

// find returns the slot where the key is or would be. The table must have a free slot. The low 16 bits of a key do not
// move it: keys that differ in them alone lie side by side.
func (g *generation[V]) find(key uint64) *slot[V] {
	mask := len(g.slots) - 1
	for i := int((key >> 16) * fingerprint >> 32); ; i++ {
		if s := &g.slots[i&mask]; s.key == key || s.key == 0 {
			return s
		}
	}
}

func (g *generation[V]) get(key uint64) (v V, ok bool) {
	if g.used == 0 {
		return v, false
	}
	s := g.find(key)
	return s.value, s.key != 0
}

// full reports whether one more entry would make probing slow.
func (g *generation[V]) full() bool { return g.used >= len(g.slots)/4*3 }

func (g *generation[V]) put(key uint64, v V) {
	s := g.find(key)
	if s.key == 0 {
		s.key = key
		g.used++
	}
	s.value = v
}

// grow doubles the table.
func (g *generation[V]) grow() {
	bigger := generation[V]{start: g.start, slots: make([]slot[V], max(firstSlots, 2*len(g.slots)))}
	for _, s := range g.slots {
		if s.key != 0 {
			bigger.put(s.key, s.value)
		}
	}
	*g = bigger
}

// get returns the newest value of the key.
func (g *generations[V]) get(key uint64) (V, bool) {
	key = max(key, 1)
	if v, ok := g.young.get(key); ok {
		return v, true
	}
	return g.old.get(key)
}

// put stores the value in the young generation.
func (g *generations[V]) put(key uint64, v V, second int64) {
	key = max(key, 1)
	switch {
	case g.young.used > 0 && second-g.young.start >= g.window:
		g.rotate()
	case g.young.full() && len(g.young.slots) >= g.limit:
		g.rotate()
	}
	if g.young.full() {
		g.young.grow()
	}
	if g.young.used == 0 {
		g.young.start = second
	}
	g.young.put(key, v)
}

// rotate drops the old generation and starts a new young one in its memory.
func (g *generations[V]) rotate() {
	if g.old.used > 0 {
		g.complete = g.young.start + 1 // earlier entries of that second may have been dropped
		clear(g.old.slots)
		g.old.used = 0
	}
	g.young, g.old = g.old, g.young
}
