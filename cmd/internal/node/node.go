package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// ErrNoCatalog is returned by Start when the ledger holds no catalogue and none was given.
var ErrNoCatalog = errors.New("no catalogue is in force: give one with --catalog")

// Config says what a node is made of. Fields without a remark are required.
type Config struct {
	Replica  string
	Boot     uint64 // greater at every start of the replica
	Ledger   monitor.Ledger
	Exchange monitor.Exchange
	Claims   monitor.Claims // settle who counts an attempt that several replicas were told of; nil with one replica
	Logger   *slog.Logger
	Budget   time.Duration              // of the stores in one Tick, wall time; 0 = 500 ms, below 0 = none (virtual time)
	Grace    time.Duration              // a closed second waits so long for other replicas' rows; 0 = there are none
	OnEntry  func(monitor.JournalEntry) // told every journal entry, by whomever, in order; may be nil
	OnAlert  func(statemachine.Alert)   // told alerts that belong to no change; may be nil
	Figures  Figures                    // told what is counted for people; may be nil
	// OnTable is offered the table in force after every look at the ledger, with when that confirmed it and the CreateRevision
	// of this replica's leader key, 0 = it does not lead. It must not wait; may be nil.
	OnTable func(table *routing.Table, confirmed time.Time, leader int64)
	// OnSealed is offered the sum of every sealed second while this replica leads, in order; the counts do not change any more.
	// It must not wait; may be nil.
	OnSealed func(*monitor.SecondCounts)
	// OnCheckpoint is offered a checkpoint a minute while this replica leads, to be stored beside the loop. It must not wait.
	// nil stores it within the Tick: for virtual time.
	OnCheckpoint func(monitor.Saved)
	// Unscored publishes no scores: for simulations of catalogues without strategies, whose decisions do not hang on them.
	Unscored bool
	// Without leaves guards out, to show in a simulation what each is for.
	Without monitor.Without
}

// Figures take what people are shown in metrics; *server.Metrics is one.
type Figures interface {
	AddRouter(sent []statemachine.SentCount) // decisions given out in a second
	Ruling(r statemachine.Ruling)            // what a guard said
	Violation(invariant int)                 // of an invariant, by its number
	LateRow()                                // a row of this replica came too late for the sum of its second
	Checkpoint(at time.Time, bytes int)      // one was stored, or restored at the start
	CheckpointFailed()                       // one could not be stored
}

// noFigures is for nodes that nobody measures.
type noFigures struct{}

func (noFigures) AddRouter([]statemachine.SentCount) {}
func (noFigures) Ruling(statemachine.Ruling)         {}
func (noFigures) Violation(int)                      {}
func (noFigures) LateRow()                           {}
func (noFigures) Checkpoint(time.Time, int)          {}
func (noFigures) CheckpointFailed()                  {}

// Node is one replica. Route and reports need no lock of its; Tick, Refresh and orders wait for one another.
type Node struct {
	cfg       Config
	router    *routing.Router
	counters  *monitor.Counters
	publisher *monitor.Publisher
	ingest    *server.Ingest
	control   *monitor.Control
	pipeline  *monitor.Pipeline
	second    atomic.Int64
	published atomic.Int64 // newest second up to which all are published
	sight     atomic.Pointer[server.Sight]

	mu       sync.Mutex
	plan     *routing.Plan
	catalog  *configv1.Catalog
	number   uint64 // of the compiled catalogue
	closed   int64  // newest second closed and published
	sealed   int64  // newest second judged
	told     uint64 // journal sequence that OnEntry was last told
	saved    int64  // second of the last checkpoint
	sealing  sealing
	scorer   *monitor.Scorer
	scores   published
	feedback feedbackRules // of the compiled catalogue
	scoredAt int64         // second of the last look at the scores
	minute   minute        // sums of the last minute
	sharing  *routing.Sharing
	quotas   *monitor.Quotas
	steps    map[statemachine.Scope]statemachine.StepEvidence
	grants   []monitor.Grant // probe tokens that are valid now
	granted  bool            // this life led, or has seen a leader's row
	blind    int             // seconds in a row without a signal
	gates    map[statemachine.Scope]gateTotal
	states   map[statemachine.Scope]statemachine.State // of the fleet, from statesOf
	statesOf *monitor.View
}

// New returns a node that knows nothing yet: Start reads the ledger.
func New(cfg Config) *Node {
	if cfg.OnEntry == nil {
		cfg.OnEntry = func(monitor.JournalEntry) {}
	}
	if cfg.OnTable == nil {
		cfg.OnTable = func(*routing.Table, time.Time, int64) {}
	}
	if cfg.OnAlert == nil {
		cfg.OnAlert = func(statemachine.Alert) {}
	}
	if cfg.OnSealed == nil {
		cfg.OnSealed = func(*monitor.SecondCounts) {}
	}
	if cfg.Figures == nil {
		cfg.Figures = noFigures{}
	}
	n := &Node{
		cfg: cfg, gates: map[statemachine.Scope]gateTotal{}, router: routing.NewRouter(), counters: monitor.NewCounters(monitor.CountersOptions{Claims: cfg.Claims != nil, Repeats: cfg.Without.PayerDedup}),
		control: monitor.NewControl(cfg.Ledger, cfg.Replica), pipeline: monitor.NewPipeline(),
		scorer: monitor.NewScorer(), sharing: routing.NewSharing(lagOf(cfg.Grace)), quotas: monitor.NewQuotas(),
	}
	n.pipeline.Leave(cfg.Without)
	n.ingest = server.NewIngest(n.router, n.counters)
	n.publisher = monitor.NewPublisher(cfg.Exchange, cfg.Claims, n.counters)
	return n
}

// Router decides from the table in force.
func (n *Node) Router() *routing.Router { return n.router }

// Ingest takes reports.
func (n *Node) Ingest() *server.Ingest { return n.ingest }

// Counters hold the books.
func (n *Node) Counters() *monitor.Counters { return n.counters }

// Control commits changes.
func (n *Node) Control() *monitor.Control { return n.control }

// Second returns the coarse clock: Unix seconds.
func (n *Node) Second() int64 { return n.second.Load() }

// SetSecond moves the coarse clock. Whoever drives Tick calls it at each full second, also while a Tick is under way.
func (n *Node) SetSecond(second int64) { n.second.Store(second) }

// Published returns the newest second, Unix, up to which every second is closed and published, or was given up as too old.
func (n *Node) Published() int64 { return n.published.Load() }

// Sight returns the control plane as it was last seen, nil before Start.
func (n *Node) Sight() *server.Sight { return n.sight.Load() }

// Start reads the ledger, puts the catalogue in force if it is another one, restores the windows and compiles the first
// table. A catalogue that cannot be compiled, or would strand a scope under an order, is an error, and nothing is changed. One that
// was put in force through the API is not replaced: a restart with an old file takes nothing back.
func (n *Node) Start(ctx context.Context, catalog *configv1.Catalog, now time.Time) error {
	n.SetSecond(now.Unix())
	n.mu.Lock()
	defer n.mu.Unlock()
	view, err := n.control.Refresh(ctx, now)
	if err != nil {
		return err
	}
	if catalog != nil {
		if err := n.apply(ctx, catalog, view, now); err != nil {
			return err
		}
	}
	if n.control.View().Head.Catalog == 0 {
		return ErrNoCatalog
	}
	n.closed, n.saved, n.sealing.begun = now.Unix()-1, now.Unix(), now.Unix()
	n.published.Store(n.closed)
	n.told = n.control.View().Head.Sequence
	n.restore(ctx, now)
	if err := n.look(ctx, now); err != nil {
		return err
	}
	n.scorer.Restore(n.scores.list())
	n.rebuild(ctx, now)
	n.takeShares(now)
	return nil
}

// Refresh looks at the ledger now: another replica, or an order, has moved its head.
func (n *Node) Refresh(ctx context.Context, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.control.Refresh(ctx, now); err != nil {
		return err
	}
	return n.look(ctx, now)
}

// Order carries out an operator's order and looks at the result at once.
func (n *Node) Order(ctx context.Context, q monitor.OrderRequest, now time.Time) (monitor.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(q.Scopes) > 0 {
		q.Order.PerSecond, q.Order.Routers = n.pipeline.WouldBe(q.Scopes[0])
	}
	r, err := n.control.Order(ctx, q, n.fleet(now), now)
	if err != nil || q.ValidateOnly {
		return r, err
	}
	return r, n.look(ctx, now)
}

// Annotate puts a person's note on an incident.
func (n *Node) Annotate(ctx context.Context, q monitor.AnnotateRequest, now time.Time) (monitor.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.control.Annotate(ctx, q, now)
	if err != nil {
		return r, err
	}
	return r, n.look(ctx, now)
}
