package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// ErrConfig is wrapped by errors of New about a Config that is not complete.
var ErrConfig = errors.New("invalid server configuration")

// Server is the edge of one replica.
type Server struct {
	cfg      Config
	log      *slog.Logger
	auth     *authenticator
	metrics  *Metrics
	methods  map[string]*method
	grpc     *grpc.Server
	health   *health.Server
	hub      *Hub
	ingest   *Ingest
	recorder *routing.Recorder
	away     chan struct{} // closed when streams are to go away
	goAway   sync.Once
	stopping atomic.Bool
	refresh  sync.Mutex
	serving  bool // as health watchers were told; guarded by refresh

	snapshots snapshotSignal
	published Publisher // nil = not known
	refused   limitCounters
	fair      *fairness
	public    *limits // of all callers of public streams together
}

// New returns a server that listens nowhere yet. Metrics may be nil.
func New(cfg Config, metrics *Metrics) (*Server, error) {
	cfg = cfg.withDefaults()
	for what, missing := range map[string]bool{
		"Router": cfg.Router == nil, "World": cfg.World == nil, "Orders": cfg.Orders == nil, "Journal": cfg.Journal == nil, "Catalogs": cfg.Catalogs == nil,
		"Counters": cfg.Counters == nil, "Clock": cfg.Clock == nil, "Logger": cfg.Logger == nil,
	} {
		if missing {
			return nil, fmt.Errorf("%w: %s is missing", ErrConfig, what)
		}
	}
	auth, err := newAuthenticator(cfg.Identities, cfg.AllowAnonymous)
	if err != nil {
		return nil, err
	}
	if err := auth.limit(&cfg); err != nil {
		return nil, err
	}
	if metrics == nil {
		metrics = NewMetrics()
	}
	s := &Server{
		cfg: cfg, auth: auth, metrics: metrics, methods: metrics.methods(), health: health.NewServer(), away: make(chan struct{}),
		log: slog.New(NewRedactingHandler(cfg.Logger.Handler())), ingest: NewIngest(cfg.Router, cfg.Counters).Remember(cfg.Memory), recorder: cfg.Recorder,
	}
	s.hub, s.public = newHub(metrics), limitsOf(&cfg, &Identity{})
	s.published, _ = cfg.Clock.(Publisher)
	if s.refused, err = newLimitCounters(metrics.registry); err != nil {
		return nil, fmt.Errorf("%w: these metrics belong to another server: %w", ErrConfig, err)
	}
	s.fair = newFairness(cfg.MaxInFlight)
	if err := s.fair.register(metrics.registry); err != nil {
		return nil, fmt.Errorf("%w: these metrics belong to another server: %w", ErrConfig, err)
	}
	if err := metrics.registry.Register(newMemoryCollector(cfg.Memory)); err != nil {
		return nil, fmt.Errorf("%w: these metrics belong to another server: %w", ErrConfig, err)
	}
	if err := metrics.registry.Register(newCollector(s)); err != nil {
		return nil, fmt.Errorf("%w: these metrics belong to another server: %w", ErrConfig, err)
	}
	s.grpc = grpc.NewServer(s.options()...)
	s.register(s.grpc)
	s.Refresh()
	return s, nil
}

// options bounds what a client may take: grpc's own defaults are nearly unlimited.
func (s *Server) options() []grpc.ServerOption {
	o := append(transportOptions(), grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream), grpc.ForceServerCodecV2(newBatchCodec()))
	if s.cfg.TLS != nil {
		o = append(o, grpc.Creds(credentials.NewTLS(s.cfg.TLS)))
	}
	return o
}

// Limits of the transport.
const (
	streamWorkers        = 32
	maxConcurrentStreams = 1024    // a connection; cashiers multiplex many payments on few connections
	maxMessageBytes      = 4 << 20 // a batch of 1,000 reports, or a large catalogue
	maxHeaderBytes       = 16 << 10
)

// transportOptions are the options that do not depend on the server.
func transportOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(4 * maxMessageBytes), // a snapshot is larger than what made it
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
	}
}

func (s *Server) register(g *grpc.Server) {
	sluicev1.RegisterRoutingServiceServer(g, newRoutingService(s))
	sluicev1.RegisterChannelServiceServer(g, &channelService{s: s})
	sluicev1.RegisterIncidentServiceServer(g, &incidentService{s: s})
	sluicev1.RegisterCatalogServiceServer(g, &catalogService{s: s})
	sluicev1.RegisterAuditServiceServer(g, &auditService{s: s})
	healthpb.RegisterHealthServer(g, &healthService{Server: s.health, s: s})
	reflection.Register(g)
}

// Hub is where the journal is fed into the watches.
func (s *Server) Hub() *Hub { return s.hub }

// Metrics are the figures of the server.
func (s *Server) Metrics() *Metrics { return s.metrics }

// Ready reports whether a table is in force and the server is not stopping.
func (s *Server) Ready() bool {
	return !s.stopping.Load() && s.cfg.Router.Table() != nil && s.cfg.World.Sight() != nil
}

// Refresh tells those who watch the snapshot of a new table, and health watchers whether the server is ready; call it after a
// table was put in force. It is cheap.
func (s *Server) Refresh() {
	s.snapshots.look(s.cfg.World.Sight())
	s.recorder.KeepTable(s.cfg.Router.Table())
	s.refresh.Lock()
	defer s.refresh.Unlock()
	ready := s.Ready()
	if s.serving == ready && ready {
		return
	}
	s.serving = ready
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
	for service := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(service, state)
	}
}

// Serve answers on the listener until Stop; it returns nil after a Stop.
func (s *Server) Serve(l net.Listener) error {
	l = &limitListener{Listener: l, most: int64(s.cfg.MaxConnections), refused: s.refused.connections}
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve grpc on %s: %w", l.Addr(), err)
	}
	return nil
}

// Stop ends the server: it turns NOT_SERVING, tells streams to go to another replica, lets RPCs under way finish, and cuts
// what is left when ctx is done. It returns ctx's error if anything had to be cut.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	s.health.Shutdown()
	s.goAway.Do(func() { close(s.away) })
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
		return fmt.Errorf("stop grpc: RPCs were cut: %w", ctx.Err())
	}
}

// healthService looks at the table at every Check, so that it never lags behind.
type healthService struct {
	*health.Server
	s *Server
}

// Check answers SERVING only when a table is in force.
func (h *healthService) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.s.Refresh()
	return h.Server.Check(ctx, r)
}
