package etcdstore_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
)

var (
	etcd  *clientv3.Client // of the one server of this test binary
	boots atomic.Uint64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-etcd-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, "start etcd:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	server, err := serve(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start etcd:", err)
		return 1
	}
	defer server.Close()
	etcd = v3client.New(server.Server)
	defer etcd.Close()
	return m.Run()
}

// serve starts an etcd without sockets.
func serve(dir string) (*embed.Etcd, error) {
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenPeerUrls, c.ListenClientUrls = nil, nil
	c.UnsafeNoFsync = true
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	<-server.Server.ReadyNotify()
	return server, nil
}

// environment gives every test keys of its own.
func environment(t *testing.T) string {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%d-%.40s", boots.Add(1), name)
}

// replica is a ledger with the loops that feed it.
type replica struct {
	*etcdstore.Ledger
	options etcdstore.Options
	stop    context.CancelFunc // of Lead
	done    sync.WaitGroup
}

func open(t *testing.T, client *clientv3.Client, o etcdstore.Options) *replica {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second // a test machine may be busy
	}
	if o.Boot == 0 {
		o.Boot = boots.Add(1)
	}
	l, err := etcdstore.Open(t.Context(), client, o)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Ledger: l, options: o}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { l.Watch(ctx) })
	t.Cleanup(func() {
		cancel()
		r.resign()
		watching.Wait()
	})
	return r
}

func (r *replica) campaign(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	r.done.Go(func() {
		if err := r.Lead(ctx); err != nil {
			t.Errorf("lead: %v", err)
		}
	})
}

func (r *replica) resign() {
	if r.stop != nil {
		r.stop()
		r.done.Wait()
		r.stop = nil
	}
}

// lead campaigns and returns when the replica leads.
func (r *replica) lead(t *testing.T) {
	t.Helper()
	r.campaign(t)
	r.awaitView(t, "this replica to lead", func(v *monitor.View) bool { return v.Leader != 0 })
}

func (r *replica) awaitView(t *testing.T, what string, good func(*monitor.View) bool) *monitor.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		v, err := r.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if good(v) {
			return v
		}
		select {
		case <-r.Changed():
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func asReplica(t *testing.T, l monitor.Ledger) *replica {
	t.Helper()
	r, ok := l.(*replica)
	if !ok {
		t.Fatalf("got %T", l)
	}
	return r
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Fixture {
		t.Helper()
		env := environment(t)
		keys, err := statepb.NewKeys(env)
		if err != nil {
			t.Fatal(err)
		}
		return ledgertest.Fixture{
			Ledger: open(t, etcd, etcdstore.Options{Environment: env, Replica: "a"}),
			Peer: func(t *testing.T, name string) monitor.Ledger {
				t.Helper()
				return open(t, etcd, etcdstore.Options{Environment: env, Replica: name})
			},
			Lead:   func(t *testing.T, l monitor.Ledger) { t.Helper(); asReplica(t, l).lead(t) },
			Resign: func(t *testing.T, l monitor.Ledger) { t.Helper(); asReplica(t, l).resign() },
			Tamper: func(t *testing.T, sequence uint64, edit func([]byte) []byte) {
				t.Helper()
				tamper(t, keys.Journal(sequence), edit)
			},
		}
	})
}

// tamper changes a value behind the ledger's back; nil removes it.
func tamper(t *testing.T, key string, edit func([]byte) []byte) {
	t.Helper()
	got, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var old []byte
	if len(got.Kvs) > 0 {
		old = got.Kvs[0].GetValue()
	}
	if value := edit(old); value != nil {
		_, err = etcd.Put(t.Context(), key, string(value))
	} else {
		_, err = etcd.Delete(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
}
