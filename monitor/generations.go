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

// generation is an open-addressed table with linear probing. Key 0 marks a free slot.
type generation[V any] struct {
	keys   []uint64
	values []V
	used   int
	start  int64 // second of the first entry
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

// slot returns where the key is or would be, and whether it is there. The table must have a free slot.
func (g *generation[V]) slot(key uint64) (int, bool) {
	mask := len(g.keys) - 1
	for i := int(key*fingerprint>>32) & mask; ; i = (i + 1) & mask {
		switch g.keys[i] {
		case key:
			return i, true
		case 0:
			return i, false
		}
	}
}

func (g *generation[V]) get(key uint64) (v V, ok bool) {
	if g.used == 0 {
		return v, false
	}
	i, ok := g.slot(key)
	if !ok {
		return v, false
	}
	return g.values[i], true
}

// full reports whether one more entry would make probing slow.
func (g *generation[V]) full() bool { return g.used >= len(g.keys)/4*3 }

func (g *generation[V]) put(key uint64, v V) {
	i, ok := g.slot(key)
	if !ok {
		g.keys[i] = key
		g.used++
	}
	g.values[i] = v
}

// grow doubles the table.
func (g *generation[V]) grow() {
	bigger := generation[V]{start: g.start}
	slots := max(firstSlots, 2*len(g.keys))
	bigger.keys, bigger.values = make([]uint64, slots), make([]V, slots)
	for i, key := range g.keys {
		if key != 0 {
			bigger.put(key, g.values[i])
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
	case g.young.full() && len(g.young.keys) >= g.limit:
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
		clear(g.old.keys)
		g.old.used = 0
	}
	g.young, g.old = g.old, g.young
}
