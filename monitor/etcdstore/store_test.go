package etcdstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/statemachine"
)

// silentKV loses the answer of the next transactions that write: they are made, and their caller hears of a deadline.
type silentKV struct {
	clientv3.KV
	lose  atomic.Int32
	after func() // once, after the next transaction
}

func (s *silentKV) Txn(ctx context.Context) clientv3.Txn {
	return &silentTxn{Txn: s.KV.Txn(ctx), kv: s}
}

type silentTxn struct {
	clientv3.Txn
	kv *silentKV
}

func (s *silentTxn) If(c ...clientv3.Cmp) clientv3.Txn { s.Txn = s.Txn.If(c...); return s }

func (s *silentTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	if !slices.ContainsFunc(ops, clientv3.Op.IsPut) {
		return s.Txn.Then(ops...)
	}
	s.Txn = s.Txn.Then(ops...)
	return s
}

func (s *silentTxn) Commit() (*clientv3.TxnResponse, error) {
	got, err := s.Txn.Commit()
	if after := s.kv.after; after != nil {
		s.kv.after = nil
		after()
	}
	if err == nil && s.kv.lose.Add(-1) >= 0 {
		return nil, context.DeadlineExceeded
	}
	return got, err
}

// through returns the one server's client with another way to its keys and watches.
func through(kv clientv3.KV, watcher clientv3.Watcher) *clientv3.Client {
	c := clientv3.NewCtxClient(context.Background())
	c.KV, c.Lease, c.Watcher = kv, etcd.Lease, watcher
	return c
}

// A change whose answer is lost is an unknown outcome; the control finds it made and makes it once.
func TestAnswerLost(t *testing.T) {
	env := environment(t)
	kv := &silentKV{KV: etcd.KV}
	kv.lose.Store(0)
	r := open(t, through(kv, etcd.Watcher), etcdstore.Options{Environment: env, Replica: "a"})
	kv.lose.Store(1)
	c := ledgertest.SampleChange(r.awaitView(t, "anything", func(*monitor.View) bool { return true }).Revision, 1)
	if _, err := r.Commit(t.Context(), c); !errors.Is(err, monitor.ErrUnknownOutcome) {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	kv.lose.Store(1)
	control := monitor.NewControl(r, "a")
	result, err := control.Order(t.Context(), monitor.OrderRequest{
		Scopes:    []statemachine.Scope{statemachine.ChannelScope("alipay")},
		Order:     statemachine.Order{Action: statemachine.ActionHold, Author: "ann", Reason: "drill"},
		RequestID: "r-1",
	}, nil, ledgertest.Noon.Time())
	if err != nil || len(result.Moves) != 1 {
		t.Fatalf("got %+v, %v", result, err)
	}
	entries, err := r.Journal(t.Context(), 0, 10)
	if err != nil || len(entries) != 2 || control.Counters().Settled != 1 {
		t.Errorf("%d entries, %v, counters %+v; want the sample and one order", len(entries), err, control.Counters())
	}
}

// Two replicas that write the same number of a catalogue at once: what is put in force is what its author wrote, or nothing.
func TestCatalogsWrittenAtOnce(t *testing.T) {
	env := environment(t)
	keys, err := statepb.NewKeys(env)
	if err != nil {
		t.Fatal(err)
	}
	kv := &silentKV{KV: etcd.KV}
	l, err := etcdstore.Open(t.Context(), through(kv, etcd.Watcher), etcdstore.Options{Environment: env, Replica: "a", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kv.after = func() {
		if _, err := etcd.Put(t.Context(), keys.Catalog(1), "another's"); err != nil {
			t.Error(err)
		}
	}
	c := ledgertest.SampleChange(v.Revision)
	c.Catalog = []byte("mine")
	if _, err := l.Commit(t.Context(), c); !errors.Is(err, monitor.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if _, err := l.Commit(t.Context(), c); err != nil {
		t.Fatalf("again: %v", err)
	}
	if v, err = l.Read(t.Context()); err != nil || string(v.Catalog) != "mine" {
		t.Errorf("in force: %q, %v", v.Catalog, err)
	}
}

// Every call has a deadline, however slow the store.
func TestTimeout(t *testing.T) {
	r := open(t, etcd, etcdstore.Options{Environment: environment(t), Replica: "a"})
	base := r.awaitView(t, "anything", func(*monitor.View) bool { return true }).Revision
	slow, err := etcdstore.Open(t.Context(), through(&slowKV{KV: etcd.KV}, etcd.Watcher), etcdstore.Options{
		Environment: r.options.Environment, Replica: "b", Timeout: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Read(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := slow.Commit(t.Context(), ledgertest.SampleChange(base, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("commit: %v", err)
	}
}

// slowKV answers a transaction when its context ends.
type slowKV struct{ clientv3.KV }

func (s *slowKV) Txn(ctx context.Context) clientv3.Txn { return &slowTxn{Txn: s.KV.Txn(ctx), ctx: ctx} }

type slowTxn struct {
	clientv3.Txn
	ctx context.Context
}

func (s *slowTxn) If(...clientv3.Cmp) clientv3.Txn { return s }

func (s *slowTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	if slices.ContainsFunc(ops, clientv3.Op.IsPut) && len(ops) == 1 {
		return s.Txn.Then(ops...) // the first start
	}
	return s
}

func (s *slowTxn) Commit() (*clientv3.TxnResponse, error) {
	<-s.ctx.Done()
	return nil, s.ctx.Err()
}

// What Sluice cannot have written is an error, never an open gate.
func TestDamagedKeysAreRefused(t *testing.T) {
	env := environment(t)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a"})
	c := ledgertest.SampleChange(r.awaitView(t, "anything", func(*monitor.View) bool { return true }).Revision, 1, 2)
	c.Catalog = []byte("catalogue")
	if _, err := r.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	keys, err := statepb.NewKeys(env)
	if err != nil {
		t.Fatal(err)
	}
	one, two := keys.State(c.States[0].Scope), keys.State(c.States[1].Scope)
	value := func(key string) []byte {
		var v []byte
		tamper(t, key, func(b []byte) []byte { v = b; return b })
		return v
	}
	garbled := func(b []byte) []byte { return append(slices.Clone(b[:len(b)/2]), 0xff, 0xff) }
	tests := map[string]struct {
		key  string
		edit func([]byte) []byte
	}{
		"head gone":             {keys.Head(), func([]byte) []byte { return nil }},
		"head garbled":          {keys.Head(), garbled},
		"state garbled":         {one, garbled},
		"state empty":           {one, func([]byte) []byte { return []byte{} }},
		"state of another":      {one, func([]byte) []byte { return value(two) }},
		"incident garbled":      {keys.Incident("i-1"), garbled},
		"incident of another":   {keys.Incident("i-1"), func([]byte) []byte { return value(keys.Incident("i-2")) }},
		"catalogue garbled":     {keys.Catalog(1), garbled},
		"catalogue gone":        {keys.Catalog(1), func([]byte) []byte { return nil }},
		"catalogue of a number": {keys.Catalog(1), func(b []byte) []byte { return append(slices.Clone(b), 0x08, 0x02) }},
	}
	for name, test := range tests {
		good := value(test.key)
		tamper(t, test.key, test.edit)
		fresh := open(t, etcd, etcdstore.Options{Environment: env, Replica: "b"})
		if _, err := fresh.Read(t.Context()); !errors.Is(err, monitor.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
		tamper(t, test.key, func([]byte) []byte { return good })
	}
	if _, err := r.Read(t.Context()); err != nil {
		t.Errorf("restored: %v", err)
	}
}

// Exported entries may go; the chain is verified from there on, and the newest entry stays.
func TestTrim(t *testing.T) {
	env := environment(t)
	r := open(t, etcd, etcdstore.Options{Environment: env, Replica: "a"})
	if err := r.Trim(t.Context(), 1); err != nil {
		t.Errorf("nothing to trim: %v", err)
	}
	for n := range 6 {
		v, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Commit(t.Context(), ledgertest.SampleChange(v.Revision, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Trim(t.Context(), 3); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("a follower trims: %v", err)
	}
	r.lead(t)
	for _, step := range []struct {
		through uint64
		left    []uint64
	}{{3, []uint64{4, 5, 6}}, {2, []uint64{4, 5, 6}}, {99, []uint64{6}}} {
		if err := r.Trim(t.Context(), step.through); err != nil {
			t.Fatal(err)
		}
		entries, err := r.Journal(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var left []uint64
		for _, e := range entries {
			left = append(left, e.Sequence)
		}
		if !slices.Equal(left, step.left) {
			t.Errorf("trimmed through %d: left %v, want %v", step.through, left, step.left)
		}
		if err := r.Verify(t.Context()); err != nil {
			t.Errorf("trimmed through %d: %v", step.through, err)
		}
	}
}

// countingWatcher counts watches and may make them silent.
type countingWatcher struct {
	clientv3.Watcher
	silent bool
	opened atomic.Int32
}

func (w *countingWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	w.opened.Add(1)
	if w.silent {
		return make(chan clientv3.WatchResponse)
	}
	return w.Watcher.Watch(ctx, key, opts...)
}

func (w *countingWatcher) RequestProgress(ctx context.Context) error {
	if w.silent {
		return nil
	}
	return w.Watcher.RequestProgress(ctx)
}

// A watch that says nothing is rebuilt; one that answers is left alone.
func TestWatchdog(t *testing.T) {
	for name, test := range map[string]struct {
		silent bool
		good   func(int32) bool
	}{
		"silent":    {true, func(n int32) bool { return n >= 2 }},
		"answering": {false, func(n int32) bool { return n == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			watcher := &countingWatcher{Watcher: etcd.Watcher, silent: test.silent}
			l, err := etcdstore.Open(t.Context(), through(etcd.KV, watcher), etcdstore.Options{Environment: environment(t), Replica: "a"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var watching sync.WaitGroup
			watching.Go(func() { l.WatchEvery(ctx, 100*time.Millisecond) })
			watching.Wait()
			if n := watcher.opened.Load(); !test.good(n) {
				t.Errorf("the watch was opened %d times", n)
			}
		})
	}
}

// The same contract of Open for names that cannot be keys.
func TestOpenRefuses(t *testing.T) {
	for _, o := range []etcdstore.Options{{Environment: "a/b", Replica: "a"}, {Environment: "prod"}} {
		if _, err := etcdstore.Open(t.Context(), etcd, o); err == nil {
			t.Errorf("opened with %+v", o)
		}
	}
}
