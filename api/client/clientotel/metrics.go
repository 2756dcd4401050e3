package clientotel

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-pay/sluice/api/client"
)

// Metrics returns a hook that counts what a client answers: sluice.client.answers by source, code, and whether the client decided
// by itself (local) because no replica answered (fallen); sluice.client.duration, a histogram in seconds; and
// sluice.client.moves, changes of the source of its table.
func Metrics(p metric.MeterProvider) (client.Metrics, error) {
	m := p.Meter(scope)
	answers, err := m.Int64Counter("sluice.client.answers", metric.WithDescription("Answers and refusals of Route and Next"))
	if err != nil {
		return nil, fmt.Errorf("sluice.client.answers: %w", err)
	}
	took, err := m.Float64Histogram("sluice.client.duration", metric.WithUnit("s"), metric.WithDescription("Time until an answer"),
		metric.WithExplicitBucketBoundaries(1e-6, 1e-5, 1e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1))
	if err != nil {
		return nil, fmt.Errorf("sluice.client.duration: %w", err)
	}
	moves, err := m.Int64Counter("sluice.client.moves", metric.WithDescription("Changes of the source of the table"))
	if err != nil {
		return nil, fmt.Errorf("sluice.client.moves: %w", err)
	}
	return &meters{answers, took, moves}, nil
}

type meters struct {
	answers metric.Int64Counter
	took    metric.Float64Histogram
	moves   metric.Int64Counter
}

// Answered counts an answer.
func (m *meters) Answered(a client.Call) {
	ctx := context.Background()
	set := metric.WithAttributeSet(attribute.NewSet(
		attribute.String("source", sourceOf(a.Source)), attribute.String("code", a.Code.String()),
		attribute.Bool("local", a.Local), attribute.Bool("fallen", a.Fallen),
	))
	m.answers.Add(ctx, 1, set)
	m.took.Record(ctx, a.Took.Seconds(), metric.WithAttributeSet(attribute.NewSet(attribute.Bool("local", a.Local))))
}

// Moved counts a change of source.
func (m *meters) Moved(from, to client.State) {
	m.moves.Add(context.Background(), 1, metric.WithAttributes(attribute.String("from", sourceOf(from.Source)), attribute.String("to", sourceOf(to.Source))))
}

// Reporter shows the books of a reporter: sluice.reporter.reports, by what became of them (applied, dropped_full and so on, held,
// spilled), and sluice.reporter.streams. Unregister what it returns before the reporter is forgotten.
func Reporter(p metric.MeterProvider, r *client.Reporter) (metric.Registration, error) {
	m := p.Meter(scope)
	reports, err := m.Int64ObservableGauge("sluice.reporter.reports", metric.WithDescription("Reports by what became of them"))
	if err != nil {
		return nil, fmt.Errorf("sluice.reporter.reports: %w", err)
	}
	streams, err := m.Int64ObservableCounter("sluice.reporter.streams", metric.WithDescription("Streams opened"))
	if err != nil {
		return nil, fmt.Errorf("sluice.reporter.streams: %w", err)
	}
	registration, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := r.Stats()
		o.ObserveInt64(streams, number(s.Streams))
		for _, of := range []struct {
			name string
			n    uint64
		}{
			{"applied", s.Applied},
			{"held", s.Held},
			{"spilled", s.Spilled},
			{"dropped_full", s.Dropped.Full},
			{"dropped_invalid", s.Dropped.Invalid},
			{"dropped_closed", s.Dropped.Closed},
			{"dropped_rejected", s.Dropped.Rejected},
			{"dropped_late", s.Dropped.Late},
			{"dropped_damaged", s.Dropped.Damaged},
			{"dropped_unexplained", s.Dropped.Unexplained},
		} {
			o.ObserveInt64(reports, number(of.n), metric.WithAttributes(attribute.String("fate", of.name)))
		}
		return nil
	}, reports, streams)
	if err != nil {
		return nil, fmt.Errorf("sluice.reporter: %w", err)
	}
	return registration, nil
}

func number(n uint64) int64 { return int64(min(n, 1<<62)) }

// sourceOf is the word of a source, in lower case.
func sourceOf(s client.Source) string { return word(s.String(), "TABLE_SOURCE_") }

// word is the word of an enum's value, in lower case.
func word(text, prefix string) string { return strings.ToLower(strings.TrimPrefix(text, prefix)) }
