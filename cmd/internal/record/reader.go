package record

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// maxBlock bounds a block after decompression, so that a damaged one cannot fill the memory.
const maxBlock = 256 << 20

// Record is one record of a recording; exactly one of the pointers is set.
type Record struct {
	File   string // that it stands in
	Offset int64  // of its block
	At     int64  // Unix second it belongs to; of the file's beginning for catalogue, states and incidents

	Catalog  *Catalog
	State    *statemachine.State
	Incident *statemachine.Incident
	Entry    *monitor.JournalEntry
	Second   *monitor.SecondCounts
}

// Catalog is a catalogue as it was in force.
type Catalog struct {
	Number uint64
	Data   []byte // serialised sluice.config.v1.Catalog
}

// Tail says how a file ended.
type Tail struct {
	Closed bool  // in order
	Offset int64 // of what was torn off, or of the end
	Lost   int64 // bytes left out
	Reason string
}

// Reader reads one file.
type Reader struct {
	name   string
	from   *bufio.Reader
	size   int64
	offset int64
	header Header
	block  []byte
	begun  int64 // offset of the block
	tail   *Tail
}

// NewReader reads the header of a recording of size bytes. Its error names the file and the offset and wraps ErrNotRecording,
// ErrVersion or ErrDamaged.
func NewReader(name string, from io.Reader, size int64) (*Reader, error) {
	r := &Reader{name: name, from: bufio.NewReaderSize(from, 1<<16), size: size}
	start := make([]byte, min(size, int64(preambleSize)))
	if _, err := io.ReadFull(r.from, start); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := checkPreamble(start); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.offset = int64(preambleSize)
	kind, payload, err := r.frame()
	if err == nil && r.tail != nil {
		err = r.damaged(r.offset, "the header is missing: "+r.tail.Reason)
	}
	if err != nil {
		return nil, err
	}
	if kind != frameHeader {
		return nil, r.damaged(int64(preambleSize), "the first frame is no header")
	}
	if err := json.Unmarshal(payload, &r.header); err != nil {
		return nil, r.damaged(int64(preambleSize), "header: "+err.Error())
	}
	if want := layout(); r.header.Layout != want {
		return nil, fmt.Errorf("%s: offset %d: %w: seconds in layout %d, this program reads %d", name, preambleSize, ErrVersion, r.header.Layout, want)
	}
	return r, nil
}

// Header is what the file says of itself.
func (r *Reader) Header() Header { return r.header }

// Tail says how the file ended, nil before Next returned io.EOF.
func (r *Reader) Tail() *Tail { return r.tail }

// Next returns the next record, io.EOF after the last. A torn end is no error: Tail tells it.
func (r *Reader) Next() (Record, error) {
	for len(r.block) == 0 {
		if r.tail != nil {
			return Record{}, io.EOF
		}
		begun := r.offset
		kind, payload, err := r.frame()
		switch {
		case err != nil:
			return Record{}, err
		case r.tail != nil:
			return Record{}, io.EOF
		case kind == frameEnd:
			r.tail = &Tail{Closed: true, Offset: r.offset}
			if r.offset != r.size {
				return Record{}, r.damaged(r.offset, fmt.Sprintf("%d bytes follow the end", r.size-r.offset))
			}
		case kind == frameBlock:
			if r.block, err = unsqueeze(payload); err != nil {
				return Record{}, r.damaged(begun, err.Error())
			}
			r.begun = begun
		default:
			return Record{}, r.damaged(begun, fmt.Sprintf("unknown kind of frame %q", kind))
		}
	}
	rec, err := r.record()
	if err != nil {
		return Record{}, r.damaged(r.begun, err.Error())
	}
	return rec, nil
}

func (r *Reader) damaged(offset int64, why string) error {
	return fmt.Errorf("%s: offset %d: %w: %s", r.name, offset, ErrDamaged, why)
}

// torn notes that the file ends here, in the middle of something.
func (r *Reader) torn(offset int64, why string) (byte, []byte, error) {
	r.tail = &Tail{Offset: offset, Lost: r.size - offset, Reason: why}
	return 0, nil, nil
}

// frame reads the next frame. What a crash may leave at the end of a file (nothing, a part of a frame, zeros) sets the tail;
// anything else that does not fit is damage.
func (r *Reader) frame() (byte, []byte, error) {
	at, left := r.offset, r.size-r.offset
	if left == 0 {
		return r.torn(at, "not closed: it is still written, or its writer was killed")
	}
	if left < frameSize {
		return r.torn(at, "the last frame is cut short")
	}
	var head [frameSize]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%s: offset %d: %w", r.name, at, err)
	}
	h, sound := parseHead(head[:])
	if !sound {
		if head == [frameSize]byte{} && r.zeros() {
			return r.torn(at, "only zeros follow")
		}
		return 0, nil, r.damaged(at, "the checksum of a frame's head does not fit")
	}
	if int64(h.length) > left-frameSize {
		return r.torn(at, "the last frame is cut short")
	}
	payload := make([]byte, h.length)
	if _, err := io.ReadFull(r.from, payload); err != nil {
		return 0, nil, fmt.Errorf("%s: offset %d: %w", r.name, at, err)
	}
	r.offset = at + frameSize + int64(h.length)
	if crc32.Checksum(payload, castagnoli()) != h.sum {
		if r.offset == r.size {
			return r.torn(at, "the checksum of the last frame does not fit")
		}
		return 0, nil, r.damaged(at, "the checksum of a frame does not fit")
	}
	return h.kind, payload, nil
}

// zeros reports whether nothing but zeros is left.
func (r *Reader) zeros() bool {
	for {
		b, err := r.from.ReadByte()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if b != 0 {
			return false
		}
	}
}

func unsqueeze(payload []byte) ([]byte, error) {
	from := flate.NewReader(bytes.NewReader(payload))
	block, err := io.ReadAll(io.LimitReader(from, maxBlock+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(block) > maxBlock {
		return nil, fmt.Errorf("a block of over %d bytes", maxBlock)
	}
	if len(block) == 0 {
		return nil, errors.New("an empty block")
	}
	return block, nil
}

// record takes the next record off the block.
func (r *Reader) record() (Record, error) {
	kind := r.block[0]
	n, size := binary.Uvarint(r.block[1:])
	if size <= 0 || n > uint64(len(r.block)-1-size) { //nolint:gosec // not negative
		return Record{}, errors.New("a record is cut short")
	}
	body := r.block[1+size : 1+size+int(n)] //nolint:gosec // within the block
	r.block = r.block[1+size+int(n):]       //nolint:gosec // within the block
	rec := Record{File: r.name, Offset: r.begun, At: r.header.Started.Unix()}
	return rec, rec.parse(kind, body)
}
