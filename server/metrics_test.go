package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// scrape returns the lines of /metrics that are samples of Sluice's own.
func scrape(t *testing.T, s *stand) []string {
	t.Helper()
	w := httptest.NewRecorder()
	s.server.HTTP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	var own []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "sluice_") {
			own = append(own, strings.TrimSpace(line))
		}
	}
	return own
}

func wantSamples(t *testing.T, got []string, want ...string) {
	t.Helper()
	text := "\n" + strings.Join(got, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(text, "\n"+w+"\n") {
			t.Errorf("no sample %s", w)
		}
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	s := newStand(t, nil)
	if _, err := s.routing().Route(as(t, Cashier), payment("p1")); err != nil {
		t.Fatal(err)
	}
	_, _ = s.routing().Route(as(t, Cashier), changed(payment("p1"), func(m *sluicev1.RouteRequest) { m.Payment.Bank = "XYZ" }))
	for range 2 {
		_, _ = s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result("a/0", "alpha")})
	}
	_, _ = s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result("a/0", "nowhere")})
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	_, _ = s.channels().SwitchChannel(as(t, Operator), off(&sluicev1.Scope{Channel: "delta"}))
	m := s.server.Metrics()
	m.AddRouter(s.router.Drain(s.Second()).Sent)
	m.Violation(5)
	m.Ruling(statemachine.Ruling{Answer: statemachine.Refuse, Guard: statemachine.GuardLastUsable})
	wantSamples(t, scrape(t, s),
		`sluice_decisions_total{channel="alpha",kind="normal"} 1`,
		`sluice_decisions_total{channel="beta",kind="probe"} 0`,
		`sluice_route_refusals_total{reason="UNSUPPORTED_PAYMENT"} 1`,
		`sluice_reports_total{disposition="applied"} 1`,
		`sluice_reports_total{disposition="duplicate"} 1`,
		`sluice_reports_total{disposition="rejected"} 1`,
		`sluice_rpc_total{code="OK",method="/sluice.v1.RoutingService/Route"} 1`,
		`sluice_rpc_duration_seconds_count{method="/sluice.v1.RoutingService/Route"} 2`,
		`sluice_channel_phase{channel="alpha"} 0`,
		`sluice_scope_phase{scope="alpha/instrument=QUICKPAY:ICBC:DEBIT"} 1`,
		`sluice_scope_share{scope="alpha/instrument=QUICKPAY:ICBC:DEBIT"} 0`,
		`sluice_incidents_total{kind="CUT"} 1`,
		`sluice_transitions_total{cause="AUTOMATION",to="DISABLED"} 1`,
		`sluice_orders_total{result="refused_by_guard"} 1`,
		`sluice_ledger_attempts_total{result="committed"} 2`,
		`sluice_guard_rulings_total{answer="REFUSE",guard="LAST_USABLE"} 1`,
		`sluice_invariant_violations_total{invariant="05"} 1`,
		`sluice_invariant_violations_total{invariant="18"} 0`,
		fmt.Sprintf("sluice_table_revision %d", s.Sight().View.Revision),
		"sluice_ready 1",
	)
}

// Whatever callers send, the number of series stays within what is documented for the size of the catalogue.
func TestSeriesAreBounded(t *testing.T) {
	for _, channels := range []int{4, 120} {
		catalog := testCatalog()
		if channels > 4 {
			catalog = largeCatalog(channels, 60)
		}
		s := newStandOf(t, catalog, nil)
		for i := range 300 {
			odd := fmt.Sprintf("odd-%d", i)
			_, _ = s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: changed(result(odd, odd), func(m *sluicev1.Report) { m.Reason, m.RawCode = odd, odd }), Reporter: odd})
			_, _ = s.routing().Route(as(t, Cashier), changed(payment(odd), func(m *sluicev1.RouteRequest) { m.Payment.Merchant, m.Payment.UserTier = odd, odd }))
			s.server.Metrics().AddRouter([]statemachine.SentCount{{Item: statemachine.ChannelScope(odd), N: 1}})
			s.server.Metrics().Ruling(statemachine.Ruling{Answer: statemachine.Refuse, Guard: odd})
			s.server.Metrics().Violation(i)
		}
		// Every narrower scope is down at once.
		states := []statemachine.State{}
		for _, item := range s.plan.Items() {
			st := statemachine.NewState(item)
			st.Phase, st.Share, st.Generation = statemachine.Ramping, 1000, 1
			states = append(states, st)
		}
		sight := *s.Sight()
		sight.Table = s.plan.Table(routing.Revision{Epoch: 1, Revision: 99}, states, nil)
		fleet := *sight.Fleet
		fleet.States = map[statemachine.Scope]statemachine.State{}
		for _, st := range states {
			fleet.States[st.Scope] = st
		}
		sight.Fleet = &fleet
		s.sight.Store(&sight)
		if got, most := len(scrape(t, s)), SeriesBound(channels); got > most || got < most/2 {
			t.Errorf("%d channels: %d series, want at most %d and not far below", channels, got, most)
		}
		for _, line := range scrape(t, s) {
			if strings.Contains(line, "odd-") {
				t.Errorf("what a caller sent became a label: %s", line)
			}
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	s := newStand(t, nil)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		s.server.HTTP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		body, _ := io.ReadAll(w.Body)
		return w.Code, string(body)
	}
	if code, body := get("/readyz"); code != http.StatusOK || !strings.Contains(body, "table_revision") {
		t.Errorf("ready: %d %s", code, body)
	}
	s.sight.Store(nil)
	health := func() healthpb.HealthCheckResponse_ServingStatus {
		r, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "sluice.v1.RoutingService"})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetStatus()
	}
	if code, _ := get("/readyz"); code != http.StatusServiceUnavailable || health() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("without a table: %d, %v", code, health())
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("alive: %d", code)
	}
	s.refresh()
	if health() != healthpb.HealthCheckResponse_SERVING {
		t.Error("not serving again")
	}
	w := httptest.NewRecorder()
	s.server.HTTP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/readyz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// Above its cap a replica refuses at once, with a hint when to ask again.
func TestLoadIsShed(t *testing.T) {
	s := newStand(t, func(c *Config) { c.MaxInFlight = 1 })
	s.server.metrics.inFlight.Add(1)
	_, err := s.routing().Route(as(t, Cashier), payment("p1"))
	wantError(t, err, codes.ResourceExhausted, "OVERLOADED")
	s.server.metrics.inFlight.Add(-1)
	if _, err = s.routing().Route(as(t, Cashier), payment("p1")); err != nil {
		t.Error(err)
	}
}

// Only what was slow or went wrong for a reason of ours is logged, and no payment id with it.
func TestOnlySlowOrFailedRPCsAreLogged(t *testing.T) {
	var step atomic.Int64
	s := newStand(t, func(c *Config) {
		now := c.Now
		c.Now = func() time.Time { return now().Add(time.Duration(step.Add(1)) * time.Millisecond) }
	})
	if _, err := s.routing().Route(as(t, Cashier), payment("secret-payment")); err != nil || s.log.String() != "" {
		t.Errorf("after a quick call: %v, log %s", err, s.log)
	}
	_, _ = s.routing().Route(as(t, Cashier), payment("bad id"))
	if s.log.String() != "" {
		t.Errorf("after a refused call: %s", s.log)
	}
	s.server.finish(t.Context(), s.server.methods[sluicev1.RoutingService_Route_FullMethodName], time.Second, nil)
	if log := s.log.String(); !strings.Contains(log, "rpc slow") || strings.Contains(log, "secret-payment") {
		t.Errorf("after a slow call: %s", log)
	}
}

// Wherever a card number is put, it appears in no log, no error and no metric.
func TestInvariant18_NoCardNumberInLogsErrorsOrMetrics(t *testing.T) {
	const pan, spaced, message = "4111111111111111", "4111 1111 1111 1111", "about 4111111111111111"
	s := newStand(t, func(c *Config) { c.SlowRPC = 1 })
	var errs []error
	call := func(err error) { errs = append(errs, err) }
	for _, number := range []string{pan, spaced} {
		set := []func(*sluicev1.RouteRequest){
			func(m *sluicev1.RouteRequest) { m.Payment.PaymentId = number },
			func(m *sluicev1.RouteRequest) { m.Payment.Merchant = number },
			func(m *sluicev1.RouteRequest) { m.Payment.SettlementEntity = number },
			func(m *sluicev1.RouteRequest) { m.Payment.Bank = number },
			func(m *sluicev1.RouteRequest) { m.Payment.UserTier = number },
			func(m *sluicev1.RouteRequest) { m.Payment.Bin = number },
			func(m *sluicev1.RouteRequest) { m.Payment.EnrolledChannels = []string{number} },
			func(m *sluicev1.RouteRequest) { m.Exclude = []string{number} },
			func(m *sluicev1.RouteRequest) {
				m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", RawCode: number}}
			},
			func(m *sluicev1.RouteRequest) {
				m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", AttemptId: number}}
			},
			func(m *sluicev1.RouteRequest) { m.Attempts = []*sluicev1.PreviousAttempt{{Channel: number}} },
		}
		for _, change := range set {
			_, err := s.routing().Route(as(t, Cashier), changed(payment("p1"), change))
			call(err)
			_, err = s.routing().ExplainRoute(as(t, Viewer), &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_Request{Request: changed(payment("p1"), change)}})
			call(err)
		}
		for _, change := range []func(*sluicev1.Report){
			func(m *sluicev1.Report) { m.AttemptId = number }, func(m *sluicev1.Report) { m.PaymentId = number },
			func(m *sluicev1.Report) { m.DecisionId = number }, func(m *sluicev1.Report) { m.Channel = number },
			func(m *sluicev1.Report) { m.Account = number }, func(m *sluicev1.Report) { m.RawCode = number },
			func(m *sluicev1.Report) { m.Reason = "refused " + number }, func(m *sluicev1.Report) { m.Bank = number },
		} {
			r := changed(result("a/0", "alpha"), change)
			_, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: r})
			call(err)
			batch, err := s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{r}})
			if err != nil || len(batch.GetRejections()) != 1 || CardNumber(fmt.Sprint(batch)) {
				t.Errorf("batch: %v, %v", batch, err)
			}
		}
		_, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result("a/0", "alpha"), Reporter: number})
		call(err)
		q := off(&sluicev1.Scope{Channel: "alpha"})
		q.Reason, q.RequestId = "card "+number, "r-1"
		_, err = s.channels().SwitchChannel(as(t, Operator), q)
		call(err)
		_, err = s.channels().GetChannel(as(t, Viewer), &sluicev1.GetChannelRequest{Channel: number})
		call(err)
		_, err = s.incidents().GetIncident(as(t, Viewer), &sluicev1.GetIncidentRequest{IncidentId: number})
		call(err)
		call(s.server.toStatus(t.Context(), "m", fmt.Errorf("lost for %s", number)))
		s.server.log.LogAttrs(t.Context(), slog.LevelError, message, slog.String("id", number), slog.Any("err", fmt.Errorf("card %s", number)),
			slog.Group("g", slog.String("deep", number)), slog.Any("list", []string{number}), slog.Int64("n", 4111111111111111))
		s.server.log.With(slog.String("with", number)).LogAttrs(t.Context(), slog.LevelError, "x")
	}
	for i, err := range errs {
		if err == nil {
			t.Errorf("call %d was accepted", i)
		}
		if st := status.Convert(err); CardNumber(st.Message()) || CardNumber(fmt.Sprint(st.Details())) {
			t.Errorf("call %d: %v %v", i, st.Message(), st.Details())
		}
	}
	if s.log.String() == "" || CardNumber(s.log.String()) {
		t.Errorf("log: %s", s.log.String())
	}
	if text := strings.Join(scrape(t, s), "\n"); strings.Contains(text, pan) || strings.Contains(text, spaced) {
		t.Error("a metric carries a card number")
	}
}
