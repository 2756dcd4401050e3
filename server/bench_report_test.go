package server

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

const (
	benchBatch       = 100
	benchStreams     = 4
	benchInFlight    = 8
	benchReportPairs = 15
)

// freshReports makes batches of reports of attempts that were never reported: the duplicate check has something to check.
type freshReports struct{ attempt atomic.Uint64 }

// fill gives every report of a batch a fresh attempt.
func (f *freshReports) fill(reports []*sluicev1.Report) {
	for _, r := range reports {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], f.attempt.Add(1))
		r.AttemptId = "attempt-" + hex.EncodeToString(n[:])
	}
}

func benchReports(decision string) []*sluicev1.Report {
	out := make([]*sluicev1.Report, benchBatch)
	for i := range out {
		out[i] = result("a/0", "channel-0000"+string(rune('0'+i%benchCandidates)))
		out[i].DecisionId = decision
	}
	return out
}

// BenchmarkReportsAgainstEcho compares reports a second with the calls a second of an empty echo of one report, over loopback TCP
// with everything on, each report of a fresh attempt: interleaved pairs, medians and quartiles of the ratio.
func BenchmarkReportsAgainstEcho(b *testing.B) {
	b.Run("ReportResults", func(b *testing.B) { reportsAgainstEcho(b, unaryReports) })
	b.Run("StreamResults", func(b *testing.B) { reportsAgainstEcho(b, streamedReports) })
}

func reportsAgainstEcho(b *testing.B, measure func(*testing.B, sluicev1.RoutingServiceClient, string) float64) {
	b.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	s := newStandOf(b, largeCatalog(benchChannels, benchCandidates), func(c *Config) {
		w, _ := c.World.(*world)
		w.counters = monitor.NewCounters(monitor.CountersOptions{}) // as in production
		if err := w.counters.SetItems(w.plan.Items()); err != nil {
			b.Fatal(err)
		}
		c.Now, c.Counters, c.PerSecond = time.Now, w.counters, -1
	})
	client := sluicev1.NewRoutingServiceClient(serveTCP(b, s.server.grpc))
	cashier := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer cashier")
	window := func() float64 { // each in a second of its own, of decisions of that second
		s.counters.Close(s.second.Add(1) - 1)
		decision, err := client.Route(cashier, benchRequest())
		if err != nil {
			b.Fatal(err)
		}
		return measure(b, client, decision.GetDecisionId())
	}
	plain := grpc.NewServer(transportOptions()...)
	e := &echo{reply: &sluicev1.ReportResultResponse{}}
	plain.RegisterService(e.desc(), e)
	conn := serveTCP(b, plain)
	echoed := &sluicev1.ReportResultRequest{Report: benchReports("20261120-0123456789abcdef-0123456789abcdef-0123456789")[0]}
	callEcho := func() error {
		return conn.Invoke(b.Context(), "/bench.Echo/Echo", echoed, &sluicev1.ReportResultResponse{})
	}
	rate(b, callEcho)
	window()
	for range b.N {
		var ratios, echoes, reports []float64
		for pair := range benchReportPairs {
			var o, r float64
			if pair%2 == 0 {
				o = rate(b, callEcho).perSecond
			}
			r = window()
			if pair%2 == 1 {
				o = rate(b, callEcho).perSecond
			}
			ratios, echoes, reports = append(ratios, r/o), append(echoes, o), append(reports, r)
		}
		report(b, "ratio", ratios)
		slices.Sort(echoes)
		slices.Sort(reports)
		b.ReportMetric(echoes[benchReportPairs/2], "echo/s")
		b.ReportMetric(reports[benchReportPairs/2], "reports/s")
	}
	if books := s.counters.Books(); !books.Balanced() || books.Applied != books.Deliveries {
		b.Errorf("books %+v: not every report was fresh and counted", books)
	}
}

// attempts are fresh over all windows of all benchmarks.
var attempts freshReports

// unaryReports counts by ReportResults from as many callers as there are streams with batches in flight.
func unaryReports(b *testing.B, client sluicev1.RoutingServiceClient, decision string) float64 {
	b.Helper()
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer gateway")
	free := make(chan []*sluicev1.Report, benchCallers)
	for range benchCallers {
		free <- benchReports(decision)
	}
	batches := rate(b, func() error {
		reports := <-free
		defer func() { free <- reports }()
		attempts.fill(reports)
		_, err := client.ReportResults(ctx, &sluicev1.ReportResultsRequest{Reports: reports})
		return err
	})
	return batches.perSecond * benchBatch
}

// streamedReports counts by StreamResults: a few streams, each with some batches in flight.
func streamedReports(b *testing.B, client sluicev1.RoutingServiceClient, decision string) float64 {
	b.Helper()
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer gateway")
	acknowledged, start := make(chan uint64, benchStreams), time.Now()
	for range benchStreams {
		stream, err := client.StreamResults(ctx)
		if err != nil {
			b.Fatal(err)
		}
		go func() { acknowledged <- streamWindow(b, stream, decision, start) }()
	}
	batches := uint64(0)
	for range benchStreams {
		batches += <-acknowledged
	}
	return float64(batches*benchBatch) / time.Since(start).Seconds()
}

// streamWindow sends batches for one window and returns how many were acknowledged as counted whole.
func streamWindow(b *testing.B, stream grpc.BidiStreamingClient[sluicev1.StreamResultsRequest, sluicev1.StreamResultsResponse], decision string, start time.Time) uint64 {
	b.Helper()
	slots, reports := make(chan struct{}, benchInFlight), benchReports(decision)
	go func() {
		for n := uint64(1); time.Since(start) < benchWindow; n++ {
			slots <- struct{}{}
			attempts.fill(reports)
			if err := stream.Send(&sluicev1.StreamResultsRequest{Sequence: n, Reports: reports}); err != nil {
				b.Error(err)
				break
			}
		}
		_ = stream.CloseSend()
	}()
	for n := uint64(0); ; {
		ack, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return n
		case err != nil || ack.GetCounts().GetApplied() != benchBatch:
			b.Error(ack, err)
			return n
		}
		n++
		<-slots
	}
}
