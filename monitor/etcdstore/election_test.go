package etcdstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
)

// seat puts a leader on the key, as a process that died without resigning leaves it: the lease runs for ten more minutes.
func seat(t *testing.T, env, replica string, boot uint64) {
	t.Helper()
	keys, err := statepb.NewKeys(env)
	if err != nil {
		t.Fatal(err)
	}
	value, err := proto.Marshal(&configv1.StoredLeader{Replica: replica, Boot: boot})
	if err != nil {
		t.Fatal(err)
	}
	lease, err := etcd.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Put(t.Context(), keys.Leader(), string(value), clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
}

// A replica that was killed leads at once when it is back, and does not wait for the lease of its earlier life.
func TestRestartedReplicaLeadsAtOnce(t *testing.T) {
	env := environment(t)
	seat(t, env, "a", 1)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a", Boot: 2})
	if v, err := r.Read(t.Context()); err != nil || v.Leader != 0 {
		t.Fatalf("it leads by its name alone: %+v, %v", v, err)
	}
	r.lead(t) // fails after 30 s
}

// A paused earlier life must not throw out the later one.
func TestEarlierLifeStepsBack(t *testing.T) {
	env := environment(t)
	seat(t, env, "a", 9)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a", Boot: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.Lead(ctx); !errors.Is(err, etcdstore.ErrReplaced) {
		t.Errorf("got %v, want ErrReplaced", err)
	}
}

// Another replica's seat is waited for, and taken when it is free.
func TestNextLeaderTakesOver(t *testing.T) {
	env := environment(t)
	first := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a"})
	second := open(t, etcd, etcdstore.Options{Environment: env, Replica: "b"})
	first.lead(t)
	second.campaign(t)
	fenced := ledgertest.SampleChange(first.awaitView(t, "the first to lead", leads).Revision, 1)
	fenced.Fenced = true
	first.resign()
	second.awaitView(t, "the second to lead", leads)
	if _, err := first.Commit(t.Context(), fenced); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("the first still commits: %v", err)
	}
	if _, err := second.Commit(t.Context(), fenced); err != nil {
		t.Errorf("the second cannot commit: %v", err)
	}
}

func leads(v *monitor.View) bool { return v.Leader != 0 }

// A leader that was replaced and does not know it yet, as after a long pause, changes nothing.
func TestDeposedLeaderCannotCommit(t *testing.T) {
	env := environment(t)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a", LeaderTTL: time.Minute})
	r.lead(t)
	v := r.awaitView(t, "a leader", leads)
	keys, err := statepb.NewKeys(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Delete(t.Context(), keys.Leader()); err != nil {
		t.Fatal(err)
	}
	seat(t, env, "b", 1)
	c := ledgertest.SampleChange(v.Revision, 1)
	c.Fenced = true
	if _, err := r.Commit(t.Context(), c); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("commit: %v", err)
	}
	if err := r.SaveCheckpoint(t.Context(), "windows", ledgertest.Noon, nil); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("checkpoint: %v", err)
	}
	if got := r.awaitView(t, "anything", func(*monitor.View) bool { return true }); got.Leader != 0 || got.Revision != v.Revision {
		t.Errorf("view: leader %d, revision %d after %d", got.Leader, got.Revision, v.Revision)
	}
}

// Whoever deletes the leader's key ends its term, not the leadership for ever.
func TestDeletedLeaderKey(t *testing.T) {
	env := environment(t)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a", LeaderTTL: time.Second})
	r.lead(t)
	before := r.awaitView(t, "a leader", leads)
	keys, err := statepb.NewKeys(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Delete(t.Context(), keys.Leader()); err != nil {
		t.Fatal(err)
	}
	c := ledgertest.SampleChange(before.Revision, 1)
	c.Fenced = true
	if _, err := r.Commit(t.Context(), c); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("without a key it still commits: %v", err)
	}
	r.awaitView(t, "a new term", func(v *monitor.View) bool { return v.Leader > before.Leader })
}
