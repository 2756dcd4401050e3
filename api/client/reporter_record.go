package client

import (
	"encoding/binary"
	"hash/crc32"
)

// A spill file is the mark and then records. A record is a head of five little-endian numbers of 32 bits and one batch: length
// of the batch, reports in it, reports in the file before it, CRC-32C of the batch, CRC-32C of the head before that. With the
// running number a reader tells exactly how many reports a damaged part had.
const (
	spillMark  = "SLUICER1"
	recordHead = 20
	maxRecord  = 2 * fullBatch
)

// record is one batch as it was found in a spill file.
type record struct {
	batch  *batch
	before uint32 // reports in the file before it
	next   int    // where the following one begins
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the package keeps it

// appendRecord renders a batch with the number of reports before it.
func appendRecord(out []byte, b *batch, before uint32) []byte {
	head := len(out)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.frames))) //nolint:gosec // at most maxRecord
	out = binary.LittleEndian.AppendUint32(out, uint32(b.len()))       //nolint:gosec // at most mostBatch
	out = binary.LittleEndian.AppendUint32(out, before)
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(b.frames, castagnoli()))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[head:], castagnoli()))
	return append(out, b.frames...)
}

// findRecord returns the first whole record at or after a place; false if there is none. What is damaged is passed over.
func findRecord(data []byte, at int) (record, bool) {
	for len(data)-at >= recordHead {
		head := data[at : at+recordHead]
		if binary.LittleEndian.Uint32(head[16:]) != crc32.Checksum(head[:16], castagnoli()) {
			at++
			continue
		}
		size := int(binary.LittleEndian.Uint32(head))
		if size > maxRecord || size > len(data)-at-recordHead {
			at++
			continue
		}
		next := at + recordHead + size
		frames := data[at+recordHead : next : next]
		if b := checked(frames, head); b != nil {
			return record{b, binary.LittleEndian.Uint32(head[8:]), next}, true
		}
		at = next
	}
	return record{}, false
}

// checked is the batch of a record, nil if it is damaged.
func checked(frames, head []byte) *batch {
	if binary.LittleEndian.Uint32(head[12:]) != crc32.Checksum(frames, castagnoli()) {
		return nil
	}
	b, err := split(frames)
	if err != nil || b.len() == 0 || b.len() != int(binary.LittleEndian.Uint32(head[4:])) {
		return nil
	}
	return b
}

// spillReader reads the records of one file.
type spillReader struct {
	data []byte
	at   int
	seen uint32 // reports found or known to be lost
}

// newSpillReader begins to read; what does not begin with the mark may still hold records.
func newSpillReader(data []byte) *spillReader {
	r := &spillReader{data: data}
	if len(data) >= len(spillMark) && string(data[:len(spillMark)]) == spillMark {
		r.at = len(spillMark)
	}
	return r
}

// next returns the next batch, nil at the end, and how many reports before it were lost.
func (r *spillReader) next() (b *batch, lost int) {
	for {
		rec, ok := findRecord(r.data, r.at)
		if !ok {
			return nil, 0
		}
		r.at = rec.next
		if rec.before < r.seen { // of an older life of these bytes
			continue
		}
		lost = int(rec.before - r.seen)
		r.seen = rec.before + uint32(rec.batch.len()) //nolint:gosec // at most mostBatch
		return rec.batch, lost
	}
}

// torn reports whether bytes are left that no record accounts for.
func (r *spillReader) torn() bool { return r.at < len(r.data) }
