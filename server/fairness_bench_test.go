package server

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

const (
	floodMerchant = "m99"                  // has a route of ten channels, as all have
	floodOthers   = 20                     // merchants that are no flood
	floodEach     = 40                     // payments a second of each merchant
	floodTimes    = 50                     // what one of them rises to
	floodWindow   = 500 * time.Millisecond // with and without the flood, in turn
	floodPairs    = 24
)

// flood is a server of the benchmark: its interceptor measures Routes of the merchants that are no flood.
type flood struct {
	*stand

	client  sluicev1.RoutingServiceClient
	ctx     context.Context
	mu      sync.Mutex
	took    []time.Duration
	paid    atomic.Uint64
	refused atomic.Int64 // of the others
	held    atomic.Int64 // of the flood
	failed  atomic.Int64
	why     atomic.Pointer[error] // of the last
}

// newFlood serves with a rate of the caller that is enough for everybody's own and for little of the flood, if limited.
func newFlood(b *testing.B, limited bool) *flood {
	b.Helper()
	f := &flood{}
	f.stand = newStandOf(b, largeCatalog(benchChannels, benchCandidates), func(c *Config) {
		w, _ := c.World.(*world)
		w.counters = monitor.NewCounters(monitor.CountersOptions{})
		if err := w.counters.SetItems(w.plan.Items()); err != nil {
			b.Fatal(err)
		}
		c.Now, c.Counters, c.PerSecond = time.Now, w.counters, -1
		if limited {
			c.PerSecond = 2 * (floodOthers + 1) * floodEach
		}
		for i := range c.Identities { // reports have a limit of their own
			if c.Identities[i].Roles == Gateway {
				c.Identities[i].PerSecond = -1
			}
		}
	})
	g := grpc.NewServer(append(transportOptions(), grpc.UnaryInterceptor(f.measured), grpc.StreamInterceptor(f.server.stream),
		grpc.ForceServerCodecV2(newBatchCodec()))...)
	f.server.register(g)
	f.client = sluicev1.NewRoutingServiceClient(serveTCP(b, g))
	f.ctx = metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer cashier")
	return f
}

func (f *flood) measured(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	m, ok := req.(*sluicev1.RouteRequest)
	if !ok || m.GetPayment().GetMerchant() == floodMerchant {
		return f.server.unary(ctx, req, info, handler)
	}
	begun := time.Now()
	reply, err := f.server.unary(ctx, req, info, handler)
	took := time.Since(begun)
	f.mu.Lock()
	f.took = append(f.took, took)
	f.mu.Unlock()
	return reply, err
}

// pay pays for a merchant at a steady rate, open loop, until a time.
func (f *flood) pay(merchant string, perSecond int, end time.Time) {
	var under sync.WaitGroup
	due := time.NewTicker(time.Second / time.Duration(perSecond))
	defer due.Stop()
	for at := range due.C {
		if at.After(end) {
			break
		}
		under.Go(func() {
			m := benchRequest()
			m.Payment.Merchant, m.Payment.PaymentId = merchant, merchant+"-"+strconv.FormatUint(f.paid.Add(1), 36)
			_, err := f.client.Route(f.ctx, m)
			switch {
			case err == nil:
			case status.Code(err) != codes.ResourceExhausted:
				f.failed.Add(1)
				f.why.Store(&err)
			case merchant == floodMerchant:
				f.held.Add(1)
			default:
				f.refused.Add(1)
			}
		})
	}
	under.Wait()
}

// window is the time of the others' Routes in their handlers while something else goes on.
func (f *flood) window(also func(end time.Time)) []time.Duration {
	f.took = nil
	end := time.Now().Add(floodWindow)
	var wg sync.WaitGroup
	for i := range floodOthers {
		wg.Go(func() { f.pay(fmt.Sprint("m", i), floodEach, end) })
	}
	wg.Go(func() { also(end) })
	wg.Wait()
	return f.took
}

// BenchmarkFlood pays for 20 merchants at a steady rate each, over loopback TCP with everything on, in turn without and with a
// flood, and compares the time of their Routes in the handler: the p99 of all windows with it by that of all without. The flood is
// one merchant at 50 times its rate, with a rate of its caller that has room for it and with one that has not, as many callers of
// one merchant as answers come (all that the machine can), or batches of reports as fast as they are taken.
func BenchmarkFlood(b *testing.B) {
	b.Run("merchant", func(b *testing.B) {
		f := newFlood(b, false)
		f.compare(b, func(end time.Time) { f.pay(floodMerchant, floodTimes*floodEach, end) })
	})
	b.Run("merchant-of-a-limited-caller", func(b *testing.B) {
		f := newFlood(b, true)
		f.compare(b, func(end time.Time) { f.pay(floodMerchant, floodTimes*floodEach, end) })
	})
	b.Run("merchant-as-fast-as-it-can", func(b *testing.B) {
		f := newFlood(b, false)
		f.compare(b, f.hammer)
	})
	b.Run("reports", func(b *testing.B) {
		f := newFlood(b, false)
		decision, err := f.client.Route(f.ctx, benchRequest())
		if err != nil {
			b.Fatal(err)
		}
		f.compare(b, func(end time.Time) { f.report(b, decision.GetDecisionId(), end) })
	})
}

// hammer asks for one merchant from many callers, each as soon as it has its answer.
func (f *flood) hammer(end time.Time) {
	var wg sync.WaitGroup
	for range benchCallers {
		wg.Go(func() {
			m := benchRequest()
			m.Payment.Merchant = floodMerchant
			for time.Now().Before(end) {
				if _, err := f.client.Route(f.ctx, m); err != nil {
					f.held.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

// report reports batches from several callers, each as soon as the one before is taken.
func (f *flood) report(b *testing.B, decision string, end time.Time) {
	b.Helper()
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer gateway")
	var wg sync.WaitGroup
	for range benchInFlight {
		wg.Go(func() {
			reports := benchReports(decision)
			for time.Now().Before(end) {
				attempts.fill(reports)
				if _, err := f.client.ReportResults(ctx, &sluicev1.ReportResultsRequest{Reports: reports}); err != nil {
					f.failed.Add(1)
					f.why.Store(&err)
				}
			}
		})
	}
	wg.Wait()
}

func (f *flood) compare(b *testing.B, also func(end time.Time)) {
	b.Helper()
	f.window(also) // warms up, and lets the shares settle
	f.refused.Store(0)
	f.held.Store(0)
	for range b.N {
		var well, flooded []time.Duration
		for pair := range floodPairs {
			f.counters.Close(f.second.Add(1) - 1)
			if pair%2 == 0 {
				well = append(well, f.window(func(time.Time) {})...)
				flooded = append(flooded, f.window(also)...)
			} else {
				flooded = append(flooded, f.window(also)...)
				well = append(well, f.window(func(time.Time) {})...)
			}
		}
		slices.Sort(well)
		slices.Sort(flooded)
		for _, p := range []int{50, 90, 99} {
			w, x := well[len(well)*p/100], flooded[len(flooded)*p/100]
			b.ReportMetric(float64(x)/float64(w), fmt.Sprintf("p%d-ratio", p))
			b.ReportMetric(float64(w.Nanoseconds())/1000, fmt.Sprintf("p%d-us-without", p))
		}
		b.ReportMetric(float64(len(flooded)), "others")
	}
	b.ReportMetric(float64(f.refused.Load()), "others-refused")
	b.ReportMetric(float64(f.held.Load()), "flood-refused")
	b.ReportMetric(0, "ns/op")
	if n := f.failed.Load(); n > 0 {
		b.Errorf("%d calls failed, the last: %v", n, *f.why.Load())
	}
}
