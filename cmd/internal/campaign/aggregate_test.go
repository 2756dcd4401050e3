package campaign

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

// example is two units of a day, small enough to add up by hand.
func example() []*Result {
	return []*Result{
		{
			Unit: Unit{Class: "quiet", Seed: 1}, Seconds: 86400, Channels: 6, Payments: 1000, MovedHealthy: 10, Excess: 40, Entries: 1,
			Incidents: []Incident{
				{Label: "hard/1", Kind: "hard", Affected: 50, Crossing: 3, Detectable: true, DetectedIn: new(4.0), Samples: 6, Held: true, RecoveredIn: new(20.0), Moved: 44, Saved: 40, EarlyFailed: 1},
				{Label: "hard/2", Kind: "hard", Affected: 50, Crossing: 4, Detectable: true, DetectedIn: new(8.0), Samples: 4, Held: true},
				{Label: "half/1", Kind: "half", Affected: 9, Crossing: 0},
			},
			Cuts: []Cut{
				{Verdict: simulate.Right}, {Verdict: simulate.Right}, {Verdict: simulate.Over}, {Verdict: simulate.False, SinceFault: new(30.0)},
			},
			Traps:  []Trap{{Label: "common/1", Kind: "common", Cuts: 2}, {Label: "common/2", Kind: "common"}},
			Alerts: []Count{{Kind: "CUT", N: 3}},
		},
		{
			Unit: Unit{Class: "quiet", Seed: 2}, Seconds: 86400, Channels: 6, Payments: 1000, Excess: 20, Entries: 2,
			Incidents: []Incident{{Label: "hard/1", Kind: "hard", Affected: 50, Crossing: 5, Detectable: true}},
			Cuts:      []Cut{{Verdict: simulate.False, SinceFault: new(600.0)}},
			Alerts:    []Count{{Kind: "CUT", N: 1}, {Kind: "RECOVERED", N: 2}},
		},
	}
}

func TestAggregateByHand(t *testing.T) {
	t.Parallel()
	all := Aggregate(example())
	if len(all) != 1 {
		t.Fatalf("%d classes", len(all))
	}
	a := all[0]
	if a.Units != 2 || a.ChannelDays != 12 || a.Payments != 2000 || a.Excess != 60 || a.Entries != 2 {
		t.Errorf("%+v", a)
	}
	checks := []struct {
		name      string
		got, want float64
	}{
		{"recall", a.All.Recall(), 2.0 / 3},
		{"recall of all", a.All.RecallOfAll(), 2.0 / 4},
		{"precision", a.Precision(), 2.0 / 4},
		{"false per channel-day", a.FalsePerDay(), 2.0 / 12},
		{"over", float64(a.Over), 1},
		{"aftermath", float64(a.Aftermath), 1},
		{"p50", Quantile(a.All.Seconds, 0.5), 4},
		{"p90", Quantile(a.All.Seconds, 0.9), 8},
		{"lateness p90", Quantile(a.All.Lateness, 0.9), 2},
		{"recovery", Quantile(a.All.Recovery, 0.9), 20},
		{"held", float64(a.All.Held), 2},
		{"never well again", float64(a.All.Unhealthy), 1},
		{"early", a.All.Early(), 1.0 / 40},
		{"traps cut", float64(a.Traps[0].Cut), 1},
		{"traps", float64(a.Traps[0].Events), 2},
		{"cuts in traps", float64(a.Traps[0].Cuts), 2},
		{"alerts", float64(a.Alerts[0].N), 4},
		{"bound", a.FalseBound(), 6.2958 / 12},
	}
	for _, c := range checks {
		if math.Abs(c.got-c.want) > 1e-4 {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestPoissonUpper(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]float64{0: 2.9957, 1: 4.7439, 2: 6.2958, 10: 16.9622, 100: 118.0786} {
		if got := PoissonUpper(n, 0.95); math.Abs(got-want) > 2e-3 {
			t.Errorf("%d events: %v, want %v", n, got, want)
		}
	}
}

func TestWriteListsMissesAndFalseCuts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Write(&out, Aggregate(example())); err != nil {
		t.Fatal(err)
	}
	if err := WriteMisses(&out, example()); err != nil {
		t.Fatal(err)
	}
	if err := WriteFalse(&out, example()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"recall 0.666 of detectable, 0.500 of all", "quiet/2/0  hard/1", "quiet/1/0  half/1", "common 1 of 2 (2 cuts)", "30 s after the last fault"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
