package routing

import "github.com/sluice-pay/sluice/statemachine"

// laneIndex finds lanes by hash: a lane's key has four strings, and hashing them as one run of bytes is what makes Decide
// fast.
type laneIndex struct {
	mask  uint64
	cells []indexCell
}

// indexCell is one cell of an open-addressing index that is at most half full.
type indexCell struct {
	check uint32 // high bits of the hash
	entry int32  // plus one, 0 = empty
}

func newCells(n int) (mask uint64, cells []indexCell) {
	size := uint64(8)
	for size < 2*word(int64(n)) {
		size *= 2
	}
	return size - 1, make([]indexCell, size)
}

// put adds an entry, given plus one.
func put(cells []indexCell, mask, hash uint64, entry int32) {
	at := hash & mask
	for cells[at].entry != 0 {
		at = (at + 1) & mask
	}
	cells[at] = indexCell{check: uint32(hash >> 32), entry: entry}
}

func newLaneIndex(lanes []lane) laneIndex {
	var x laneIndex
	x.mask, x.cells = newCells(len(lanes))
	var s scratch
	for i := range lanes {
		s.n = 0
		s.lane(lanes[i].Entity, lanes[i].Business, &lanes[i].Instrument)
		put(x.cells, x.mask, s.sum(), i32(i+1))
	}
	return x
}

// find returns the lane of a key with this hash.
func (x *laneIndex) find(lanes []lane, hash uint64, entity string, b statemachine.BusinessType, i *statemachine.Instrument) (int32, bool) {
	for at := hash & x.mask; ; at = (at + 1) & x.mask {
		c := x.cells[at]
		if c.entry == 0 {
			return 0, false
		}
		if c.check != uint32(hash>>32) {
			continue
		}
		if l := &lanes[c.entry-1].Lane; l.Business == b && l.Entity == entity && l.Instrument == *i {
			return c.entry - 1, true
		}
	}
}
