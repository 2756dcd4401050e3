package monitor

// payerWindow is how many seconds a payer's further bad results on an item are taken for repeats.
const payerWindow = 120

// payers tells the first bad result of a payer on an item from its repeats.
type payers struct{ table *generations[int32] }

// first reports whether the payer's bad result on the item is no repeat, and remembers it then. The window runs from
// the result that was counted, so that a payer who goes on failing counts again after it.
func (p *payers) first(payer uint64, item int32, second int64) bool {
	key := payer*fingerprint&^0xFFFF | uint64(item)&0xFFFF //nolint:gosec // an index; a payer's items lie side by side
	now := int32(second)                                   //nolint:gosec // differences are taken, wrapping is harmless
	if at, ok := p.table.get(key); ok && now-at < payerWindow && now-at > -payerWindow {
		return false
	}
	p.table.put(key, now, second)
	return true
}
