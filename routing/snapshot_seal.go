package routing

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// A sealed text is this mark, the SHA-256 of what follows, and what follows.
const (
	sealMark    = "SLUICE1\n"
	sealLength  = len(sealMark) + sha256.Size
	maxUnpacked = 128 << 20 // of a snapshot, so that a damaged one cannot fill the memory
)

// EncodeSnapshot renders a snapshot as it lies in files: sealed and compressed. The same snapshot gives the same bytes.
func EncodeSnapshot(s *configv1.Snapshot) ([]byte, error) {
	packed, err := PackSnapshot(s)
	if err != nil {
		return nil, err
	}
	return Seal(packed), nil
}

// DecodeSnapshot is the inverse of EncodeSnapshot. A single changed, missing or added byte is an error that wraps
// ErrSnapshotDamaged. What the snapshot says is not checked: OpenSnapshot does.
func DecodeSnapshot(data []byte) (*configv1.Snapshot, error) {
	packed, err := Unseal(data)
	if err != nil {
		return nil, err
	}
	return UnpackSnapshot(packed)
}

// Seal puts a mark and a digest before the data, so that Unseal finds any damage.
func Seal(data []byte) []byte {
	out := make([]byte, 0, sealLength+len(data))
	digest := sha256.Sum256(data)
	out = append(out, sealMark...)
	out = append(out, digest[:]...)
	return append(out, data...)
}

// Unseal returns the sealed data. Damage is an error that wraps ErrSnapshotDamaged.
func Unseal(sealed []byte) ([]byte, error) {
	if len(sealed) < sealLength || string(sealed[:len(sealMark)]) != sealMark {
		return nil, fmt.Errorf("%w: it does not begin as a snapshot does", ErrSnapshotDamaged)
	}
	data := sealed[sealLength:]
	if digest := sha256.Sum256(data); !bytes.Equal(digest[:], sealed[len(sealMark):sealLength]) {
		return nil, fmt.Errorf("%w: its SHA-256 does not match", ErrSnapshotDamaged)
	}
	return data, nil
}

// PackSnapshot serialises and compresses a snapshot or a part of one: gzip over the deterministic protobuf encoding.
func PackSnapshot(s *configv1.Snapshot) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the snapshot: %w", err)
	}
	if len(raw) > maxUnpacked {
		return nil, fmt.Errorf("encode the snapshot: it takes %d bytes, want at most %d", len(raw), maxUnpacked)
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress the snapshot: %w", err)
	}
	_, err = w.Write(raw)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the snapshot: %w", err)
	}
	return out.Bytes(), nil
}

// UnpackSnapshot is the inverse of PackSnapshot. Errors wrap ErrSnapshotDamaged.
func UnpackSnapshot(packed []byte) (*configv1.Snapshot, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	if len(raw) > maxUnpacked {
		return nil, fmt.Errorf("%w: over %d bytes", ErrSnapshotDamaged, maxUnpacked)
	}
	s := &configv1.Snapshot{}
	if err := proto.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	return s, nil
}
