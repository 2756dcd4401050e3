package routing

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxAttemptID is the greatest length of an attempt id in bytes.
const MaxAttemptID = 160

// ErrDecisionID is wrapped by the errors of ParseDecisionID and ParseAttemptID.
var ErrDecisionID = errors.New("invalid decision id")

// The first byte of a decision id: the plain layout, and the one with the reasons of vetoes, used only where there are any.
const (
	decisionVersion  = 1
	decisionReasoned = 2
)

// maxDecisionID is the greatest length of the binary form.
const maxDecisionID = 1 + 4*binary.MaxVarintLen64 + 1 + vetoReasonPlanes*binary.MaxVarintLen64 + 1 + 8

// maxDecisionText is the greatest length of the text, which the report's decision_id has room for.
const maxDecisionText = (maxDecisionID*8 + 5) / 6

// DecisionID identifies a decision: the same request on the same table in the same second under the same admission has the
// same id, on every replica.
type DecisionID struct {
	Epoch     uint64
	Revision  int64 // of the table
	Second    int64 // Unix
	Admission Admission
	Hash      uint64 // of the canonical request, previous attempts included
}

// binary renders version, epoch, revision, second, admission and hash.
func (id DecisionID) binary() ([maxDecisionID]byte, int) {
	var b [maxDecisionID]byte
	version := byte(decisionVersion)
	if id.Admission.reasoned() {
		version = decisionReasoned
	}
	out := append(b[:0], version)
	out = binary.AppendUvarint(out, id.Epoch)
	out = binary.AppendVarint(out, id.Revision)
	out = binary.AppendVarint(out, id.Second)
	out = binary.AppendUvarint(out, id.Admission.Vetoed)
	out = append(out, u8(int(id.Admission.Lifted)+1))
	if version == decisionReasoned {
		for _, plane := range id.Admission.Reasons {
			out = binary.AppendUvarint(out, plane)
		}
		limited := byte(0)
		if id.Admission.MerchantLimited {
			limited = 1
		}
		out = append(out, limited)
	}
	out = binary.LittleEndian.AppendUint64(out, id.Hash)
	return b, len(out)
}

// Append appends the id's text: about 40 characters of base64 without padding.
func (id DecisionID) Append(b []byte) []byte {
	raw, n := id.binary()
	return base64.RawURLEncoding.AppendEncode(b, raw[:n])
}

// String returns the id's text.
func (id DecisionID) String() string { return string(id.Append(nil)) }

// AppendAttempt appends the attempt id of the candidate at rank (0 = first): the decision's id, a slash and the rank.
func (id DecisionID) AppendAttempt(b []byte, rank int) []byte {
	return strconv.AppendInt(append(id.Append(b), '/'), int64(rank), 10)
}

// ParseDecisionID is the inverse of DecisionID.String. It takes only what that renders, and allocates nothing.
func ParseDecisionID(s string) (DecisionID, error) {
	var raw [maxDecisionID]byte
	if len(s) > base64.RawURLEncoding.EncodedLen(len(raw)) {
		return DecisionID{}, badID("too long")
	}
	var text [maxDecisionText]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], text[:copy(text[:], s)])
	if err != nil {
		return DecisionID{}, badID("want the text of a decision id")
	}
	id, ok := decodeID(raw[:n])
	if !ok {
		return DecisionID{}, badID("want the text of a decision id")
	}
	// Numbers may be written in more than one way; only the shortest is an id.
	var again [maxDecisionText]byte
	if string(id.Append(again[:0])) != s {
		return DecisionID{}, badID("want its shortest form")
	}
	return id, nil
}

func badID(what string) error { return fmt.Errorf("%w: %s", ErrDecisionID, what) }

// decodeID reads the binary form.
func decodeID(b []byte) (DecisionID, bool) {
	var id DecisionID
	if len(b) == 0 || b[0] != decisionVersion && b[0] != decisionReasoned {
		return id, false
	}
	r := idReader{rest: b[1:]}
	id.Epoch = r.uvarint()
	id.Revision = r.varint()
	id.Second = r.varint()
	id.Admission.Vetoed = r.uvarint()
	lifted := r.byte()
	if b[0] == decisionReasoned {
		for k := range id.Admission.Reasons {
			id.Admission.Reasons[k] = r.uvarint()
		}
		id.Admission.MerchantLimited = r.byte() != 0
	}
	if r.bad || len(r.rest) != 8 || lifted > MaxCandidates {
		return id, false
	}
	id.Admission.Lifted = i8(int(lifted) - 1)
	id.Hash = binary.LittleEndian.Uint64(r.rest)
	return id, true
}

// idReader reads numbers and remembers whether one was cut off.
type idReader struct {
	rest []byte
	bad  bool
}

func (r *idReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *idReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *idReader) byte() byte {
	if len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *idReader) skip(n int) {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

// ParseAttemptID is the inverse of DecisionID.AppendAttempt.
func ParseAttemptID(s string) (DecisionID, int, error) {
	text, tail, ok := strings.Cut(s, "/")
	if !ok {
		return DecisionID{}, 0, badID("an attempt id is a decision id, a slash and a rank")
	}
	rank, err := strconv.Atoi(tail)
	if err != nil || rank < 0 || rank >= MaxCandidates || tail[0] == '+' || len(tail) > 1 && tail[0] == '0' {
		return DecisionID{}, 0, badID("want a rank from 0 to 63")
	}
	id, err := ParseDecisionID(text)
	return id, rank, err
}
