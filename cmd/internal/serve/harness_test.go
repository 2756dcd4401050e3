package serve_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

// patience bounds every wait of these tests; a loaded machine may be slow.
const patience = 40 * time.Second

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startEtcd starts an etcd with a socket; the function it returns stops it, and so does the end of the test.
func startEtcd(t *testing.T, dir, address string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := embedded.Start(ctx, embedded.Options{Dir: dir, Listen: address, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stop etcd: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func catalog(t *testing.T) *configv1.Catalog {
	t.Helper()
	file := filepath.Join("..", "..", "sluice", "testdata", "e2e.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := catalogfile.Check(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// replica is a replica running in this process.
type replica struct {
	routing  sluicev1.RoutingServiceClient
	channels sluicev1.ChannelServiceClient
	at       serve.Addresses
	stop     func() error
	payments atomic.Int64
}

// run starts a replica and returns once it takes requests; it is stopped with the test.
func run(t *testing.T, o serve.Options, dialing ...grpc.DialOption) *replica {
	t.Helper()
	ready, ended := make(chan serve.Addresses, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	o.Listen, o.Ready = "127.0.0.1:0", func(a serve.Addresses) { ready <- a }
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	go func() { ended <- serve.Run(ctx, o) }()
	var once atomic.Bool
	stop := func() error {
		cancel()
		if once.Swap(true) {
			return nil
		}
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("replica %s: %v", o.Replica, err)
		}
	})
	select {
	case a := <-ready:
		r := &replica{stop: stop, at: a}
		r.connect(t, dialing...)
		return r
	case err := <-ended:
		once.Store(true)
		t.Fatalf("replica %s ended: %v", o.Replica, err)
	case <-time.After(patience):
		t.Fatalf("replica %s takes no requests", o.Replica)
	}
	return nil
}

func (r *replica) connect(t *testing.T, dialing ...grpc.DialOption) {
	t.Helper()
	if len(dialing) == 0 {
		dialing = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	conn, err := grpc.NewClient(r.at.GRPC, dialing...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.routing, r.channels = sluicev1.NewRoutingServiceClient(conn), sluicev1.NewChannelServiceClient(conn)
}

// route returns the channel that a payment of ICBC is sent to.
func (r *replica) route(ctx context.Context) (string, error) {
	reply, err := r.routing.Route(ctx, &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: fmt.Sprintf("p-%d", r.payments.Add(1)), Merchant: "m-1", SettlementEntity: "e-1",
		BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: "QUICKPAY", Bank: "ICBC",
		CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY",
	}})
	if err != nil {
		return "", err
	}
	return reply.GetChannels()[0].GetChannel(), nil
}

// order switches the channel alpha.
func (r *replica) order(ctx context.Context, action sluicev1.Action, id string) error {
	_, err := r.channels.SwitchChannel(ctx, &sluicev1.SwitchChannelRequest{
		Action: action, Scope: &sluicev1.Scope{Name: "alpha"}, Reason: "test", RequestId: id,
		Expiry: &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(time.Hour)},
	})
	return err
}

// until repeats try until it returns nil.
func until(t *testing.T, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return time.Since(start)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// routesTo is satisfied when payments go, or do not go, to alpha.
func (r *replica) routesTo(alpha bool) func(context.Context) error {
	return func(ctx context.Context) error {
		to, err := r.route(ctx)
		if err != nil {
			return err
		}
		if (to == "alpha") != alpha {
			return errors.New("payments go to " + to)
		}
		return nil
	}
}

func external(addresses ...string) config.Etcd {
	e := config.Etcd{Timeout: config.DefaultEtcdTimeout}
	for _, a := range addresses {
		e.Endpoints = append(e.Endpoints, "http://"+a)
	}
	return e
}

func withTLS(t *testing.T, c config.ClientTLS) grpc.DialOption {
	t.Helper()
	conf, err := c.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(conf))
}
