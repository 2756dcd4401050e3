package etcdstore_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

// publish runs a publisher whose transactions may be held up. It returns the publisher and a leader's fence.
func publish(t *testing.T, env string, kv clientv3.KV) (p *etcdstore.Publisher, leader int64) {
	t.Helper()
	got, err := etcd.Put(t.Context(), "/sluice/"+env+"/leader", "r1")
	if err != nil {
		t.Fatal(err)
	}
	p = etcdstore.NewPublisher(newWriter(t, kv, env), nil)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return p, got.Header.GetRevision()
}

// await waits until the stored snapshot has a stamp. A watch is a hint that may be lost, so it looks now and then as well.
func await(t *testing.T, env string, want routing.Stamp) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events := etcd.Watch(ctx, "/sluice/"+env+"/snapshot/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var last error
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-events:
		case <-again.C:
		}
		found, err := etcdstore.Read(ctx, etcd, env)
		if err == nil && routing.StampOf(found.Snapshot) == want {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
	}
	t.Fatalf("waited in vain for %+v; last: %v", want, last)
}

// settled returns the figures once they tell of a revision: it is seen in the store a little earlier.
func settled(t *testing.T, p *etcdstore.Publisher, revision int64) etcdstore.PublisherStats {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 20*time.Second; runtime.Gosched() {
		if s := p.Stats(); s.Revision == revision {
			return s
		}
	}
	t.Fatalf("the figures do not tell of revision %d: %+v", revision, p.Stats())
	return etcdstore.PublisherStats{}
}

func stamp(revision int64, at time.Time) routing.Stamp {
	return routing.Stamp{Revision: routing.Revision{Epoch: 1, Revision: revision}, Written: at}
}

func TestPublisher_NewestWinsAndNobodyWaits(t *testing.T) {
	env, p := environment(), plan(t, "one")
	hang, stuck := make(chan struct{}), make(chan struct{}, 100)
	kv := &hooked{etcd, func() error {
		stuck <- struct{}{}
		<-hang
		return nil
	}}
	publisher, leader := publish(t, env, kv)
	publisher.Publish(table(p, 1, 1), written, leader)
	<-stuck // etcd hangs
	for revision := int64(2); revision <= 50; revision++ {
		publisher.Publish(table(p, 1, revision), written, leader)
	}
	close(hang)
	await(t, env, stamp(50, written))
	if s := settled(t, publisher, 50); s.Pushed > 2 || s.Failed != 0 {
		t.Errorf("what was overtaken was stored too: %+v", s)
	}
}

func TestPublisher_RenewsAndFollowsTheLead(t *testing.T) {
	env, p := environment(), plan(t, "one")
	publisher, leader := publish(t, env, etcd)
	publisher.Publish(table(p, 1, 2), written, leader)
	await(t, env, stamp(2, written))
	publisher.Publish(table(p, 1, 2), written.Add(etcdstore.RenewEvery-1), leader) // too early for a renewal
	publisher.Publish(table(p, 1, 2), written.Add(etcdstore.RenewEvery), leader)
	await(t, env, stamp(2, written.Add(etcdstore.RenewEvery)))
	publisher.Publish(table(p, 1, 3), written, leader+1) // no longer leads, and does not know it yet
	publisher.Publish(table(p, 1, 4), written, leader)
	await(t, env, stamp(4, written))
	if s := settled(t, publisher, 4); !s.Written.Equal(written) {
		t.Errorf("%+v", s)
	}
}

// broken is a store that cannot be reached; it counts who tries.
type broken struct {
	clientv3.KV

	tries atomic.Int64
}

func (b *broken) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	b.tries.Add(1)
	return nil, errCrash
}

func TestPublisher_OnlyTheLeaderWritesAndTriesAgain(t *testing.T) {
	p := plan(t, "one")
	synctest.Test(t, func(t *testing.T) {
		kv := &broken{}
		publisher := etcdstore.NewPublisher(newWriter(t, kv, "prod"), nil)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { publisher.Run(ctx) })
		tried := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := kv.tries.Load(); got != want || publisher.Stats().Failed != uint64(want) {
				t.Errorf("%d tries, %+v, want %d", got, publisher.Stats(), want)
			}
		}
		publisher.Publish(table(p, 1, 1), time.Now(), 0)
		tried(0)
		publisher.Publish(table(p, 1, 1), time.Now(), 12)
		tried(1)
		publisher.Publish(table(p, 1, 2), time.Now(), 12) // does not hurry the next try
		tried(1)
		time.Sleep(1100 * time.Millisecond)
		tried(2)
		publisher.Publish(table(p, 1, 3), time.Now(), 0) // lost the lead
		time.Sleep(time.Minute)
		tried(2)
		stop()
		running.Wait()
	})
}
