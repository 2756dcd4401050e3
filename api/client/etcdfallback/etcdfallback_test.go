package etcdfallback_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/sluice-pay/sluice/api/client"
	"github.com/sluice-pay/sluice/api/client/etcdfallback"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

const (
	env      = "prod"
	patience = 20 * time.Second
)

// start starts an etcd with a socket and returns what writes snapshots into it, and what stops it.
func start(t *testing.T) (endpoint string, push func(*configv1.Snapshot), stop func()) {
	t.Helper()
	c := embed.NewConfig()
	c.Dir = t.TempDir()
	c.ListenPeerUrls, c.ListenClientUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	c.UnsafeNoFsync = true
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(e.Close)
	t.Cleanup(stop)
	<-e.Server.ReadyNotify()
	kv := v3client.New(e.Server)
	t.Cleanup(func() { _ = kv.Close() })
	return e.Clients[0].Addr().String(), func(s *configv1.Snapshot) {
		t.Helper()
		w, err := etcdstore.NewWriter(kv, s.GetEnvironment(), patience)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Push(t.Context(), s, 0); err != nil {
			t.Fatal(err)
		}
	}, stop
}

// deaf is an address that takes connections and says nothing.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func snapshot(t *testing.T, environment string, revision int64) *configv1.Snapshot {
	t.Helper()
	collect := configv1.BusinessType_BUSINESS_TYPE_COLLECT
	plan, err := routing.CompilePlan(&configv1.Catalog{
		Entities: []*configv1.Entity{{Id: "e-1"}},
		Channels: []*configv1.Channel{{
			Id: "a", Provider: "p", BusinessTypes: []configv1.BusinessType{collect}, Currencies: []string{"CNY"},
			Instruments: []*configv1.Instrument{{Method: "BALANCE"}}, Accounts: []*configv1.Account{{Id: "main", Entity: "e-1"}},
		}},
		Routes: []*configv1.Route{{Id: "collect", BusinessType: collect, Method: "BALANCE", Members: []*configv1.RouteMember{{Channel: "a"}}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 1, Revision: revision}, nil, nil), environment, time.Now())
}

// TestLadder: with no replica and no file a client decides by what one member of etcd has, goes on when that is gone, and starts
// without it where nothing is left.
func TestLadder(t *testing.T) {
	endpoint, push, stop := start(t)
	push(snapshot(t, env, 7))
	push(snapshot(t, "staging", 9))
	source, err := etcdfallback.New(etcdfallback.Config{Endpoints: []string{deaf(t), "127.0.0.1:1", endpoint}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Environment: env, Etcd: source, StartWait: patience}
	c, err := client.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func() {
		t.Helper()
		reply, err := c.Route(t.Context(), &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
			PaymentId: "p-1", Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
			Method: "BALANCE", Amount: 100, Currency: "CNY",
		}})
		if err != nil || reply.GetSource() != client.SourceEtcd || reply.GetTableRevision() != 7 {
			t.Errorf("%v, %v", reply, err)
		}
	}
	ask()
	stop()
	ask()
	cfg.StartWait = 100 * time.Millisecond
	bare, err := client.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if s := bare.State(); s.Source != client.SourceNone {
		t.Errorf("%+v", s)
	}
}

func TestSnapshot_Errors(t *testing.T) {
	endpoint, push, _ := start(t)
	push(snapshot(t, "staging", 9))
	source, err := etcdfallback.New(etcdfallback.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := source.Snapshot(t.Context(), env); !errors.Is(err, etcdstore.ErrNoSnapshot) {
		t.Error(s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := source.Snapshot(ctx, "staging"); err == nil {
		t.Error(s)
	}
}

func TestConfig(t *testing.T) {
	for i, cfg := range []etcdfallback.Config{
		{}, {Endpoints: []string{"a:1", ""}}, {Endpoints: []string{"a:1"}, Timeout: -1}, {Endpoints: []string{"a:1"}, Password: "x"},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			if s, err := etcdfallback.New(cfg); !errors.Is(err, etcdfallback.ErrConfig) {
				t.Error(s, err)
			}
		})
	}
}
