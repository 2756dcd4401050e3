package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-pay/sluice/routing"
)

// memoryCollector reads the figures of what is remembered for callers that forget.
type memoryCollector struct {
	memory *routing.Memory

	refused, held, since, forgotten, twice *prometheus.Desc
}

func newMemoryCollector(m *routing.Memory) *memoryCollector {
	d := prometheus.NewDesc
	return &memoryCollector{
		memory: m,
		refused: d("sluice_route_remembered_total",
			"Routes refused for an attempt that the request did not name and the replica remembered, by what it was: in doubt, paid, or a payout's that was given out.",
			[]string{"what"}, nil),
		held: d("sluice_memory_payments", "Payments remembered: with an attempt in doubt, or recent (paid, and where payouts and deductions are).", []string{"kind"}, nil),
		since: d("sluice_memory_since_timestamp_seconds", "Since when payments are remembered, by kind; 0 = there was none yet.",
			[]string{"kind"}, nil),
		twice:     d("sluice_payments_paid_twice_total", "Payments of which a second attempt was reported as paid: a caller went on where it was not to.", nil, nil),
		forgotten: d("sluice_memory_forgotten_total", "Payments forgotten for want of room.", nil, nil),
	}
}

// Describe sends what is collected.
func (c *memoryCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.refused, c.held, c.since, c.forgotten, c.twice} {
		out <- d
	}
}

// Collect sends the current figures.
func (c *memoryCollector) Collect(out chan<- prometheus.Metric) {
	s := c.memory.Stats()
	gauge := func(d *prometheus.Desc, v float64, kind string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, kind)
	}
	for _, u := range routing.MemoryUses() {
		out <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(s.Refused[u]), u.String())
	}
	gauge(c.held, float64(s.Doubts), "doubt")
	gauge(c.held, float64(s.Recent), "recent")
	gauge(c.since, float64(s.Since), "doubt")
	gauge(c.since, float64(s.SinceRecent), "recent")
	out <- prometheus.MustNewConstMetric(c.forgotten, prometheus.CounterValue, float64(s.Forgotten))
	out <- prometheus.MustNewConstMetric(c.twice, prometheus.CounterValue, float64(s.Twice))
}
