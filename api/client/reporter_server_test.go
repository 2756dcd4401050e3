package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// booked is a replica with the real server, counters and publisher; its seconds pass by hand. A new life of it knows nothing of
// the one before, but for the exchange and the claims in it.
type booked struct {
	*replica

	exchange  *monitor.MemoryExchange
	counters  *monitor.Counters
	publisher *monitor.Publisher
	boot      uint64
	second    atomic.Int64
	published atomic.Int64
	seen      uint64 // deliveries of this life when its last second ended
	delivered uint64 // of the lives before
}

func newBooked(tb testing.TB, n *network, name string, x *monitor.MemoryExchange) *booked {
	tb.Helper()
	plan, err := routing.CompilePlan(testCatalog(2), nil)
	if err != nil {
		tb.Fatal(err)
	}
	b := &booked{replica: &replica{tb: tb, net: n, name: name, plan: plan, router: routing.NewRouter()}, exchange: x}
	b.second.Store(1_800_000_000)
	t := plan.Table(routing.Revision{Epoch: 1, Revision: 100}, nil, nil)
	b.router.Swap(t)
	b.sight.Store(&server.Sight{Table: t, Confirmed: time.Now()})
	b.begin()
	tb.Cleanup(b.die)
	return b
}

func (b *booked) Second() int64    { return b.second.Load() }
func (b *booked) Published() int64 { return b.published.Load() }

func (*booked) ApplyCatalog(context.Context, monitor.CatalogRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (*booked) Catalog(context.Context, uint64) ([]byte, monitor.CatalogRevision, error) {
	return nil, monitor.CatalogRevision{}, monitor.ErrNotLeader
}

func (*booked) Catalogs(context.Context) ([]monitor.CatalogRevision, error) {
	return nil, monitor.ErrNotLeader
}

// begin begins a life.
func (b *booked) begin() {
	b.tb.Helper()
	b.boot++
	b.seen = 0
	b.published.Store(0)
	b.counters = monitor.NewCounters(monitor.CountersOptions{DuplicateSlots: 1 << 16, PayerSlots: 1 << 10, Claims: true})
	if err := b.counters.SetItems(b.plan.Items()); err != nil {
		b.tb.Fatal(err)
	}
	b.publisher = monitor.NewPublisher(b.exchange, monitor.NewMemoryClaims(b.exchange, b.name, b.boot), b.counters)
	var err error
	b.server, err = server.New(server.Config{
		Replica: b.name, Environment: env, Router: b.router, World: b.replica, Orders: b.replica, Catalogs: b, Journal: monitor.NewMemoryLedger(b.name),
		Counters: b.counters, Clock: b, Logger: slog.New(slog.DiscardHandler), AllowAnonymous: true, Acknowledge: time.Millisecond,
	}, nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	lis := bufconn.Listen(1 << 20)
	b.net.mu.Lock()
	b.net.lis[b.name] = lis
	b.net.mu.Unlock()
	b.done = make(chan error, 1)
	go func() { b.done <- b.server.Serve(lis) }()
	b.alive = true
}

// die ends a life at once; what was not published is lost.
func (b *booked) die() {
	if !b.alive {
		return
	}
	b.kill()
	n := b.counters.Books()
	if !n.Balanced() {
		b.tb.Errorf("the books of the replica: %+v", n)
	}
	b.delivered += n.Deliveries
}

// holds reports whether it counted something that would be lost with it.
func (b *booked) holds() bool { return b.alive && b.counters.Books().Deliveries > b.seen }

// tick ends a second.
func (b *booked) tick() {
	b.seen = b.counters.Books().Deliveries
	second := b.second.Add(1) - 1
	var rows []*monitor.Row
	for _, c := range b.counters.Close(second) {
		rows = append(rows, &monitor.Row{Replica: b.name, Boot: b.boot, Counts: c})
	}
	_ = b.publisher.Publish(context.Background(), rows, second+1)
	b.published.Store(b.publisher.Published(second))
}

// succeeded sums what the exchange holds of a channel.
func (b *booked) succeeded(channel string) (n int) {
	for s := b.second.Load() - 900; s <= b.second.Load(); s++ {
		rows, err := b.exchange.Read(context.Background(), s)
		if err != nil {
			b.tb.Fatal(err)
		}
		for _, r := range rows {
			for i := range r.Counts.Items {
				if it := &r.Counts.Items[i]; it.Item == statemachine.ChannelScope(channel) {
					n += int(it.Totals[statemachine.Succeeded])
				}
			}
		}
	}
	return n
}

// TestInvariant07_ReporterAndRealServer kills the real server again and again in the middle of a stream, and restarts the
// reporter's own process too: at the server every report is counted exactly once, and the reporter's books say so.
func TestInvariant07_ReporterAndRealServer(t *testing.T) {
	n := newNetwork()
	b := newBooked(t, n, "r1", monitor.NewMemoryExchange())
	cfg := config(n, RPCFirst)
	cfg.StartWait = -1
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rc := ReporterConfig{
		Name: "gateway-1", File: filepath.Join(t.TempDir(), "reports"), MaxReports: 2000, MaxBatch: 40, Wait: true,
		MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, SpillAfter: 300 * time.Millisecond,
	}
	const lives, each = 3, 3000
	applied := uint64(0)
	for life := range lives {
		r, err := c.Reporter(rc)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- reportAll(t, r, life, each) }()
		b.live(ended)
		if err := r.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		s := r.Stats()
		if balance(t, s); s.Dropped.Total() != 0 {
			t.Errorf("%+v", s)
		}
		applied += s.Applied
	}
	b.tick()
	if got := b.succeeded("a"); got != lives*each || applied != lives*each {
		t.Errorf("%d counted at the server, %d applied by the reporter's books, want %d", got, applied, lives*each)
	}
	b.die()
	if b.delivered <= lives*each || b.boot < lives {
		t.Errorf("too mild: %d lives of the server, %d reports delivered", b.boot, b.delivered)
	}
	t.Logf("%d lives of the server, %d reports delivered, %d counted", b.boot, b.delivered, applied)
}

// reportAll reports the attempts of one life of a gateway and waits until they are published.
func reportAll(t *testing.T, r *Reporter, life, n int) error {
	t.Helper()
	m := testReport("")
	m.Channel = "a"
	for i := range n {
		m.AttemptId, m.PaymentId = fmt.Sprintf("attempt-%d-%d", life, i), fmt.Sprintf("payment-%d-%d", life, i)
		if err := r.Report(t.Context(), m); err != nil {
			return err
		}
	}
	return r.Flush(within(t, time.Minute))
}

// live lets seconds pass until the gateway has ended, and kills the server up to six times, each when it holds what nobody else
// knows.
func (b *booked) live(ended <-chan error) {
	b.tb.Helper()
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	kills, since := 0, 0
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.tb.Fatal(err)
			}
			return
		case <-pace.C:
		}
		switch since++; {
		case !b.alive && since > 3:
			b.begin()
			since = 0
		case !b.alive:
		case kills < 6 && since > 3 && b.holds():
			b.die()
			kills++
			since = 0
		case kills < 6 && since > 3: // a second goes on until something is counted in it, or all is delivered
			if since > 8 {
				b.tick()
			}
		default:
			b.tick()
		}
	}
}

func TestReporter_NeedsAnOpenClientWithReplicas(t *testing.T) {
	n := newNetwork()
	b := newBooked(t, n, "r1", monitor.NewMemoryExchange())
	cfg := config(n, RPCFirst)
	cfg.StartWait = -1
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, rc := range map[string]ReporterConfig{
		"batch":     {MaxBatch: 1001},
		"name":      {Name: string(make([]byte, 65))},
		"memory":    {MaxBytes: 1},
		"directory": {File: filepath.Join(t.TempDir(), "nowhere", "reports")},
		"backoff":   {MinBackoff: time.Second, MaxBackoff: time.Millisecond},
	} {
		if _, err := c.Reporter(rc); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "reports")
	r, err := c.Reporter(ReporterConfig{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reporter(ReporterConfig{File: file}); !errors.Is(err, errSpillInUse) {
		t.Errorf("a second reporter on the file: %v", err)
	}
	m := testReport("attempt-1")
	m.Channel = "a"
	mustReport(t, r, m)
	b.die() // nobody takes it: closing the client leaves it in the file
	r.cfg.FlushTimeout = time.Millisecond
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if s := r.Stats(); s.Spilled != 1 || s.Dropped.Total() != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := c.Reporter(ReporterConfig{}); !errors.Is(err, ErrReporterClosed) {
		t.Errorf("of a closed client: %v", err)
	}
	without, err := New(t.Context(), Config{Environment: env, File: filepath.Join(t.TempDir(), "snapshot"), StartWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	if _, err := without.Reporter(ReporterConfig{}); !errors.Is(err, ErrConfig) {
		t.Errorf("without replicas: %v", err)
	}
}
