package monitor

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-pay/sluice/statemachine"
)

// Limits of a checkpoint.
const (
	MaxCheckpointPart = 512 << 10 // bytes that SaveCheckpoint takes at a time (ErrTooLarge): a ledger's value is no larger
	maxSavedParts     = 32        // of one checkpoint
	savedVersion      = 1         // second byte of a part; it changes with the layout
	savedPlain        = 16 << 10  // data up to this length is not worth compressing
)

// Saved is a checkpoint with what must be known before it is restored.
type Saved struct {
	At     statemachine.Instant // when it was taken
	Second int64                // the newest second that went into it
	Data   []byte               // the detector's own form
}

// savedPart is a stored piece of a checkpoint. Parts of two checkpoints never pass for one: each names the whole by its hash.
type savedPart struct {
	at     statemachine.Instant
	second int64
	slot   byte // of the other parts
	index  int
	count  int
	gzip   bool
	hash   [sha256.Size]byte // of the whole: digest
	chunk  []byte
}

// CheckPart reports whether data fits a stored value (ErrTooLarge). Every Checkpoints asks it before it writes.
func CheckPart(name string, data []byte) error {
	if len(data) > MaxCheckpointPart {
		return fmt.Errorf("%w: checkpoint %s of %d bytes, want at most %d", ErrTooLarge, name, len(data), MaxCheckpointPart)
	}
	return nil
}

// SaveIn stores the checkpoint under a name, in as many parts as it takes, and returns the bytes stored. The first part
// goes last and names the others, which alternate between two places: until it is stored the checkpoint before is whole.
// ErrTooLarge, like any other error, leaves that one in force.
func (s Saved) SaveIn(ctx context.Context, store Checkpoints, name string) (int, error) {
	parts, err := s.parts(MaxCheckpointPart)
	if err != nil {
		return 0, err
	}
	slot := byte(0)
	if len(parts) > 1 { // errors are nothing to keep: then any place is free
		if old, err := loadPart(ctx, store, name); err == nil && old != nil && old.count > 1 {
			slot = 1 - old.slot&1
		}
	}
	total := 0
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i].slot = slot
		packed := parts[i].pack()
		total += len(packed)
		if err := store.SaveCheckpoint(ctx, partName(name, slot, i), s.At, packed); err != nil {
			return 0, fmt.Errorf("part %d of %d: %w", i+1, len(parts), err)
		}
	}
	return total, nil
}

// LoadSaved returns the checkpoint last stored under a name and the bytes it took, nil if there is none. A damaged or
// foreign one, or one of which parts are missing or of another, is an error that wraps ErrPacked.
func LoadSaved(ctx context.Context, store Checkpoints, name string) (*Saved, int, error) {
	first, err := loadPart(ctx, store, name)
	if err != nil || first == nil {
		return nil, 0, err
	}
	if first.index != 0 {
		return nil, 0, fmt.Errorf("%w: checkpoint %s begins with part %d", ErrPacked, name, first.index+1)
	}
	whole, total := first.chunk, first.size()
	for i := 1; i < first.count; i++ {
		part, err := loadPart(ctx, store, partName(name, first.slot, i))
		switch {
		case err != nil:
			return nil, 0, err
		case part == nil || part.hash != first.hash || part.index != i:
			return nil, 0, fmt.Errorf("%w: part %d of %d of checkpoint %s is missing or of another one", ErrPacked, i+1, first.count, name)
		}
		whole = append(whole, part.chunk...)
		total += part.size()
	}
	if first.digest(whole) != first.hash {
		return nil, 0, fmt.Errorf("%w: the parts of checkpoint %s do not make up what was stored", ErrPacked, name)
	}
	s := &Saved{At: first.at, Second: first.second, Data: whole}
	if first.gzip {
		if s.Data, err = unzip(whole); err != nil {
			return nil, 0, fmt.Errorf("%w: checkpoint %s: %w", ErrPacked, name, err)
		}
	}
	return s, total, nil
}

// partName is where a part is stored: the first under the checkpoint's own name.
func partName(name string, slot byte, index int) string {
	if index == 0 {
		return name
	}
	return fmt.Sprintf("%s-%c-%d", name, 'a'+slot&1, index)
}

func loadPart(ctx context.Context, store Checkpoints, name string) (*savedPart, error) {
	data, err := store.LoadCheckpoint(ctx, name)
	if err != nil || data == nil {
		return nil, err //nolint:wrapcheck // the store names itself
	}
	part, err := parseSavedPart(data)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	return part, nil
}

// parts splits the checkpoint so that none is longer than limit.
func (s Saved) parts(limit int) ([]savedPart, error) {
	stored, zipped := s.Data, len(s.Data) > savedPlain
	if zipped {
		var err error
		if stored, err = zip(s.Data); err != nil {
			return nil, err
		}
	}
	room := limit - partHeader
	count := max(1, (len(stored)+room-1)/room)
	if count > maxSavedParts {
		return nil, fmt.Errorf("%w: a checkpoint of %d bytes, want at most %d", ErrTooLarge, len(stored), maxSavedParts*room)
	}
	whole := savedPart{at: s.At, second: s.Second, count: count, gzip: zipped}
	whole.hash = whole.digest(stored)
	parts := make([]savedPart, count)
	for i := range parts {
		parts[i] = whole
		parts[i].index, parts[i].chunk = i, stored[min(len(stored), i*room):min(len(stored), (i+1)*room)]
	}
	return parts, nil
}

// partHeader is the most bytes that a part takes beside its chunk.
const partHeader = 80

func (s *savedPart) pack() []byte {
	p := packer{append(make([]byte, 0, len(s.chunk)+partHeader), packVersion, savedVersion)}
	p.int(int64(s.at))
	p.int(s.second)
	p.b = append(p.b, s.slot)
	p.uint(uint64(s.index)) //nolint:gosec // not negative
	p.uint(uint64(s.count)) //nolint:gosec // not negative
	p.bool(s.gzip)
	p.b = append(p.b, s.hash[:]...)
	p.b = append(p.b, s.chunk...)
	return p.b
}

// digest is the hash of everything stored, all parts together, and of what every part says of the whole.
func (s *savedPart) digest(stored []byte) [sha256.Size]byte {
	p := packer{make([]byte, 0, len(stored)+partHeader)}
	p.int(int64(s.at))
	p.int(s.second)
	p.uint(uint64(s.count)) //nolint:gosec // not negative
	p.bool(s.gzip)
	return sha256.Sum256(append(p.b, stored...))
}

func (s *savedPart) size() int { return len(s.pack()) }

func parseSavedPart(b []byte) (*savedPart, error) {
	u := &unpacker{b: b}
	u.version()
	if v := u.byte(); v != savedVersion {
		u.fail(fmt.Sprintf("checkpoint part of layout %d, want %d", v, savedVersion))
	}
	s := &savedPart{at: statemachine.Instant(u.int()), second: u.int(), slot: u.byte()}
	index, count := u.uint(), u.uint()
	if count == 0 || count > maxSavedParts || index >= count {
		u.fail("a part that cannot be")
	}
	s.index, s.count, s.gzip = int(index), int(count), u.bool() //nolint:gosec // checked
	if len(u.b) < sha256.Size {
		u.fail("cut short")
		return nil, u.done()
	}
	copy(s.hash[:], u.b)
	s.chunk, u.b = bytes.Clone(u.b[sha256.Size:]), nil
	return s, u.done()
}

func zip(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress a checkpoint: %w", err)
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress a checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

func unzip(packed []byte) ([]byte, error) {
	const most = 512 << 20 // a damaged one must not fill the memory
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err //nolint:wrapcheck // by the caller
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("over %d bytes", most)
	}
	return data, err //nolint:wrapcheck // by the caller
}
