package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Errors of recordings.
var (
	ErrNotRecording = errors.New("not a recording")
	ErrVersion      = errors.New("a recording of another version")
	ErrDamaged      = errors.New("the recording is damaged")
)

const (
	magic        = "SLUICEREC"
	version      = 1
	preambleSize = len(magic) + 4
	frameSize    = 13 // of a frame's head
	maxPayload   = 64 << 20
)

// The kinds of frame.
const (
	frameHeader = 'H'
	frameBlock  = 'B'
	frameEnd    = 'Z'
)

// The kinds of record in a block.
const (
	recordCatalog  = 'C'
	recordState    = 'T'
	recordIncident = 'I'
	recordEntry    = 'E'
	recordSecond   = 'S'
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func preamble() []byte {
	return binary.LittleEndian.AppendUint32([]byte(magic), version)
}

// checkPreamble reports whether a file begins as a recording of this version.
func checkPreamble(b []byte) error {
	if len(b) < preambleSize || string(b[:len(magic)]) != magic {
		return fmt.Errorf("offset 0: %w: it does not begin with %s", ErrNotRecording, magic)
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v != version {
		return fmt.Errorf("offset %d: %w: version %d, this program reads %d", len(magic), ErrVersion, v, version)
	}
	return nil
}

// appendFrame appends a frame to buf.
func appendFrame(buf []byte, kind byte, payload []byte) []byte {
	table := castagnoli()
	at := len(buf)
	buf = append(buf, kind)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload))) //nolint:gosec // at most maxPayload
	buf = binary.LittleEndian.AppendUint32(buf, crc32.Checksum(payload, table))
	buf = binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf[at:], table))
	return append(buf, payload...)
}

// frameHead is the head of a frame as read.
type frameHead struct {
	kind   byte
	length int
	sum    uint32
}

// parseHead reads a frame's head; false if its checksum is wrong.
func parseHead(b []byte) (frameHead, bool) {
	h := frameHead{
		kind: b[0], length: int(binary.LittleEndian.Uint32(b[1:])), sum: binary.LittleEndian.Uint32(b[5:]),
	}
	return h, crc32.Checksum(b[:9], castagnoli()) == binary.LittleEndian.Uint32(b[9:]) && h.length <= maxPayload
}
