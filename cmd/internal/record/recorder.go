package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-pay/sluice/monitor"
)

const (
	// recorderQueue is how many records wait to be written; past it the newest are dropped and counted, so that what is
	// recorded has one gap instead of many.
	recorderQueue = 1024
	flushEvery    = 10 * time.Second // at most so much is lost by a crash
	retryEvery    = 30 * time.Second // after a disk that failed
)

// Limits of a recorder's files.
const (
	DefaultMaxFile = 64 << 20      // bytes, then the next file begins
	DefaultMaxAge  = 6 * time.Hour // the same
)

// Options say where and how long a Recorder keeps what it records.
type Options struct {
	Directory string
	Header    Header        // Started is set for each file
	Keep      time.Duration // files last written longer ago are removed; 0 = never
	MaxBytes  int64         // of all files of this replica: the oldest are removed; 0 = no limit
	MaxFile   int64         // bytes of a file; 0 = DefaultMaxFile
	MaxAge    time.Duration // seconds' span of a file; 0 = DefaultMaxAge
	Logger    *slog.Logger
	View      func() *monitor.View // the world as it stands, for the beginning of a file
}

// Recorder records beside the loop that judges: a slow disk delays no Tick.
type Recorder struct {
	o    Options
	wake chan struct{}

	mu    sync.Mutex
	queue []item

	written, dropped, failed atomic.Uint64
	bytes                    atomic.Uint64

	// The rest belongs to Run.
	file    *os.File
	writer  *Writer
	begun   time.Time
	gone    int64 // bytes of earlier files
	retry   time.Time
	failing bool
	now     func() time.Time
}

// item is what waits: one of the two is set.
type item struct {
	second *monitor.SecondCounts
	entry  *monitor.JournalEntry
}

// RecorderCounters are what became of the records that a Recorder was offered.
type RecorderCounters struct {
	Written uint64
	Dropped uint64 // because too many were waiting
	Failed  uint64 // because the disk failed
	Bytes   uint64 // written
}

// NewRecorder returns a recorder and makes its directory; nothing is written until Run.
func NewRecorder(o Options) (*Recorder, error) {
	if o.MaxFile == 0 {
		o.MaxFile = DefaultMaxFile
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if err := os.MkdirAll(o.Directory, 0o750); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return &Recorder{o: o, wake: make(chan struct{}, 1), now: time.Now}, nil
}

// Second is offered a sealed second and never waits. The counts must not change any more.
func (r *Recorder) Second(sum *monitor.SecondCounts) { r.offer(item{second: sum}) }

// Entry is offered an entry of the journal and never waits.
func (r *Recorder) Entry(e monitor.JournalEntry) { r.offer(item{entry: &e}) }

func (r *Recorder) offer(i item) {
	r.mu.Lock()
	if len(r.queue) >= recorderQueue {
		r.mu.Unlock()
		r.dropped.Add(1)
		return
	}
	r.queue = append(r.queue, i)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// Counters returns what became of the records so far.
func (r *Recorder) Counters() RecorderCounters {
	return RecorderCounters{Written: r.written.Load(), Dropped: r.dropped.Load(), Failed: r.failed.Load(), Bytes: r.bytes.Load()}
}

// Run writes what is offered until ctx ends, then what is still waiting, and closes the file.
func (r *Recorder) Run(ctx context.Context) {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			r.drain()
			r.told(r.end())
			return
		case <-r.wake:
			r.drain()
		case <-flush.C:
			if r.writer != nil {
				r.told(r.kept(r.writer.Flush()))
			}
		}
	}
}

func (r *Recorder) drain() {
	r.mu.Lock()
	list := r.queue
	r.queue = nil
	r.mu.Unlock()
	for _, i := range list {
		if r.writer == nil && r.now().Before(r.retry) {
			r.failed.Add(1)
			continue
		}
		err := r.kept(r.write(i))
		if err != nil {
			r.failed.Add(1)
		} else {
			r.written.Add(1)
		}
		r.told(err)
	}
}

// kept gives up the file after an error: the next record begins another.
func (r *Recorder) kept(err error) error {
	if r.writer != nil {
		r.bytes.Store(uint64(r.gone + r.writer.Size())) //nolint:gosec // never negative
	}
	if err == nil {
		return nil
	}
	r.retry = r.now().Add(retryEvery)
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
		r.gone += r.writer.Size()
	}
	r.file, r.writer = nil, nil
	return err
}

func (r *Recorder) told(err error) {
	switch {
	case err == nil && r.failing:
		r.o.Logger.Info("recording goes on", slog.Uint64("records_lost", r.failed.Load()+r.dropped.Load()))
	case err != nil && !r.failing:
		r.o.Logger.Warn("recording fails; decisions do not depend on it", slog.Any("error", err))
	}
	r.failing = err != nil
}

func (r *Recorder) write(i item) error {
	if err := r.rotate(); err != nil {
		return err
	}
	if i.second != nil {
		return r.writer.Second(i.second)
	}
	if i.entry.Catalog != 0 {
		if view := r.o.View(); view != nil && view.Catalog != nil {
			if err := r.writer.Catalog(view.Head.Catalog, view.Catalog); err != nil {
				return err
			}
		}
	}
	return r.writer.Entry(i.entry)
}

// rotate sees to it that a file is open that may grow.
func (r *Recorder) rotate() error {
	if r.writer != nil && r.writer.Size() < r.o.MaxFile && r.now().Sub(r.begun) < r.o.MaxAge {
		return nil
	}
	if err := r.end(); err != nil {
		return err
	}
	r.begun = r.now().UTC()
	header := r.o.Header
	header.Started = r.begun
	name := filepath.Join(r.o.Directory, header.Environment+"."+header.Replica+"."+r.begun.Format("20060102T150405.000Z")+Suffix)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the directory configured
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	r.file = file
	if r.writer, err = NewWriter(file, header); err != nil {
		return err
	}
	if view := r.o.View(); view != nil {
		if err := r.writer.Begin(view); err != nil {
			return err
		}
	}
	return r.prune()
}

// end closes the file in order.
func (r *Recorder) end() error {
	if r.writer == nil {
		return nil
	}
	err := errors.Join(r.writer.Close(), r.file.Sync(), r.file.Close())
	r.gone += r.writer.Size()
	r.bytes.Store(uint64(r.gone)) //nolint:gosec // never negative
	r.file, r.writer = nil, nil
	return err
}

// prune removes this replica's files that are too old or too much, never the one that is written.
func (r *Recorder) prune() error {
	prefix := r.o.Header.Environment + "." + r.o.Header.Replica + "."
	names, err := filepath.Glob(filepath.Join(r.o.Directory, prefix+"*"+Suffix)) // sorted: oldest first
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	sizes, total := make([]os.FileInfo, len(names)), int64(0)
	for i, name := range names {
		if sizes[i], err = os.Stat(name); err != nil {
			return fmt.Errorf("recording: %w", err)
		}
		total += sizes[i].Size()
	}
	for i, name := range names {
		old := r.o.Keep > 0 && r.now().Sub(sizes[i].ModTime()) > r.o.Keep
		much := r.o.MaxBytes > 0 && total > r.o.MaxBytes
		if name == r.file.Name() || !old && !much {
			continue
		}
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("recording: %w", err)
		}
		total -= sizes[i].Size()
	}
	return nil
}
