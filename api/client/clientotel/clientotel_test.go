package clientotel_test

import (
	"context"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sluice-pay/sluice/api/client"
	"github.com/sluice-pay/sluice/api/client/clientotel"
	"github.com/sluice-pay/sluice/api/clienttest"
)

func attributes(s sdkSpan) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

type sdkSpan = trace.ReadOnlySpan

func TestTrace_TellsAnswersAndRefusals(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	s := clienttest.New(t)
	cfg := s.Config()
	cfg.Trace = clientotel.Trace(provider)
	c := s.ClientOf(cfg)
	r, err := c.Reporter(client.ReporterConfig{})
	if err != nil {
		t.Fatal(err)
	}

	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	m := clienttest.Request("payment-1")
	reply, err := c.Route(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Report(ctx, clienttest.ReportOf(m, reply, client.Result{RawCode: "E91"})); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(ctx, m, reply, client.Result{RawCode: "E99"}); err == nil {
		t.Fatal("a second channel while an attempt is in doubt")
	}
	parent.End()
	spans := recorder.Ended()
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	route, report, next := spans[0], spans[1], spans[2]
	got := attributes(route)
	for key, want := range map[string]string{
		"sluice.channel": "alpha", "sluice.account": "main", "sluice.source": "fresh", "sluice.kind": "normal", "sluice.reason": "priority",
		"sluice.decision_id": reply.GetDecisionId(),
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if route.Name() != "sluice.Route" || report.Name() != "sluice.Report" || route.Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Errorf("%s, %s, parent %v", route.Name(), report.Name(), route.Parent())
	}
	refused := attributes(next)
	if next.Name() != "sluice.Next" || refused["sluice.refusal"] != "AMBIGUOUS_PREVIOUS_ATTEMPT" || next.Status().Code == codes.Error {
		t.Errorf("%s: %v, %v", next.Name(), refused, next.Status())
	}
}

func TestTrace_NobodyAnsweredIsAnError(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := clienttest.New(t)
	s.Outage()
	cfg := s.Config()
	cfg.Trace, cfg.StartWait = clientotel.Trace(trace.NewTracerProvider(trace.WithSpanProcessor(recorder))), -1
	c := s.ClientOf(cfg)
	if _, err := c.Route(t.Context(), clienttest.Request("payment-1")); err == nil {
		t.Fatal("an answer without anything to decide by")
	}
	if spans := recorder.Ended(); len(spans) != 1 || spans[0].Status().Code != codes.Error {
		t.Errorf("%v", spans)
	}
}

func TestMetrics_CountAnswersMovesAndReports(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	hook, err := clientotel.Metrics(provider)
	if err != nil {
		t.Fatal(err)
	}
	s := clienttest.New(t)
	cfg := s.Config()
	cfg.Metrics = hook
	c := s.ClientOf(cfg)
	r, err := c.Reporter(client.ReporterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	registration, err := clientotel.Reporter(provider, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"payment-1", "payment-2"} {
		m := clienttest.Request(id)
		reply, err := c.Route(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Report(t.Context(), clienttest.ReportOf(m, reply, client.Result{RawCode: "E00"})); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := collect(t, reader)
	if got["sluice.client.answers"] != 2 || got["sluice.client.duration"] != 2 || got["sluice.reporter.reports"] != 2 || got["sluice.client.moves"] == 0 {
		t.Errorf("%v", got)
	}
	if err := registration.Unregister(); err != nil {
		t.Error(err)
	}
}

// collect sums every instrument over its attributes.
func collect(t *testing.T, reader metric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, m := range slices.Concat(all.ScopeMetrics[0].Metrics) {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				sums[m.Name] += p.Value
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				sums[m.Name] += p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				sums[m.Name] += int64(p.Count)
			}
		}
	}
	return sums
}
