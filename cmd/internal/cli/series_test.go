package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// point is a second of the night with results by outcome.
func point(when time.Time, paid, declined, failed uint64) *sluicev1.SeriesPoint {
	p := &sluicev1.SeriesPoint{
		Time: timestamppb.New(when), Answered: float64(paid + declined + failed), Bad: float64(failed), LatencySumMs: 120 * (paid + failed), LatencyCount: paid + failed,
		SentNormal: paid + declined + failed,
	}
	for _, o := range []*configv1.OutcomeCount{
		{Outcome: configv1.Outcome_OUTCOME_SUCCEEDED, Count: paid},
		{Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Count: declined},
		{Outcome: configv1.Outcome_OUTCOME_TIMED_OUT, Count: failed},
	} {
		if o.GetCount() > 0 {
			p.Outcomes = append(p.Outcomes, o)
		}
	}
	if failed > 0 {
		p.Reasons = []*configv1.ReasonCount{reason("TIMEOUT", failed), reason("=HYPERLINK(\"x\")\x1b[31m", 1)}
	}
	return p
}

// failingSeries is ten minutes: well, then failing for a while, then cut: nothing is sent.
func failingSeries() []*sluicev1.SeriesPoint {
	var all []*sluicev1.SeriesPoint
	for s := -600; s < -250; s++ {
		failed := uint64(0)
		if s >= -300 {
			failed = uint64(s+300) / 5
		}
		all = append(all, point(night.Add(time.Duration(s)*time.Second), 18, 1, failed))
	}
	return append(all, point(night.Add(-20*time.Second), 1, 0, 0))
}

func newSeriesFake() *fake {
	f := newFake()
	f.series = failingSeries()
	return f
}

func TestSeriesShow(t *testing.T) {
	f := newSeriesFake()
	got := start(t, f).do(t, "series", "show", "alipay/bank=ICBC")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "series_show", got.out)
	q := f.queries[0]
	if q.GetStep().AsDuration() != time.Second || !q.GetEndTime().AsTime().Equal(night) || !q.GetStartTime().AsTime().Equal(night.Add(-10*time.Minute)) || q.GetScope().GetBank() != "ICBC" {
		t.Errorf("asked %v", q)
	}
	if len(f.queries) != 2 || f.queries[1].GetPageToken() != "second" {
		t.Errorf("%d queries, want a second one for the second page", len(f.queries))
	}
}

func TestSeriesShow_NothingCounted(t *testing.T) {
	got := start(t, newFake()).do(t, "series", "show", "alipay", "--since", "24h")
	if got.code != ExitOK || !strings.Contains(got.out, "nothing was counted") {
		t.Errorf("exit code %d: %s%s", got.code, got.out, got.err)
	}
}

func TestSeriesShow_FailsClearly(t *testing.T) {
	for line, want := range map[string]int{
		"series show nowhere":                  ExitFailed,
		"series show alipay --step 5s":         ExitUsage,
		"series show alipay --since 0s":        ExitUsage,
		"series show alipay/colour=red":        ExitUsage,
		"series show":                          ExitUsage,
		"series export alipay -o yaml":         ExitUsage,
		"series export nowhere":                ExitFailed,
		"series show alipay --since yesterday": ExitUsage,
	} {
		if got := start(t, newFake()).do(t, strings.Fields(line)...); got.code != want || got.err == "" || got.out != "" {
			t.Errorf("%s: exit code %d, want %d: %s%s", line, got.code, want, got.out, got.err)
		}
	}
}

// Long times ask for minutes by themselves; the lines stay few.
func TestSeriesShow_LongTimesAreFewLines(t *testing.T) {
	for _, since := range []string{"30s", "9m59s", "10m", "1h", "5h", "24h", "48h", "720h", "9999h"} {
		f := newSeriesFake()
		got := start(t, f).do(t, "series", "show", "alipay", "--since", since)
		if n := strings.Count(got.out, "\n"); got.code != ExitOK || n > seriesLines+6 {
			t.Errorf("--since %s: exit code %d, %d lines:\n%s", since, got.code, n, got.out)
		}
		long := since[len(since)-1] == 'h'
		if step := f.queries[0].GetStep().AsDuration(); (step == time.Minute) != long {
			t.Errorf("--since %s: step %v", since, step)
		}
	}
}

func TestSeriesExport_CSV(t *testing.T) {
	f := newSeriesFake()
	f.series = f.series[345:]
	got := start(t, f).do(t, "series", "export", "alipay/bank=ICBC", "-o", "csv")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "series_export", got.out)
	rows, err := csv.NewReader(strings.NewReader(got.out)).ReadAll()
	if err != nil || len(rows) != len(f.series)+1 {
		t.Fatalf("%d rows, %v: want a heading and %d", len(rows), err, len(f.series))
	}
	if strings.ContainsRune(got.out, '\x1b') {
		t.Error("a reporter's control characters reach the terminal")
	}
}

func TestSeriesExport_JSONL(t *testing.T) {
	f := newSeriesFake()
	got := start(t, f).do(t, "series", "export", "alipay", "-o", "jsonl", "--since", "1h", "--step", "1m")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != ExitOK || len(lines) != len(f.series) {
		t.Fatalf("exit code %d, %d lines, want %d: %s", got.code, len(lines), len(f.series), got.err)
	}
	for _, line := range lines {
		var p map[string]any
		if err := json.Unmarshal([]byte(line), &p); err != nil || p["time"] == nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if q := f.queries[0]; q.GetStep().AsDuration() != time.Minute || q.GetStartTime().GetSeconds()%60 != 0 {
		t.Errorf("asked %v, want whole minutes", q)
	}
}

// endingBuffer ends a watch once it has seen enough.
type endingBuffer struct {
	b      bytes.Buffer
	want   int
	cancel context.CancelFunc
}

func (b *endingBuffer) Write(p []byte) (int, error) {
	n, err := b.b.Write(p)
	if strings.Count(b.String(), "alipay") >= b.want {
		b.cancel()
	}
	return n, err
}

func (b *endingBuffer) String() string { return b.b.String() }

// On a terminal the picture is drawn over the last one, cut to its size, and says when it is old.
func TestSeriesShow_WatchRedraws(t *testing.T) {
	f := newSeriesFake()
	a := start(t, f)
	a.reread = time.Millisecond
	a.interactive = func(any) bool { return true }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out := &endingBuffer{want: 3, cancel: cancel}
	a.Args, a.Out, a.Err = []string{"series", "show", "alipay", "-w"}, out, &bytes.Buffer{}
	if code := a.run(ctx); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, a.Err)
	}
	if n := strings.Count(out.String(), "\x1b[H"); n != 3 || strings.Count(out.String(), "\x1b[2J") != 1 {
		t.Errorf("%d pictures, want 3, the first on a cleared screen", n)
	}
}

// Without a terminal a watch prints again what has changed, and leaving it is no failure.
func TestSeriesShow_WatchPrintsChanges(t *testing.T) {
	f := newSeriesFake()
	a := start(t, f)
	a.reread = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out := &endingBuffer{want: 2, cancel: cancel}
	a.Args, a.Out, a.Err = []string{"series", "show", "alipay", "-w"}, out, &bytes.Buffer{}
	change := time.AfterFunc(20*time.Millisecond, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.series = f.series[:100]
	})
	defer change.Stop()
	if code := a.run(ctx); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, a.Err)
	}
	if n := strings.Count(out.String(), "alipay"); n != 2 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d pictures, want 2 without control characters", n)
	}
}
