package serve

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-pay/sluice/cmd/internal/node"
	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
)

// record starts the recorder where one is configured, with its figures registered.
func (r *replica) record(g *errgroup.Group, loops context.Context) error { //nolint:revive // the group owns the loop
	if r.o.Recording.Directory == "" {
		return nil
	}
	var err error
	r.recorder, err = record.NewRecorder(record.Options{
		Directory: r.o.Recording.Directory, Keep: r.o.Recording.Keep, MaxBytes: int64(r.o.Recording.MaxMiB) << 20, Logger: r.o.Logger,
		Header: record.Header{Environment: r.o.Environment, Replica: r.o.Replica},
		View:   func() *monitor.View { return r.node.Control().View() },
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the directory
	}
	for result, count := range map[string]func(record.RecorderCounters) uint64{
		"written": func(c record.RecorderCounters) uint64 { return c.Written },
		"failed":  func(c record.RecorderCounters) uint64 { return c.Failed },
		"dropped": func(c record.RecorderCounters) uint64 { return c.Dropped },
	} {
		err := r.metrics.Registry().Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_recording_records_total", Help: "Seconds and changes offered to the recording, by what became of them.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(count(r.recorder.Counters())) }))
		if err != nil {
			return fmt.Errorf("register the figures of the recording: %w", err)
		}
	}
	g.Go(func() error { r.recorder.Run(loops); return nil })
	return nil
}

// sealed passes a sealed second on to the series and the recording.
func (r *replica) sealed(series *node.SeriesWriter) func(*monitor.SecondCounts) {
	return func(sum *monitor.SecondCounts) {
		series.Offer(sum)
		if r.recorder != nil {
			r.recorder.Second(sum)
		}
	}
}
