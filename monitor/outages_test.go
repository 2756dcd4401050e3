package monitor

import (
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// outageFlows are two channels with two banks: ICBC fails or succeeds on both, CCB is well.
func outageFlows(failing bool) []flow {
	flows := []flow{{channel: "c1", bank: "CCB", good: 9}, {channel: "c2", bank: "CCB", good: 9}}
	for _, c := range []string{"c1", "c2"} {
		if failing {
			flows = append(flows, flow{channel: c, bank: "ICBC", bad: 5, coded: true})
		} else {
			flows = append(flows, flow{channel: c, bank: "ICBC", good: 5})
		}
	}
	return flows
}

// forBoth runs a test under each detector.
func forBoth(t *testing.T, run func(t *testing.T, f *statemachine.Fleet)) {
	t.Helper()
	for name, d := range map[string]statemachine.Detector{"sequential": statemachine.DetectorSequential, "windows": statemachine.DetectorWindows} {
		t.Run(name, func(t *testing.T) {
			f := fleetOf("c1", "c2")
			f.Default.Detector = d
			run(t, f)
		})
	}
}

// A bank that is down is told every second while it fails, with one beginning, and no longer when it is well again.
func TestBanksDownHoldWhileTheBankIsDown(t *testing.T) {
	forBoth(t, func(t *testing.T, f *statemachine.Fleet) {
		t.Helper()
		p := NewPipeline()
		play(p, f, t0, 60, outageFlows(false)...)
		if got := p.BanksDown(t0 + 60); got != nil {
			t.Fatalf("a bank that is well is told: %v", got)
		}
		play(p, f, t0+60, 10, outageFlows(true)...)
		first := p.BanksDown(t0 + 70)
		if len(first) != 1 || first[0].Bank != "ICBC" || first[0].Since < t0+30 || first[0].Since > t0+60 { // when it began, not when it was found
			t.Fatalf("ten seconds of failures are told as %v", first)
		}
		for s := int64(70); s < 200; s++ {
			play(p, f, t0+s, 1, outageFlows(true)...)
			if got := p.BanksDown(t0 + s + 1); !slices.Equal(got, first) {
				t.Fatalf("while it fails: %v, want %v", got, first)
			}
		}
		for s := int64(200); s < 500; s++ {
			play(p, f, t0+s, 1, outageFlows(false)...)
			if p.BanksDown(t0+s+1) == nil {
				return
			}
		}
		t.Errorf("five minutes after it was well: %v", p.BanksDown(t0+500))
	})
}

// Cashiers that hide the bank leave it without results: it must not stay down for want of them.
func TestBanksDownEndWithoutResults(t *testing.T) {
	forBoth(t, func(t *testing.T, f *statemachine.Fleet) {
		t.Helper()
		p := NewPipeline()
		play(p, f, t0, 60, outageFlows(false)...)
		play(p, f, t0+60, 20, outageFlows(true)...)
		if len(p.BanksDown(t0+80)) != 1 {
			t.Fatal("it was not found down")
		}
		for s := int64(80); s < 1200; s++ {
			play(p, f, t0+s, 1, outageFlows(false)[:2]...)
			if p.BanksDown(t0+s+1) == nil {
				t.Logf("told %d s longer", s-80)
				return
			}
		}
		t.Errorf("told for ever without results: %v", p.BanksDown(t0+1200))
	})
}

// Where no second can be sealed any more, nothing is claimed after a minute.
func TestBanksDownEndWithoutASignal(t *testing.T) {
	forBoth(t, func(t *testing.T, f *statemachine.Fleet) {
		t.Helper()
		p := NewPipeline()
		play(p, f, t0, 60, outageFlows(false)...)
		play(p, f, t0+60, 20, outageFlows(true)...)
		if got := p.BanksDown(t0 + 79 + outageHold - 1); len(got) != 1 {
			t.Errorf("within a minute of the last sealed second: %v", got)
		}
		if got := p.BanksDown(t0 + 79 + outageHold); got != nil {
			t.Errorf("a minute after the last sealed second: %v", got)
		}
	})
}
