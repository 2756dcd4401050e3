package monitor

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sluice-pay/sluice/statemachine"
)

// unpacker reads what packer wrote. After the first error every method returns zero values; done tells the error.
type unpacker struct {
	b   []byte
	err error
}

func (u *unpacker) fail(what string) {
	if u.err == nil {
		u.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrPacked, what, len(u.b))
	}
	u.b = nil
}

// done returns the first error; bytes left over are one.
func (u *unpacker) done() error {
	if u.err == nil && len(u.b) > 0 {
		u.fail("bytes left over")
	}
	return u.err
}

func (u *unpacker) version() {
	if v := u.byte(); u.err == nil && v != packVersion {
		u.fail(fmt.Sprintf("layout %d, want %d", v, packVersion))
	}
}

func (u *unpacker) byte() byte {
	if len(u.b) == 0 {
		u.fail("cut short")
		return 0
	}
	v := u.b[0]
	u.b = u.b[1:]
	return v
}

func (u *unpacker) uint() uint64 {
	v, n := binary.Uvarint(u.b)
	if n <= 0 {
		u.fail("bad number")
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.fail("bad number")
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) uint32() uint32 {
	v := u.uint()
	if v > math.MaxUint32 {
		u.fail("number out of range")
		return 0
	}
	return uint32(v)
}

func (u *unpacker) word() uint64 {
	if len(u.b) < 8 {
		u.fail("cut short")
		return 0
	}
	v := binary.LittleEndian.Uint64(u.b)
	u.b = u.b[8:]
	return v
}

func (u *unpacker) bool() bool { return u.byte() != 0 }

func (u *unpacker) string() string {
	n := u.uint()
	if n > uint64(len(u.b)) {
		u.fail("text cut short")
		return ""
	}
	s := string(u.b[:n])
	u.b = u.b[n:]
	return s
}

func (u *unpacker) numbers(into []uint32) {
	mask := u.uint()
	if mask>>len(into) != 0 {
		u.fail("unknown field")
		return
	}
	for i := range into {
		if mask&(1<<i) != 0 {
			into[i] = u.uint32()
		}
	}
}

// unpackList reads a length and so many elements of at least size bytes. An empty list is nil.
func unpackList[T any](u *unpacker, size int, element func() T) []T {
	n := u.uint()
	if n > uint64(len(u.b)/size) { //nolint:gosec // lengths are not negative
		u.fail("list cut short")
	}
	if u.err != nil || n == 0 {
		return nil
	}
	list := make([]T, 0, min(n, 1024)) // what is read decides, not what is claimed
	for range n {
		list = append(list, element())
		if u.err != nil {
			return nil
		}
	}
	return list
}

func (u *unpacker) scope() statemachine.Scope {
	s := statemachine.Scope{Kind: statemachine.ScopeKind(u.byte()), Channel: u.string(), Of: u.string()}
	if s.Kind > statemachine.ScopeInstrument {
		u.fail("unknown kind of scope")
	}
	return s
}

func (u *unpacker) tally() Tally {
	var t Tally
	var n [5]uint32
	u.numbers(t.Outcomes[:])
	u.numbers(n[:])
	t.Bad, t.BadPayers, t.Half, t.HalfPayers, t.CodedBad = n[0], n[1], n[2], n[3], n[4]
	if u.bool() {
		t.Reporters = u.word()
	}
	return t
}

func (u *unpacker) reasons() []statemachine.ReasonCount {
	return unpackList(u, 2, func() statemachine.ReasonCount {
		return statemachine.ReasonCount{Reason: u.string(), N: u.uint()}
	})
}

func (u *unpacker) item() ItemCounts {
	c := ItemCounts{Item: u.scope()}
	mask := u.byte()
	if mask>>statemachine.NumLaneKinds != 0 {
		u.fail("unknown lane kind")
	}
	for k := range c.Evidence {
		if mask&(1<<k) != 0 {
			c.Evidence[k] = u.tally()
		}
	}
	var totals [statemachine.NumOutcomes]uint32
	u.numbers(totals[:])
	for o, n := range totals {
		c.Totals[o] = int32(n>>1) ^ -int32(n&1)
	}
	u.numbers(c.Latency[:])
	c.LatencyMillis = u.uint()
	u.numbers(c.Ages[:])
	u.numbers(c.Sent[:])
	c.Reasons = u.reasons()
	return c
}

func (u *unpacker) counts() SecondCounts {
	s := SecondCounts{Second: u.int(), Revision: u.int(), Reporters: u.word()}
	s.Items = unpackList(u, 10, u.item)
	s.Lanes = unpackList(u, 6, func() statemachine.LaneCount {
		l := statemachine.LaneCount{Lane: statemachine.Lane{Entity: u.string(), Business: statemachine.BusinessType(u.byte())}}
		l.Lane.Instrument = statemachine.Instrument{Method: u.string(), Bank: u.string(), CardType: u.string()}
		var n [2]uint32
		u.numbers(n[:])
		l.Decisions, l.Refused = n[0], n[1]
		return l
	})
	s.Gates = unpackList(u, 5, func() GateSum {
		g := GateSum{GateCount: statemachine.GateCount{Scope: u.scope(), Generation: u.uint()}}
		var n [4]uint32
		u.numbers(n[:])
		g.Step, g.WouldBe, g.Sent, g.Routers = n[0], n[1], n[2], n[3]
		return g
	})
	return s
}
