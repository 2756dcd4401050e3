package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Router decides from the table in force; *routing.Router is one.
type Router interface {
	Route(q *routing.Request, second int64, out *routing.Decision) error
	Table() *routing.Table // nil before the first
}

// Clock is the replica's coarse clock, moved once a second by whoever drives it, so that a decision asks no other. One that is a
// Publisher as well tells streams of results what is published.
type Clock interface {
	Second() int64 // Unix seconds
}

// World shows what this replica knows of the control plane.
type World interface {
	// Sight returns the newest sight, nil before the first. Two calls may return different ones.
	Sight() *Sight
	// Traffic returns what was counted of a scope in the last minute, false if nothing is known.
	Traffic(statemachine.Scope) (Traffic, bool)
	// Progress returns how far the running probing phase or ramp step of a scope is, false if none runs.
	Progress(statemachine.Scope) (Progress, bool)
}

// Sight is the control plane at one revision. Everything in it is immutable and fits together.
type Sight struct {
	View      *monitor.View
	Catalog   *configv1.Catalog
	Fleet     *statemachine.Fleet
	Table     *routing.Table
	Confirmed time.Time // when the ledger last confirmed it as current
	BanksDown BanksDown // newest, whether or not the ledger can be reached
}

// Traffic is what was counted of a scope over a time.
type Traffic struct {
	Window    time.Duration
	Results   uint64 // PENDING excluded
	Succeeded uint64
	Answered  float64 // results with a meaning for health
	Bad       float64 // bad ones among them
	PerSecond float64 // payments a second sent to it
}

// Progress is how far a probing phase or ramp step is.
type Progress struct {
	statemachine.StepEvidence
	Needed float64 // results the step needs, if those to come are good
}

// Orders carries out what operators want, through monitor's Control with the newest fleet. Order fills
// the order's would-be payments and routers, which an ON needs for its first share.
type Orders interface {
	Order(ctx context.Context, q monitor.OrderRequest, now time.Time) (monitor.Result, error)
	Annotate(ctx context.Context, q monitor.AnnotateRequest, now time.Time) (monitor.Result, error)
}

// Catalogs keeps the revisions of the catalogue. ApplyCatalog goes through monitor's Control and has put the table in force on this
// replica when it returns; the others follow their ledger.
type Catalogs interface {
	ApplyCatalog(ctx context.Context, q monitor.CatalogRequest, now time.Time) (monitor.Result, error)
	Catalog(ctx context.Context, number uint64) ([]byte, monitor.CatalogRevision, error)
	Catalogs(context.Context) ([]monitor.CatalogRevision, error)
}

// Journal is the part of monitor.Ledger that the edge reads history from.
type Journal interface {
	Journal(ctx context.Context, after uint64, limit int) ([]monitor.JournalEntry, error)
}

// Config is everything a Server needs. Fields without a remark are required.
type Config struct {
	Replica  string // name of this replica, for authors and logs
	Router   Router
	World    World
	Orders   Orders
	Journal  Journal
	Counters *monitor.Counters
	Clock    Clock
	Logger   *slog.Logger

	Environment    string                         // name of the deployment, told in snapshots; empty = DefaultEnvironment
	Identities     []Identity                     // who may call
	Catalogs       Catalogs                       // changes the catalogue; nil = Orders, if that is one
	Series         SeriesReader                   // what QuerySeries reads; nil = it is not built here
	Memory         *routing.Memory                // what remembers attempts for callers that forget them; nil = one with the defaults
	Recorder       *routing.Recorder              // what keeps decisions for ExplainRoute; nil = one with the defaults
	Decisions      *DecisionLog                   // where a sample of the decisions is logged; nil = nowhere
	Control        func() monitor.ControlCounters // figures of monitor's Control; nil = not exported
	AllowAnonymous bool                           // callers without a token may do everything; for a loopback address only
	TLS            *tls.Config                    // nil = plain text
	Now            func() time.Time               // nil = time.Now
	MaxInFlight    int                            // requests under way before the replica sheds load; 0 = 4096
	SlowRPC        time.Duration                  // RPCs that take longer are logged; 0 = 250 ms
	Heartbeat      time.Duration                  // between heartbeats of a quiet watch; 0 = 10 s
	Acknowledge    time.Duration                  // between looks at what is published, of each stream of results; 0 = 200 ms
	PerSecond      float64                        // RPCs a second of an identity that has no limit of its own; 0 = DefaultPerSecond, below 0 = no limit
	Burst          int                            // of them at once; 0 = those of one second
	MaxStreams     int                            // streams of an identity at once; 0 = DefaultMaxStreams
	MaxConnections int                            // of a listener, further ones are closed; 0 = DefaultMaxConnections
}

// DefaultEnvironment is the name of a deployment that was given none.
const DefaultEnvironment = "default"

func (c Config) withDefaults() Config {
	if c.Environment == "" {
		c.Environment = DefaultEnvironment
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Memory == nil {
		c.Memory = routing.NewMemory(routing.MemoryOptions{})
	}
	if c.Catalogs == nil {
		c.Catalogs, _ = c.Orders.(Catalogs)
	}
	if c.Recorder == nil {
		c.Recorder = routing.NewRecorder(routing.RecorderOptions{})
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 4096
	}
	if c.SlowRPC <= 0 {
		c.SlowRPC = 250 * time.Millisecond
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = 10 * time.Second
	}
	if c.Acknowledge <= 0 {
		c.Acknowledge = 200 * time.Millisecond
	}
	return c.withLimits()
}

func (c Config) withLimits() Config {
	if c.PerSecond == 0 {
		c.PerSecond = DefaultPerSecond
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = DefaultMaxStreams
	}
	if c.MaxConnections <= 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	return c
}
