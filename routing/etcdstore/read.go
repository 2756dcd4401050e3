package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// DefaultTimeout bounds what one member may take to answer a Read.
const DefaultTimeout = 2 * time.Second

// Found is a snapshot as it was found in etcd. Everything in it was verified but the meaning of its catalogue and states:
// routing.OpenSnapshot does that.
type Found struct {
	Snapshot *configv1.Snapshot
	Slot     string
	Endpoint string // of the member that answered; empty if Read was given a client
	Passed   error  // why a newer slot, or members before this one, were passed over; nil = none was
}

// Read returns the newest whole snapshot that the member knows which the client is connected to. The read is serializable: it
// needs no leader of etcd and no majority, and may be older than what another member has (routing.Stamp tells). A newer slot
// that is torn or damaged is passed over for the older one. Without any, the error wraps ErrNoSnapshot, or what is wrong with
// both.
func Read(ctx context.Context, client clientv3.KV, environment string) (*Found, error) {
	l, err := newLayout(environment)
	if err != nil {
		return nil, err
	}
	slots, revision, err := l.manifests(ctx, client)
	if err != nil {
		return nil, err
	}
	if len(slots) == 0 {
		return nil, fmt.Errorf("%w for environment %q", ErrNoSnapshot, environment)
	}
	slices.SortStableFunc(slots, func(a, b seen) int {
		switch {
		case a.newer(b):
			return -1
		case b.newer(a):
			return 1
		}
		return 0
	})
	var wrong []error
	for _, s := range slots {
		if s.err != nil {
			wrong = append(wrong, s.err)
			continue
		}
		snapshot, err := l.readSlot(ctx, client, s, revision)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		return &Found{Snapshot: snapshot, Slot: s.slot, Passed: errors.Join(wrong...)}, nil
	}
	return nil, fmt.Errorf("snapshot store: no slot is whole: %w", errors.Join(wrong...))
}

// seen is a slot that has a manifest; err says why that cannot be used.
type seen struct {
	slot     string
	manifest *configv1.SnapshotManifest
	err      error
}

// newer orders slots for reading; one whose manifest is bad may have been the newest and comes first, to be told.
func (s seen) newer(o seen) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err == nil
	}
	return stampOf(s.manifest).Over(stampOf(o.manifest)) != routing.AdvanceNone
}

// manifests reads both manifests, and the revision of etcd they were read at.
func (l layout) manifests(ctx context.Context, client clientv3.KV) ([]seen, int64, error) {
	var ops []clientv3.Op
	for _, slot := range slotNames() {
		ops = append(ops, clientv3.OpGet(l.manifest(slot), clientv3.WithSerializable()))
	}
	got, err := client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, 0, fmt.Errorf("snapshot store: read the manifests: %w", err)
	}
	var out []seen
	for i, slot := range slotNames() {
		for _, kv := range got.Responses[i].GetResponseRange().GetKvs() {
			s := seen{slot: slot}
			s.manifest, s.err = l.openManifest(slot, kv.GetValue())
			out = append(out, s)
		}
	}
	return out, got.Header.GetRevision(), nil
}

// readSlot reads the chunks of a slot as they were when its manifest was read.
func (l layout) readSlot(ctx context.Context, client clientv3.KV, s seen, revision int64) (*configv1.Snapshot, error) {
	got, err := client.Get(ctx, l.slot(s.slot), clientv3.WithPrefix(), clientv3.WithSerializable(), clientv3.WithRev(revision))
	if err != nil {
		return nil, fmt.Errorf("snapshot store: read slot %s: %w", s.slot, err)
	}
	return l.assemble(s.slot, s.manifest, chunksOf(got.Kvs))
}

// ReadAny asks the members one after the other, in the order of config.Endpoints, until one has a whole snapshot. Each gets
// timeout, 0 = DefaultTimeout.
func ReadAny(ctx context.Context, config clientv3.Config, environment string, timeout time.Duration) (*Found, error) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if len(config.Endpoints) == 0 {
		return nil, errors.New("snapshot store: no etcd endpoints are given")
	}
	var wrong []error
	for _, endpoint := range config.Endpoints {
		found, err := readMember(ctx, config, endpoint, environment, timeout)
		if err == nil {
			found.Endpoint, found.Passed = endpoint, errors.Join(append(wrong, found.Passed)...)
			return found, nil
		}
		wrong = append(wrong, fmt.Errorf("%s: %w", endpoint, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(wrong...)
}

func readMember(ctx context.Context, config clientv3.Config, endpoint, environment string, timeout time.Duration) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	config.Endpoints, config.DialTimeout, config.Context = []string{endpoint}, timeout, ctx
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("snapshot store: connect: %w", err)
	}
	found, err := Read(ctx, client, environment)
	if closing := client.Close(); closing != nil && !errors.Is(closing, context.Canceled) && err == nil {
		err = fmt.Errorf("snapshot store: disconnect: %w", closing)
	}
	return found, err
}
