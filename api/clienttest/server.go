package clienttest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Target is the address of every Server, by its own DialOptions only.
const Target = "passthrough:///sluice"

const (
	connection = 1 << 20 // bytes that a connection in memory holds
	lookAgain  = 5 * time.Millisecond
)

var errOutage = errors.New("connection refused: the test made an outage")

// Server is a control plane of one replica. It is safe for concurrent use; its methods fail the test where they are used wrongly.
type Server struct {
	sluicev1.UnimplementedRoutingServiceServer

	tb          testing.TB
	environment string
	now         func() time.Time
	router      *routing.Router

	mu       sync.Mutex
	plan     *routing.Plan
	revision routing.Revision
	states   map[statemachine.Scope]statemachine.State
	table    *routing.Table
	scores   *routing.Scores
	changed  chan struct{} // closed when another table is in force
	memory   *routing.Memory
	running  *grpc.Server // nil in an outage
	away     chan struct{}
	lis      *bufconn.Listener
	work     sync.WaitGroup

	scripts   map[string][]client.Result
	failures  []error
	routed    []Routed
	ledger    ledger
	held      bool
	grants    []*sluicev1.ProbeGrant
	decisions []*sluicev1.LocalDecisions
}

// Option changes how New builds a Server.
type Option func(*Server)

// WithCatalog decides by another catalogue than that of Catalog.
func WithCatalog(c *configv1.Catalog) Option {
	return func(s *Server) { s.plan = s.compile(c) }
}

// WithEnvironment names the deployment, instead of Environment.
func WithEnvironment(name string) Option { return func(s *Server) { s.environment = name } }

// WithClock decides by another clock than time.Now.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// New starts a control plane that ends with the test. All of its channels are healthy.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s := &Server{
		tb: tb, environment: Environment, now: time.Now, router: routing.NewRouter(), revision: routing.Revision{Epoch: 1, Revision: 1},
		states: map[statemachine.Scope]statemachine.State{}, scripts: map[string][]client.Result{}, changed: make(chan struct{}),
		memory: routing.NewMemory(routing.MemoryOptions{}),
	}
	for _, o := range options {
		o(s)
	}
	if s.plan == nil {
		s.plan = s.compile(Catalog())
	}
	s.mu.Lock()
	s.swap()
	s.begin()
	s.mu.Unlock()
	tb.Cleanup(func() {
		s.Outage()
		s.work.Wait()
	})
	return s
}

func (s *Server) compile(c *configv1.Catalog) *routing.Plan {
	s.tb.Helper()
	p, err := routing.CompilePlan(c, s.plan)
	if err != nil {
		s.tb.Fatalf("clienttest: the catalogue: %v", err)
	}
	return p
}

// begin begins to serve, under the lock.
func (s *Server) begin() {
	s.running, s.lis, s.away = grpc.NewServer(), bufconn.Listen(connection), make(chan struct{})
	sluicev1.RegisterRoutingServiceServer(s.running, s)
	g, lis := s.running, s.lis
	s.work.Go(func() {
		if err := g.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			s.tb.Errorf("clienttest: %v", err)
		}
	})
}

// Outage ends the control plane at once: connections break, new ones are refused, and reports that were not published are
// lost. In an outage already it does nothing.
func (s *Server) Outage() {
	s.mu.Lock()
	g := s.running
	if g != nil {
		close(s.away)
	}
	s.running = nil
	s.mu.Unlock()
	if g == nil {
		return
	}
	g.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.crash()
	s.memory = routing.NewMemory(routing.MemoryOptions{})
}

// Recover ends an outage. States and catalogue are as they were; a client takes a moment to connect again.
func (s *Server) Recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.begin()
	}
}

// Restart is a short outage: the replica is replaced by another.
func (s *Server) Restart() {
	s.Outage()
	s.Recover()
}

// DialOptions reach this server at Target, over a connection in memory.
func (s *Server) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		s.mu.Lock()
		lis, up := s.lis, s.running != nil
		s.mu.Unlock()
		if !up {
			return nil, errOutage
		}
		return lis.DialContext(ctx)
	})}
}

// Config is a client's configuration for this server, to be completed: mode, file, hooks.
func (s *Server) Config() client.Config {
	return client.Config{Target: Target, Environment: s.environment, DialOptions: s.DialOptions()}
}

// Client returns an RPC-first client of this server. It is closed when the test ends.
func (s *Server) Client() *client.Client {
	s.tb.Helper()
	return s.ClientOf(s.Config())
}

// ClientOf returns a client of a completed Config. It is closed when the test ends.
func (s *Server) ClientOf(cfg client.Config) *client.Client {
	s.tb.Helper()
	c, err := client.New(context.Background(), cfg)
	if err != nil {
		s.tb.Fatalf("clienttest: %v", err)
	}
	s.tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.tb.Errorf("clienttest: close the client: %v", err)
		}
	})
	return c
}
