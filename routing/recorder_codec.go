package routing

import (
	"encoding/binary"
	"errors"

	"github.com/sluice-pay/sluice/statemachine"
)

// errEncoded says that bytes are no encoded request.
var errEncoded = errors.New("no encoded request")

// appendRequest appends a request in the recorder's form: numbers as varints, strings after their length.
func appendRequest(b []byte, q *Request) []byte {
	b = appendText(b, q.PaymentID)
	b = appendText(b, q.Merchant)
	b = appendText(b, q.Entity)
	b = append(b, byte(q.Business))
	b = appendText(b, q.Instrument.Method)
	b = appendText(b, q.Instrument.Bank)
	b = appendText(b, q.Instrument.CardType)
	b = binary.AppendVarint(b, q.Amount)
	b = appendText(b, q.Currency)
	b = appendText(b, q.UserTier)
	b = binary.AppendVarint(b, q.Deadline)
	b = binary.LittleEndian.AppendUint64(b, q.PayerKey)
	b = binary.AppendVarint(b, int64(q.MaxChannels))
	b = appendText(b, q.Original.Channel)
	b = appendText(b, q.Original.Account)
	b = appendText(b, q.Original.Attempt)
	b = appendTexts(b, q.Enrolled)
	b = appendTexts(b, q.Exclude)
	b = binary.AppendUvarint(b, uint64(len(q.Attempts)))
	for i := range q.Attempts {
		a := &q.Attempts[i]
		b = appendText(b, a.Channel)
		b = appendText(b, a.Account)
		b = appendText(b, a.Attempt)
		b = append(b, byte(a.Outcome))
		b = appendText(b, a.Code)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// decodeRequest reads what appendRequest wrote, all of it. The request's strings share one new string; its lists are used
// again. After an error the request holds nothing of use.
func decodeRequest(b []byte, q *Request) error {
	r := requestReader{rest: string(b)}
	q.PaymentID, q.Merchant, q.Entity = r.text(), r.text(), r.text()
	q.Business = statemachine.BusinessType(r.byte())
	q.Instrument = statemachine.Instrument{Method: r.text(), Bank: r.text(), CardType: r.text()}
	q.Amount = r.varint()
	q.Currency, q.UserTier = r.text(), r.text()
	q.Deadline = r.varint()
	q.PayerKey = r.word()
	q.MaxChannels = int(r.varint())
	q.Original = Original{Channel: r.text(), Account: r.text(), Attempt: r.text()}
	q.Enrolled = r.texts(q.Enrolled[:0])
	q.Exclude = r.texts(q.Exclude[:0])
	q.Attempts = q.Attempts[:0]
	for range r.count() {
		q.Attempts = append(q.Attempts, Attempt{
			Channel: r.text(), Account: r.text(), Attempt: r.text(), Outcome: statemachine.Outcome(r.byte()), Code: r.text(),
		})
	}
	if r.bad || r.rest != "" {
		return errEncoded
	}
	return nil
}

// requestReader takes values off a string and remembers whether one was cut off.
type requestReader struct {
	rest string
	bad  bool
}

func (r *requestReader) fail() {
	r.bad, r.rest = true, ""
}

func (r *requestReader) uvarint() uint64 {
	var v uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

func (r *requestReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1) // zigzag
}

func (r *requestReader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *requestReader) word() uint64 {
	var v uint64
	for i := range 8 {
		v |= uint64(r.byte()) << (8 * i)
	}
	return v
}

func (r *requestReader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// count reads how many elements follow: each is at least one byte long.
func (r *requestReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most a length
}

func (r *requestReader) texts(list []string) []string {
	for range r.count() {
		list = append(list, r.text())
	}
	return list
}
