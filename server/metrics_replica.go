package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// replicaFigures are about what replicas share and keep.
type replicaFigures struct {
	lateRows         prometheus.Counter
	checkpointBytes  prometheus.Gauge
	checkpointAt     prometheus.Gauge
	checkpointFailed prometheus.Counter
}

func newReplicaFigures() replicaFigures {
	return replicaFigures{
		lateRows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_late_rows_total", Help: "Seconds of this replica that came too late for the sum that is judged; they count in totals alone.",
		}),
		checkpointBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_checkpoint_bytes", Help: "Size of the newest checkpoint this replica stored or restored, as stored; 0 = none yet.",
		}),
		checkpointAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_checkpoint_timestamp_seconds", Help: "When the newest checkpoint this replica stored or restored was taken; its age is time() less this. 0 = none yet.",
		}),
		checkpointFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_checkpoint_failures_total", Help: "Checkpoints that could not be stored.",
		}),
	}
}

func (f *replicaFigures) register(r *prometheus.Registry) {
	r.MustRegister(f.lateRows, f.checkpointBytes, f.checkpointAt, f.checkpointFailed)
}

// LateRow counts a row of this replica that came too late for the sum of its second.
func (f *replicaFigures) LateRow() { f.lateRows.Inc() }

// Checkpoint notes a checkpoint that was stored, or restored at the start: when it was taken, and the bytes it takes.
func (f *replicaFigures) Checkpoint(at time.Time, bytes int) {
	f.checkpointAt.Set(float64(at.UnixMilli()) / 1000)
	f.checkpointBytes.Set(float64(bytes))
}

// CheckpointFailed counts a checkpoint that could not be stored.
func (f *replicaFigures) CheckpointFailed() { f.checkpointFailed.Inc() }
