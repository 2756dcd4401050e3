package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"pgregory.net/rapid"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// In no span of time are more tokens taken than the burst and what the rate brings, and whoever waits as told gets one.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate, burst := rapid.IntRange(1, 1000).Draw(rt, "rate"), rapid.IntRange(1, 50).Draw(rt, "burst")
		b, now := newBucket(float64(rate), burst), epoch
		taken := 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5_000_000).Draw(rt, "pass")))
			if wait := b.take(now); wait == 0 {
				taken++
			} else {
				before := b.due.Load()
				if b.take(now.Add(wait-1)) == 0 || b.due.Load() != before {
					rt.Fatalf("a token came before the %v that were told", wait)
				}
				now = now.Add(wait)
				if b.take(now) != 0 {
					rt.Fatalf("no token after %v", wait)
				}
				taken++
			}
			if most := float64(burst) + now.Sub(epoch).Seconds()*float64(rate)*(1+1e-6) + 1; float64(taken) > most {
				rt.Fatalf("%d tokens in %v, rate %d, burst %d", taken, now.Sub(epoch), rate, burst)
			}
		}
	})
	if none := newBucket(-1, 5); none.take(epoch) != 0 || none.spend(epoch) != 0 {
		t.Error("no limit is one")
	}
}

// wantRetry expects a refusal that tells when to ask again.
func wantRetry(tb testing.TB, err error) time.Duration {
	tb.Helper()
	wantError(tb, err, codes.ResourceExhausted, "OVERLOADED")
	delay := detailOf[*errdetails.RetryInfo](tb, err).GetRetryDelay().AsDuration()
	if delay <= 0 {
		tb.Fatalf("no retry delay: %v", err)
	}
	return delay
}

func TestRateOfAnIdentity(t *testing.T) {
	s := newStand(t, func(c *Config) {
		c.PerSecond, c.Burst = 2, 3
		c.Identities[0].PerSecond = -1 // the viewer
	})
	route := func() error { _, err := s.routing().Route(as(t, Cashier), payment("p1")); return err }
	for range 3 {
		if err := route(); err != nil {
			t.Fatal(err)
		}
	}
	if delay := wantRetry(t, route()); delay != 500*time.Millisecond {
		t.Errorf("retry after %v", delay)
	}
	for range 3 { // another identity has its own
		if _, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result("a/0", "alpha")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{result("b/0", "alpha")}})
	wantRetry(t, err)
	stream := s.streamResults(t)
	stream.fails(codes.ResourceExhausted, "OVERLOADED", "more often")
	if b := s.counters.Books(); b.Deliveries != 3 {
		t.Errorf("what was shed was counted: %+v", b)
	}
	for range 20 {
		if _, err := s.channels().ListChannels(as(t, Viewer), &sluicev1.ListChannelsRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	s.second.Add(1)
	if err := route(); err != nil {
		t.Errorf("a second later: %v", err)
	}
	if n := valueOf(t, s.server.refused.rate); n != 3 {
		t.Errorf("%v refusals are in the metrics", n)
	}
}

// With too much under way Route and reports are refused at once, nothing of them is counted, and health still answers.
func TestOverloadIsShed(t *testing.T) {
	s := newStand(t, func(c *Config) { c.MaxInFlight = 5 })
	s.server.metrics.inFlight.Add(5)
	_, err := s.routing().Route(as(t, Cashier), payment("p1"))
	wantRetry(t, err)
	_, err = s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result("a/0", "alpha")})
	wantRetry(t, err)
	_, err = s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{result("a/0", "alpha")}})
	wantRetry(t, err)
	if b := s.counters.Books(); b.Deliveries != 0 {
		t.Errorf("books %+v", b)
	}
	if _, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	s.server.metrics.inFlight.Add(-5)
	if _, err := s.routing().Route(as(t, Cashier), payment("p1")); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestStreamsOfAnIdentity(t *testing.T) {
	s, _ := newStreamStand(t, func(c *Config) { c.MaxStreams = 2 })
	first, second := s.streamResults(t), s.streamResults(t)
	for i, r := range []*resultStream{first, second} {
		r.send(batch(uint64(i+1), "a/0"))
		r.recv()
	}
	s.streamResults(t).fails(codes.ResourceExhausted, "OVERLOADED", "2 streams")
	s.watch(t, &sluicev1.WatchChannelsRequest{}) // another identity has its own
	if err := first.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	s.second.Add(1)
	s.server.published.(*publishing).close() //nolint:forcetypeassert // it is
	for {
		if _, err := first.stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	again := s.streamResults(t)
	again.send(batch(1, "b/0"))
	again.recv()
}

// A caller ahead of its rate is held back on its stream, not refused: nothing it has sent is lost.
func TestStreamIsHeldToTheRate(t *testing.T) {
	s, _ := newStreamStand(t, func(c *Config) { c.PerSecond, c.Burst, c.Now = 500, 1, time.Now })
	r, start := s.streamResults(t), time.Now()
	for _, m := range run(1, 10) {
		r.send(m)
	}
	for i := range uint64(10) {
		if m := r.recv(); m.GetSequence() != i+1 || m.GetCounts().GetApplied() != 1 {
			t.Errorf("got %v", m)
		}
	}
	if took := time.Since(start); took < 16*time.Millisecond {
		t.Errorf("10 batches at 500 a second took %v", took)
	}
}

func TestConnectionsOfAListener(t *testing.T) {
	s := newStand(t, func(c *Config) { c.MaxConnections = 2 })
	at := s.listen(t)
	var open []net.Conn
	for range 2 {
		c := dial(t, at)
		if _, err := c.Read(make([]byte, 1)); err != nil { // its settings
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if _, err := dial(t, at).Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is served")
	}
	if n := valueOf(t, s.server.refused.connections); n != 1 {
		t.Errorf("%v refusals are in the metrics", n)
	}
	_ = open[0].Close()
	conn := client(t, at)
	if _, err := sluicev1.NewRoutingServiceClient(conn).Route(as(t, Cashier), payment("p1"), grpc.WaitForReady(true)); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

// listen serves on a port of the loopback address too.
func (s *stand) listen(tb testing.TB) string {
	tb.Helper()
	lis, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go func() { _ = s.server.Serve(lis) }()
	return lis.Addr().String()
}

// dial opens a connection that speaks no gRPC but what the test writes; reads end after a while.
func dial(tb testing.TB, at string) net.Conn {
	tb.Helper()
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func client(tb testing.TB, at string) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestLimitsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t, testCatalog())
	for name, change := range map[string]func(*Config){
		"not a number":    func(c *Config) { c.PerSecond = math.NaN() },
		"too many":        func(c *Config) { c.PerSecond = math.Inf(1) },
		"negative burst":  func(c *Config) { c.Burst = -1 },
		"hardly any":      func(c *Config) { c.PerSecond = 1e-9 },
		"an eternal one":  func(c *Config) { c.PerSecond, c.Burst = 0.01, 1e6 },
		"of the identity": func(c *Config) { c.Identities[0].PerSecond = math.Inf(1) },
	} {
		cfg := Config{
			Router: w.router, World: w, Orders: w, Journal: w.ledger, Counters: w.counters, Clock: w,
			Logger: slog.New(slog.DiscardHandler), Identities: identities(),
		}
		change(&cfg)
		if _, err := New(cfg, nil); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// diligent is a client that calls without pause while something happens elsewhere, again and again until it has made many
// calls, and must not notice it.
func diligent(tb testing.TB, at string, attack func()) {
	tb.Helper()
	rpc := sluicev1.NewRoutingServiceClient(client(tb, at))
	ctx, stop := context.WithCancel(tb.Context())
	var calls atomic.Int64
	var failed atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			patience, enough := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second) // of each pair: the attack may take its time
			_, routed := rpc.Route(bearing(patience, Cashier.String()), payment("p1"))
			report := &sluicev1.ReportResultRequest{Report: result("diligent/0", "alpha")}
			_, reported := rpc.ReportResult(bearing(patience, Gateway.String()), report)
			enough()
			if err := errors.Join(routed, reported); err != nil {
				tb.Errorf("pair of calls %d: %v", calls.Load(), err)
				failed.Store(true)
				return
			}
			calls.Add(2)
		}
	}()
	for rounds := 0; rounds == 0 || calls.Load() < 100 && !failed.Load(); rounds++ {
		attack()
	}
	stop()
	<-done
	tb.Logf("%d calls went well meanwhile", calls.Load())
}
