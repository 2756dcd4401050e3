package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
)

// What breaks, and when: one bank on one cross-card channel that other banks go on using.
const (
	brokenChannel = "upi-kaveri"
	brokenBank    = "SBI"
	breaksAfter   = 60 * time.Second
	brokenFor     = 30 * time.Second
	breaksAgain   = 10 * time.Minute
	breakdowns    = 100
	brokenRate    = 0.95
	gatewayCount  = 3
)

// Options say how the demo runs.
type Options struct {
	Listen, HTTP string
	DataDir      string  // empty = a temporary one, removed at the end
	Rate         float64 // payments a second
	Out, Log     io.Writer
}

// Run serves the sample catalogue with everything in the process and plays the world around it until ctx ends.
func Run(ctx context.Context, o Options) error {
	catalog, _, err := catalogfile.Check(CatalogName, CatalogYAML())
	if err != nil {
		return err
	}
	dir, remove, err := dataDir(o.DataDir)
	if err != nil {
		return err
	}
	defer remove()
	token, err := newToken()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var world errgroup.Group
	err = serve.Run(ctx, serve.Options{
		Environment: "dev", Replica: "dev-1", DataDir: dir, Listen: o.Listen, HTTP: o.HTTP, Catalog: catalog,
		Identities: []server.Identity{{
			Name: "dev", TokenHash: server.HashToken(token),
			Roles: server.Viewer | server.Cashier | server.Gateway | server.Operator | server.Approver,
		}},
		Logger: serve.NewLogger(o.Log, slog.LevelWarn), NoSync: true,
		Ready: func(a serve.Addresses) {
			world.Go(func() error {
				defer stop() // the demo is its world: without it nothing is left to show
				return play(ctx, o, catalog, a, token)
			})
		},
	})
	stop()
	return errors.Join(err, world.Wait())
}

func dataDir(dir string) (string, func(), error) {
	if dir != "" {
		return dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "sluice-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

func newToken() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// play connects as any user would and runs cashiers, gateways and narrator until ctx ends.
func play(ctx context.Context, o Options, catalog *configv1.Catalog, a serve.Addresses, token string) error {
	conn, err := grpc.NewClient(a.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return call(bearer(ctx, token), method, req, reply, cc, opts...)
		}))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	routing, channels := sluicev1.NewRoutingServiceClient(conn), sluicev1.NewChannelServiceClient(conn)
	traffic, err := newTraffic(banksOf(catalog))
	if err != nil {
		return err
	}
	start := time.Now()
	tale := &narrator{to: o.Out}
	world := &banks{tables: codeTables(catalog), faults: plan()}
	gates := newGateways(routing, serve.NewLogger(o.Log, slog.LevelWarn))
	till := &cashiers{
		routing: routing, traffic: traffic, banks: world, gateways: gates, tally: &tally{}, start: start, seed: uint64(start.UnixNano()),
	}
	tale.line(banner(a, token, o.Rate))
	var g errgroup.Group
	g.Go(func() error { return unlessEnded(ctx, tale.follow(bearer(ctx, token), channels)) })
	g.Go(func() error { till.run(ctx, o.Rate); return nil })
	g.Go(func() error { tale.status(ctx, till.tally); return nil })
	g.Go(func() error { tale.announce(ctx, world.faults); return nil })
	for i := range gatewayCount {
		g.Go(func() error { gates.run(ctx, fmt.Sprintf("gateway-%d", i+1)); return nil })
	}
	return g.Wait()
}

// unlessEnded drops the error of a stream that ended because the demo did.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// banksOf returns the banks that the demo's UPI traffic may use.
func banksOf(c *configv1.Catalog) map[string]bool {
	banks := map[string]bool{}
	for _, ch := range c.GetChannels() {
		if ch.GetId() != brokenChannel {
			continue
		}
		for _, i := range ch.GetInstruments() {
			for _, b := range i.GetBanks() {
				banks[b] = true
			}
		}
	}
	return banks
}

// plan returns the breakdowns of a run.
func plan() []fault {
	faults := make([]fault, breakdowns)
	for i := range faults {
		from := breaksAfter + time.Duration(i)*breaksAgain
		faults[i] = fault{channel: brokenChannel, bank: brokenBank, from: from, to: from + brokenFor, rate: brokenRate}
	}
	return faults
}

// announce says what the world does to the banks.
func (n *narrator) announce(ctx context.Context, faults []fault) {
	start := time.Now()
	for _, f := range faults {
		if !wait(ctx, time.Until(start.Add(f.from))) {
			return
		}
		n.say("WORLD    %s breaks on %s: %.0f %% of its attempts there fail now; everything else is well", f.bank, f.channel, 100*f.rate)
		if !wait(ctx, time.Until(start.Add(f.to))) {
			return
		}
		n.say("WORLD    %s on %s is well again; nobody told Sluice", f.bank, f.channel)
	}
}

func banner(a serve.Addresses, token string, rate float64) string {
	return fmt.Sprintf(`Sluice is running on this machine, everything in one process.

  gRPC      %[1]s
  metrics   http://%[2]s/metrics
  token     %[3]s

  Look at it from another terminal:
    export SLUICE_ADDRESS=%[1]s SLUICE_TOKEN=%[3]s
    %[5]s now -w
    grpcurl -plaintext -H 'authorization: Bearer %[3]s' -d '{"payment":{"payment_id":"p-1","merchant":"m-groceries","settlement_entity":"in-retail","business_type":"BUSINESS_TYPE_COLLECT","method":"UPI","bank":"SBI","amount":50000,"currency":"INR"}}' %[1]s sluice.v1.RoutingService/Route

Simulated cashiers send %.0[4]f payments a second, by the published mix of Indian banks. In a minute %[6]s breaks on %[7]s.
`, a.GRPC, a.HTTP, token, rate, binary(), brokenBank, brokenChannel)
}

// binary is how this program can be called again.
func binary() string {
	if exe, err := os.Executable(); err == nil {
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, exe); err == nil && len(rel) < len(exe) {
				return "./" + rel
			}
		}
		return exe
	}
	return "sluice"
}
