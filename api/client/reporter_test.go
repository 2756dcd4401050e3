package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// within is a context that ends after a while.
func within(tb testing.TB, d time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

func mustReport(tb testing.TB, r *Reporter, m *sluicev1.Report) {
	tb.Helper()
	if err := r.Report(tb.Context(), m); err != nil {
		tb.Fatal(err)
	}
}

func TestReporter_DeliversAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		stop := f.publishing(time.Second)
		var refused []Rejection
		r := testReporter(t, f, ReporterConfig{Name: "gateway-1", MaxBatch: 7, OnRejected: func(j Rejection) { refused = append(refused, j) }})
		m := testReport("")
		for i := range 100 {
			m.AttemptId = fmt.Sprintf("a-%d", i) // the message is used again
			mustReport(t, r, m)
		}
		mustReport(t, r, testReport("unknown:1"))
		mustReport(t, r, testReport("late:1"))
		if err := r.Flush(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		s := r.Stats()
		if balance(t, s); s.Applied != 100 || s.Dropped.Rejected != 1 || s.Dropped.Late != 1 || s.Held != 0 || s.HeldBytes != 0 || s.Sent != 102 {
			t.Errorf("%+v", s)
		}
		if len(f.published) != 100 {
			t.Errorf("%d attempts published", len(f.published))
		}
		told(t, refused)
		if err := r.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		if err := r.Report(t.Context(), testReport("after")); !errors.Is(err, ErrReporterClosed) {
			t.Errorf("after the close: %v", err)
		}
		balance(t, r.Stats())
		stop()
	})
}

func told(tb testing.TB, refused []Rejection) {
	tb.Helper()
	if len(refused) != 1 || refused[0].Report.GetAttemptId() != "unknown:1" || refused[0].Field != "channel" || refused[0].Reason != "UNKNOWN_CHANNEL" {
		tb.Errorf("refused: %+v", refused)
	}
}

func TestReporter_WaitsNoLongerThanMaxDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		r := testReporter(t, f, ReporterConfig{MaxDelay: 20 * time.Millisecond})
		synctest.Wait()
		for _, id := range []string{"a", "b"} {
			_ = r.Report(t.Context(), testReport(id))
		}
		time.Sleep(19 * time.Millisecond)
		synctest.Wait()
		if n := r.Stats().Sent; n != 0 {
			t.Errorf("%d sent before the delay", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := r.Stats().Sent; n != 2 {
			t.Errorf("%d sent after the delay", n)
		}
		f.publish()
		_ = r.Close(within(t, time.Second))
	})
}

func TestReporter_RefusesWhatCouldNeverBeDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testReporter(t, newCollector(), ReporterConfig{})
		huge, broken := testReport("a"), testReport("a")
		huge.Reason = string(make([]byte, maxReport))
		broken.Reason = "\xff"
		for name, m := range map[string]*sluicev1.Report{"nil": nil, "no id": testReport(""), "too large": huge, "no UTF-8": broken} {
			if err := r.Report(t.Context(), m); !errors.Is(err, ErrReport) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s := r.Stats()
		balance(t, s)
		if s.Attempts != 4 || s.Dropped.Invalid != 4 {
			t.Errorf("%+v", s)
		}
		_ = r.Close(within(t, time.Second))
	})
}

func TestReporter_FullDropsOrWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.refusing = true
		r := testReporter(t, f, ReporterConfig{MaxReports: 10})
		for i := range 12 {
			err := r.Report(t.Context(), testReport(strconv.Itoa(i)))
			if full := errors.Is(err, ErrReporterFull); full != (i >= 10) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if s := r.Stats(); s.Dropped.Full != 2 || s.Held != 10 {
			t.Errorf("%+v", s)
		}
		err := r.Close(within(t, time.Second))
		if !errors.Is(err, ErrUndelivered) || r.Stats().Dropped.Closed != 10 {
			t.Errorf("%v, %+v", err, r.Stats())
		}
		balance(t, r.Stats())

		r = testReporter(t, f, ReporterConfig{MaxReports: 10, Wait: true})
		for i := range 10 {
			_ = r.Report(t.Context(), testReport(strconv.Itoa(i)))
		}
		begin := time.Now()
		if err := r.Report(within(t, 3*time.Second), testReport("10")); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		stop := f.publishing(time.Second)
		f.set(&f.refusing, false)
		if err := r.Report(within(t, time.Minute), testReport("11")); err != nil {
			t.Errorf("room was made: %v", err)
		}
		if err := r.Close(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		s := r.Stats()
		if balance(t, s); s.Applied != 11 || s.Dropped.Full != 1 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

func TestReporter_BackoffGrowsAndIsJittered(t *testing.T) {
	r := &Reporter{cfg: ReporterConfig{MinBackoff: 100 * time.Millisecond, MaxBackoff: 10 * time.Second}}
	for failures, millis := range map[int]int64{0: 100, 1: 200, 2: 400, 6: 6400, 7: 10_000, 60: 10_000} {
		most := time.Duration(millis) * time.Millisecond
		seen := map[int64]bool{}
		for range 20 {
			d := r.backoff(failures, errors.New("gone"))
			if d < most/2 || d > most {
				t.Errorf("failure %d: %v, want %v to %v", failures, d, most/2, most)
			}
			seen[d.Nanoseconds()] = true
		}
		if len(seen) < 10 {
			t.Errorf("failure %d: %d different pauses of 20", failures, len(seen))
		}
	}
}

// A collector that takes batches and says nothing is left for another one.
func TestReporter_LeavesASilentReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.stalled = true
		r := testReporter(t, f, ReporterConfig{})
		_ = r.Report(t.Context(), testReport("a"))
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if s := r.Stats(); s.Streams < 3 || s.Streams > 5 || s.Resent < 2 || s.LastError != errSilent.Error() {
			t.Errorf("%+v", s)
		}
		stop := f.publishing(time.Second)
		f.set(&f.stalled, false)
		if err := r.Close(within(t, time.Minute)); err != nil || f.published["a"] != 1 {
			t.Errorf("%v, %v", err, f.published)
		}
		stop()
	})
}

func TestReporter_AcknowledgedWithoutCountsIsNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.mute = true
		stop := f.publishing(time.Second)
		r := testReporter(t, f, ReporterConfig{})
		_ = r.Report(t.Context(), testReport("a"))
		_ = r.Close(within(t, time.Minute))
		if s := r.Stats(); s.Applied != 0 || s.Dropped.Unexplained != 1 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// An outage longer than SpillAfter brings everything to the file; a killed process loses only what came later.
func TestReporter_OutageSpillsAndAKilledProcessIsReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.refusing = true
		cfg := ReporterConfig{File: filepath.Join(t.TempDir(), "reports"), SpillAfter: 2 * time.Second, MaxBatch: 16}
		r := testReporter(t, f, cfg)
		for i := range 100 {
			_ = r.Report(t.Context(), testReport(fmt.Sprintf("a-%d", i)))
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		s := r.Stats()
		if balance(t, s); s.Spilled+s.Held != 100 || s.SpillBytes < 7000 {
			t.Errorf("%+v", s)
		}
		if _, _, err := openSpill(cfg.File, 1<<20); !errors.Is(err, errSpillInUse) {
			t.Errorf("a second process gets the file: %v", err)
		}
		r.kill()

		r = testReporter(t, f, cfg)
		if s := r.Stats(); s.Replayed != 100 || s.Torn != 0 {
			t.Errorf("%+v", s)
		}
		f.set(&f.refusing, false)
		stop := f.publishing(time.Second)
		if err := r.Flush(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s = r.Stats()
		if balance(t, s); s.Applied != 100 || s.SpillBytes != 0 || len(f.published) != 100 {
			t.Errorf("%+v, %d published", s, len(f.published))
		}
		_ = r.Close(within(t, time.Second))
		if left, _ := filepath.Glob(cfg.File + ".0*"); len(left) != 0 {
			t.Errorf("delivered files stay: %v", left)
		}
		stop()
	})
}

// Above the bound of memory the file takes over, and above that of the file reports are dropped and counted.
func TestReporter_MemoryThenFileThenDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.refusing = true
		cfg := ReporterConfig{File: filepath.Join(t.TempDir(), "reports"), MaxReports: 400, MaxBatch: 50, SpillBytes: 64 << 10, SpillAfter: time.Hour}
		r := testReporter(t, f, cfg)
		const n = 3000
		failed := 0
		for i := range n {
			if err := r.Report(t.Context(), testReport(fmt.Sprintf("a-%d", i))); err != nil {
				failed++
			}
			if i%20 == 0 {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
		}
		s := r.Stats()
		balance(t, s)
		if s.Spilled < 300 || s.SpillBytes > 64<<10 || s.Held > 400 || s.Dropped.Full != uint64(failed) || failed == 0 {
			t.Errorf("%d failed: %+v", failed, s)
		}
		f.set(&f.refusing, false)
		stop := f.publishing(100 * time.Millisecond)
		if err := r.Flush(within(t, time.Hour)); err != nil {
			t.Error(err)
		}
		s = r.Stats()
		if balance(t, s); s.Applied != uint64(n-failed) || len(f.published) != n-failed {
			t.Errorf("%d of %d failed: %+v", failed, n, s)
		}
		_ = r.Close(within(t, time.Second))
		stop()
	})
}

// What a collector has acknowledged and never publishes goes to the file too, so that memory stays bounded.
func TestReporter_NothingIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		f.holding = true
		r := testReporter(t, f, ReporterConfig{File: filepath.Join(t.TempDir(), "reports"), MaxReports: 400, MaxBatch: 20})
		for i := range 2000 {
			if err := r.Report(t.Context(), testReport(fmt.Sprintf("a-%d", i))); err != nil {
				t.Fatal(i, err)
			}
			if i%10 == 0 {
				time.Sleep(5 * time.Millisecond)
				synctest.Wait()
			}
		}
		f.set(&f.holding, false)
		stop := f.publishing(time.Second)
		if err := r.Flush(within(t, time.Hour)); err != nil {
			t.Error(err)
		}
		s := r.Stats()
		if balance(t, s); s.Applied != 2000 || len(f.published) != 2000 {
			t.Errorf("%+v", s)
		}
		_ = r.Close(within(t, time.Second))
		stop()
	})
}

func TestReporter_DecisionsTravelOnceAndGrantsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newCollector()
		next := int64(100)
		r := &Reporter{stub: f, logger: slog.New(slog.DiscardHandler), now: time.Now}
		r.decisions = func() *sluicev1.LocalDecisions {
			if next++; next%3 == 0 { // a second in which nothing was decided
				return nil
			}
			return &sluicev1.LocalDecisions{Second: next}
		}
		granted := 0
		r.grant = func(g []*sluicev1.ProbeGrant) { granted += len(g) }
		if err := r.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		f.breaks()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		f.mu.Lock()
		taken := slices.Clone(f.decisions)
		f.mu.Unlock()
		if len(taken) < 12 || !slices.IsSorted(taken) || len(slices.Compact(slices.Clone(taken))) != len(taken) {
			t.Errorf("seconds %v", taken)
		}
		f.set(&f.refuseAll, true)
		time.Sleep(2 * time.Second)
		f.set(&f.refuseAll, false)
		f.set(&f.stalled, true)
		time.Sleep(2 * time.Second)
		f.breaks()
		synctest.Wait()
		s := r.Stats()
		if s.DecisionsRefused == 0 || s.DecisionsLost == 0 || s.Decisions != uint64(len(taken)) {
			t.Errorf("%d taken, %+v", len(taken), s)
		}
		f.mu.Lock()
		f.stalled = false
		f.mu.Unlock()
		time.Sleep(time.Second)
		f.mu.Lock()
		f.streams[len(f.streams)-1].push(&sluicev1.StreamResultsResponse{Grants: []*sluicev1.ProbeGrant{{Tokens: 1}}})
		f.mu.Unlock()
		synctest.Wait()
		if granted != 1 {
			t.Errorf("%d grants handed on", granted)
		}
		_ = r.Close(within(t, time.Second))
	})
}

// scripted is one step of a life full of failures.
type scripted struct {
	do string
	n  int
}

// TestInvariant08_ReporterLosesNothing drives a reporter through random failures of replicas, streams and its own process's
// restarts. In the end every report that was taken is published exactly once or counted as dropped, and the books balance at
// every step.
func TestInvariant08_ReporterLosesNothing(t *testing.T) {
	moves := []string{"report", "report", "report", "sleep", "sleep", "break", "crash", "stall", "refuse", "hold", "restart"}
	rapid.Check(t, func(rt *rapid.T) {
		cfg := ReporterConfig{
			MaxReports: rapid.IntRange(5, 200).Draw(rt, "most"), MaxBatch: rapid.IntRange(1, 30).Draw(rt, "batch"),
			SpillAfter: time.Duration(rapid.IntRange(1, 10).Draw(rt, "spill after")) * time.Second,
		}
		if rapid.Bool().Draw(rt, "file") {
			cfg.File = filepath.Join(t.TempDir(), "reports")
		}
		script := make([]scripted, rapid.IntRange(1, 40).Draw(rt, "steps"))
		for i := range script {
			script[i] = scripted{rapid.SampledFrom(moves).Draw(rt, "step"), rapid.IntRange(1, 100).Draw(rt, "n")}
		}
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = live(t, cfg, script) }) // rapid's panics may not cross a bubble
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// life is a reporter and all that happens around it.
type life struct {
	t       *testing.T
	f       *collector
	cfg     ReporterConfig
	r       *Reporter
	id      int
	taken   map[string]bool // by attempt; of the bad ones too
	bad     int
	refused map[string]int
	lost    uint64 // dropped at closes
}

// live lives a script and returns what was wrong, empty if nothing was.
func live(t *testing.T, cfg ReporterConfig, script []scripted) string {
	t.Helper()
	l := &life{t: t, f: newCollector(), cfg: cfg, taken: map[string]bool{}, refused: map[string]int{}}
	stop := l.f.publishing(300 * time.Millisecond)
	defer stop()
	l.cfg.OnRejected = func(j Rejection) { l.refused[j.Report.GetAttemptId()]++ }
	l.r = testReporter(t, l.f, l.cfg)
	defer func() { _ = l.r.Close(within(t, time.Second)) }()
	for _, step := range script {
		l.step(step)
		synctest.Wait()
		if s := l.r.Stats(); s.Attempts+s.Replayed != s.Applied+s.Dropped.Total()+s.Held+s.Spilled {
			return fmt.Sprintf("after %+v the books do not balance: %+v", step, s)
		}
	}
	return l.end()
}

func (l *life) step(step scripted) {
	switch step.do {
	case "report":
		l.report(step.n)
	case "sleep":
		<-time.After(time.Duration(2*step.n*step.n) * time.Millisecond) // of the bubble
	case "break":
		l.f.breaks()
	case "crash":
		l.f.crash()
	case "stall":
		l.f.set(&l.f.stalled, !l.f.stalled)
	case "refuse":
		l.f.set(&l.f.refusing, !l.f.refusing)
	case "hold":
		l.f.set(&l.f.holding, !l.f.holding)
	case "restart":
		_ = l.r.Close(within(l.t, time.Duration(step.n%4)*time.Second))
		l.lost += l.r.Stats().Dropped.Closed
		l.r = testReporter(l.t, l.f, l.cfg)
	}
}

func (l *life) report(n int) {
	for range n {
		m := testReport(fmt.Sprintf("a-%d", l.id))
		if l.id%17 == 3 {
			m.Channel = "unknown"
		}
		if l.id++; l.r.Report(l.t.Context(), m) != nil {
			continue
		}
		l.taken[m.GetAttemptId()] = true
		if m.GetChannel() == "unknown" {
			l.bad++
		}
	}
}

// end ends all failures and looks at what came of it.
func (l *life) end() string {
	for _, at := range []*bool{&l.f.stalled, &l.f.refusing, &l.f.holding} {
		l.f.set(at, false)
	}
	if err := l.r.Flush(within(l.t, time.Hour)); err != nil {
		return fmt.Sprintf("not delivered an hour after all failures: %v, %+v", err, l.r.Stats())
	}
	s := l.r.Stats()
	if s.Held+s.Spilled+s.Dropped.Damaged+s.Dropped.Unexplained != 0 {
		return fmt.Sprintf("in the end: %+v", s)
	}
	for id, n := range l.f.published {
		if n != 1 || !l.taken[id] {
			return fmt.Sprintf("%s is published %d times, taken: %v", id, n, l.taken[id])
		}
	}
	switch got := len(l.f.published) + len(l.refused); {
	case l.cfg.File != "" && l.lost > 0:
		return fmt.Sprintf("%d dropped at closes in spite of the file", l.lost)
	case got > len(l.taken), got+int(l.lost) < len(l.taken), l.lost == 0 && len(l.refused) != l.bad:
		return fmt.Sprintf("%d taken, %d bad: %d published, %d refused, %d lost", len(l.taken), l.bad, len(l.f.published), len(l.refused), l.lost)
	}
	return ""
}
