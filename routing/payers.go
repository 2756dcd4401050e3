package routing

import "sync/atomic"

// payers remembers who was part of a probe on which day: a bounded table, newer payers overwrite older ones. It is lock-free.
type payers struct {
	slots [4096]atomic.Uint64 // 48 bits of the payer's key, 16 of the day
}

func (p *payers) slot(key uint64, second int64) (*atomic.Uint64, uint64) {
	h := next(key)
	return &p.slots[h%uint64(len(p.slots))], h&^0xffff | word(second/daySeconds)&0xffff
}

// fresh reports whether the payer was in no probe of the day, as far as the table remembers; an unknown payer (0) is fresh.
func (p *payers) fresh(key uint64, second int64) bool {
	if key == 0 {
		return true
	}
	slot, entry := p.slot(key, second)
	return slot.Load() != entry
}

// used remembers a payer.
func (p *payers) used(key uint64, second int64) {
	if key != 0 {
		slot, entry := p.slot(key, second)
		slot.Store(entry)
	}
}
