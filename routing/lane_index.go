package routing

import "github.com/sluice-pay/sluice/statemachine"

// laneIndex finds lanes by hash: a lane's key has four strings, and hashing them as one run of bytes is what makes Decide
// fast. Open addressing, at most half full.
type laneIndex struct {
	mask  uint64
	cells []laneCellIndex
}

type laneCellIndex struct {
	check uint32 // high bits of the hash
	lane  int32  // plus one, 0 = empty
}

func newLaneIndex(lanes []lane) laneIndex {
	size := uint64(8)
	for size < 2*uint64(len(lanes)) {
		size *= 2
	}
	x := laneIndex{mask: size - 1, cells: make([]laneCellIndex, size)}
	var s scratch
	for i := range lanes {
		s.n = 0
		s.lane(lanes[i].Entity, lanes[i].Business, &lanes[i].Instrument)
		h := s.sum()
		at := h & x.mask
		for x.cells[at].lane != 0 {
			at = (at + 1) & x.mask
		}
		x.cells[at] = laneCellIndex{check: uint32(h >> 32), lane: int32(i + 1)}
	}
	return x
}

// find returns the lane of a key with this hash.
func (x *laneIndex) find(lanes []lane, hash uint64, entity string, b statemachine.BusinessType, i *statemachine.Instrument) (int32, bool) {
	for at := hash & x.mask; ; at = (at + 1) & x.mask {
		c := x.cells[at]
		if c.lane == 0 {
			return 0, false
		}
		if c.check != uint32(hash>>32) {
			continue
		}
		l := &lanes[c.lane-1].Lane
		if l.Business == b && l.Entity == entity && l.Instrument == *i {
			return c.lane - 1, true
		}
	}
}
