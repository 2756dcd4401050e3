package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	collect = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	env     = "prod"
)

// testCatalog has n channels a, b, c … of entity e-1, all with ICBC and CCB, in one route. Code
// E91 is a failure of the channel, E51 the payer's, E99 in doubt.
func testCatalog(n int, edit ...func(*configv1.Catalog)) *configv1.Catalog {
	c := &configv1.Catalog{
		Entities: []*configv1.Entity{{Id: "e-1"}, {Id: "e-2"}},
		Routes:   []*configv1.Route{{Id: "collect", BusinessType: collect, Method: "QUICKPAY"}},
		CodeTables: []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
			{Code: "E00", Outcome: configv1.Outcome_OUTCOME_SUCCEEDED},
			{Code: "E91", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED},
			{Code: "E51", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Advice: "ASK_FOR_ANOTHER_CARD"},
			{Code: "E99", Outcome: configv1.Outcome_OUTCOME_TIMED_OUT},
		}}},
	}
	for i := range n {
		id := channelName(i)
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: id, Provider: "p-" + id, CodeTable: "codes", Currencies: []string{"CNY"},
			BusinessTypes: []configv1.BusinessType{collect, configv1.BusinessType_BUSINESS_TYPE_REFUND, configv1.BusinessType_BUSINESS_TYPE_QUERY},
			Instruments: []*configv1.Instrument{{
				Method: "QUICKPAY", Banks: []string{"ICBC", "CCB"}, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT},
			}},
			Accounts: []*configv1.Account{{Id: "main", Entity: "e-1"}, {Id: "travel", Entity: "e-2"}},
		})
		c.Routes[0].Members = append(c.Routes[0].Members, &configv1.RouteMember{Channel: id, Priority: uint32(i)})
	}
	for _, f := range edit {
		f(c)
	}
	return c
}

// capacities gives each channel a capacity: the first n a second, the second 2n, and so on.
func capacities(n uint32) func(*configv1.Catalog) {
	return func(c *configv1.Catalog) {
		for i, ch := range c.GetChannels() {
			ch.Capacity = &configv1.Capacity{PaymentsPerSecond: n * uint32(i+1)}
		}
	}
}

func channelName(i int) string { return string(rune('a' + i)) }

// network is where replicas listen by name; one that is gone refuses connections, a frozen one answers nothing.
type network struct {
	mu     sync.Mutex
	lis    map[string]*bufconn.Listener
	frozen atomic.Bool
}

func (n *network) dial(ctx context.Context, name string) (net.Conn, error) {
	n.mu.Lock()
	l := n.lis[name]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	return l.DialContext(ctx)
}

// replica is a replica with the real server over a connection in memory; the loop that would feed it is called by hand.
type replica struct {
	tb     testing.TB
	net    *network
	name   string
	plan   *routing.Plan
	router *routing.Router
	sight  atomic.Pointer[server.Sight]
	server *server.Server
	done   chan error
	alive  bool
}

func (r *replica) Second() int64                                     { return time.Now().Unix() }
func (r *replica) Sight() *server.Sight                              { return r.sight.Load() }
func (r *replica) Traffic(statemachine.Scope) (server.Traffic, bool) { return server.Traffic{}, false }

func (r *replica) Progress(statemachine.Scope) (server.Progress, bool) {
	return server.Progress{}, false
}

func (r *replica) Order(context.Context, monitor.OrderRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (r *replica) Annotate(context.Context, monitor.AnnotateRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (r *replica) ApplyCatalog(context.Context, monitor.CatalogRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (r *replica) Catalog(context.Context, uint64) ([]byte, monitor.CatalogRevision, error) {
	return nil, monitor.CatalogRevision{}, monitor.ErrNotLeader
}

func (r *replica) Catalogs(context.Context) ([]monitor.CatalogRevision, error) {
	return nil, monitor.ErrNotLeader
}

func newNetwork() *network { return &network{lis: map[string]*bufconn.Listener{}} }

// newReplica starts a replica with a table of revision 1/100.
func newReplica(tb testing.TB, n *network, name string, catalog *configv1.Catalog) *replica {
	tb.Helper()
	plan, err := routing.CompilePlan(catalog, nil)
	if err != nil {
		tb.Fatal(err)
	}
	r := &replica{tb: tb, net: n, name: name, plan: plan, router: routing.NewRouter()}
	r.start()
	r.put(routing.Revision{Epoch: 1, Revision: 100})
	tb.Cleanup(r.kill)
	return r
}

func (r *replica) start() {
	r.tb.Helper()
	counters := monitor.NewCounters(monitor.CountersOptions{DuplicateSlots: 1 << 12, PayerSlots: 1 << 10})
	if err := counters.SetItems(r.plan.Items()); err != nil {
		r.tb.Fatal(err)
	}
	var err error
	r.server, err = server.New(server.Config{
		Replica: r.name, Environment: env, Router: r.router, World: r, Orders: r, Journal: monitor.NewMemoryLedger(r.name), Counters: counters, Clock: r,
		Logger: slog.New(slog.DiscardHandler), AllowAnonymous: true,
	}, nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	lis := bufconn.Listen(1 << 20)
	r.net.mu.Lock()
	r.net.lis[r.name] = lis
	r.net.mu.Unlock()
	r.done = make(chan error, 1)
	go func() { r.done <- r.server.Serve(lis) }()
	r.alive = true
}

// put puts a table in force.
func (r *replica) put(rev routing.Revision, states ...statemachine.State) {
	slices.SortFunc(states, func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) })
	t := r.plan.Table(rev, states, nil)
	r.router.Swap(t)
	r.sight.Store(&server.Sight{Table: t, Confirmed: time.Now()})
	r.server.Refresh()
}

// confirm says that the table is current.
func (r *replica) confirm() {
	next := *r.sight.Load()
	next.Confirmed = time.Now()
	r.sight.Store(&next)
	r.server.Refresh()
}

// kill ends the replica at once: connections break.
func (r *replica) kill() {
	if !r.alive {
		return
	}
	r.alive = false
	r.net.mu.Lock()
	delete(r.net.lis, r.name)
	r.net.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.server.Stop(ctx)
	if err := <-r.done; err != nil {
		r.tb.Error(err)
	}
}

// snapshot is what the replica would tell.
func (r *replica) snapshot() *configv1.Snapshot {
	s := r.sight.Load()
	return routing.NewSnapshot(s.Table, env, s.Confirmed)
}

// config reaches replica r1 of a network.
func config(n *network, mode Mode) Config {
	return Config{
		Target: "passthrough:///r1", Environment: env, Mode: mode,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(n.dial), grpc.WithUnaryInterceptor(n.slow)},
	}
}

// slow lets calls to a frozen network wait.
func (n *network) slow(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if n.frozen.Load() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return call(ctx, method, req, reply, cc, opts...)
}

func newClient(tb testing.TB, cfg Config) *Client {
	tb.Helper()
	c, err := New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func payment(i int) *sluicev1.RouteRequest {
	return &sluicev1.RouteRequest{MaxChannels: routing.MaxCandidates, Payment: &sluicev1.Payment{
		PaymentId: fmt.Sprintf("pay-%d", i), Merchant: "m-1", SettlementEntity: "e-1", BusinessType: collect, Method: "QUICKPAY",
		Bank: "ICBC", CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 12000, Currency: "CNY",
	}}
}

// channels are the channels of a reply, in order.
func channels(m *sluicev1.RouteResponse) string {
	var out strings.Builder
	for _, c := range m.GetChannels() {
		out.WriteString(c.GetChannel())
	}
	return out.String()
}

func mustRoute(tb testing.TB, c *Client, m *sluicev1.RouteRequest) *sluicev1.RouteResponse {
	tb.Helper()
	reply, err := c.Route(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}

// cutAt is a channel that automation closed.
func cutAt(channel string, at time.Time) statemachine.State {
	s := statemachine.NewState(statemachine.ChannelScope(channel))
	s.Phase, s.Share, s.Generation, s.After, s.CutBy = statemachine.Disabled, 0, 1, 50, statemachine.Automation
	s.Since, s.CoolUntil = statemachine.At(at), statemachine.At(at.Add(10*time.Second))
	return s
}

func override(author string) statemachine.Override {
	return statemachine.Override{Author: author, Reason: "drill", Since: statemachine.At(time.Now())}
}
