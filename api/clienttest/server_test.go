package clienttest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/api/client"
	"github.com/sluice-pay/sluice/api/clienttest"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const present = 1_800_000_000

func fixed() time.Time { return time.Unix(present, 0) }

// genuine is the world of the real server with a table that never changes.
type genuine struct{ sight *server.Sight }

func (genuine) Second() int64                                     { return present }
func (r genuine) Sight() *server.Sight                            { return r.sight }
func (genuine) Traffic(statemachine.Scope) (server.Traffic, bool) { return server.Traffic{}, false }

func (genuine) Progress(statemachine.Scope) (server.Progress, bool) { return server.Progress{}, false }

func (genuine) Order(context.Context, monitor.OrderRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (genuine) Annotate(context.Context, monitor.AnnotateRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (genuine) ApplyCatalog(context.Context, monitor.CatalogRequest, time.Time) (monitor.Result, error) {
	return monitor.Result{}, monitor.ErrNotLeader
}

func (genuine) Catalog(context.Context, uint64) ([]byte, monitor.CatalogRevision, error) {
	return nil, monitor.CatalogRevision{}, monitor.ErrNotLeader
}

func (genuine) Catalogs(context.Context) ([]monitor.CatalogRevision, error) {
	return nil, monitor.ErrNotLeader
}

// realServer serves the catalogue of the fake with the states of its snapshot.
func realServer(t *testing.T, s *configv1.Snapshot) sluicev1.RoutingServiceClient {
	t.Helper()
	table, err := routing.OpenSnapshot(s, clienttest.Environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, w := routing.NewRouter(), genuine{&server.Sight{Table: table, Confirmed: fixed()}}
	r.Swap(table)
	counters := monitor.NewCounters(monitor.CountersOptions{DuplicateSlots: 1 << 10, PayerSlots: 1 << 10})
	if err := counters.SetItems(table.Plan().Items()); err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{
		Replica: "r1", Environment: clienttest.Environment, Router: r, World: w, Orders: w, Journal: monitor.NewMemoryLedger("r1"),
		Counters: counters, Clock: w, Logger: slog.New(slog.DiscardHandler), AllowAnonymous: true, Now: fixed, PerSecond: -1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	lis, done := bufconn.Listen(1<<20), make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) })
	stub := connect(t, dial)
	t.Cleanup(func() {
		_ = srv.Stop(t.Context())
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return stub
}

func connect(t *testing.T, options ...grpc.DialOption) sluicev1.RoutingServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(clienttest.Target, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return sluicev1.NewRoutingServiceClient(conn)
}

// The fake answers as the real server does: every byte of the answer, and every refusal with its details, but for how busy the
// replica is.
func TestServer_AnswersAsARealReplica(t *testing.T) {
	s := clienttest.New(t, clienttest.WithClock(fixed))
	s.Cut("alpha/instrument=QUICKPAY:CCB:DEBIT")
	s.Off("beta")
	s.Suspend("alpha/business=REFUND")
	s.Cut("gamma/instrument=QUICKPAY:CCB:DEBIT")
	fake := connect(t, s.DialOptions()...)
	got, err := fake.GetSnapshot(t.Context(), &sluicev1.GetSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	other := realServer(t, got.GetSnapshot())
	kinds := make([]int, codes.Unauthenticated+1)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := drawRequest(rt, n)
		a, aErr := fake.Route(t.Context(), m)
		b, bErr := other.Route(t.Context(), m)
		for _, r := range []*sluicev1.RouteResponse{a, b} {
			if r != nil {
				r.PressurePpm = 0
			}
		}
		if !proto.Equal(a, b) {
			rt.Fatalf("%v\nfake %v\nreal %v", m, a, b)
		}
		if x, y := told(aErr), told(bErr); x != y {
			rt.Fatalf("%v\nfake %s\nreal %s", m, x, y)
		}
		kinds[status.Code(aErr)]++
	})
	for _, c := range []codes.Code{codes.OK, codes.Unavailable, codes.FailedPrecondition, codes.InvalidArgument} {
		if kinds[c] == 0 {
			t.Errorf("no answer was %s: %v", c, kinds)
		}
	}
}

func drawRequest(rt *rapid.T, n int) *sluicev1.RouteRequest {
	m := clienttest.Request(fmt.Sprintf("payment-%d", n))
	p := m.GetPayment()
	p.Bank = rapid.SampledFrom([]string{"ICBC", "CCB", "ABC"}).Draw(rt, "bank")
	p.Amount = rapid.SampledFrom([]int64{100, 12_000, -1}).Draw(rt, "amount")
	p.BusinessType = configv1.BusinessType(rapid.IntRange(1, 7).Draw(rt, "business"))
	if p.GetBusinessType() >= configv1.BusinessType_BUSINESS_TYPE_REFUND && rapid.IntRange(0, 3).Draw(rt, "original") > 0 {
		p.Original = &sluicev1.OriginalPayment{Channel: rapid.SampledFrom([]string{"alpha", "beta", "nobody"}).Draw(rt, "of"), Account: "main"}
	}
	for range rapid.IntRange(0, 2).Draw(rt, "attempts") {
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{
			Channel: rapid.SampledFrom([]string{"alpha", "beta", "gamma"}).Draw(rt, "attempted"), Account: "main",
			RawCode: rapid.SampledFrom([]string{"E91", "E91", "E99", "E51", "E00", "E12"}).Draw(rt, "code"),
		})
	}
	return m
}

// told is an error with everything it tells.
func told(err error) string {
	st := status.Convert(err)
	text := st.Code().String()
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			text += " " + d.GetReason()
		case *sluicev1.RouteRefusal:
			raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(d)
			text += fmt.Sprintf(" %x", raw)
		}
	}
	return text
}

func TestServer_ChannelsStatesAndRecords(t *testing.T) {
	s := clienttest.New(t)
	c := s.Client()
	first := func(payment string) string {
		t.Helper()
		reply, err := c.Route(t.Context(), clienttest.Request(payment))
		if err != nil {
			return status.Code(err).String()
		}
		return reply.GetChannels()[0].GetChannel()
	}
	for i, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "alpha"},
		{func() { s.Off("alpha") }, "beta"},
		{func() { s.Cut("beta/instrument=QUICKPAY:ICBC:DEBIT") }, "gamma"},
		{func() { s.Probe("gamma") }, codes.Unavailable.String()},
		{func() { s.Ramp("beta/instrument=QUICKPAY:ICBC:DEBIT", 1_000_000) }, "beta"},
		{func() { s.Heal("alpha") }, "alpha"},
		{func() { s.FailNext(status.Error(codes.InvalidArgument, "by the test")) }, codes.InvalidArgument.String()},
		{func() { s.Apply(oneChannel()) }, "alpha"},
		{func() { s.Suspend("alpha") }, codes.Unavailable.String()},
	} {
		step.do()
		if got := first(fmt.Sprintf("payment-%d", i)); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	all := s.Routed()
	if len(all) != 9 || all[0].Reply.GetChannels()[0].GetChannel() != "alpha" || all[3].Err == nil || all[8].Request.GetPayment().GetPaymentId() != "payment-8" {
		t.Errorf("%d calls: %+v", len(all), all)
	}
}

func oneChannel() *configv1.Catalog {
	c := clienttest.Catalog()
	c.Channels = c.GetChannels()[:1]
	for _, r := range c.GetRoutes() {
		r.Members = r.GetMembers()[:1]
	}
	return c
}

func TestServer_ScriptsPlayTheChannels(t *testing.T) {
	s := clienttest.New(t)
	c := s.Client()
	s.Script("alpha", client.Result{RawCode: "E91"}, client.Result{RawCode: "E00"})
	m := clienttest.Request("payment-1")
	reply, err := c.Route(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	result := s.Attempt(reply)
	next, err := c.Next(t.Context(), m, reply, result)
	if err != nil || result.RawCode != "E91" || next.GetChannels()[0].GetChannel() != "beta" {
		t.Errorf("%v: %v, %v", result, next, err)
	}
	if got := s.Attempt(next); got.Outcome != configv1.Outcome_OUTCOME_SUCCEEDED {
		t.Errorf("a channel without a script: %v", got)
	}
	for range 2 { // the last result stays
		if got := s.Attempt(reply); got.RawCode != "E00" {
			t.Errorf("%v", got)
		}
	}
}

// An outage leaves the client answering by itself; what was reported and not published is sent again, and counted once.
func TestServer_OutageLosesWhatWasNotPublished(t *testing.T) {
	s := clienttest.New(t)
	c := s.Client()
	r, err := c.Reporter(client.ReporterConfig{
		File: filepath.Join(t.TempDir(), "reports"), MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.HoldPublishing(true)
	m := clienttest.Request("payment-1")
	reply, err := c.Route(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	bad := clienttest.ReportOf(m, reply, client.Result{RawCode: "E00"})
	bad.Channel, bad.AttemptId = "nobody", "attempt-x"
	for _, report := range []*sluicev1.Report{clienttest.ReportOf(m, reply, client.Result{RawCode: "E00"}), bad} {
		if err := r.Report(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	s.WaitReports(t.Context(), 1)
	s.Outage()
	if got := s.Reports(); len(got) != 0 {
		t.Errorf("reports outlive a crash: %v", got)
	}
	alone, err := c.Route(t.Context(), clienttest.Request("payment-2"))
	if err != nil || alone.GetChannels()[0].GetChannel() != "alpha" {
		t.Errorf("in an outage: %v, %v", alone, err)
	}
	s.HoldPublishing(false)
	s.Recover()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	stats, books := r.Stats(), s.Books()
	if got := s.Reports(); len(got) != 1 || got[0].GetPaymentId() != "payment-1" || stats.Applied != 1 || stats.Dropped.Rejected != 1 {
		t.Errorf("%v, %+v", got, stats)
	}
	if books.Deliveries != books.Applied+books.Corrected+books.Duplicate+books.Rejected || books.Deliveries < 4 {
		t.Errorf("%+v", books)
	}
}

func TestServer_CountsAsAReplica(t *testing.T) {
	s := clienttest.New(t)
	stub := connect(t, s.DialOptions()...)
	m := clienttest.Request("payment-1")
	reply, err := stub.Route(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	report := clienttest.ReportOf(m, reply, client.Result{RawCode: "E10"})
	for _, step := range []struct {
		edit func()
		want sluicev1.ReportDisposition
	}{
		{func() {}, sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED},
		{func() {}, sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE},
		{func() { report.RawCode, report.Finality = "E00", sluicev1.Finality_FINALITY_FINAL }, sluicev1.ReportDisposition_REPORT_DISPOSITION_CORRECTED},
		{func() {}, sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE},
	} {
		step.edit()
		got, err := stub.ReportResult(t.Context(), &sluicev1.ReportResultRequest{Report: report})
		if err != nil || got.GetDisposition() != step.want {
			t.Errorf("%v: %v, %v", report, got, err)
		}
	}
	// The payment is paid: a caller that forgot it is told.
	if _, err := stub.Route(t.Context(), m); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("paid already: %v", err)
	}
	report.Account = "nobody"
	batch, err := stub.ReportResults(t.Context(), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{report}})
	if err != nil || batch.GetCounts().GetRejected() != 1 || batch.GetRejections()[0].GetField() != "account" {
		t.Errorf("%v, %v", batch, err)
	}
	options, err := stub.ListPaymentOptions(t.Context(), &sluicev1.ListPaymentOptionsRequest{
		Merchant: clienttest.Merchant, SettlementEntity: clienttest.Entity, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Currency: clienttest.Currency, Banks: []string{"ICBC"},
	})
	if err != nil || len(options.GetOptions()) != 2 || options.GetOptions()[0].GetAvailability() != sluicev1.Availability_AVAILABILITY_AVAILABLE {
		t.Errorf("%v, %v", options, err)
	}
}

// A local-first client hears of changes, decides without asking, and tells what it decided.
func TestServer_LocalFirst(t *testing.T) {
	s := clienttest.New(t)
	cfg := s.Config()
	cfg.Mode = client.LocalFirst
	c := s.ClientOf(cfg)
	if _, err := c.Reporter(client.ReporterConfig{}); err != nil {
		t.Fatal(err)
	}
	s.Off("alpha")
	deadline := time.After(10 * time.Second)
	for i := 0; ; i++ {
		reply, err := c.Route(t.Context(), clienttest.Request(fmt.Sprintf("payment-%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if reply.GetChannels()[0].GetChannel() == "beta" && len(s.Decisions()) > 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("%v after 10 s, %d seconds of decisions told", reply.GetChannels()[0], len(s.Decisions()))
		case <-time.After(10 * time.Millisecond):
		}
	}
	if n := len(s.Routed()); n != 0 {
		t.Errorf("it asked %d times", n)
	}
	if d := s.Decisions()[0]; d.GetEpoch() != 1 || len(d.GetLanes()) != 1 || d.GetLanes()[0].GetDecisions() == 0 {
		t.Errorf("%v", d)
	}
}

// misuse records what a misused Server says.
type misuse struct {
	testing.TB

	said string
}

var errMisuse = errors.New("misused")

func (m *misuse) Helper() {}
func (m *misuse) Fatalf(format string, args ...any) {
	m.said = fmt.Sprintf(format, args...)
	panic(errMisuse)
}

func TestServer_MisuseFailsTheTest(t *testing.T) {
	m := &misuse{TB: t}
	s := clienttest.New(m)
	for name, do := range map[string]func(){
		"unknown scope":  func() { s.Off("nobody") },
		"no scope":       func() { s.Cut("alpha/") },
		"share over one": func() { s.Ramp("alpha", 1_000_001) },
		"bad catalogue":  func() { s.Apply(&configv1.Catalog{Routes: []*configv1.Route{{Id: "x"}}}) },
	} {
		m.said = ""
		func() {
			defer func() {
				if r := recover(); r != nil && r != errMisuse { //nolint:errorlint // its own
					panic(r)
				}
			}()
			do()
		}()
		if m.said == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
}
