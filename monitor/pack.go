package monitor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrPacked is wrapped by every error about damaged or foreign packed bytes.
var ErrPacked = errors.New("packed bytes are damaged or foreign")

// packVersion is the first byte of everything packed. It changes with the layout.
const packVersion = 1

// packer appends values in their shortest form.
type packer struct{ b []byte }

func (p *packer) uint(v uint64)   { p.b = binary.AppendUvarint(p.b, v) }
func (p *packer) int(v int64)     { p.b = binary.AppendVarint(p.b, v) }
func (p *packer) word(v uint64)   { p.b = binary.LittleEndian.AppendUint64(p.b, v) }
func (p *packer) string(s string) { p.uint(uint64(len(s))); p.b = append(p.b, s...) }
func (p *packer) bool(v bool)     { p.b = append(p.b, boolByte(v)) }
func (p *packer) numbers(v []uint32) {
	mask := uint64(0)
	for i, n := range v {
		if n != 0 {
			mask |= 1 << i
		}
	}
	p.uint(mask)
	for _, n := range v {
		if n != 0 {
			p.uint(uint64(n))
		}
	}
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (p *packer) scope(s statemachine.Scope) {
	p.b = append(p.b, byte(s.Kind))
	p.string(s.Channel)
	p.string(s.Of)
}

func (p *packer) tally(t *Tally) {
	p.numbers(t.Outcomes[:])
	p.numbers([]uint32{t.Bad, t.BadPayers, t.Half, t.HalfPayers, t.CodedBad})
	p.bool(t.Reporters != 0)
	if t.Reporters != 0 {
		p.word(t.Reporters)
	}
}

func (p *packer) reasons(list []statemachine.ReasonCount) {
	p.uint(uint64(len(list)))
	for _, r := range list {
		p.string(r.Reason)
		p.uint(r.N)
	}
}

func (p *packer) item(c *ItemCounts) {
	p.scope(c.Item)
	mask := byte(0)
	for k := range c.Evidence {
		if c.Evidence[k] != (Tally{}) {
			mask |= 1 << k
		}
	}
	p.b = append(p.b, mask)
	for k := range c.Evidence {
		if mask&(1<<k) != 0 {
			p.tally(&c.Evidence[k])
		}
	}
	var totals [statemachine.NumOutcomes]uint32
	for o, n := range c.Totals {
		totals[o] = uint32(n)<<1 ^ uint32(n>>31) //nolint:gosec // zigzag
	}
	p.numbers(totals[:])
	p.numbers(c.Latency[:])
	p.uint(c.LatencyMillis)
	p.numbers(c.Ages[:])
	p.numbers(c.Sent[:])
	p.reasons(c.Reasons)
}

func (p *packer) counts(s *SecondCounts) {
	p.int(s.Second)
	p.int(s.Revision)
	p.word(s.Reporters)
	p.uint(uint64(len(s.Items)))
	for i := range s.Items {
		p.item(&s.Items[i])
	}
	p.uint(uint64(len(s.Lanes)))
	for i := range s.Lanes {
		l := &s.Lanes[i]
		p.string(l.Lane.Entity)
		p.b = append(p.b, byte(l.Lane.Business))
		p.string(l.Lane.Instrument.Method)
		p.string(l.Lane.Instrument.Bank)
		p.string(l.Lane.Instrument.CardType)
		p.numbers([]uint32{l.Decisions, l.Refused})
	}
	p.uint(uint64(len(s.Gates)))
	for i := range s.Gates {
		g := &s.Gates[i]
		p.scope(g.Scope)
		p.uint(g.Generation)
		p.numbers([]uint32{g.Step, g.WouldBe, g.Sent, g.Routers})
	}
}

// Pack appends the row to buf in a compact form that ParseRow reads.
func (r *Row) Pack(buf []byte) []byte {
	version := byte(packVersion)
	if r.limited() {
		version = packLimits
	}
	p := packer{append(buf, version)}
	p.string(r.Replica)
	p.word(r.Boot)
	p.int(r.Leader)
	p.counts(&r.Counts)
	p.uint(uint64(len(r.Grants)))
	for i := range r.Grants {
		g := &r.Grants[i]
		p.scope(g.Scope)
		p.uint(g.Generation)
		p.string(g.Replica)
		p.uint(g.Tokens)
		p.int(g.Until)
		p.bool(g.Lift)
	}
	p.uint(uint64(len(r.Sealed)))
	for i := range r.Sealed {
		p.int(r.Sealed[i].Second)
		p.uint(uint64(len(r.Sealed[i].Replicas)))
		for _, name := range r.Sealed[i].Replicas {
			p.string(name)
		}
	}
	if r.limited() {
		p.limits(r)
	}
	return p.b
}

// ParseRow is the inverse of Row.Pack. Its error wraps ErrPacked.
func ParseRow(b []byte) (*Row, error) {
	u := unpacker{b: b}
	limited := len(b) > 0 && b[0] == packLimits
	if limited {
		u.byte()
	} else {
		u.version()
	}
	r := &Row{Replica: u.string(), Boot: u.word(), Leader: u.int(), Counts: u.counts()}
	r.Grants = unpackList(&u, 6, func() Grant {
		return Grant{Scope: u.scope(), Generation: u.uint(), Replica: u.string(), Tokens: u.uint(), Until: u.int(), Lift: u.bool()}
	})
	r.Sealed = unpackList(&u, 2, func() Sealed {
		return Sealed{Second: u.int(), Replicas: unpackList(&u, 1, u.string)}
	})
	if limited {
		u.limits(r)
	}
	if err := u.done(); err != nil {
		return nil, fmt.Errorf("row: %w", err)
	}
	return r, nil
}

func popcount(bitmap uint64) int { return bits.OnesCount64(bitmap) }
