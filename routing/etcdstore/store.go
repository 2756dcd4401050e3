// Package etcdstore keeps the fallback snapshot in etcd: what a client decides by when no replica answers.
//
// Under /sluice/<environment>/snapshot/ lie two slots, a and b, each a whole snapshot of its own:
//
//	a/manifest        a sealed SnapshotManifest (see routing.Seal)
//	a/catalog/0000 …  chunks, at most 512 KiB each: a Snapshot with catalog and static_order only, see routing.PackSnapshot
//	a/states/0000 …   one with states only
//	a/scores/0000 …   one with scores only
//
// A writer takes the slots by turns. It puts the chunks of the parts that differ from what the slot holds, and the manifest
// last, in a transaction that compares every chunk it names: whatever crashes and however many write, the other slot stays
// whole. A reader takes the slot with the greater (epoch, revision, write time) whose parts match their digests.
package etcdstore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// Bounds of a stored snapshot.
const (
	ChunkBytes = 512 << 10 // most bytes of one chunk
	maxChunks  = 32        // of one part
)

// Errors of a Writer and of Read. Damaged and foreign snapshots are routing's errors.
var (
	ErrNoSnapshot = errors.New("no snapshot is stored")
	ErrNewer      = errors.New("a newer snapshot is stored")
	ErrNotLeader  = errors.New("this replica does not lead")
	ErrContended  = errors.New("others write the snapshot at the same time")
	ErrTooLarge   = errors.New("the snapshot is too large to be stored")
)

// kinds are the parts of a snapshot, in the order they are written.
func kinds() []configv1.SnapshotPartKind {
	return []configv1.SnapshotPartKind{
		configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_CATALOG,
		configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_STATES,
		configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_SCORES,
	}
}

// kindName is the part's name in keys.
func kindName(k configv1.SnapshotPartKind) string {
	switch k {
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_CATALOG:
		return "catalog"
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_STATES:
		return "states"
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_SCORES:
		return "scores"
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_UNSPECIFIED:
	}
	return "unknown"
}

// only returns a snapshot with the fields of one part.
func only(k configv1.SnapshotPartKind, s *configv1.Snapshot) *configv1.Snapshot {
	switch k {
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_CATALOG:
		return &configv1.Snapshot{Catalog: s.GetCatalog(), StaticOrder: s.GetStaticOrder()}
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_STATES:
		return &configv1.Snapshot{States: s.GetStates()}
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_SCORES:
		return &configv1.Snapshot{Scores: s.GetScores()}
	case configv1.SnapshotPartKind_SNAPSHOT_PART_KIND_UNSPECIFIED:
	}
	return &configv1.Snapshot{}
}

// slotNames are the slots in the order they are taken first.
func slotNames() [2]string { return [2]string{"a", "b"} }

// layout names the keys of one environment.
type layout struct {
	environment string
	keys        statepb.Keys
}

func newLayout(environment string) (layout, error) {
	keys, err := statepb.NewKeys(environment)
	if err != nil {
		return layout{}, fmt.Errorf("snapshot store: %w", err)
	}
	return layout{environment, keys}, nil
}

func (l layout) slot(slot string) string     { return l.keys.Snapshots() + slot + "/" }
func (l layout) manifest(slot string) string { return l.slot(slot) + "manifest" }

func (l layout) part(slot string, k configv1.SnapshotPartKind) string {
	return l.slot(slot) + kindName(k) + "/"
}

func (l layout) chunk(slot string, k configv1.SnapshotPartKind, n int) string {
	return fmt.Sprintf("%s%04d", l.part(slot, k), n)
}

// stampOf says which table a manifest describes.
func stampOf(m *configv1.SnapshotManifest) routing.Stamp {
	return routing.Stamp{
		Revision: routing.Revision{Epoch: m.GetEpoch(), Revision: m.GetRevision()}, Written: m.GetWriteTime().AsTime(),
	}
}

func sealManifest(m *configv1.SnapshotManifest) (string, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("snapshot store: encode the manifest: %w", err)
	}
	return string(routing.Seal(raw)), nil
}

// openManifest reads a manifest and checks that a snapshot of this environment can lie behind it.
func (l layout) openManifest(slot string, sealed []byte) (*configv1.SnapshotManifest, error) {
	raw, err := routing.Unseal(sealed)
	if err != nil {
		return nil, fmt.Errorf("slot %s: manifest: %w", slot, err)
	}
	m := &configv1.SnapshotManifest{}
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("slot %s: manifest: %w: %w", slot, routing.ErrSnapshotDamaged, err)
	}
	if m.GetEnvironment() != l.environment {
		return nil, fmt.Errorf("slot %s: %w: it is of %q, want %q", slot, routing.ErrSnapshotForeign, m.GetEnvironment(), l.environment)
	}
	for _, k := range kinds() {
		if p := partOf(m, k); p.GetSlot() != slot || p.GetChunks() > maxChunks {
			return nil, fmt.Errorf("slot %s: %w: its manifest names no %s, or not in this slot", slot, routing.ErrSnapshotDamaged, kindName(k))
		}
	}
	return m, nil
}

func partOf(m *configv1.SnapshotManifest, k configv1.SnapshotPartKind) *configv1.SnapshotPart {
	for _, p := range m.GetParts() {
		if p.GetKind() == k {
			return p
		}
	}
	return nil
}

// chunks are the chunks of one slot by key.
type chunks map[string]*mvccpb.KeyValue

func chunksOf(kvs []*mvccpb.KeyValue) chunks {
	out := make(chunks, len(kvs))
	for _, kv := range kvs {
		out[string(kv.GetKey())] = kv
	}
	return out
}

// join puts the chunks of one part together and holds them against the manifest. It returns the revisions of the chunks too.
func (l layout) join(p *configv1.SnapshotPart, from chunks) (data []byte, modified []int64, err error) {
	for n := range int(p.GetChunks()) {
		kv := from[l.chunk(p.GetSlot(), p.GetKind(), n)]
		if kv == nil {
			return nil, nil, fmt.Errorf("%w: chunk %d of %s is missing", routing.ErrSnapshotDamaged, n, kindName(p.GetKind()))
		}
		data = append(data, kv.GetValue()...)
		modified = append(modified, kv.GetModRevision())
	}
	if digest := sha256.Sum256(data); uint64(len(data)) != p.GetSize() || !bytes.Equal(digest[:], p.GetSha256()) {
		return nil, nil, fmt.Errorf("%w: %s does not match its SHA-256", routing.ErrSnapshotDamaged, kindName(p.GetKind()))
	}
	return data, modified, nil
}

// assemble verifies every part of a slot and puts the snapshot together.
func (l layout) assemble(slot string, m *configv1.SnapshotManifest, from chunks) (*configv1.Snapshot, error) {
	s := &configv1.Snapshot{
		Environment: m.GetEnvironment(), Epoch: m.GetEpoch(), Revision: m.GetRevision(), WriteTime: m.GetWriteTime(), FeatureBits: m.GetFeatureBits(),
	}
	for _, k := range kinds() {
		data, _, err := l.join(partOf(m, k), from)
		if err != nil {
			return nil, fmt.Errorf("slot %s: %w", slot, err)
		}
		part, err := routing.UnpackSnapshot(data)
		if err != nil {
			return nil, fmt.Errorf("slot %s: %s: %w", slot, kindName(k), err)
		}
		proto.Merge(s, only(k, part))
	}
	if err := routing.CheckSnapshot(s, l.environment); err != nil {
		return nil, fmt.Errorf("slot %s: %w", slot, err)
	}
	return s, nil
}
