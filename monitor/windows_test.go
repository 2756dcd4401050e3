package monitor

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

// channelOnly is a second in which only the channel item was counted.
func channelOnly(second, revision int64, good, bad, half uint32) *SecondCounts {
	c := ItemCounts{Item: statemachine.ChannelScope("c1")}
	t := &c.Evidence[statemachine.KindNormal]
	t.Outcomes[statemachine.Succeeded], t.Outcomes[statemachine.ChannelFailed], t.Outcomes[statemachine.OutcomeUnmapped] = good, bad, half
	t.Bad, t.BadPayers, t.Half, t.HalfPayers, t.CodedBad = bad, bad, half, half, bad
	return &SecondCounts{Second: second, Revision: revision, Items: []ItemCounts{c}}
}

func TestWindowsRules(t *testing.T) {
	type sec struct{ good, bad, half uint32 }
	repeat := func(n int, s sec) []sec {
		var all []sec
		for range n {
			all = append(all, s)
		}
		return all
	}
	tests := []struct {
		name    string
		seconds []sec
		policy  func(*statemachine.Policy)
		want    string // kind and rule at the last second
	}{
		{"calm", repeat(30, sec{10, 0, 0}), nil, ""},
		{"a fault that is over is not cut late", append(repeat(8, sec{0, 2, 0}), repeat(4, sec{2, 0, 0})...), nil, ""},
		{"nor its mild trace", append(repeat(10, sec{6, 4, 0}), repeat(4, sec{8, 0, 0})...), nil, ""},
		{"a fault that has just begun is not mild", append(repeat(10, sec{10, 0, 0}), repeat(5, sec{4, 6, 0})...), nil, ""},
		{"a fault that stays mild is", append(repeat(10, sec{10, 0, 0}), repeat(9, sec{6, 4, 0})...), nil, "mildly-failing mild"},
		{"half fails", repeat(10, sec{5, 5, 0}), nil, "failing rate"},
		{"just below half", repeat(10, sec{51, 49, 0}), nil, "mildly-failing mild"},
		{"too few results", repeat(10, sec{0, 1, 0}), nil, ""},
		{"the window widens at low traffic", repeat(20, sec{0, 1, 0}), nil, "failing rate"},
		{"not beyond ten times", append(repeat(10, sec{0, 1, 0}), append(repeat(95, sec{}), repeat(10, sec{0, 1, 0})...)...), nil, ""},
		{"a calm narrow window is not overruled by a wider one", append(repeat(10, sec{0, 20, 0}), repeat(10, sec{2, 0, 0})...), nil, ""},
		{"twenty per cent, beyond doubt", repeat(60, sec{8, 2, 0}), nil, "mildly-failing mild"},
		{"four of twenty may be chance", repeat(1, sec{16, 4, 0}), nil, ""},
		{"mild is off", repeat(10, sec{8, 2, 0}), func(p *statemachine.Policy) { p.MildRate = 0 }, ""},
		{"count and ratio need no minimum", repeat(1, sec{1, 11, 0}), nil, "failing count-and-ratio"},
		{"ten are not more than ten", repeat(1, sec{0, 10, 0}), nil, ""},
		{"unmapped codes weigh half", repeat(10, sec{2, 0, 4}), nil, "mildly-failing mild"},
		{"evaluated every five seconds", repeat(8, sec{0, 30, 0}), func(p *statemachine.Policy) { p.Every = 5 * time.Second }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, w := fleetOf("c1"), NewWindows()
			if tt.policy != nil {
				tt.policy(&f.Default)
			}
			got := ""
			for i, s := range tt.seconds {
				got = ""
				for _, v := range w.Observe(channelOnly(t0+1+int64(i), 5, s.good, s.bad, s.half), f) {
					if !v.Over {
						got = v.Kind.String() + " " + v.Evidence.Rule
					}
					if kind, err := Recompute(v.Evidence); err != nil || kind != v.Kind {
						t.Errorf("recomputed: %s, %v, want %s", kind, err, v.Kind)
					}
				}
			}
			if got != tt.want {
				t.Errorf("verdict %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWindowsEvidenceNamesCauses(t *testing.T) {
	f, w := fleetOf("c1"), NewWindows()
	var v []statemachine.Verdict
	for i := range 10 {
		v = w.Observe(sumOf(t0+int64(i), 5, flow{channel: "c1", bank: "ICBC", bad: 3, good: 1, coded: true}), f)
	}
	if len(v) != 5 {
		t.Fatalf("%d verdicts, want one for each of five items", len(v))
	}
	e := v[0].Evidence
	want := statemachine.Evidence{
		Detector: WindowsDetector, Rule: RuleRate, Scope: statemachine.ChannelScope("c1"), From: t0, To: t0 + 9,
		Answered: 40, Bad: 30, Rate: 0.75, Statistic: 0.75, Threshold: 0.5, MinSamples: 20, CodedBad: 30,
		Reasons: []statemachine.ReasonCount{{Reason: "E_ICBC", N: 30}},
	}
	want.Outcomes[statemachine.Succeeded], want.Outcomes[statemachine.ChannelFailed] = 10, 30
	want.Lower, want.Explanation = e.Lower, e.Explanation
	if !reflect.DeepEqual(e, want) {
		t.Errorf("evidence\n got %+v\nwant %+v", e, want)
	}
	if e.Lower < 0.56 || e.Lower > 0.58 { // 30 of 40: 0.5678
		t.Errorf("lower bound %.4f, want 0.57", e.Lower)
	}
	for _, part := range []string{"30 of 40", "10 s", "75 %", "E_ICBC (30)"} {
		if !strings.Contains(e.Explanation, part) {
			t.Errorf("%q does not name %q", e.Explanation, part)
		}
	}
}

func TestWindowsRecovered(t *testing.T) {
	f, w := fleetOf("c1"), NewWindows()
	channel := statemachine.ChannelScope("c1")
	second := t0
	next := func(good, bad uint32) string {
		second++
		for _, v := range w.Observe(channelOnly(second, 5, good, bad, 0), f) {
			return v.Kind.String()
		}
		return ""
	}
	for range 10 {
		next(0, 5)
	}
	st := statemachine.NewState(channel)
	st.Kind, st.Incident = statemachine.Refused, "i1"
	f.States[channel] = st
	if got := next(0, 5); got != "failing" {
		t.Errorf("while it fails: %q, want failing again and again", got)
	}
	for range 9 {
		next(9, 1)
	}
	if got := next(10, 0); got != "recovered" {
		t.Errorf("after ten calm seconds: %q, want recovered", got)
	}
	st.Kind, st.Incident = statemachine.KindNone, ""
	f.States[channel] = st
	if got := next(10, 0); got != "" {
		t.Errorf("without an open incident: %q, want no verdict", got)
	}
}

func TestOldFailuresNeverCutAgain(t *testing.T) {
	icbcScope := statemachine.InstrumentScope("c1", bank("ICBC"))
	tests := []struct {
		name  string
		scope statemachine.Scope
	}{
		{"the scope itself", statemachine.ChannelScope("c1")},
		{"an item inside it was closed", icbcScope},
		{"a domain around it was closed", statemachine.DomainScope("d1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, w := fleetOf("c1:d1"), NewWindows()
			bad := flow{channel: "c1", bank: "ICBC", bad: 8}
			for i := range int64(5) {
				w.Observe(sumOf(t0+i, 10, bad), f)
			}
			put(f, tt.scope, statemachine.Disabled, 1, 10)
			if v := w.Observe(sumOf(t0+5, 10, bad), f); len(v) != 0 { // still counted under the old table
				t.Errorf("right after the cut: %v", names(v))
			}
			put(f, tt.scope, statemachine.Healthy, 4, 20)
			if v := w.Observe(sumOf(t0+6, 19, bad), f); len(v) != 0 {
				t.Errorf("a second counted before the return: %v", names(v))
			}
			for i := range int64(20) {
				if v := w.Observe(sumOf(t0+7+i, 21, flow{channel: "c1", bank: "ICBC", good: 5}), f); len(v) != 0 {
					t.Fatalf("%d s after it came back healthy: %v", i, names(v))
				}
			}
		})
	}
}

func TestACutBankLeavesItsSiblingsWindowsAlone(t *testing.T) {
	f, w := fleetOf("c1"), NewWindows()
	for i := range int64(5) {
		w.Observe(sumOf(t0+i, 10, flow{channel: "c1", bank: "ICBC", bad: 3}, flow{channel: "c1", bank: "CCB", bad: 3}), f)
	}
	put(f, statemachine.InstrumentScope("c1", bank("ICBC")), statemachine.Disabled, 1, 10)
	w.Observe(sumOf(t0+5, 11, flow{channel: "c1", bank: "CCB", bad: 3}), f)
	if n := weighted(w, statemachine.InstrumentScope("c1", bank("CCB"))); n != 18 {
		t.Errorf("CCB's window holds %g results, want 18", n)
	}
	if n := weighted(w, statemachine.ChannelScope("c1")); n != 3 {
		t.Errorf("the channel's window holds %g results, want the 3 since the cut", n)
	}
}

// weighted is how many results the window of an item holds.
func weighted(w *Windows, item statemachine.Scope) float64 {
	t := w.history.Over(item, t0, t0+5)
	n, _ := t.Weighted()
	return n
}

// TestInvariant04_VerdictIsRecomputedFromItsEvidence checks that stored evidence is enough to come to the same verdict.
func TestInvariant04_VerdictIsRecomputedFromItsEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := fleetOf("c1:d1", "c2:d1", "c3", "c4"), NewPipeline()
		banks := []string{"ICBC", "CCB", "ABC"}
		for second := t0; second < t0+25; second++ {
			var flows []flow
			for range rapid.IntRange(0, 6).Draw(t, "flows") {
				flows = append(flows, flow{
					channel: rapid.SampledFrom([]string{"c1", "c2", "c3", "c4"}).Draw(t, "channel"), bank: rapid.SampledFrom(banks).Draw(t, "bank"),
					good: rapid.IntRange(0, 6).Draw(t, "good"), bad: rapid.IntRange(0, 9).Draw(t, "bad"), coded: rapid.Bool().Draw(t, "coded"),
				})
			}
			for _, v := range p.Observe(sumOf(second, 10, flows...), f).Verdicts {
				kind, err := Recompute(v.Evidence)
				if err != nil || kind != v.Kind || v.Evidence.Scope != v.Scope {
					t.Fatalf("%s %s recomputes to %s (%v): %+v", v.Kind, v.Scope, kind, err, v.Evidence)
				}
			}
		}
	})
}

func TestRecomputeRefusesContradictions(t *testing.T) {
	w, f := NewWindows(), fleetOf("c1")
	v := w.Observe(channelOnly(t0, 5, 10, 30, 0), f)[0].Evidence
	tests := map[string]func(*statemachine.Evidence){
		"rate":         func(e *statemachine.Evidence) { e.Rate = 0.9 },
		"more bad":     func(e *statemachine.Evidence) { e.Bad = 41 },
		"lower bound":  func(e *statemachine.Evidence) { e.Lower = 0.99 },
		"outcomes":     func(e *statemachine.Evidence) { e.Outcomes[statemachine.ChannelFailed] = 3 },
		"good":         func(e *statemachine.Evidence) { e.Outcomes[statemachine.Succeeded] = 300 },
		"unknown rule": func(e *statemachine.Evidence) { e.Rule = "hunch" },
		"time":         func(e *statemachine.Evidence) { e.From = e.To + 1 },
	}
	for name, change := range tests {
		e := v
		change(&e)
		if kind, err := Recompute(e); !errors.Is(err, ErrEvidence) {
			t.Errorf("%s: %s, %v, want ErrEvidence", name, kind, err)
		}
	}
	e := v
	e.Threshold = 0.8
	if kind, err := Recompute(e); kind != statemachine.VerdictNone || err != nil {
		t.Errorf("a threshold that was not reached: %s, %v, want none", kind, err)
	}
}

func TestDetectorsCheckpoint(t *testing.T) {
	f, w := fleetOf("c1"), NewDetectors()
	bad := flow{channel: "c1", bank: "ICBC", bad: 2}
	for i := range int64(9) {
		w.Observe(sumOf(t0+i, 10, bad), f)
	}
	again := NewDetectors()
	if err := again.Restore(w.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	a, b := w.Observe(sumOf(t0+9, 10, bad), f), again.Observe(sumOf(t0+9, 10, bad), f)
	if len(a) == 0 || !reflect.DeepEqual(a, b) {
		t.Errorf("after a restart the verdicts are %v, without one %v", names(b), names(a))
	}
	if err := again.Restore([]byte("nonsense")); !errors.Is(err, ErrPacked) {
		t.Errorf("nonsense was restored: %v", err)
	}
	if !reflect.DeepEqual(w.Checkpoint(), again.Checkpoint()) {
		t.Error("a failed restore changed the windows")
	}
}

func FuzzRestore(f *testing.F) {
	w := NewDetectors()
	for i := range int64(3) {
		w.Observe(sumOf(t0+i, 10, flow{channel: "c1", bank: "ICBC", bad: 2, good: 1}), fleetOf("c1"))
	}
	f.Add(w.Checkpoint())
	f.Add(NewDetectors().Checkpoint())
	f.Fuzz(func(t *testing.T, b []byte) {
		w := NewDetectors()
		if err := w.Restore(b); err != nil {
			if !errors.Is(err, ErrPacked) {
				t.Fatalf("error %v does not wrap ErrPacked", err)
			}
			return
		}
		again := NewDetectors()
		if err := again.Restore(w.Checkpoint()); err != nil || !reflect.DeepEqual(w.Checkpoint(), again.Checkpoint()) {
			t.Fatalf("what was restored is not checkpointed the same (%v)", err)
		}
		w.Observe(sumOf(t0, 10, flow{channel: "c1", bank: "ICBC", bad: 2}), fleetOf("c1"))
	})
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name          string
		phase         statemachine.Phase
		kind          statemachine.IncidentKind
		base          float64
		answered, bad float64
		sent, settled uint64
		want          statemachine.Judgement
	}{
		{"no probe yet", statemachine.Probing, statemachine.Cut, 1, 0, 0, 0, 0, statemachine.Gathering},
		{"two good probes", statemachine.Probing, statemachine.Cut, 1, 2, 0, 2, 2, statemachine.Gathering},
		{"three good probes", statemachine.Probing, statemachine.Cut, 1, 3, 0, 3, 3, statemachine.Passed},
		{"one bad probe may be chance", statemachine.Probing, statemachine.Cut, 1, 1, 1, 1, 1, statemachine.Gathering},
		{"two bad probes", statemachine.Probing, statemachine.Cut, 1, 2, 2, 2, 2, statemachine.Failed},
		{"three good, one bad", statemachine.Probing, statemachine.Cut, 1, 4, 1, 4, 4, statemachine.Passed},
		{"a good step", statemachine.Ramping, statemachine.Cut, 1, 5, 0, 5, 5, statemachine.Passed},
		{"too little of a step", statemachine.Ramping, statemachine.Cut, 1, 4, 0, 4, 4, statemachine.Gathering},
		{"attempts still open", statemachine.Ramping, statemachine.Cut, 1, 5, 0, 10, 5, statemachine.Gathering},
		{"two of five", statemachine.Ramping, statemachine.Cut, 1, 5, 2, 5, 5, statemachine.Gathering},
		{"two of four", statemachine.Ramping, statemachine.Cut, 1, 4, 2, 4, 4, statemachine.Failed},
		{"two of twenty", statemachine.Ramping, statemachine.Cut, 1, 20, 2, 20, 20, statemachine.Passed},
		{"half of a large step", statemachine.Ramping, statemachine.Cut, 1, 100, 50, 200, 100, statemachine.Failed},
		{"degraded, the same fault", statemachine.Ramping, statemachine.Degraded, 0.4, 40, 16, 40, 40, statemachine.Gathering},
		{"degraded, much worse", statemachine.Ramping, statemachine.Degraded, 0.4, 40, 36, 40, 40, statemachine.Failed},
		{"degraded, still mild", statemachine.Ramping, statemachine.Degraded, 0.4, 40, 6, 40, 40, statemachine.Gathering},
		{"degraded, back at normal", statemachine.Ramping, statemachine.Degraded, 0.4, 40, 1, 40, 40, statemachine.Passed},
		{"healthy is not judged", statemachine.Healthy, statemachine.KindNone, 0, 40, 40, 40, 40, statemachine.Gathering},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := statemachine.State{Scope: statemachine.ChannelScope("c1"), Phase: tt.phase, Kind: tt.kind, Base: statemachine.ShareOf(tt.base), Generation: 3, Step: 2}
			ev := statemachine.StepEvidence{Generation: 3, Step: 2, Answered: tt.answered, Bad: tt.bad, Sent: tt.sent, Settled: tt.settled}
			if got := NewWindows().Judge(st, ev, statemachine.DefaultPolicy()); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			ev.Step = 1
			if got := NewWindows().Judge(st, ev, statemachine.DefaultPolicy()); got != statemachine.Gathering {
				t.Errorf("evidence of another step: %s, want gathering", got)
			}
		})
	}
}

func TestWilsonLowerIsABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := float64(rapid.IntRange(1, 10000).Draw(t, "n"))
		bad := float64(rapid.IntRange(0, int(n)).Draw(t, "bad"))
		lower := statemachine.WilsonLower(bad, n)
		if lower < 0 || lower > bad/n+1e-9 || wilsonUpper(bad, n) < bad/n-1e-9 {
			t.Fatalf("%g of %g: lower bound %g, upper bound %g", bad, n, lower, wilsonUpper(bad, n))
		}
		if bad < n && statemachine.WilsonLower(bad+1, n) <= lower && lower > 0 {
			t.Fatalf("%g of %g: one more failure does not raise the bound", bad, n)
		}
	})
}

func BenchmarkObserve(b *testing.B) { // a second of 1,000 busy items: 200 channels
	f, p := fleetOf(), NewPipeline()
	var flows []flow
	for i := range 200 {
		name := fmt.Sprintf("c%03d", i)
		f.Channels[name] = statemachine.ChannelFacts{Instruments: []statemachine.Instrument{bank("ICBC")}}
		flows = append(flows, flow{channel: name, bank: "ICBC", good: 20, bad: i % 2})
	}
	sum := sumOf(t0, 10, flows...)
	b.ReportAllocs()
	for b.Loop() {
		sum.Second++
		p.Observe(sum, f)
	}
}

// A fault that has ended explains what it left in wider scopes, but nothing is closed for it.
func TestWhatIsOverIsNotActedOn(t *testing.T) {
	f, p := fleetOf("c1", "c2"), NewPipeline()
	for i := range int64(14) {
		icbc := flow{channel: "c1", bank: "ICBC", bad: 6, coded: true}
		if i >= 10 {
			icbc = flow{channel: "c1", bank: "ICBC", good: 6}
		}
		found := p.Observe(sumOf(t0+i, 5, icbc, flow{channel: "c1", bank: "CCB", good: 6}, flow{channel: "c2", bank: "ICBC", good: 6}), f)
		switch n := len(found.Verdicts); {
		case i == 9 && n != 1:
			t.Errorf("while it lasts: %d verdicts, want the one about the bank", n)
		case i > 11 && n != 0:
			t.Errorf("%d s after it ended: %+v", i-9, found.Verdicts)
		}
	}
}
