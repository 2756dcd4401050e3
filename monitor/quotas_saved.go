package monitor

import (
	"bytes"
	"encoding/binary"
)

// quotasMark ends a checkpoint that holds quotas behind the detector's part.
const quotasMark = "sluice/quotas/1"

// JoinCheckpoint puts the checkpoints of a pipeline and of quotas into one, so that both are of the same second.
func JoinCheckpoint(pipeline, quotas []byte) []byte {
	out := append(bytes.Clone(pipeline), quotas...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(quotas)))
	return append(out, quotasMark...)
}

// SplitCheckpoint is the inverse of JoinCheckpoint; quotas is nil for a checkpoint without any.
func SplitCheckpoint(b []byte) (pipeline, quotas []byte) {
	rest, found := bytes.CutSuffix(b, []byte(quotasMark))
	if !found || len(rest) < 8 {
		return b, nil
	}
	rest, size := rest[:len(rest)-8], binary.LittleEndian.Uint64(rest[len(rest)-8:])
	if size > uint64(len(rest)) {
		return b, nil
	}
	at := len(rest) - int(size) //nolint:gosec // checked
	return rest[:at], rest[at:]
}
