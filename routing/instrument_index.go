package routing

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/statemachine"
)

// instrumentIndex finds the instruments of all channels by hash, as laneIndex does lanes: each report asks for one.
type instrumentIndex struct {
	mask    uint64
	cells   []indexCell
	entries []instrumentEntry
}

type instrumentEntry struct {
	channel int32
	instrument
	key statemachine.Instrument
}

func instrumentHash(channel int32, i *statemachine.Instrument) uint64 {
	h := xxhash.Sum64String(i.Bank) + uint64(uint32(channel)) //nolint:gosec // an index
	h = bits.RotateLeft64(h, 21) ^ xxhash.Sum64String(i.Method)
	h = bits.RotateLeft64(h, 21) ^ xxhash.Sum64String(i.CardType)
	return next(h)
}

func newInstrumentIndex(channels []channel) instrumentIndex {
	n := 0
	for i := range channels {
		n += len(channels[i].instruments)
	}
	x := instrumentIndex{entries: make([]instrumentEntry, 0, n)}
	x.mask, x.cells = newCells(n)
	for c := range channels {
		for key, in := range channels[c].instruments { // the order of insertion decides no answer
			x.entries = append(x.entries, instrumentEntry{i32(c), in, key})
			put(x.cells, x.mask, instrumentHash(i32(c), &key), i32(len(x.entries)))
		}
	}
	return x
}

// find returns an instrument of a channel.
func (x *instrumentIndex) find(channel int32, i *statemachine.Instrument) (*instrument, bool) {
	hash := instrumentHash(channel, i)
	for at := hash & x.mask; ; at = (at + 1) & x.mask {
		c := x.cells[at]
		if c.entry == 0 {
			return nil, false
		}
		if e := &x.entries[c.entry-1]; c.check == uint32(hash>>32) && e.channel == channel && e.key == *i {
			return &e.instrument, true
		}
	}
}
