package serve

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-pay/sluice/cmd/internal/node"
)

// seriesWriter returns what writes the series, with its figures registered.
func (r *replica) seriesWriter() (*node.SeriesWriter, error) {
	w := node.NewSeriesWriter(r.exchange.series, r.o.Logger)
	for result, count := range map[string]func(node.SeriesCounters) uint64{
		"written": func(c node.SeriesCounters) uint64 { return c.Written },
		"failed":  func(c node.SeriesCounters) uint64 { return c.Failed },
		"dropped": func(c node.SeriesCounters) uint64 { return c.Dropped },
	} {
		err := r.metrics.Registry().Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_series_seconds_total", Help: "Sealed seconds offered to the series while this replica led, by what became of them.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(count(w.Counters())) }))
		if err != nil {
			return nil, fmt.Errorf("register the figures of the series: %w", err)
		}
	}
	return w, nil
}
