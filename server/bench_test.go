package server

import (
	"context"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

const (
	benchChannels   = 1000
	benchCandidates = 10
	benchCallers    = 64
	benchPairs      = 31
	benchWindow     = 200 * time.Millisecond
)

// benchRequest is a payment that ten candidates can take.
func benchRequest() *sluicev1.RouteRequest {
	m := payment("20261120-0123456789abcdef")
	m.Payment.Merchant = "m0"
	return m
}

// BenchmarkRouteHandler is Route without transport and interceptors: check, decide, reply.
func BenchmarkRouteHandler(b *testing.B) {
	s := newStandOf(b, largeCatalog(benchChannels, benchCandidates), nil)
	r, m := newRoutingService(s.server), benchRequest()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Route(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRouteUnary is the same with the interceptor: who calls, metrics, shedding.
func BenchmarkRouteUnary(b *testing.B) {
	s := newStandOf(b, largeCatalog(benchChannels, benchCandidates), func(c *Config) { c.Now, c.PerSecond = time.Now, -1 })
	r, m := newRoutingService(s.server), benchRequest()
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer cashier"))
	info := &grpc.UnaryServerInfo{FullMethod: sluicev1.RoutingService_Route_FullMethodName}
	handler := func(ctx context.Context, _ any) (any, error) { return r.Route(ctx, m) }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.server.unary(ctx, m, info, handler); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIngest counts one report of a fresh attempt, from message to counters.
func BenchmarkIngest(b *testing.B) {
	s := newStandOf(b, largeCatalog(benchChannels, benchCandidates), nil)
	counters := monitor.NewCounters(monitor.CountersOptions{})
	if err := counters.SetItems(s.plan.Items()); err != nil {
		b.Fatal(err)
	}
	in := NewIngest(s.router, counters)
	reply, err := s.routing().Route(as(b, Cashier), benchRequest())
	if err != nil {
		b.Fatal(err)
	}
	m := result(reply.GetChannels()[0].GetAttemptId(), reply.GetChannels()[0].GetChannel())
	m.DecisionId = reply.GetDecisionId()
	fresh := make([]string, 1<<16)
	for i := range fresh {
		fresh[i] = "attempt-" + string([]byte{byte('a' + i>>12), byte('a' + i>>8&15), byte('a' + i>>4&15), byte('a' + i&15)})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.AttemptId = fresh[i&(1<<16-1)]
		i++
		if d, err := in.Report(m, 1, s.Second()); err != nil || d == monitor.Late {
			b.Fatal(d, err)
		}
	}
}

// echo answers with the same reply always; raw bytes of the same size where raw is set.
type echo struct {
	reply proto.Message
	raw   bool
}

func (e *echo) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "bench.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in proto.Message = &sluicev1.RouteRequest{}
			if e.raw {
				in = &wrapperspb.BytesValue{}
			}
			if err := decode(in); err != nil {
				return nil, err
			}
			return e.reply, nil
		},
	}}}
}

// BenchmarkRouteAgainstEcho is Route over loopback TCP with everything on, against an empty echo of messages of the same size on a
// server with the same transport options, in one process and heap: interleaved pairs, medians and quartiles of the ratio of calls
// per second. The echo is given twice: with Route's own messages, and with raw bytes that need no decoding.
func BenchmarkRouteAgainstEcho(b *testing.B) {
	for _, raw := range []bool{false, true} {
		name := "same-messages"
		if raw {
			name = "raw-bytes"
		}
		b.Run(name, func(b *testing.B) { againstEcho(b, raw) })
	}
}

func againstEcho(b *testing.B, raw bool) {
	b.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	s := newStandOf(b, largeCatalog(benchChannels, benchCandidates), func(c *Config) { c.Now, c.PerSecond = time.Now, -1 })
	route := serveTCP(b, s.server.grpc)
	request := benchRequest()
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer cashier")
	reply, err := sluicev1.NewRoutingServiceClient(route).Route(ctx, request)
	if err != nil {
		b.Fatal(err)
	}
	e, plain := &echo{reply: reply, raw: raw}, grpc.NewServer(transportOptions()...)
	var echoed proto.Message = request
	if raw {
		e.reply = &wrapperspb.BytesValue{Value: make([]byte, proto.Size(reply)-3)}
		echoed = &wrapperspb.BytesValue{Value: make([]byte, proto.Size(request)-3)}
	}
	plain.RegisterService(e.desc(), e)
	echoConn := serveTCP(b, plain)
	callRoute := func() error {
		return route.Invoke(ctx, sluicev1.RoutingService_Route_FullMethodName, request, &sluicev1.RouteResponse{})
	}
	callEcho := func() error {
		var out proto.Message = &sluicev1.RouteResponse{}
		if raw {
			out = &wrapperspb.BytesValue{}
		}
		return echoConn.Invoke(b.Context(), "/bench.Echo/Echo", echoed, out)
	}
	rate(b, callRoute)
	rate(b, callEcho)
	for range b.N {
		var calls, cpu, echoes, routes []float64
		for pair := range benchPairs {
			var r, o sample
			if pair%2 == 0 {
				o, r = rate(b, callEcho), rate(b, callRoute)
			} else {
				r, o = rate(b, callRoute), rate(b, callEcho)
			}
			calls, cpu = append(calls, r.perSecond/o.perSecond), append(cpu, r.cpuMicros/o.cpuMicros)
			echoes, routes = append(echoes, o.perSecond), append(routes, r.perSecond)
		}
		report(b, "calls-ratio", calls)
		report(b, "cpu-ratio", cpu)
		slices.Sort(echoes)
		slices.Sort(routes)
		b.ReportMetric(echoes[benchPairs/2], "echo/s")
		b.ReportMetric(routes[benchPairs/2], "route/s")
	}
	b.Logf("request %d bytes, reply %d bytes, %d callers, %d CPUs", proto.Size(request), proto.Size(reply), benchCallers, runtime.GOMAXPROCS(0))
}

func serveTCP(b *testing.B, g *grpc.Server) *grpc.ClientConn {
	b.Helper()
	lis, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = g.Serve(lis) }()
	b.Cleanup(g.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// report tells median and quartiles.
func report(b *testing.B, what string, of []float64) {
	b.Helper()
	slices.Sort(of)
	b.ReportMetric(of[len(of)/4], what+"-p25")
	b.ReportMetric(of[len(of)/2], what+"-p50")
	b.ReportMetric(of[len(of)*3/4], what+"-p75")
}

// sample is one window: calls per second, and processor time of the whole process (client and server) per call.
type sample struct{ perSecond, cpuMicros float64 }

// rate runs a closed loop of callers over one window.
func rate(b *testing.B, call func() error) sample {
	b.Helper()
	var calls atomic.Int64
	var wg sync.WaitGroup
	start, busy := time.Now(), cpuTime(b)
	for range benchCallers {
		wg.Go(func() {
			for time.Since(start) < benchWindow {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	n := float64(calls.Load())
	return sample{n / time.Since(start).Seconds(), float64((cpuTime(b) - busy).Microseconds()) / n}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
