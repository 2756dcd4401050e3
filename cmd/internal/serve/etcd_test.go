package serve_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// fullRead is how often a replica reads everything whatever its watch says. What is seen much sooner was told by the watch.
const fullRead = 10 * time.Second

// An order given to one replica is in force at another as soon as the watch tells it.
func TestOrderIsInForceAtOtherReplica(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	a := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	b := run(t, serve.Options{Replica: "b", Etcd: external(address)}) // takes the catalogue from the store
	if err := b.routesTo(true)(t.Context()); err != nil {
		t.Fatalf("before the order: %v", err)
	}
	for i := range 5 {
		off := i%2 == 0
		action, id := sluicev1.Action_ACTION_ON_NOW, string(rune('a'+i))
		if off {
			action = sluicev1.Action_ACTION_OFF
		}
		if err := a.order(t.Context(), action, id); err != nil {
			t.Fatalf("order %v: %v", action, err)
		}
		took := until(t, "the order to be in force at b", b.routesTo(!off))
		t.Logf("%v in force at the other replica after %v", action, took)
		if took > fullRead/3 {
			t.Errorf("it took %v: that was the full read, not the watch", took)
		}
	}
	for _, r := range []*replica{b, a} {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

// While etcd is away a replica routes as before and refuses orders with a code that says to ask again; when etcd is back, so
// are orders, without a restart of the replica.
func TestEtcdRestartsUnderReplica(t *testing.T) {
	address, dir := freeAddress(t), t.TempDir()
	stopEtcd := startEtcd(t, dir, address)
	r := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	other := run(t, serve.Options{Replica: "b", Etcd: external(address)})
	if err := r.order(t.Context(), sluicev1.Action_ACTION_OFF, "before"); err != nil {
		t.Fatal(err)
	}
	until(t, "the order", other.routesTo(false))
	stopEtcd()

	away, worst := 0, time.Duration(0)
	refused := make(chan error, 1)
	go func() { refused <- r.order(t.Context(), sluicev1.Action_ACTION_ON_NOW, "away") }()
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); away++ {
		for _, one := range []*replica{r, other} {
			start := time.Now()
			if err := one.routesTo(false)(t.Context()); err != nil {
				t.Fatalf("without etcd: %v", err)
			}
			worst = max(worst, time.Since(start))
		}
	}
	t.Logf("%d decisions without etcd, the slowest took %v", 2*away, worst)
	select {
	case err := <-refused:
		if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Aborted {
			t.Errorf("order without etcd: %v", err)
		}
	default:
		t.Error("the order without etcd has no answer after seconds")
	}

	startEtcd(t, dir, address)
	took := until(t, "orders to be taken again", func(ctx context.Context) error {
		return r.order(ctx, sluicev1.Action_ACTION_ON_NOW, "after")
	})
	took += until(t, "the order to be in force at the other replica", other.routesTo(true))
	t.Logf("back after %v", took)
	for _, one := range []*replica{other, r} {
		if err := one.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

// listener tells when a store is said to be out of reach.
type listener struct {
	slog.Handler

	heard chan struct{}
	once  sync.Once
}

func (*listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "the store cannot be reached yet" {
		l.once.Do(func() { close(l.heard) })
	}
	return nil
}

// A replica that starts before its etcd waits for it.
func TestReplicaStartsBeforeEtcd(t *testing.T) {
	address, dir := freeAddress(t), t.TempDir()
	ended, missed := make(chan error, 1), &listener{Handler: slog.DiscardHandler, heard: make(chan struct{})}
	go func() {
		<-missed.heard // the replica has looked for it in vain
		etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Options{Dir: dir, Listen: address, NoSync: true})
		if err == nil {
			<-t.Context().Done()
			err = etcd.Close()
		}
		ended <- err
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t), Logger: slog.New(missed)})
	if err := r.routesTo(true)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
