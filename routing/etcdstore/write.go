package etcdstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// maxTries is how often a Push begins anew when somebody else writes.
const maxTries = 3

// errConflict says that what the writer knew of the slots is not so any more.
var errConflict = errors.New("the stored snapshot has moved")

// Writer puts snapshots into etcd. It is not safe for concurrent use; several writers in several processes are.
type Writer struct {
	layout

	client  clientv3.KV
	timeout time.Duration

	known  bool
	slots  [2]slot
	packed map[configv1.SnapshotPartKind]packed
}

// slot is what a slot holds, as far as it was verified.
type slot struct {
	name     string
	modified int64                      // of the manifest, 0 = there is none
	manifest *configv1.SnapshotManifest // nil = none, or it cannot be read
	whole    bool                       // every part is there
	parts    map[configv1.SnapshotPartKind]stored
}

// stored is a part whose chunks match their digest.
type stored struct {
	digest   [sha256.Size]byte
	modified []int64 // of its chunks
}

// packed is a part ready to be stored.
type packed struct {
	data    []byte
	digest  [sha256.Size]byte
	catalog *configv1.Catalog // it was made from, for the part that costs most
}

// NewWriter returns a writer for an environment. timeout bounds each call to etcd, 0 = DefaultTimeout.
func NewWriter(client clientv3.KV, environment string, timeout time.Duration) (*Writer, error) {
	l, err := newLayout(environment)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Writer{layout: l, client: client, timeout: timeout, packed: make(map[configv1.SnapshotPartKind]packed)}, nil
}

// Push stores a snapshot unless a newer one is (ErrNewer). Where this one is stored already, only its write time is renewed,
// never turned back. leader is the CreateRevision of this replica's leader key: every transaction compares it (ErrNotLeader);
// 0 = whoever leads. After any other error the stored snapshot is still whole, this one or the one before.
func (w *Writer) Push(ctx context.Context, s *configv1.Snapshot, leader int64) error {
	if err := routing.CheckSnapshot(s, w.environment); err != nil {
		return err //nolint:wrapcheck // says it all
	}
	if err := w.pack(s); err != nil {
		return err
	}
	for range maxTries {
		if !w.known {
			if err := w.load(ctx); err != nil {
				return err
			}
		}
		err := w.push(ctx, s, leader)
		if err == nil || errors.Is(err, ErrNewer) {
			return err
		}
		w.known = false // what was written, and what others wrote, is read again
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return ErrContended
}

// pack compresses the parts; the catalogue's is kept while the catalogue is the same.
func (w *Writer) pack(s *configv1.Snapshot) error {
	for _, k := range kinds() {
		if k == configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_CATALOG && w.packed[k].catalog == s.GetCatalog() {
			continue
		}
		data, err := routing.PackSnapshot(only(k, s))
		if err != nil {
			return err //nolint:wrapcheck // says it all
		}
		if len(data) > maxChunks*ChunkBytes {
			return fmt.Errorf("%w: %s takes %d bytes, want at most %d", ErrTooLarge, kindName(k), len(data), maxChunks*ChunkBytes)
		}
		w.packed[k] = packed{data, sha256.Sum256(data), s.GetCatalog()}
	}
	return nil
}

// load reads and verifies both slots.
func (w *Writer) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	got, err := w.client.Get(ctx, w.keys.Snapshots(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("snapshot store: read what is stored: %w", err)
	}
	all := chunksOf(got.Kvs)
	for i, name := range slotNames() {
		s := slot{name: name, parts: make(map[configv1.SnapshotPartKind]stored)}
		if kv := all[w.manifest(name)]; kv != nil {
			s.modified = kv.GetModRevision()
			if s.manifest, err = w.openManifest(name, kv.GetValue()); err == nil {
				w.verify(&s, all)
			}
		}
		w.slots[i] = s
	}
	w.known = true
	return nil
}

func (w *Writer) verify(s *slot, all chunks) {
	s.whole = true
	for _, k := range kinds() {
		data, modified, err := w.join(partOf(s.manifest, k), all)
		if err != nil {
			s.whole = false
			continue
		}
		s.parts[k] = stored{sha256.Sum256(data), modified}
	}
}

// push decides what to write: nothing, a renewed manifest, or the other slot.
func (w *Writer) push(ctx context.Context, s *configv1.Snapshot, leader int64) error {
	stamp := routing.StampOf(s)
	newest, other := &w.slots[0], &w.slots[1]
	if !newest.whole || other.whole && stampOf(other.manifest).Over(stampOf(newest.manifest)) != routing.AdvanceNone {
		newest, other = other, newest
	}
	if newest.whole {
		held := stampOf(newest.manifest)
		if held.Newer(stamp.Revision) {
			return fmt.Errorf("%w: epoch %d, revision %d", ErrNewer, held.Epoch, held.Revision.Revision)
		}
		if held.Revision == stamp.Revision && w.holds(newest) {
			if stamp.Over(held) == routing.AdvanceNone {
				return nil
			}
			return w.commit(ctx, newest, s, leader)
		}
	}
	for _, k := range kinds() {
		if err := w.put(ctx, other, k, leader); err != nil {
			return err
		}
	}
	return w.commit(ctx, other, s, leader)
}

// holds reports whether a slot has the parts that are to be stored.
func (w *Writer) holds(s *slot) bool {
	return !slices.ContainsFunc(kinds(), func(k configv1.SnapshotPartKind) bool {
		at, ok := s.parts[k]
		return !ok || at.digest != w.packed[k].digest
	})
}

// put writes the chunks of a part into a slot, unless it has them.
func (w *Writer) put(ctx context.Context, s *slot, k configv1.SnapshotPartKind, leader int64) error {
	p := w.packed[k]
	if at, ok := s.parts[k]; ok && at.digest == p.digest {
		return nil
	}
	delete(s.parts, k)
	s.whole = false
	next := stored{digest: p.digest}
	for n := range (len(p.data) + ChunkBytes - 1) / ChunkBytes {
		chunk := p.data[n*ChunkBytes : min(len(p.data), (n+1)*ChunkBytes)]
		revision, err := w.txn(ctx, leader, nil, clientv3.OpPut(w.chunk(s.name, k, n), string(chunk)))
		if err != nil {
			return err
		}
		next.modified = append(next.modified, revision)
	}
	s.parts[k] = next
	return nil
}

// commit writes the manifest of a slot whose parts are all there, and removes chunks that it no longer names.
func (w *Writer) commit(ctx context.Context, s *slot, of *configv1.Snapshot, leader int64) error {
	m := &configv1.SnapshotManifest{
		Environment: of.GetEnvironment(), Epoch: of.GetEpoch(), Revision: of.GetRevision(), WriteTime: of.GetWriteTime(), FeatureBits: of.GetFeatureBits(),
	}
	var same []clientv3.Cmp
	var ops []clientv3.Op
	for _, k := range kinds() {
		p, at := w.packed[k], s.parts[k]
		m.Parts = append(m.Parts, &configv1.SnapshotPart{
			Kind: k, Slot: s.name, Chunks: uint32(min(len(at.modified), maxChunks)), Size: uint64(len(p.data)), Sha256: p.digest[:],
		})
		for n, revision := range at.modified {
			same = append(same, clientv3.Compare(clientv3.ModRevision(w.chunk(s.name, k, n)), "=", revision))
		}
		ops = append(ops, clientv3.OpDelete(w.chunk(s.name, k, len(at.modified)), clientv3.WithRange(clientv3.GetPrefixRangeEnd(w.part(s.name, k)))))
	}
	sealed, err := sealManifest(m)
	if err != nil {
		return err
	}
	revision, err := w.txn(ctx, leader, same, append(ops, clientv3.OpPut(w.manifest(s.name), sealed))...)
	if err != nil {
		return err
	}
	s.modified, s.manifest, s.whole = revision, m, true
	return nil
}

// txn writes if this replica leads, both manifests are those the writer knows, and what else is compared holds.
func (w *Writer) txn(ctx context.Context, leader int64, same []clientv3.Cmp, ops ...clientv3.Op) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	for i := range w.slots {
		same = append(same, clientv3.Compare(clientv3.ModRevision(w.manifest(w.slots[i].name)), "=", w.slots[i].modified))
	}
	if leader != 0 {
		same = append(same, clientv3.Compare(clientv3.CreateRevision(w.keys.Leader()), "=", leader))
	}
	got, err := w.client.Txn(ctx).If(same...).Then(ops...).Else(clientv3.OpGet(w.keys.Leader(), clientv3.WithKeysOnly())).Commit()
	if err != nil {
		return 0, fmt.Errorf("snapshot store: write: %w", err)
	}
	if got.Succeeded {
		return got.Header.GetRevision(), nil
	}
	leading := got.Responses[0].GetResponseRange().GetKvs()
	if leader != 0 && (len(leading) == 0 || leading[0].GetCreateRevision() != leader) {
		return 0, ErrNotLeader
	}
	return 0, errConflict
}
