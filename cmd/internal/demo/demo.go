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

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing/catalogfile"
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

// The cashiers' patience, short enough for a demo: a replica confirms its table at least every ten seconds.
const (
	staleAfter = 12 * time.Second
	staleLimit = time.Minute
)

// Options say how the demo runs.
type Options struct {
	Listen, HTTP string
	DataDir      string  // empty = a temporary one, removed at the end
	Rate         float64 // payments a second
	LocalFirst   bool    // cashiers decide by themselves while all is well, too
	Out, Log     io.Writer
}

// Run serves the sample catalogue from a process of its own and plays the world around it until ctx ends.
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
	tale := &narrator{to: o.Out}
	server := &child{o: o, dir: dir, token: token, tale: tale}
	if err := server.start(ctx); err != nil {
		return err
	}
	at, pid := server.at, server.cmd.Process.Pid
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var kept errgroup.Group
	kept.Go(func() error { return server.keep(serving) })
	tale.line(banner(at, token, o.Rate, pid))
	err = play(ctx, o, catalog, at, token, dir, tale)
	stop()
	return errors.Join(err, kept.Wait())
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
func play(ctx context.Context, o Options, catalog *configv1.Catalog, a serve.Addresses, token, dir string, tale *narrator) (err error) {
	conn, err := grpc.NewClient(a.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	channels := sluicev1.NewChannelServiceClient(conn)
	traffic, err := newTraffic(banksOf(catalog))
	if err != nil {
		return err
	}
	sight, logger := &lookout{}, serve.NewLogger(o.Log, slog.LevelError)
	cfg := client.Config{
		Target: a.GRPC, Environment: environment, Token: token, File: filepath.Join(dir, "cashiers.snapshot"),
		StaleAfter: staleAfter, StaleLimit: staleLimit, Metrics: sight, Logger: logger,
	}
	if o.LocalFirst {
		cfg.Mode = client.LocalFirst
	}
	sdk, err := client.New(ctx, cfg)
	if err != nil {
		return fmt.Errorf("cashiers: %w", err)
	}
	defer func() { err = errors.Join(err, sdk.Close()) }()
	gates, err := newGateways(sdk, dir) //nolint:contextcheck // reporters live until the client is closed
	if err != nil {
		return err
	}
	start := time.Now()
	world := &banks{tables: codeTables(catalog), faults: plan()}
	till := &cashiers{
		sdk: sdk, traffic: traffic, banks: world, gateways: gates, tally: &tally{}, start: start, seed: uint64(start.UnixNano()),
	}
	var g errgroup.Group
	g.Go(func() error { tale.follow(bearer(ctx, token), channels); return nil })
	g.Go(func() error { till.run(ctx, o.Rate); return nil })
	g.Go(func() error { tale.status(ctx, till.tally, sight); return nil })
	g.Go(func() error { tale.announce(ctx, world.faults); return nil })
	g.Go(func() error { tale.whence(ctx, sdk, sight); return nil })
	return g.Wait()
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

func banner(a serve.Addresses, token string, rate float64, pid int) string {
	return fmt.Sprintf(`Sluice is running on this machine, with everything it needs in it.

  gRPC      %[1]s
  metrics   http://%[2]s/metrics
  token     %[3]s

  Look at it from another terminal:
    export SLUICE_ADDRESS=%[1]s SLUICE_TOKEN=%[3]s
    %[5]s now -w
    grpcurl -plaintext -H 'authorization: Bearer %[3]s' -d '{"payment":{"payment_id":"p-1","merchant":"m-groceries","settlement_entity":"in-retail","business_type":"BUSINESS_TYPE_COLLECT","method":"UPI","bank":"SBI","amount":50000,"currency":"INR"}}' %[1]s sluice.v1.RoutingService/Route

Simulated cashiers send %.0[4]f payments a second, by the published mix of Indian banks. In a minute %[6]s breaks on %[7]s.
The server is a process of its own. Kill it, and the cashiers go on routing and say from where: kill -9 %[8]d
`, a.GRPC, a.HTTP, token, rate, binary(), brokenBank, brokenChannel, pid)
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
