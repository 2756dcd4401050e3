package serve_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

// What the leader decides by stands in etcd soon after, for clients that reach no replica, also when all replicas are gone.
func TestSnapshotFollowsTheTable(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	r := run(t, serve.Options{Environment: "prod", Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	config := clientv3.Config{Endpoints: []string{address}, Logger: embedded.NewLogger(nil)}
	stored := func(off bool) {
		t.Helper()
		took := until(t, "the snapshot in etcd", func(ctx context.Context) error {
			found, err := etcdstore.ReadAny(ctx, config, "prod", time.Second)
			if err != nil {
				return err
			}
			table, err := routing.OpenSnapshot(found.Snapshot, "prod", nil)
			if err != nil {
				return err
			}
			if is := len(table.States()) == 1 && table.States()[0].Off.Set(); is != off {
				return fmt.Errorf("revision %d: off is %v", found.Snapshot.GetRevision(), is)
			}
			return nil
		})
		t.Logf("stored after %v", took)
	}
	stored(false)
	if err := r.order(t.Context(), sluicev1.Action_ACTION_OFF, "off"); err != nil {
		t.Fatal(err)
	}
	stored(true)
	reply, err := r.routing.GetSnapshot(t.Context(), &sluicev1.GetSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetSnapshot().GetEnvironment() != "prod" {
		t.Errorf("the server's snapshot is of %q", reply.GetSnapshot().GetEnvironment())
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	stored(true)
}

// A watch of the snapshot is told of an order at once, and only what changed.
func TestSnapshotWatchIsToldAtOnce(t *testing.T) {
	r := run(t, serve.Options{Replica: "a", DataDir: t.TempDir(), Catalog: catalog(t), NoSync: true})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := r.routing.WatchSnapshot(ctx, &sluicev1.WatchSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *sluicev1.WatchSnapshotResponse {
		t.Helper()
		m, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if first := next(); first.GetSnapshot() == nil {
		t.Fatalf("it begins with %v", first)
	}
	if err := r.order(t.Context(), sluicev1.Action_ACTION_OFF, "off"); err != nil {
		t.Fatal(err)
	}
	for {
		states := next().GetChange().GetStates()
		if len(states) == 1 && states[0].GetScope().GetKind() == configv1.ScopeKind_SCOPE_KIND_CHANNEL && states[0].GetOff() != nil {
			return
		}
	}
}
