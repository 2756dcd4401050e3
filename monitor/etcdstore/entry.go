package etcdstore

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/monitor"
)

// PackEntry returns a journal entry in its stored form, a sluice.config.v1.JournalEntry: also for what keeps entries outside
// the ledger.
func PackEntry(e monitor.JournalEntry) ([]byte, error) {
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(entryMessage(e))
	if err != nil {
		return nil, fmt.Errorf("journal entry %d: %w", e.Sequence, err)
	}
	return stored, nil
}

// ParseEntry is the inverse of PackEntry; the revision is not part of the stored form, and the hash is that of the bytes given.
// Damaged bytes are an error that wraps monitor.ErrDamaged.
func ParseEntry(stored []byte, revision int64) (monitor.JournalEntry, error) {
	return toEntry(&mvccpb.KeyValue{Key: []byte("journal"), Value: stored, ModRevision: revision})
}
