// Command freeze measures what a frozen Redis does to Route and ReportResult of the real binary: it starts redis-server and
// `sluice serve` on loopback, pays at a steady rate, and stops Redis with SIGSTOP for thirty seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/realbinary"
)

const (
	rate      = 300 // payments a second
	warmUp    = 5 * time.Second
	before    = 30 * time.Second
	frozen    = 30 * time.Second
	callLimit = 5 * time.Second
)

const catalog = `name: freeze
entities: [{id: e-1}]
code_tables: [{id: plain, codes: [{code: "00", outcome: SUCCEEDED}]}]
channels:
  - id: first
    provider: first
    business_types: [COLLECT]
    instruments: [{method: BALANCE}]
    accounts: [{id: a-1, entity: e-1}]
    currencies: [CNY]
    code_table: plain
routes: [{id: r, business_type: COLLECT, method: BALANCE, members: [{channel: first}]}]
`

var errCalls = errors.New("calls failed")

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	program := os.Getenv("SLUICE_REDIS_SERVER")
	if program == "" {
		found, err := exec.LookPath("redis-server")
		if err != nil {
			fmt.Fprintln(os.Stdout, "frozen Redis: not measured, there is no redis-server")
			return nil
		}
		program = found
	}
	dir, err := os.MkdirTemp("", "sluice-freeze-")
	if err != nil {
		return fmt.Errorf("work directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	redis, address, err := startRedis(ctx, program, dir)
	if err != nil {
		return err
	}
	defer func() { _ = redis.Process.Kill(); _ = redis.Wait() }()
	replica, err := realbinary.Start(ctx, dir, catalog, "--redis-address", address)
	if err != nil {
		return fmt.Errorf("sluice serve: %w", err)
	}
	defer func() { _ = replica.Stop() }()
	conn, err := grpc.NewClient(replica.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	p := &payer{routing: sluicev1.NewRoutingServiceClient(conn), metrics: "http://" + replica.HTTP + "/metrics"}
	return p.compare(ctx, redis.Process)
}

// startRedis starts an empty Redis on a free port.
func startRedis(ctx context.Context, program, dir string) (*exec.Cmd, string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("free port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, "", fmt.Errorf("free port: %w", err)
	}
	_, port, _ := strings.Cut(address, ":")
	cmd := exec.CommandContext(ctx, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir) //nolint:gosec // found on PATH
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start redis-server: %w", err)
	}
	return cmd, address, nil
}

// payer pays at a steady rate and measures.
type payer struct {
	routing sluicev1.RoutingServiceClient
	metrics string
	n       uint64
}

// sample is the times of one phase, and how many Route handlers took longer than the histogram's first bound.
type sample struct {
	route, report []time.Duration
	failed        int
	slowHandlers  float64
	handlers      float64
}

func (p *payer) compare(ctx context.Context, redis *os.Process) error {
	if _, err := p.phase(ctx, warmUp); err != nil {
		return err
	}
	well, err := p.phase(ctx, before)
	if err != nil {
		return err
	}
	if err := redis.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	ill, err := p.phase(ctx, frozen)
	if e := redis.Signal(syscall.SIGCONT); e != nil {
		return fmt.Errorf("thaw: %w", e)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "Redis frozen for %v at %d payments/s: Route p99 %v, before %v (%.2f x); handlers over 50 us %.2f %%, before %.2f %%; "+
		"ReportResult p99 %v, max %v (must: <= 60ms); %d calls failed\n", frozen, rate, at(ill.route, 99), at(well.route, 99),
		float64(at(ill.route, 99))/float64(at(well.route, 99)), 100*ill.slowHandlers/ill.handlers, 100*well.slowHandlers/well.handlers,
		at(ill.report, 99), at(ill.report, 100), ill.failed+well.failed)
	if ill.failed+well.failed > 0 {
		return errCalls
	}
	return nil
}

// at returns a percentile.
func at(d []time.Duration, percent int) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*percent/100)].Round(time.Microsecond)
}

// phase pays for a while, open loop: a slow answer does not hold the next payment up.
func (p *payer) phase(ctx context.Context, length time.Duration) (*sample, error) {
	s := &sample{}
	slow, all, err := p.handlers(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var under sync.WaitGroup
	ticker := time.NewTicker(time.Second / rate)
	defer ticker.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		<-ticker.C
		p.n++
		n := p.n
		under.Go(func() {
			route, report, err := p.pay(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.failed++
				return
			}
			s.route, s.report = append(s.route, route), append(s.report, report)
		})
	}
	under.Wait()
	slowAfter, allAfter, err := p.handlers(ctx)
	s.slowHandlers, s.handlers = slowAfter-slow, allAfter-all
	return s, err
}

// pay routes and reports one payment.
func (p *payer) pay(ctx context.Context, n uint64) (route, report time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	id, begun := fmt.Sprintf("p-%d", n), time.Now()
	reply, err := p.routing.Route(ctx, &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: id, Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: "BALANCE",
		Amount: 100, Currency: "CNY", PayerKey: n,
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("route: %w", err)
	}
	route, begun = time.Since(begun), time.Now()
	to := reply.GetChannels()[0]
	_, err = p.routing.ReportResult(ctx, &sluicev1.ReportResultRequest{Report: &sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: id, Channel: to.GetChannel(), Account: to.GetAccount(), Method: "BALANCE",
		BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, RawCode: "00", RequestWritten: true, PayerKey: n,
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("report: %w", err)
	}
	return route, time.Since(begun), nil
}

// handlers reads how many Route handlers have run, and how many of them took more than 50 µs.
func (p *payer) handlers(ctx context.Context) (slow, all float64, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, http.NoBody)
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %w", err)
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %w", err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %w", err)
	}
	read := func(pattern string) float64 {
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			return 0
		}
		v, _ := strconv.ParseFloat(string(m[1]), 64)
		return v
	}
	all = read(`sluice_rpc_duration_seconds_count\{method="[^"]*/Route"\} ([0-9.e+]+)`)
	return all - read(`sluice_rpc_duration_seconds_bucket\{method="[^"]*/Route",le="5e-05"\} ([0-9.e+]+)`), all, nil
}
