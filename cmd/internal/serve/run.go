package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-pay/sluice/cmd/internal/node"
	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// Run serves until ctx ends, then stops in order: no new requests, those under way finished, the last second judged, the
// lead given up, the store closed.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s, err := openStore(starting, &o)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	r := &replica{o: o, store: s, metrics: server.NewMetrics(), boot: uint64(time.Now().UnixNano())}
	r.exchange, err = openExchange(&o, r.boot)
	if err != nil {
		return errors.Join(err, s.close())
	}
	return errors.Join(r.run(ctx, starting), r.exchange.close(), s.close())
}

// gcPercent trades memory for time: a request's garbage is small beside the table, and collecting it less often takes a
// tenth off the CPU a request costs. GOGC in the environment overrides it.
const gcPercent = 400

// replica is one replica while it runs.
type replica struct {
	o        Options
	boot     uint64 // greater at every start
	store    *store
	exchange *exchange
	ledger   *etcdstore.Ledger
	node     *node.Node
	server   *server.Server
	metrics  *server.Metrics
	recorder *record.Recorder    // nil = nothing is recorded
	decided  *server.DecisionLog // nil = no decision is logged
}

func (r *replica) run(ctx, starting context.Context) error {
	if err := r.open(starting); err != nil {
		return err
	}
	snapshots, err := r.publisher()
	if err != nil {
		return err
	}
	// The loops of the ledger outlive the requests, so that the last second can still be committed.
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	var g errgroup.Group
	g.Go(func() error { r.ledger.Watch(loops); return nil })
	g.Go(func() error { return r.ledger.Lead(loops) })
	g.Go(func() error { snapshots.Run(loops); return nil })
	g.Go(func() error { r.exchange.follow(loops, r.o.Logger); return nil })
	series, err := r.seriesWriter()
	if err != nil {
		stopLoops()
		return errors.Join(err, g.Wait())
	}
	g.Go(func() error { series.Run(loops); return nil })
	checkpoints := node.NewCheckpointWriter(r.ledger, r.metrics, r.o.Logger)
	g.Go(func() error { checkpoints.Run(loops); return nil })
	if err := r.record(&g, loops); err != nil {
		stopLoops()
		return errors.Join(err, g.Wait())
	}
	if err := r.logDecisions(&g, loops); err != nil {
		stopLoops()
		return errors.Join(err, g.Wait())
	}
	r.node = node.New(node.Config{
		Replica: r.o.Replica, Boot: r.boot, Ledger: r.ledger, Logger: r.o.Logger,
		Exchange: r.exchange.rows, Claims: r.exchange.claims, Grace: r.exchange.grace,
		OnEntry: r.entry, OnAlert: r.alert, OnTable: snapshots.Publish, OnSealed: r.sealed(series), Figures: r.metrics,
		OnCheckpoint: checkpoints.Offer,
	})
	if err := r.node.Start(starting, r.o.Catalog, r.exchange.now()); err != nil {
		stopLoops()
		return errors.Join(err, g.Wait())
	}
	err = r.serve(ctx)
	stopLoops()
	return errors.Join(err, g.Wait())
}

// open opens the ledger; an external store may come up later than the replica.
func (r *replica) open(starting context.Context) error {
	err := insist(starting, r.o.Logger, func(ctx context.Context) (err error) {
		r.ledger, err = etcdstore.Open(ctx, r.store.client, etcdstore.Options{
			Environment: r.o.Environment, Replica: r.o.Replica, Boot: r.boot, Timeout: r.o.Etcd.Timeout, Logger: r.o.Logger,
		})
		return err //nolint:wrapcheck // below
	})
	if err != nil {
		return fmt.Errorf("open the ledger in %s: %w", r.store.name, err)
	}
	return nil
}

// entry passes a change on to those who watch.
func (r *replica) entry(e monitor.JournalEntry) {
	if r.recorder != nil {
		r.recorder.Entry(e)
	}
	if r.server != nil {
		r.server.Hub().Publish([]monitor.JournalEntry{e})
	}
}

// alert passes on what belongs to no change.
func (r *replica) alert(a statemachine.Alert) {
	if r.server != nil {
		r.server.Hub().Raise(a)
	}
}

// serve listens and drives the node until ctx ends.
func (r *replica) serve(ctx context.Context) error {
	var err error
	r.server, err = server.New(server.Config{
		Replica: r.o.Replica, Router: r.node.Router(), World: r.node, Orders: r.node, Journal: r.ledger, Counters: r.node.Counters(),
		Clock: r.node, Logger: r.o.Logger, Control: r.node.Control().Counters, Series: r.exchange.series, Identities: r.o.Identities, AllowAnonymous: len(r.o.Identities) == 0,
		TLS: r.o.TLS, Environment: r.o.Environment, Decisions: r.decided,
	}, r.metrics)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", r.o.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	at := Addresses{GRPC: lis.Addr().String()}
	g, gctx := errgroup.WithContext(ctx)
	if r.o.HTTP != "" {
		web, err := listen.Listen(ctx, "tcp", r.o.HTTP)
		if err != nil {
			return errors.Join(fmt.Errorf("listen: %w", err), lis.Close())
		}
		at.HTTP = web.Addr().String()
		edge := server.NewHTTPServer(r.server.HTTP())
		g.Go(func() error { return serveHTTP(edge, web) })
		g.Go(func() error { <-gctx.Done(); return edge.Close() })
	}
	g.Go(func() error { return r.server.Serve(lis) })
	g.Go(func() error { <-gctx.Done(); r.stop(context.WithoutCancel(ctx)); return nil })
	g.Go(func() error { r.drive(gctx); return nil })
	g.Go(func() error { return r.guardStore(gctx) })
	if err := r.announce(at); err != nil {
		r.o.Logger.Error("the addresses could not be written", slog.Any("error", err))
	}
	return g.Wait()
}

func serveHTTP(edge *http.Server, l net.Listener) error {
	if err := edge.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// stop finishes the requests under way and judges the last second.
func (r *replica) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := r.server.Stop(ctx); err != nil {
		r.o.Logger.Warn("requests under way were cut off", slog.Any("error", err))
	}
	if err := r.node.Tick(ctx, r.exchange.now()); err != nil {
		r.o.Logger.Warn("the last second was not judged", slog.Any("error", err))
	}
	if err := r.node.Close(ctx, r.exchange.now()); err != nil {
		r.o.Logger.Warn("what was learned since the last checkpoint is lost", slog.Any("error", err))
	}
}

// drive is the one loop by the clock: a Tick at each full second, which publishes it, another when the grace is over, which
// judges it, and a look at the ledger when its head has moved.
func (r *replica) drive(ctx context.Context) {
	go r.clock(ctx)
	timer := time.NewTimer(untilNextTick(r.exchange.now(), r.exchange.grace))
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			err = r.node.Tick(ctx, r.exchange.now())
			timer.Reset(untilNextTick(r.exchange.now(), r.exchange.grace))
		case <-r.ledger.Changed():
			err = r.node.Refresh(ctx, r.exchange.now())
		}
		if err != nil && ctx.Err() == nil {
			r.o.Logger.Warn("the loop goes on after an error", slog.Any("error", err))
		}
		r.server.Refresh()
	}
}

// clock moves the coarse clock at each full second, however long a Tick takes.
func (r *replica) clock(ctx context.Context) {
	timer := time.NewTimer(untilNextSecond(r.exchange.now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			now := r.exchange.now()
			if now.Unix() > r.node.Second() { // the clock that is followed may step back
				r.node.SetSecond(now.Unix())
			}
			timer.Reset(untilNextSecond(now))
		}
	}
}

// untilNextTick is the time until just after the next full second, or, if that comes first, the end of the grace that follows one.
func untilNextTick(now time.Time, grace time.Duration) time.Duration {
	return min(untilNextSecond(now), untilNextSecond(now.Add(-grace)))
}

// untilNextSecond is the time until just after the next full second.
func untilNextSecond(now time.Time) time.Duration {
	return now.Truncate(time.Second).Add(time.Second + time.Millisecond).Sub(now)
}

// guardStore ends the replica when the store in the process fails: a restart may help. An external one comes back by itself,
// and until then the table in force is served.
func (r *replica) guardStore(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.store.failed:
		return fmt.Errorf("the store failed: %w", err)
	}
}

// announce tells where the replica listens.
func (r *replica) announce(at Addresses) error {
	r.o.Logger.Info("serving", slog.String("grpc", at.GRPC), slog.String("http", at.HTTP))
	if r.o.Ready != nil {
		r.o.Ready(at)
	}
	if r.o.AddressFile == "" {
		return nil
	}
	data, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	// Written beside and renamed, so that a reader never sees half of it.
	if err := os.WriteFile(r.o.AddressFile+".new", data, 0o600); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	if err := os.Rename(r.o.AddressFile+".new", r.o.AddressFile); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	return nil
}
