package routing

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/statemachine"
)

// scratch gathers bytes to hash in a fixed buffer; what does not fit is folded into the hash of what went before.
type scratch struct {
	n   int
	buf [512]byte
}

func (s *scratch) fold() {
	h := xxhash.Sum64(s.buf[:s.n])
	binary.LittleEndian.PutUint64(s.buf[:], h)
	s.n = 8
}

func (s *scratch) raw(text string) {
	for len(text) > len(s.buf)-s.n {
		n := copy(s.buf[s.n:], text)
		s.n += n
		text = text[n:]
		s.fold()
	}
	s.n += copy(s.buf[s.n:], text)
}

func (s *scratch) bytes(b []byte) {
	for len(b) > len(s.buf)-s.n {
		n := copy(s.buf[s.n:], b)
		s.n += n
		b = b[n:]
		s.fold()
	}
	s.n += copy(s.buf[s.n:], b)
}

// text adds a string and its length, so that no two lists of strings look alike.
func (s *scratch) text(t string) {
	if n := s.n; len(t) < 0x80 && len(t) < len(s.buf)-n {
		s.buf[n] = u8(len(t))
		s.n = n + 1 + copy(s.buf[n+1:], t)
		return
	}
	s.number(uint64(len(t)))
	s.raw(t)
}

func (s *scratch) number(v uint64) {
	if v < 0x80 && s.n < len(s.buf)-binary.MaxVarintLen64 {
		s.buf[s.n] = byte(v)
		s.n++
		return
	}
	if len(s.buf)-s.n < binary.MaxVarintLen64 {
		s.fold()
	}
	s.n += binary.PutUvarint(s.buf[s.n:], v)
}

// word adds eight bytes.
func (s *scratch) word(v uint64) {
	if len(s.buf)-s.n < 8 {
		s.fold()
	}
	binary.LittleEndian.PutUint64(s.buf[s.n:], v)
	s.n += 8
}

func (s *scratch) sum() uint64 { return xxhash.Sum64(s.buf[:s.n]) }

// canonical returns the hash of everything a request says, previous attempts included, and beside it that of its lane.
func (s *scratch) canonical(r *Request) (request, lane uint64) {
	s.n = 0
	s.lane(r.Entity, r.Business, &r.Instrument)
	lane = s.sum()
	s.text(r.PaymentID)
	s.text(r.Merchant)
	s.word(word(r.Amount))
	s.text(r.Currency)
	s.text(r.UserTier)
	s.word(word(r.Deadline))
	s.word(r.PayerKey)
	s.number(word(int64(r.MaxChannels)))
	s.number(uint64(len(r.Enrolled)))
	s.number(uint64(len(r.Exclude)))
	s.number(uint64(len(r.Attempts)))
	if r.Business.FollowsOriginal() || len(r.Enrolled)+len(r.Exclude)+len(r.Attempts) > 0 {
		s.lists(r)
	}
	return s.sum(), lane
}

// lists adds what most requests do not have.
func (s *scratch) lists(r *Request) {
	s.text(r.Original.Channel)
	s.text(r.Original.Account)
	s.text(r.Original.Attempt)
	for _, c := range r.Enrolled {
		s.text(c)
	}
	for _, c := range r.Exclude {
		s.text(c)
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		s.text(a.Channel)
		s.text(a.Account)
		s.text(a.Attempt)
		s.number(uint64(a.Outcome))
		s.text(a.Code)
	}
}

// lane adds the parts of a lane.
func (s *scratch) lane(entity string, b statemachine.BusinessType, i *statemachine.Instrument) {
	s.number(uint64(b))
	s.text(entity)
	s.text(i.Method)
	s.text(i.Bank)
	s.text(i.CardType)
}

// split returns the hash that deals a payment over the splits of a route: purpose, route and generation, payment id.
func (s *scratch) split(salt []byte, payment string) uint64 {
	s.n = 0
	s.bytes(salt)
	s.raw(payment)
	return s.sum()
}

// deal maps a hash to 0..total-1 such that equal parts of the hashes' range go to each value, by integers only.
func deal(hash, total uint64) uint64 {
	hi, _ := bits.Mul64(hash, total)
	return hi
}

// next returns another hash made of a hash (the finaliser of SplitMix64).
func next(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// draw orders the n members of a group by weighted draws without replacement: the first by the hash itself, so that each gets
// exactly its part of all payments, each later one by the next hash among those that are left. order receives 0..n-1.
func draw(hash uint64, slots []slot, total uint64, order []uint8) {
	order = order[:len(slots)]
	for i := range order {
		order[i] = uint8(i)
	}
	last := len(order) - 1
	for i := range last {
		x := deal(hash, total)
		j := i
		w := uint64(slots[order[j]].weight)
		for x >= w && j < last {
			x -= w
			j++
			w = uint64(slots[order[j]].weight)
		}
		order[i], order[j] = order[j], order[i]
		total -= w
		hash = next(hash)
	}
}
