package monitor

import (
	"context"
	"fmt"
	"maps"
)

// MemoryClaims are the Claims of one replica of a single process, over the MemoryExchange that the replicas share: for
// simulation and tests. A claim is kept for an hour at least.
type MemoryClaims struct {
	exchange *MemoryExchange
	replica  string
	boot     uint64
}

// claimSeconds is how long a claim is kept.
const claimSeconds = 3600

// memorySlot names one slot of one attempt.
type memorySlot struct {
	attempt uint64
	slot    ClaimSlot
}

// memoryRow names a replica's row of a second.
type memoryRow struct {
	second  int64
	replica string
}

// NewMemoryClaims returns the claims of a replica's life. It publishes through the same exchange.
func NewMemoryClaims(x *MemoryExchange, replica string, boot uint64) *MemoryClaims {
	return &MemoryClaims{exchange: x, replica: replica, boot: boot}
}

// Claim implements Claims.
func (m *MemoryClaims) Claim(ctx context.Context, second, now int64, claims []Claim) ([]ClaimAnswer, error) {
	answers := make([]ClaimAnswer, len(claims))
	if err := ctx.Err(); err != nil {
		for i := range answers {
			answers[i].Verdict = Unverified
		}
		return answers, fmt.Errorf("claim second %d: %w", second, err)
	}
	x := m.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	row := memoryRow{second, m.replica}
	x.tokens[row] = x.fences[row]
	for i, c := range claims {
		w := Walk(c)
		for !w.Done {
			m.try(&w, c, second, now)
		}
		answers[i] = w.Answer
	}
	return answers, nil
}

// try takes one step of a claim's way.
func (m *MemoryClaims) try(w *ClaimWalk, c Claim, second, now int64) {
	x := m.exchange
	at := memorySlot{c.Attempt, w.Slot}
	mine := ClaimHolder{Replica: m.replica, Boot: m.boot, Second: second, Stage: c.Stage, Outcome: c.Outcome}
	h, taken := x.claims[at]
	switch {
	case !taken:
		x.claims[at] = mine
		w.Set()
	case h.Replica == m.replica && h.Boot == m.boot:
		w.Own(h)
	case x.published[memoryRow{h.Second, h.Replica}] == h.Boot:
		w.Published(h)
	case h.TakeOver(now):
		x.fences[memoryRow{h.Second, h.Replica}]++
		x.claims[at] = mine
		w.Set()
	default:
		w.Unpublished(h)
	}
}

// sweep forgets what is too old to matter. The caller holds the lock.
func (m *MemoryExchange) sweep(second int64) {
	if second < m.swept+keptSeconds {
		return
	}
	m.swept = second
	old := func(row memoryRow, _ uint64) bool { return row.second < second-claimSeconds-keptSeconds }
	maps.DeleteFunc(m.claims, func(_ memorySlot, h ClaimHolder) bool { return h.Second < second-claimSeconds })
	maps.DeleteFunc(m.published, old)
	maps.DeleteFunc(m.fences, old)
	maps.DeleteFunc(m.tokens, old)
}
