package campaign

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

func TestScenarioIsDeterministicAndValid(t *testing.T) {
	t.Parallel()
	for _, c := range Classes() {
		a, err := Scenario(Unit{Class: c.Name, Seed: 7, Day: 1})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Scenario(Unit{Class: c.Name, Seed: 7, Day: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a.Events, b.Events) || !reflect.DeepEqual(a.Scenario.Truth, b.Scenario.Truth) {
			t.Errorf("%s: two traces of one unit", c.Name)
		}
		if _, err := simulate.Prepare(a.Scenario, simulate.Options{}); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		for i := range a.Scenario.Truth {
			truth := &a.Scenario.Truth[i]
			sum := 0.0
			for _, p := range truth.Outcomes {
				if p < 0 {
					t.Errorf("%s: truth %d: %v", c.Name, i, truth.Outcomes)
				}
				sum += p
			}
			if truth.HasOutcomes && math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: truth %d adds up to %v", c.Name, i, sum)
			}
		}
		rate := 0.0
		for i := range a.Scenario.Traffic {
			rate += a.Scenario.Traffic[i].Rate
		}
		if math.Abs(rate-c.Rate) > 1e-9 {
			t.Errorf("%s: %v payments/s, want %v", c.Name, rate, c.Rate)
		}
	}
}

func TestScriptIsARotationAfterAFaultFreeHour(t *testing.T) {
	t.Parallel()
	trace, err := Scenario(Unit{Class: "busy", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Scenario(Unit{Class: "busy", Seed: 3, Day: 1})
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(trace.Events, other.Events) {
		t.Error("two days are the same")
	}
	names, _ := Kinds()
	if len(trace.Events) < 3*len(names) {
		t.Fatalf("%d events, want three rounds of %d kinds", len(trace.Events), len(names))
	}
	seen := map[string]int{}
	for i, e := range trace.Events {
		seen[e.Kind]++
		if e.From < time.Hour || e.To > 24*time.Hour {
			t.Errorf("%s from %v to %v", e.Label, e.From, e.To)
		}
		if i == 0 {
			continue
		}
		last := trace.Events[i-1]
		if gap := e.From - last.From; gap < 20*time.Minute || e.From-last.To < 8*time.Minute-time.Minute {
			t.Errorf("%s %v after %s", e.Label, gap, last.Label)
		}
	}
	for _, k := range names {
		if seen[k] < 3 {
			t.Errorf("%s came %d times", k, seen[k])
		}
	}
}

func TestHealthyTracesHaveNoFaults(t *testing.T) {
	t.Parallel()
	trace, err := Scenario(Unit{Class: "quiet-healthy", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	bursts := 0
	for i := range trace.Scenario.Truth {
		if trace.Scenario.Truth[i].Incident != "" || trace.Scenario.Truth[i].CommonMode {
			t.Errorf("a fault: %+v", trace.Scenario.Truth[i])
		}
		if trace.Scenario.Truth[i].Burst != nil {
			bursts++
		}
	}
	if len(trace.Events) < 8 || bursts < 30 {
		t.Errorf("%d bursts of declines, %d payers in anger", len(trace.Events), bursts)
	}
}

func TestUnknownClass(t *testing.T) {
	t.Parallel()
	if _, err := Scenario(Unit{Class: "noisy"}); !errors.Is(err, ErrClass) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
}

func TestShortUnitIsExact(t *testing.T) {
	t.Parallel()
	trace := short(t, "quiet", 5)
	a, err := trace.Run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := short(t, "quiet", 5).Run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two runs of one unit:\n%+v\n%+v", a, b)
	}
	faults := 0
	for _, e := range trace.Events {
		if !e.Trap {
			faults++
		}
	}
	if a.Payments != 1287 || len(a.Incidents) != faults || len(a.Traps) != len(trace.Events)-faults || a.Seconds != 10800 {
		t.Errorf("%d payments, %d incidents of %d, %d traps of %d, %v s", a.Payments, len(a.Incidents), faults, len(a.Traps), len(trace.Events)-faults, a.Seconds)
	}
}

// put opens a file of results, puts some into it and closes it.
func put(t *testing.T, path string, seeds ...uint64) {
	t.Helper()
	s := opened(t, path)
	for _, seed := range seeds {
		if err := s.Put(&Result{Unit: Unit{Class: "quiet", Seed: seed}, Policy: "p", Seconds: 60}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, "p")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreResumesAndDropsATornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.jsonl")
	put(t, path, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"class":"quiet","se`...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := opened(t, path)
	u := Unit{Class: "quiet", Seed: 1}
	ran := 0
	if err := RunAll(t.Context(), []Unit{u}, s, Options{Policy: "p"}, 1, func(*Result) { ran++ }); err != nil || ran != 0 {
		t.Errorf("%d units ran again: %v", ran, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, path, 2)
	s = opened(t, path)
	if len(s.Results()) != 2 || !s.Holds(u) {
		t.Errorf("%d results", len(s.Results()))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "another"); !errors.Is(err, ErrStore) {
		t.Errorf("results of another policy: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{}\n", "nonsense\n", `{"class":"quiet","seconds":1,"colour":3}` + "\n"} {
		if _, err := Parse("results", []byte(text)); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "results:1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
