package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// publishing is the clock of a replica whose publishing is done by hand.
type publishing struct {
	*world

	at atomic.Int64
}

func (p *publishing) Published() int64 { return p.at.Load() }

// close closes and publishes what was counted until now, as a Tick would.
func (p *publishing) close() []monitor.SecondCounts {
	second := p.second.Add(1) - 1
	counts := p.counters.Close(second)
	p.at.Store(second)
	return counts
}

// newStreamStand is a stand that publishes by hand and looks at it often.
func newStreamStand(tb testing.TB, change func(*Config)) (*stand, *publishing) {
	tb.Helper()
	var p *publishing
	s := newStand(tb, func(c *Config) {
		w, _ := c.World.(*world)
		p = &publishing{world: w}
		c.Clock, c.Acknowledge = p, time.Millisecond
		if change != nil {
			change(c)
		}
	})
	return s, p
}

// resultStream is one client that expects what comes next.
type resultStream struct {
	t      testing.TB
	stream interface {
		Send(m *sluicev1.StreamResultsRequest) error
		Recv() (*sluicev1.StreamResultsResponse, error)
		CloseSend() error
	}
}

func (s *stand) streamResults(tb testing.TB) *resultStream {
	tb.Helper()
	stream, err := s.routing().StreamResults(as(tb, Gateway))
	if err != nil {
		tb.Fatal(err)
	}
	return &resultStream{tb, stream}
}

func batch(sequence uint64, attempts ...string) *sluicev1.StreamResultsRequest {
	m := &sluicev1.StreamResultsRequest{Sequence: sequence, Reporter: "g1"}
	for _, a := range attempts {
		m.Reports = append(m.Reports, result(a, "alpha"))
	}
	return m
}

func (r *resultStream) send(m *sluicev1.StreamResultsRequest) {
	r.t.Helper()
	if err := r.stream.Send(m); err != nil {
		r.t.Fatal(err)
	}
}

func (r *resultStream) recv() *sluicev1.StreamResultsResponse {
	r.t.Helper()
	m, err := r.stream.Recv()
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// fails takes what comes until the stream ends, and expects the error.
func (r *resultStream) fails(code codes.Code, reason, text string) {
	r.t.Helper()
	for {
		_, err := r.stream.Recv()
		if err == nil {
			continue
		}
		wantError(r.t, err, code, reason)
		if !strings.Contains(err.Error(), text) {
			r.t.Errorf("%v does not say %q", err, text)
		}
		return
	}
}

func TestStreamResults_AcknowledgesEachBatch(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	r := s.streamResults(t)
	r.send(batch(1, "a/0", "b/0"))
	if m := r.recv(); m.GetSequence() != 1 || m.GetCounts().GetApplied() != 2 || m.GetPublishedThrough() != 0 || len(m.GetGrants()) != 0 {
		t.Errorf("first %v", m)
	}
	bad := batch(2, "a/0", "c/0", "d/0")
	bad.Reports[1].Channel, bad.Reports[2].AttemptId = "nowhere", ""
	r.send(bad)
	m := r.recv()
	if c := m.GetCounts(); c.GetDuplicate() != 1 || c.GetRejected() != 2 || c.GetApplied() != 0 {
		t.Errorf("counts %v", c)
	}
	if j := m.GetRejections(); len(j) != 2 || j[0].GetIndex() != 1 || j[0].GetReason() != "UNKNOWN_CHANNEL" || j[1].GetField() != "attempt_id" {
		t.Errorf("rejections %v", j)
	}
	if b := s.counters.Books(); !b.Balanced() || b.Deliveries != 5 {
		t.Errorf("books %+v", b)
	}
}

func TestStreamResults_GrowingNumbersAreEnough(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	r := s.streamResults(t)
	for _, sequence := range []uint64{3, 4, 9} {
		r.send(batch(sequence, "a/0"))
		if m := r.recv(); m.GetSequence() != sequence {
			t.Errorf("batch %d got %v", sequence, m)
		}
	}
}

func TestStreamResults_RepeatedBatchCountsOnce(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	r := s.streamResults(t)
	var first []*sluicev1.StreamResultsResponse
	for i := range uint64(recalled) {
		m := batch(i+1, fmt.Sprintf("a%d/0", i), "bad")
		m.Reports[1].Channel = "nowhere"
		r.send(m)
		first = append(first, r.recv())
	}
	before := s.counters.Books()
	for i := range uint64(recalled) {
		r.send(batch(i+1, "other/0"))
		if m := r.recv(); !proto.Equal(m, first[i]) {
			t.Errorf("again %v, was %v", m, first[i])
		}
	}
	if after := s.counters.Books(); after != before {
		t.Errorf("repeated batches counted: %+v, before %+v", after, before)
	}
	r.send(batch(recalled+1, "z/0")) // and the stream goes on
	if m := r.recv(); m.GetCounts().GetApplied() != 1 {
		t.Errorf("then %v", m)
	}
}

// A batch is published when every second that its reports may lie in is; that is told without another batch.
func TestStreamResults_TellsWhatIsPublished(t *testing.T) {
	s, p := newStreamStand(t, nil)
	r := s.streamResults(t)
	r.send(batch(1, "a/0"))
	r.recv()
	r.send(batch(2, "b/0"))
	r.recv()
	p.second.Add(1) // the second is over, and not published
	r.send(batch(3, "c/0"))
	if m := r.recv(); m.GetPublishedThrough() != 0 {
		t.Errorf("published before it was: %v", m)
	}
	p.at.Store(p.Second() - 1)
	if m := r.recv(); m.GetPublishedThrough() != 2 || m.GetSequence() != 3 || m.GetCounts().GetApplied() != 0 {
		t.Errorf("after the first second %v", m)
	}
	p.close()
	if m := r.recv(); m.GetPublishedThrough() != 3 {
		t.Errorf("after the second one %v", m)
	}
	r.send(batch(4))
	if m := r.recv(); m.GetPublishedThrough() != 3 {
		t.Errorf("then %v", m)
	}
}

// A client that closes its side is told when its last batch is published, then the stream ends well.
func TestStreamResults_EndWaitsForPublishing(t *testing.T) {
	s, p := newStreamStand(t, nil)
	r := s.streamResults(t)
	r.send(batch(1, "a/0"))
	r.recv()
	if err := r.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	p.close()
	if m := r.recv(); m.GetPublishedThrough() != 1 {
		t.Errorf("got %v", m)
	}
	if m, err := r.stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestStreamResults_MalformedStreamsEnd(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("m%d/0", i)
	}
	tests := map[string]struct {
		batches  []*sluicev1.StreamResultsRequest
		text     string
		rejected uint64
	}{
		"no number":       {[]*sluicev1.StreamResultsRequest{batch(0, "a/0")}, "sequence", 1},
		"back":            {[]*sluicev1.StreamResultsRequest{batch(7, "a/0"), batch(6, "b/0", "c/0")}, "sequence", 2},
		"too many":        {[]*sluicev1.StreamResultsRequest{batch(1, many...)}, "1000", 1001},
		"reporter":        {[]*sluicev1.StreamResultsRequest{{Sequence: 1, Reporter: strings.Repeat("x", 65)}}, "reporter", 0},
		"card as itself":  {[]*sluicev1.StreamResultsRequest{{Sequence: 1, Reporter: "4111111111111111"}}, "reporter", 0},
		"long gone again": {append(run(1, 10), batch(1, "r0/0")), "last 8", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, _ := newStreamStand(t, nil)
			r := s.streamResults(t)
			for _, m := range test.batches {
				r.send(m)
			}
			r.fails(codes.InvalidArgument, "INVALID_FIELD", test.text)
			if b := s.counters.Books(); !b.Balanced() || b.Rejected != test.rejected {
				t.Errorf("books %+v, want %d rejected", b, test.rejected)
			}
		})
	}
}

func run(from, until uint64) []*sluicev1.StreamResultsRequest {
	var all []*sluicev1.StreamResultsRequest
	for i := from; i <= until; i++ {
		all = append(all, batch(i, fmt.Sprintf("r%d/0", i)))
	}
	return all
}

func TestStreamResults_StopSendsAway(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	r := s.streamResults(t)
	r.send(batch(1, "a/0"))
	r.recv()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	r.fails(codes.Unavailable, "OVERLOADED", "open a stream to another one")
}

func TestStreamResults_NeedsATableAndAGateway(t *testing.T) {
	s, _ := newStreamStand(t, func(c *Config) { c.Router = routing.NewRouter() })
	s.streamResults(t).fails(codes.Unavailable, "NO_TABLE", "no table")
	stream, err := s.routing().StreamResults(as(t, Cashier))
	if err != nil {
		t.Fatal(err)
	}
	(&resultStream{t, stream}).fails(codes.PermissionDenied, "PERMISSION_DENIED", "gateway")
}

func TestStreamResults_MessagesAreBounded(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	r := s.streamResults(t)
	r.send(&sluicev1.StreamResultsRequest{Sequence: 1, Reporter: strings.Repeat("x", 5<<20)})
	if m, err := r.stream.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, %v", m, err)
	}
}

// dropped is how many streams were ended because their reader was too slow.
func (s *stand) dropped(tb testing.TB) float64 {
	tb.Helper()
	return valueOf(tb, s.server.metrics.dropped)
}

func valueOf(tb testing.TB, c prometheus.Counter) float64 {
	tb.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		tb.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// A client that reads no acknowledgements is held back: what the replica counts and keeps for it is bounded, and the stream ends.
func TestStreamResults_SlowReaderIsHeldBack(t *testing.T) {
	s, _ := newStreamStand(t, nil)
	s.server.snapshots.hurry = 100 * time.Millisecond
	ctx, stop := context.WithCancel(as(t, Gateway))
	defer stop()
	stream, err := s.routing().StreamResults(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bad := batch(0)
	for range 1000 { // an acknowledgement much larger than what the transport buffers
		bad.Reports = append(bad.Reports, &sluicev1.Report{Channel: "x"})
	}
	var sent atomic.Uint64
	go func() {
		for {
			m := proto.CloneOf(bad)
			m.Sequence = sent.Add(1)
			if stream.Send(m) != nil {
				return
			}
		}
	}()
	for s.dropped(t) == 0 {
		if _, err := s.routing().Route(as(t, Cashier), payment("p1")); err != nil { // the others are served
			t.Fatal(err)
		}
	}
	r := &resultStream{t, stream}
	r.fails(codes.ResourceExhausted, "OVERLOADED", "too slowly")
	if n := s.counters.Books().Deliveries / 1000; n > 2*unanswered+64 {
		t.Errorf("%d batches of %d were counted for a client that reads nothing", n, sent.Load())
	}
}

func alphaDecisions(second int64, epoch uint64) *sluicev1.LocalDecisions {
	cut := statepb.FromScope(statemachine.InstrumentScope("alpha", icbcDebit))
	return &sluicev1.LocalDecisions{
		Second: second, Epoch: epoch,
		Lanes: []*sluicev1.LaneDecisions{
			{SettlementEntity: "acme", BusinessType: collect, Method: "QUICKPAY", Bank: "ICBC", CardType: debit, Decisions: 7, Refused: 2},
			{SettlementEntity: "elsewhere", BusinessType: collect, Method: "QUICKPAY", Bank: "ICBC", CardType: debit, Decisions: 7},
		},
		Gates: []*sluicev1.GateDecisions{{Scope: cut, Generation: 1, WouldBe: 5, Sent: 1}},
		Sent: []*sluicev1.SentDecisions{
			{Item: statepb.FromScope(statemachine.ChannelScope("alpha")), Kind: sluicev1.TrafficKind_TRAFFIC_KIND_PROBE, Count: 3},
			{Item: statepb.FromScope(statemachine.ChannelScope("elsewhere")), Kind: sluicev1.TrafficKind_TRAFFIC_KIND_NORMAL, Count: 3},
		},
	}
}

// What a local-first client decided counts as the replica's own decisions do; what the catalogue does not know is left out.
func TestStreamResults_LocalDecisionsCount(t *testing.T) {
	s, p := newStreamStand(t, nil)
	r := s.streamResults(t)
	now, epoch := p.Second(), s.router.Table().Revision().Epoch
	r.send(&sluicev1.StreamResultsRequest{Sequence: 1, Decisions: alphaDecisions(now, epoch)})
	if m := r.recv(); len(m.GetRejections()) != 0 || m.GetCounts().GetRejected() != 0 {
		t.Fatalf("got %v", m)
	}
	counts := p.close()[0]
	if len(counts.Lanes) != 1 || counts.Lanes[0].Decisions != 7 || counts.Lanes[0].Refused != 2 {
		t.Errorf("lanes %+v", counts.Lanes)
	}
	if len(counts.Gates) != 1 || counts.Gates[0].WouldBe != 5 || counts.Gates[0].Sent != 1 {
		t.Errorf("gates %+v", counts.Gates)
	}
	if len(counts.Items) != 1 || counts.Items[0].Sent[statemachine.KindProbe] != 3 {
		t.Errorf("items %+v", counts.Items)
	}
	r.send(&sluicev1.StreamResultsRequest{Sequence: 2, Decisions: alphaDecisions(now+1, epoch+1)})
	for r.recv().GetSequence() != 2 {
	}
	if counts := p.close()[0]; len(counts.Gates) != 0 || len(counts.Lanes) != 1 {
		t.Errorf("of another epoch: %+v", counts)
	}
}

func TestStreamResults_BadDecisionsAreRefusedAndReportsCount(t *testing.T) {
	tests := map[string]struct {
		change func(*sluicev1.LocalDecisions)
		field  string
	}{
		"old":          {func(m *sluicev1.LocalDecisions) { m.Second -= 1000 }, "decisions.second"},
		"future":       {func(m *sluicev1.LocalDecisions) { m.Second += 1000 }, "decisions.second"},
		"twice":        {func(m *sluicev1.LocalDecisions) { m.Second -= 2 }, "decisions.second"},
		"entity":       {func(m *sluicev1.LocalDecisions) { m.Lanes[0].SettlementEntity = "" }, "decisions.lanes[0].settlement_entity"},
		"business":     {func(m *sluicev1.LocalDecisions) { m.Lanes[1].BusinessType = 99 }, "decisions.lanes[1].business_type"},
		"method":       {func(m *sluicev1.LocalDecisions) { m.Lanes[0].Method = "a b" }, "decisions.lanes[0].method"},
		"bank":         {func(m *sluicev1.LocalDecisions) { m.Lanes[0].Bank = "a b" }, "decisions.lanes[0].bank"},
		"card":         {func(m *sluicev1.LocalDecisions) { m.Lanes[0].CardType = 9 }, "decisions.lanes[0].card_type"},
		"huge":         {func(m *sluicev1.LocalDecisions) { m.Lanes[0].Decisions = 1 << 31 }, "decisions.lanes[0].decisions"},
		"huge refused": {func(m *sluicev1.LocalDecisions) { m.Lanes[0].Refused = 1 << 31 }, "decisions.lanes[0].refused"},
		"lane twice":   {func(m *sluicev1.LocalDecisions) { m.Lanes[1].SettlementEntity = "acme" }, "decisions.lanes[1]"},
		"no scope":     {func(m *sluicev1.LocalDecisions) { m.Gates[0].Scope = nil }, "decisions.gates[0].scope"},
		"gate twice":   {func(m *sluicev1.LocalDecisions) { m.Gates = append(m.Gates, m.GetGates()...) }, "decisions.gates[1].scope"},
		"huge gate":    {func(m *sluicev1.LocalDecisions) { m.Gates[0].WouldBe = 1 << 31 }, "decisions.gates[0].would_be"},
		"oversent":     {func(m *sluicev1.LocalDecisions) { m.Gates[0].Sent = 6 }, "decisions.gates[0].sent"},
		"item":         {func(m *sluicev1.LocalDecisions) { m.Sent[0].Item = &configv1.Scope{Kind: 77} }, "decisions.sent[0].item"},
		"kind":         {func(m *sluicev1.LocalDecisions) { m.Sent[0].Kind = 0 }, "decisions.sent[0].kind"},
		"huge sent":    {func(m *sluicev1.LocalDecisions) { m.Sent[0].Count = 1 << 31 }, "decisions.sent[0].count"},
		"many gates":   {func(m *sluicev1.LocalDecisions) { m.Gates = make([]*sluicev1.GateDecisions, 1001) }, "decisions.gates"},
		"many lanes":   {func(m *sluicev1.LocalDecisions) { m.Lanes = make([]*sluicev1.LaneDecisions, 10_001) }, "decisions.lanes"},
		"many sent":    {func(m *sluicev1.LocalDecisions) { m.Sent = make([]*sluicev1.SentDecisions, 10_001) }, "decisions.sent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, p := newStreamStand(t, nil)
			r := s.streamResults(t)
			now, epoch := p.Second(), s.router.Table().Revision().Epoch
			r.send(&sluicev1.StreamResultsRequest{Sequence: 1, Decisions: alphaDecisions(now-2, epoch)})
			if m := r.recv(); len(m.GetRejections()) != 0 {
				t.Fatalf("good ones: %v", m)
			}
			m := batch(2, "a/0")
			m.Decisions = changed(alphaDecisions(now-1, epoch), func(d *sluicev1.LocalDecisions) {
				if name == "twice" {
					d.Second = now
				}
				test.change(d)
			})
			r.send(m)
			ack := r.recv()
			if j := ack.GetRejections(); len(j) != 1 || j[0].GetIndex() != 1 || j[0].GetField() != test.field || j[0].GetReason() != "INVALID_FIELD" {
				t.Errorf("rejections %v, want %s", j, test.field)
			}
			if c := ack.GetCounts(); c.GetApplied() != 1 || c.GetRejected() != 0 {
				t.Errorf("counts %v", c)
			}
			if c := p.close()[0]; len(c.Lanes) != 1 || c.Lanes[0].Decisions != 7 {
				t.Errorf("counted %+v", c.Lanes)
			}
		})
	}
}

// Whatever comes when: no batch is called published before its second is, all are in the end, and memory is bounded.
func TestResultLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var l resultLog
		second, published, sequence := int64(100), int64(99), uint64(0)
		counted := map[uint64]int64{}
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				second++
			case 1:
				published = rapid.Int64Range(published, second-1).Draw(rt, "published")
				l.settle(published)
			default:
				sequence += rapid.Uint64Range(1, 3).Draw(rt, "growth")
				l.remember(&sluicev1.StreamResultsResponse{Sequence: sequence}, second)
				counted[sequence] = second
				if l.recall(sequence).GetSequence() != sequence {
					rt.Fatalf("batch %d is not recalled", sequence)
				}
			}
			if at, ok := counted[l.through]; l.through != 0 && (!ok || at > published) {
				rt.Fatalf("batch %d of second %d is called published, which seconds up to %d are", l.through, at, published)
			}
		}
		l.settle(second)
		if l.through != sequence || len(l.marks) != 0 {
			rt.Fatalf("published through %d of %d", l.through, sequence)
		}
	})
	var l resultLog
	for i := range int64(3 * maxMarks) {
		l.remember(&sluicev1.StreamResultsResponse{Sequence: uint64(i + 1)}, i)
	}
	if len(l.marks) > maxMarks || l.settle(2*maxMarks-1) || !l.settle(2*maxMarks) || l.through != 2*maxMarks+1 {
		t.Errorf("%d marks, through %d", len(l.marks), l.through)
	}
}
