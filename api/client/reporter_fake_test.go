package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// collector is a replica as its streams of results show it: it counts into a memory that a crash loses, publishes once in a
// while, and knows by its id an attempt that it or an earlier life of it counted. Reports of the channel "unknown" are refused.
type collector struct {
	sluicev1.RoutingServiceClient // nothing else is called

	mu        sync.Mutex
	counted   map[string]bool // of this life, not yet published
	published map[string]int  // by attempt, how often
	streams   []*fakeStream   // open ones
	refusing  bool            // opens none
	stalled   bool            // reads, and does not answer
	holding   bool            // publishes nothing
	opened    int
	decisions []int64 // seconds taken
	refuseAll bool    // refuses decisions
	mute      bool    // acknowledges without counts
}

func newCollector() *collector {
	return &collector{counted: map[string]bool{}, published: map[string]int{}}
}

func (f *collector) StreamResults(ctx context.Context, _ ...grpc.CallOption) (resultStream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusing {
		return nil, status.Error(codes.Unavailable, "refusing")
	}
	f.opened++
	s := &fakeStream{f: f, ctx: ctx, more: make(chan struct{}, 1), broken: make(chan struct{})}
	f.streams = append(f.streams, s)
	return s, nil
}

// crash loses what was not published; breaks ends the streams alone.
func (f *collector) crash() {
	f.mu.Lock()
	f.counted = map[string]bool{}
	f.mu.Unlock()
	f.breaks()
}

func (f *collector) breaks() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		close(s.broken)
	}
	f.streams = nil
}

func (f *collector) set(at *bool, to bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*at = to
	for _, s := range f.streams {
		s.work()
	}
}

// publish brings what was counted beyond this life.
func (f *collector) publish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holding {
		return
	}
	for id := range f.counted {
		f.published[id]++
	}
	f.counted = map[string]bool{}
	for _, s := range f.streams {
		if s.through < s.sequence && !f.stalled {
			s.through = s.sequence
			s.push(&sluicev1.StreamResultsResponse{Sequence: s.sequence, PublishedThrough: s.through})
		}
	}
}

// publishing publishes every so often until the returned function is called.
func (f *collector) publishing(every time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				f.publish()
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

type fakeStream struct {
	grpc.ClientStream

	f        *collector
	ctx      context.Context
	broken   chan struct{}
	more     chan struct{}
	in       []*sluicev1.StreamResultsRequest
	out      []*sluicev1.StreamResultsResponse
	sequence uint64
	through  uint64
}

func (s *fakeStream) Send(m *sluicev1.StreamResultsRequest) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	got := &sluicev1.StreamResultsRequest{}
	if err := proto.Unmarshal(raw, got); err != nil {
		return err
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	select {
	case <-s.broken:
		return io.EOF
	case <-s.ctx.Done():
		return io.EOF
	default:
	}
	s.in = append(s.in, got)
	s.work()
	return nil
}

// work counts what has come, under the collector's lock.
func (s *fakeStream) work() {
	if s.f.stalled {
		return
	}
	for _, m := range s.in {
		if m.GetSequence() <= s.sequence || len(m.GetReports()) > mostBatch {
			panic(fmt.Sprintf("batch %d of %d reports after %d", m.GetSequence(), len(m.GetReports()), s.sequence))
		}
		s.sequence = m.GetSequence()
		ack := &sluicev1.StreamResultsResponse{Sequence: m.GetSequence(), PublishedThrough: s.through, Counts: &sluicev1.ReportCounts{}}
		for i, r := range m.GetReports() {
			switch id := r.GetAttemptId(); {
			case r.GetChannel() == "unknown":
				ack.Counts.Rejected++
				ack.Rejections = append(ack.Rejections, &sluicev1.ReportRejection{Index: uint32(i), Field: "channel", Reason: "UNKNOWN_CHANNEL"})
			case r.GetChannel() == "late":
				ack.Counts.Late++
			case s.f.counted[id] || s.f.published[id] > 0:
				ack.Counts.Duplicate++
			default:
				s.f.counted[id] = true
				ack.Counts.Applied++
			}
		}
		if d := m.GetDecisions(); d != nil {
			if s.f.refuseAll {
				ack.Rejections = append(ack.Rejections, &sluicev1.ReportRejection{Index: uint32(len(m.GetReports())), Field: "decisions.second"})
			} else {
				s.f.decisions = append(s.f.decisions, d.GetSecond())
			}
		}
		if s.f.mute {
			ack.Counts = nil
		}
		s.push(ack)
	}
	s.in = nil
}

func (s *fakeStream) push(m *sluicev1.StreamResultsResponse) {
	s.out = append(s.out, m)
	nudge(s.more)
}

func (s *fakeStream) Recv() (*sluicev1.StreamResultsResponse, error) {
	for {
		s.f.mu.Lock()
		if len(s.out) > 0 {
			m := s.out[0]
			s.out = s.out[1:]
			s.f.mu.Unlock()
			return m, nil
		}
		s.f.mu.Unlock()
		select {
		case <-s.more:
		case <-s.broken:
			return nil, status.Error(codes.Unavailable, "broken")
		case <-s.ctx.Done():
			return nil, status.FromContextError(s.ctx.Err()).Err()
		}
	}
}

// result is the report of one attempt.
func testReport(id string) *sluicev1.Report {
	channel := "unionpay-api-debit"
	if name, _, ok := strings.Cut(id, ":"); ok {
		channel = name
	}
	return &sluicev1.Report{
		AttemptId: id, PaymentId: "pay-" + id, Channel: channel, Account: "main", Method: "QUICKPAY", Bank: "ICBC",
		CardType: configv1.CardType_CARD_TYPE_DEBIT, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Outcome: configv1.Outcome_OUTCOME_SUCCEEDED, LatencyMs: 120, Amount: 12_000, Currency: "CNY",
	}
}

// testReporter starts a reporter to a collector, without a client around it.
func testReporter(tb testing.TB, f sluicev1.RoutingServiceClient, cfg ReporterConfig) *Reporter {
	tb.Helper()
	r := &Reporter{cfg: cfg, stub: f, logger: slog.New(slog.DiscardHandler), now: time.Now}
	if err := r.start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return r
}

// kill ends a reporter as the end of its process would: memory is lost.
func (r *Reporter) kill() {
	r.ending.Lock()
	defer r.ending.Unlock()
	r.ended = true
	r.stop()
	r.work.Wait()
	if r.spill != nil {
		if r.spill.out != nil {
			r.spill.out.Close()
		}
		r.spill.lock.Close()
	}
}

// balance checks the books.
func balance(tb testing.TB, s ReporterStats) {
	tb.Helper()
	if s.Attempts+s.Replayed != s.Applied+s.Dropped.Total()+s.Held+s.Spilled {
		tb.Errorf("the books do not balance: %+v", s)
	}
}

// drainCollector acknowledges and publishes at once, without looking.
type drainCollector struct {
	sluicev1.RoutingServiceClient
}

func (*drainCollector) StreamResults(ctx context.Context, _ ...grpc.CallOption) (resultStream, error) {
	return &drainStream{ctx: ctx, sent: make(chan *sluicev1.StreamResultsResponse, 64)}, nil
}

type drainStream struct {
	grpc.ClientStream

	ctx  context.Context
	sent chan *sluicev1.StreamResultsResponse
}

func (s *drainStream) Send(m *sluicev1.StreamResultsRequest) error {
	n := uint32(0)
	for rest := m.ProtoReflect().GetUnknown(); len(rest) > 0; n++ {
		_, _, tag := protowire.ConsumeTag(rest)
		_, size := protowire.ConsumeBytes(rest[tag:])
		rest = rest[tag+size:]
	}
	s.sent <- &sluicev1.StreamResultsResponse{
		Sequence: m.GetSequence(), PublishedThrough: m.GetSequence(), Counts: &sluicev1.ReportCounts{Applied: n},
	}
	return nil
}

func (s *drainStream) Recv() (*sluicev1.StreamResultsResponse, error) {
	select {
	case m := <-s.sent:
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}
