package simulate

import (
	"errors"
	"fmt"
	"os"

	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
)

// recording writes a run to a file, as a replica would record it.
type recording struct {
	header record.Header
	file   *os.File
	writer *record.Writer // nil until the first record
	err    error          // the first
}

// openRecording makes the file and has the run recorded; without a name nothing is.
func openRecording(name string, p *Prepared) (*recording, error) {
	if name == "" {
		return &recording{}, nil
	}
	file, err := os.Create(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("create the recording: %w", err)
	}
	r := &recording{file: file, header: record.Header{Environment: "simulation", Replica: p.Scenario.Name, Started: p.Scenario.Start.UTC()}}
	p.Recorder = r
	return r, nil
}

// write begins the file if need be, and writes one record unless an earlier one failed.
func (r *recording) write(view *monitor.View, one func() error) {
	if r.writer == nil && r.err == nil {
		if r.writer, r.err = record.NewWriter(r.file, r.header); r.err == nil {
			r.err = r.writer.Begin(view)
		}
	}
	if r.err == nil {
		r.err = one()
	}
}

// Second implements Recorder.
func (r *recording) Second(sum *monitor.SecondCounts, view *monitor.View) {
	r.write(view, func() error { return r.writer.Second(sum) })
}

// Entry implements Recorder.
func (r *recording) Entry(e *monitor.JournalEntry, view *monitor.View) {
	r.write(view, func() error { return r.writer.Entry(e) })
}

func (r *recording) close() error {
	if r.file == nil {
		return nil
	}
	if r.writer != nil && r.err == nil {
		r.err = r.writer.Close()
	}
	return errors.Join(r.err, r.file.Close())
}
