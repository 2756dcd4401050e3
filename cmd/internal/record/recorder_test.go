package record_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

func sealedSecond(at int64) *monitor.SecondCounts {
	return &monitor.SecondCounts{Second: at, Items: []monitor.ItemCounts{{Item: scopes()[0], LatencyMillis: uint64(at)}}}
}

func newRecorder(t *testing.T, o record.Options) *record.Recorder {
	t.Helper()
	o.Header = record.Header{Environment: "test", Replica: "r-1"}
	o.Logger = slog.New(slog.DiscardHandler)
	o.View = func() *monitor.View {
		return &monitor.View{Head: monitor.Head{Catalog: 1}, Catalog: []byte("catalogue")}
	}
	r, err := record.NewRecorder(o)
	must(t, err)
	return r
}

// running runs a recorder until stop is called.
func running(t *testing.T, r *record.Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	return func() { cancel(); done.Wait() }
}

func seconds(t *testing.T, dir string) (n, catalogs int) {
	t.Helper()
	r, err := record.Open(dir)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if rec.Second != nil {
			n++
		}
		if rec.Catalog != nil {
			catalogs++
		}
	}
	for _, tail := range r.Tails() {
		if !tail.Closed {
			t.Errorf("%s: %+v", tail.File, tail.Tail)
		}
	}
	return n, catalogs
}

// Files follow one another by time, each with all a replay needs; together they hold every second once, and old ones go.
func TestRecorderRotatesAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRecorder(t, record.Options{Directory: dir, MaxAge: time.Minute})
		stop := running(t, r)
		for i := range 150 {
			r.Second(sealedSecond(time.Now().Unix()))
			e := sampleEntry()
			e.Sequence, e.At = uint64(i+1), statemachine.At(time.Now())
			r.Entry(e)
			time.Sleep(time.Second)
		}
		stop()
		names, err := filepath.Glob(filepath.Join(dir, "test.r-1.*"+record.Suffix))
		must(t, err)
		n, catalogs := seconds(t, dir)
		if len(names) != 3 || n != 150 || catalogs != 1 {
			t.Errorf("%d seconds and %d catalogues in %v", n, catalogs, names)
		}
		if c := r.Counters(); c.Written != 300 || c.Dropped != 0 || c.Failed != 0 || c.Bytes == 0 {
			t.Errorf("counters %+v", c)
		}
		small := newRecorder(t, record.Options{Directory: dir, MaxBytes: 1})
		stop = running(t, small)
		small.Second(sealedSecond(time.Now().Unix()))
		stop()
		if names, _ = filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
			t.Errorf("kept %v", names)
		}
	})
}

// A slow or absent writer costs records, counted, and never holds up who offers them.
func TestRecorderDropsWhatIsTooMuch(t *testing.T) {
	r := newRecorder(t, record.Options{Directory: t.TempDir()})
	for at := range int64(3000) {
		r.Second(sealedSecond(1 + at))
	}
	running(t, r)()
	if c := r.Counters(); c.Written != 1024 || c.Dropped != 3000-1024 {
		t.Errorf("counters %+v", c)
	}
}

// A disk that fails costs records, counted, and recording goes on when it is back.
func TestRecorderOutlivesItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "recordings")
		r := newRecorder(t, record.Options{Directory: dir})
		must(t, os.Remove(dir))
		stop := running(t, r)
		r.Second(sealedSecond(1))
		time.Sleep(time.Second)
		must(t, os.Mkdir(dir, 0o700))
		r.Second(sealedSecond(2)) // too early to try again
		time.Sleep(time.Minute)
		r.Second(sealedSecond(3))
		stop()
		if c := r.Counters(); c.Failed != 2 || c.Written != 1 {
			t.Errorf("counters %+v", c)
		}
		if n, _ := seconds(t, dir); n != 1 {
			t.Errorf("%d seconds", n)
		}
	})
}

// Files of several environments are never mixed.
func TestDirectoryOfOneEnvironment(t *testing.T) {
	dir := t.TempDir()
	for _, environment := range []string{"production", "test"} {
		file, err := os.Create(filepath.Join(dir, environment+record.Suffix))
		must(t, err)
		w, err := record.NewWriter(file, record.Header{Environment: environment, Started: started()})
		must(t, err)
		must(t, w.Close())
		must(t, file.Close())
	}
	if _, err := record.Open(dir); err == nil || !strings.Contains(err.Error(), "one at a time") {
		t.Errorf("got %v", err)
	}
}
