package routing

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
)

// Err returns what Decide or Route returned with the decision: nil, ErrNoTable, a *Refusal or a *PreviousAttemptError.
func (d *Decision) Err() error { return d.err }

// AppendBytes appends everything the decision says, in one fixed form: equal bytes are equal decisions, wherever they were
// made. What a reply adds to it (age, source, pressure) is no part of it.
func (d *Decision) AppendBytes(b []byte) []byte {
	raw, n := d.ID.binary()
	b = append(b, raw[:n]...)
	b = binary.AppendUvarint(b, d.Revision.Epoch)
	b = binary.AppendVarint(b, d.Revision.Revision)
	b = appendText(b, d.Route)
	b = binary.AppendVarint(b, d.ValidUntil)
	b = d.appendErr(b)
	b = binary.AppendUvarint(b, uint64(len(d.Candidates)))
	for i := range d.Candidates {
		b = d.Candidates[i].appendBytes(b)
	}
	b = binary.AppendUvarint(b, uint64(len(d.Dropped)))
	for i := range d.Dropped {
		b = d.Dropped[i].appendBytes(b)
	}
	return b
}

func (c *Candidate) appendBytes(b []byte) []byte {
	b = appendText(b, c.Channel)
	b = appendText(b, c.Account)
	b = append(b, u8(int(c.Index)), byte(c.Kind), byte(c.Why), byte(c.Drop), c.Criterion)
	b = binary.LittleEndian.AppendUint16(b, c.Priority)
	return binary.LittleEndian.AppendUint64(b, c.Hash)
}

// appendErr appends why nothing was given; 0 = something was.
func (d *Decision) appendErr(b []byte) []byte {
	switch err := d.err.(type) { //nolint:errorlint // Finish keeps them bare
	case nil:
		return append(b, 0)
	case *Refusal:
		b = append(b, 1, byte(err.Reason))
		return binary.AppendVarint(b, err.DeferUntil)
	case *PreviousAttemptError:
		b = append(b, 2)
		b = binary.AppendUvarint(b, uint64(err.Index)) //nolint:gosec // an index
		b = append(b, byte(err.Meaning.Outcome), byte(err.Meaning.Money))
		return appendText(b, err.Meaning.Advice)
	}
	if errors.Is(d.err, ErrNoTable) {
		return append(b, 3)
	}
	return append(b, 4)
}

// Digest returns the hash of the decision's bytes.
func (d *Decision) Digest() uint64 { return xxhash.Sum64(d.AppendBytes(nil)) }
