package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/server"
)

// logDecisions starts the log of decisions where a sample is configured, with its figures registered.
func (r *replica) logDecisions(g *errgroup.Group, loops context.Context) error { //nolint:revive // the group owns the loop
	o := r.o.DecisionLog
	if o.SamplePPM == 0 {
		return nil
	}
	write, closeFile, err := r.decisionSink(o) //nolint:contextcheck // records outlive the requests they are of
	if err != nil {
		return err
	}
	r.decided = server.NewDecisionLog(server.DecisionLogOptions{
		SamplePPM: uint32(o.SamplePPM), Salt: o.Salt, Environment: r.o.Environment, Replica: r.o.Replica, Write: write, //nolint:gosec // at most a million
	})
	for result, count := range map[string]func(server.DecisionLogCounters) uint64{
		"written": func(c server.DecisionLogCounters) uint64 { return c.Written },
		"failed":  func(c server.DecisionLogCounters) uint64 { return c.Failed },
		"dropped": func(c server.DecisionLogCounters) uint64 { return c.Dropped },
	} {
		err := r.metrics.Registry().Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_decision_log_records_total", Help: "Decisions of sampled payments, by what became of their record.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(count(r.decided.Counters())) }))
		if err != nil {
			return fmt.Errorf("register the figures of the decision log: %w", err)
		}
	}
	g.Go(func() error { r.decided.Run(loops); return closeFile() })
	return nil
}

// decisionSink is where records go: to a file, or to the process's log.
func (r *replica) decisionSink(o config.DecisionLog) (write func([]byte) error, closeFile func() error, err error) {
	if o.File == "" {
		logger := r.o.Logger
		return func(line []byte) error {
			logger.LogAttrs(context.Background(), slog.LevelInfo, "decision", slog.Any("record", json.RawMessage(line)))
			return nil
		}, func() error { return nil }, nil
	}
	f, err := openLines(o.File, int64(o.MaxMiB)<<20)
	if err != nil {
		return nil, nil, fmt.Errorf("decision log: %w", err)
	}
	failing := false
	return func(line []byte) error {
		err := f.write(line)
		if failing != (err != nil) { // once, until it changes
			failing = err != nil
			if failing {
				r.o.Logger.Error("the decision log cannot be written", slog.Any("error", err))
			} else {
				r.o.Logger.Info("the decision log is written again")
			}
		}
		return err
	}, f.close, nil
}

// lineFile is a file that lines are added to. When it is full it is renamed to <name>.1, in place of the one before, and begun
// anew, so that both together stay below twice the bound.
type lineFile struct {
	name string
	most int64
	size int64
	file *os.File
	line []byte
}

func openLines(name string, most int64) (*lineFile, error) {
	f := &lineFile{name: name, most: most}
	return f, f.open()
}

func (f *lineFile) open() error {
	file, err := os.OpenFile(f.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("open: %w", err)
	}
	f.file, f.size = file, info.Size()
	return nil
}

// write adds a line in one call, so that no reader sees half of one. After an error the next line tries anew.
func (f *lineFile) write(line []byte) error {
	if f.size > 0 && f.size+int64(len(line))+1 > f.most {
		if err := f.turn(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	f.line = append(append(f.line[:0], line...), '\n')
	n, err := f.file.Write(f.line)
	f.size += int64(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// turn begins a new file.
func (f *lineFile) turn() error {
	if err := f.close(); err != nil {
		return err
	}
	if err := os.Rename(f.name, f.name+".1"); err != nil {
		return fmt.Errorf("begin a new file: %w", err)
	}
	return f.open()
}

func (f *lineFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file, f.size = nil, 0
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
