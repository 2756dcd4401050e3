package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// epoch is the present of the tests.
var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// world is a small replica of real parts: router, ledger in memory, control, counters. Only the loop is missing: what it would do
// is called by hand.
type world struct {
	t        testing.TB
	router   *routing.Router
	plan     *routing.Plan
	catalog  *configv1.Catalog
	ledger   *monitor.MemoryLedger
	control  *monitor.Control
	counters *monitor.Counters
	second   atomic.Int64
	sight    atomic.Pointer[Sight]
	demand   float64
	traffic  map[statemachine.Scope]Traffic
	progress map[statemachine.Scope]Progress
	hub      *Hub
	told     uint64
	mu       sync.Mutex
}

func newWorld(tb testing.TB, catalog *configv1.Catalog) *world {
	tb.Helper()
	plan, err := routing.CompilePlan(catalog, nil)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		t: tb, router: routing.NewRouter(), plan: plan, catalog: catalog, ledger: monitor.NewMemoryLedger("r1"),
		counters: monitor.NewCounters(monitor.CountersOptions{DuplicateSlots: 1 << 12, PayerSlots: 1 << 10}),
		demand:   100, traffic: map[statemachine.Scope]Traffic{}, progress: map[statemachine.Scope]Progress{},
	}
	w.ledger.Lead()
	w.control = monitor.NewControl(w.ledger, "r1")
	w.second.Store(epoch.Unix())
	if err := w.counters.SetItems(plan.Items()); err != nil {
		tb.Fatal(err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(catalog)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.control.ApplyCatalog(tb.Context(), monitor.CatalogRequest{Catalog: raw, Author: "test", Reason: "begin"}, epoch); err != nil {
		tb.Fatal(err)
	}
	w.refresh()
	return w
}

// refresh compiles the newest view and tells the hub what happened.
func (w *world) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	view, err := w.control.Refresh(context.Background(), w.now())
	if err != nil {
		w.t.Error(err)
		return
	}
	states := make([]statemachine.State, len(view.States))
	for i := range view.States {
		states[i] = view.States[i].State
	}
	w.compile(view)
	table := w.plan.Table(routing.Revision{Epoch: view.Head.Epoch, Revision: view.Revision}, states, nil)
	w.router.Swap(table)
	w.sight.Store(&Sight{View: view, Catalog: w.catalog, Fleet: w.fleet(view), Table: table, Confirmed: w.now()})
	entries, err := w.ledger.Journal(context.Background(), w.told, 1000)
	if err != nil {
		w.t.Error(err)
	}
	if w.hub != nil {
		w.hub.Publish(entries)
	}
	w.told = view.Head.Sequence
}

func (w *world) fleet(view *monitor.View) *statemachine.Fleet {
	f := w.plan.Fleet()
	for i := range f.Lanes {
		f.Lanes[i].Demand = w.demand
	}
	f.States = map[statemachine.Scope]statemachine.State{}
	for i := range view.States {
		f.States[view.States[i].Scope] = view.States[i].State
	}
	return &f
}

func (w *world) now() time.Time { return time.Unix(w.second.Load(), 0).UTC() }

func (w *world) Second() int64 { return w.second.Load() }
func (w *world) Sight() *Sight { return w.sight.Load() }

func (w *world) Traffic(s statemachine.Scope) (Traffic, bool) {
	t, ok := w.traffic[s]
	return t, ok
}

func (w *world) Progress(s statemachine.Scope) (Progress, bool) {
	p, ok := w.progress[s]
	return p, ok
}

func (w *world) Order(ctx context.Context, q monitor.OrderRequest, now time.Time) (monitor.Result, error) {
	r, err := w.control.Order(ctx, q, w.sight.Load().Fleet, now)
	if err == nil && !q.ValidateOnly {
		w.refresh() //nolint:contextcheck // the replica looks by itself
	}
	return r, err
}

func (w *world) Annotate(ctx context.Context, q monitor.AnnotateRequest, now time.Time) (monitor.Result, error) {
	r, err := w.control.Annotate(ctx, q, now)
	if err == nil {
		w.refresh() //nolint:contextcheck // the replica looks by itself
	}
	return r, err
}

// cut lets automation close a scope, as a detector's verdict would.
func (w *world) cut(s statemachine.Scope) {
	w.t.Helper()
	v := statemachine.Verdict{Kind: statemachine.Failing, Scope: s, Evidence: statemachine.Evidence{
		Detector: "windows", Rule: "rate", Scope: s, From: w.Second() - 10, To: w.Second(), Answered: 30, Bad: 28, Rate: 28.0 / 30, Lower: 0.95,
		Threshold: 0.5, Statistic: 28.0 / 30, MinSamples: 20, Reporters: 3, Explanation: "28 of 30 failed in 10 s",
		Outcomes: [statemachine.NumOutcomes]uint64{statemachine.Succeeded: 2, statemachine.ChannelFailed: 28}, CodedBad: 28,
		Reasons: []statemachine.ReasonCount{{Reason: "E91", N: 28}},
	}}
	r, err := w.control.Submit(context.Background(), []monitor.Input{{Scope: s, Event: v}}, w.sight.Load().Fleet, w.now())
	if err != nil || len(r.Moves) != 1 {
		w.t.Fatalf("cut %s: %+v, %v", s, r, err)
	}
	w.refresh()
}

// stand is a server over a connection in memory.
type stand struct {
	*world

	server *Server
	conn   *grpc.ClientConn
	log    *syncBuffer
}

// syncBuffer is a buffer that a server may write into while a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// identities of the tests: the token is the name.
func identities() []Identity {
	var all []Identity
	for _, r := range []Role{Viewer, Cashier, Gateway, Operator, Approver, Owner} {
		all = append(all, Identity{Name: r.String(), TokenHash: HashToken(r.String()), Roles: r})
	}
	return all
}

func newStand(tb testing.TB, change func(*Config)) *stand {
	tb.Helper()
	return newStandOf(tb, testCatalog(), change)
}

func newStandOf(tb testing.TB, catalog *configv1.Catalog, change func(*Config)) *stand {
	tb.Helper()
	w := newWorld(tb, catalog)
	s := &stand{world: w, log: &syncBuffer{}}
	cfg := Config{
		Replica: "r1", Router: w.router, World: w, Orders: w, Journal: w.ledger, Counters: w.counters, Clock: w,
		Logger: slog.New(slog.NewJSONHandler(s.log, nil)), Identities: identities(), Now: w.now, Control: w.control.Counters,
	}
	if change != nil {
		change(&cfg)
	}
	server, err := New(cfg, nil)
	if err != nil {
		tb.Fatal(err)
	}
	s.server, w.hub = server, server.Hub()
	lis := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- server.Serve(lis) }()
	s.conn, err = grpc.NewClient("passthrough:///sluice", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Stop(ctx)
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return s
}

// as returns a context that calls with a role's token.
func as(tb testing.TB, r Role) context.Context {
	tb.Helper()
	return withToken(tb, r.String())
}

func withToken(tb testing.TB, token string) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	tb.Cleanup(cancel)
	return bearing(ctx, token)
}

// bearing is a context whose calls bear a token.
func bearing(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func (s *stand) routing() sluicev1.RoutingServiceClient {
	return sluicev1.NewRoutingServiceClient(s.conn)
}

func (s *stand) channels() sluicev1.ChannelServiceClient {
	return sluicev1.NewChannelServiceClient(s.conn)
}

func (s *stand) incidents() sluicev1.IncidentServiceClient {
	return sluicev1.NewIncidentServiceClient(s.conn)
}
