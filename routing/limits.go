package routing

import (
	"math/bits"
	"sync/atomic"
)

// unitPart is the whole of a limit: parts of it are intervals of 0..unitPart.
const unitPart = 1 << 30

// Part is one router's part of a limit: an interval of the whole. The intervals of all routers lie side by side.
type Part struct{ From, To uint32 }

// whole is the part of a lone router.
func whole() Part { return Part{0, unitPart} }

// goldenRatio is the fractional part of the goldenRatio ratio in units of 2^-64: its multiples spread evenly.
const goldenRatio = 0x9E3779B97F4A7C15

// Of returns the router's part of n units in a second. Over routers whose intervals lie side by side and fill the whole, the
// parts add up to exactly n in every second; over time each gets what its interval says, also of a limit of one.
//
// The units are points at k + φ on the line 0..n, with φ of the second, and a router gets those in its interval.
func (p Part) Of(n uint64, second int64) uint64 {
	phase := word(second) * goldenRatio >> 34
	return points(n, uint64(p.To), phase) - points(n, uint64(p.From), phase)
}

// points is how many of the n points lie before a mark.
func points(n, mark, phase uint64) uint64 {
	hi, lo := bits.Mul64(n, mark)
	if hi == 0 && lo <= phase {
		return 0
	}
	lo, borrow := bits.Sub64(lo, phase+1, 0)
	hi -= borrow
	return hi<<34 | lo>>30 + 1
}

// counter is the live state of one bound in one router. It survives table swaps.
type counter struct {
	name    string
	window  atomic.Uint64    // second (32 bits) and payments admitted in it
	parts   [2]atomic.Uint64 // of even and of odd seconds: From<<32 | To
	asked   atomic.Uint32    // since the last drain
	taken   atomic.Int64     // units taken less units given back
	ceiling atomic.Int64     // taken must not exceed it
	spare   atomic.Int64     // of it, what those that yield must leave
	back    atomic.Int64     // units given back so far

	books *limitBooks // what settling and draining keep, under a lock
}

func newCounter(b *bound) *counter {
	c := &counter{name: b.name, books: newLimitBooks()}
	c.part(0, whole())
	c.part(1, whole())
	c.ceiling.Store(b.slots)
	c.spare.Store(b.slots / yielded)
	return c
}

// yielded is the part of a limit, one over it, that payments which yield leave to others.
const yielded = 5

func (c *counter) part(second int64, p Part) {
	c.parts[second&1].Store(uint64(p.From)<<32 | uint64(p.To))
}

// share returns the router's part of a rate in a second.
func (c *counter) share(perSecond uint32, second int64) uint32 {
	w := c.parts[second&1].Load()
	if w == unitPart {
		return perSecond
	}
	return u32(Part{uint32(w >> 32), uint32(w)}.Of(uint64(perSecond), second)) //nolint:gosec // halves of a word
}

// pass counts one payment against a rate, or says no. A payment of a second that is over counts in the newest.
func (c *counter) pass(perSecond uint32, second int64, yields bool) bool {
	for {
		w := c.window.Load()
		at, n := w>>32, uint32(w) //nolint:gosec // half of a word
		if now := word(second) & 0xffffffff; now > at {
			at, n = now, 0
		}
		most := c.share(perSecond, int64(at))
		if yields {
			most -= (most + yielded - 1) / yielded
		}
		if n >= most {
			return false
		}
		if c.window.CompareAndSwap(w, at<<32|uint64(n+1)) {
			return true
		}
	}
}

// unpass takes back what pass counted, unless its second is over.
func (c *counter) unpass(second int64) {
	for {
		w := c.window.Load()
		if w>>32 != word(second)&0xffffffff || uint32(w) == 0 { //nolint:gosec // half of a word
			return
		}
		if c.window.CompareAndSwap(w, w-1) {
			return
		}
	}
}

// hold takes units of the slots, or says no.
func (c *counter) hold(units int64, yields bool) bool {
	most := c.ceiling.Load()
	if yields {
		most -= c.spare.Load()
	}
	for {
		taken := c.taken.Load()
		if taken+units > most {
			return false
		}
		if c.taken.CompareAndSwap(taken, taken+units) {
			return true
		}
	}
}
