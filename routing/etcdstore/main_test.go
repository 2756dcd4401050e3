package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
	"github.com/sluice-pay/sluice/statemachine"
)

var (
	etcd     *clientv3.Client // of the one server of this test binary
	endpoint string           // of the same server, by a socket
	tests    atomic.Uint64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-snapshot-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, "start etcd:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	c := newConfig(dir)
	c.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	server, err := embed.StartEtcd(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start etcd:", err)
		return 1
	}
	defer server.Close()
	<-server.Server.ReadyNotify()
	endpoint = server.Clients[0].Addr().String()
	etcd = v3client.New(server.Server)
	defer etcd.Close()
	return m.Run()
}

func newConfig(dir string) *embed.Config {
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenPeerUrls, c.ListenClientUrls = nil, nil
	c.UnsafeNoFsync = true
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return c
}

// environment gives every test keys of its own.
func environment() string { return fmt.Sprintf("test-%d", tests.Add(1)) }

func plan(tb testing.TB, name string) *routing.Plan {
	tb.Helper()
	p, err := routing.CompilePlan(catalog(name, "a", "b"), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func catalog(name string, channels ...string) *configv1.Catalog {
	c := &configv1.Catalog{Name: name, Entities: []*configv1.Entity{{Id: "e-1"}}}
	r := &configv1.Route{Id: "collect", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: "QUICKPAY"}
	for _, id := range channels {
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: id, Provider: "p", BusinessTypes: []configv1.BusinessType{configv1.BusinessType_BUSINESS_TYPE_COLLECT},
			Instruments: []*configv1.Instrument{{Method: "QUICKPAY", Banks: []string{"ICBC"}, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT}}},
			Accounts:    []*configv1.Account{{Id: "main", Entity: "e-1"}}, Currencies: []string{"CNY"},
		})
		r.Members = append(r.Members, &configv1.RouteMember{Channel: id})
	}
	c.Routes = []*configv1.Route{r}
	return c
}

var written = time.Unix(1772424000, 0).UTC()

// table has channel a in generation = revision, so that the states of every revision differ.
func table(p *routing.Plan, epoch uint64, revision int64) *routing.Table {
	s := statemachine.NewState(statemachine.ChannelScope("a"))
	s.Generation = uint64(revision)
	return p.Table(routing.Revision{Epoch: epoch, Revision: revision}, []statemachine.State{s}, nil)
}

func snapshot(p *routing.Plan, env string, revision int64) *configv1.Snapshot {
	return routing.NewSnapshot(table(p, 1, revision), env, written.Add(time.Duration(revision)*time.Second))
}

func newWriter(tb testing.TB, kv clientv3.KV, env string) *etcdstore.Writer {
	tb.Helper()
	w, err := etcdstore.NewWriter(kv, env, 20*time.Second) // a test machine may be busy
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func push(tb testing.TB, w *etcdstore.Writer, s *configv1.Snapshot) {
	tb.Helper()
	if err := w.Push(tb.Context(), s, 0); err != nil {
		tb.Fatal(err)
	}
}

// mustRead reads a snapshot and opens it, so that everything about it is verified.
func mustRead(tb testing.TB, env string) *etcdstore.Found {
	tb.Helper()
	found, err := etcdstore.Read(tb.Context(), etcd, env)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := routing.OpenSnapshot(found.Snapshot, env, nil); err != nil {
		tb.Fatal(err)
	}
	return found
}

// expect fails unless exactly this snapshot is read.
func expect(tb testing.TB, env string, want *configv1.Snapshot) *etcdstore.Found {
	tb.Helper()
	found := mustRead(tb, env)
	if !proto.Equal(found.Snapshot, want) {
		tb.Fatalf("read revision %d of %s, want %d of %s, and the same content", found.Snapshot.GetRevision(), found.Snapshot.GetWriteTime().AsTime(),
			want.GetRevision(), want.GetWriteTime().AsTime())
	}
	return found
}

// keysOf lists what is stored of an environment's snapshot, with the revision that last wrote it.
func keysOf(tb testing.TB, env string) map[string]int64 {
	tb.Helper()
	root := "/sluice/" + env + "/snapshot/"
	got, err := etcd.Get(tb.Context(), root, clientv3.WithPrefix())
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]int64{}
	for _, kv := range got.Kvs {
		out[string(kv.GetKey()[len(root):])] = kv.GetModRevision()
	}
	return out
}

var errCrash = errors.New("the writer crashed")

// hooked is a KV whose transactions something may happen before.
type hooked struct {
	clientv3.KV

	before func() error
}

func (h *hooked) Txn(ctx context.Context) clientv3.Txn { return &hookedTxn{h.KV.Txn(ctx), h} }

type hookedTxn struct {
	clientv3.Txn

	h *hooked
}

func (t *hookedTxn) If(c ...clientv3.Cmp) clientv3.Txn  { t.Txn = t.Txn.If(c...); return t }
func (t *hookedTxn) Then(o ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Then(o...); return t }
func (t *hookedTxn) Else(o ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Else(o...); return t }

func (t *hookedTxn) Commit() (*clientv3.TxnResponse, error) {
	if err := t.h.before(); err != nil {
		return nil, err
	}
	return t.Txn.Commit()
}
