package monitor

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

// allBad is uncoded failure of all banks of channels.
func allBad(channels ...string) []flow {
	var flows []flow
	for _, c := range channels {
		flows = append(flows, flow{channel: c, bank: "ICBC", bad: 7, good: 2}, flow{channel: c, bank: "CCB", bad: 7, good: 2}, flow{channel: c, bank: "ABC", bad: 7, good: 2})
	}
	return flows
}

// cuts lists the verdicts that would cut something.
func cuts(verdicts []statemachine.Verdict) []string {
	var list []string
	for _, v := range verdicts {
		if v.Kind != statemachine.Recovered && v.Ruling.Answer == statemachine.Allow {
			list = append(list, v.Scope.String())
		}
	}
	return list
}

func TestInvariant03_OurOwnFaultCutsNothing(t *testing.T) {
	channels := []string{"c1:d1", "c2:d1", "c3:d2", "c4"}
	plain := []string{"c1", "c2", "c3", "c4"}
	tests := []struct {
		name string
		at   func(second int) []flow // what happens, second by second; the fault is over at second 100
	}{
		{"all at once", func(int) []flow { return allBad(plain...) }},
		{"staggered over five seconds", func(s int) []flow {
			order := []string{"c1", "c3", "c4", "c2"}
			sick := min(4, 2+s/2)
			return append(allBad(order[:sick]...), calmFlows(order[sick:]...)...)
		}},
		{"quiet", func(s int) []flow {
			return []flow{{channel: plain[s%4], bank: "ICBC", bad: 1}, {channel: plain[(s+1)%4], bank: "CCB", bad: 1}}
		}},
		{"busy successes before it", func(int) []flow { return allBad(plain...) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, p := fleetOf(channels...), NewPipeline()
			var alerts []string
			for i := range 200 {
				flows := calmFlows(plain...)
				if i >= 20 && i < 120 {
					flows = tt.at(i - 20)
				}
				got := p.Observe(sumOf(t0+int64(i), 10, flows...), f)
				if c := cuts(got.Verdicts); len(c) > 0 {
					t.Fatalf("second %d: our own fault cuts %v", i-20, c)
				}
				alerts = append(alerts, alertKinds(got.Alerts)...)
			}
			equal(t, "alerts", alerts, []string{"COMMON_MODE", "COMMON_MODE_PROPOSAL", "COMMON_MODE_OVER"})
		})
	}
}

func TestInvariant03_OurOwnFaultOfAnyShape(t *testing.T) {
	plain := []string{"c1", "c2", "c3", "c4", "c5"}
	rapid.Check(t, func(t *rapid.T) {
		f, p := fleetOf(plain...), NewPipeline()
		start, rate := rapid.IntRange(0, 30).Draw(t, "start"), rapid.IntRange(6, 10).Draw(t, "failing of ten")
		length, load := rapid.IntRange(3, 80).Draw(t, "length"), rapid.IntRange(1, 3).Draw(t, "load")
		for i := range start + length + 30 {
			var flows []flow
			for _, c := range plain {
				for _, b := range []string{"ICBC", "CCB"} {
					fl := flow{channel: c, bank: b, good: 10 * load}
					if i >= start && i < start+length {
						fl.bad = rate * load
						fl.good -= fl.bad
					}
					flows = append(flows, fl)
				}
			}
			if c := cuts(p.Observe(sumOf(t0+int64(i), 10, flows...), f).Verdicts); len(c) > 0 {
				t.Fatalf("second %d of the fault: cuts %v", i-start, c)
			}
		}
	})
}

func TestInvariant03_OneGatewayInstanceAlone(t *testing.T) {
	tests := []struct {
		name      string
		flows     []flow
		want      []string
		fewerSeen bool
	}{
		{"uncoded, from one of two", []flow{{channel: "c1", bank: "ICBC", bad: 5, reporters: 1}}, []string{"failing " + icbc("c1") + " SINGLE_REPORTER"}, false},
		{"uncoded, from both", []flow{{channel: "c1", bank: "ICBC", bad: 5, reporters: 3}}, []string{"failing " + icbc("c1")}, false},
		{"coded, from one of two", []flow{{channel: "c1", bank: "ICBC", bad: 5, reporters: 1, coded: true}}, []string{"failing " + icbc("c1")}, false},
		{"uncoded, from the only one there is", []flow{{channel: "c1", bank: "ICBC", bad: 5, reporters: 1}}, []string{"failing " + icbc("c1")}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calm := calmFlows("c2", "c3")
			if tt.fewerSeen {
				for i := range calm {
					calm[i].reporters = 1
				}
			}
			got := play(NewPipeline(), fleetOf("c1", "c2", "c3"), t0, 5, append(tt.flows, calm...)...)
			equal(t, "verdicts", names(got.Verdicts), tt.want)
		})
	}
}

func TestCommonModeLetsCodedFailuresThrough(t *testing.T) {
	flows := append(allBad("c1", "c2", "c3"), flow{channel: "c4", bank: "ICBC", bad: 9, coded: true}, flow{channel: "c4", bank: "CCB", good: 9})
	got := play(NewPipeline(), fleetOf("c1", "c2", "c3", "c4"), t0, 20, flows...)
	equal(t, "cuts", cuts(got.Verdicts), []string{icbc("c4")})
	if !got.CommonMode {
		t.Error("common mode is not active")
	}
}

func TestCommonModeDoesNotHideAFaultOfOneChannel(t *testing.T) {
	for _, channels := range [][]string{{"c1", "c2", "c3"}, {"c1", "c2", "c3", "c4", "c5", "c6"}} {
		p, f := NewPipeline(), fleetOf(channels...)
		play(p, f, t0, 30, calmFlows(channels...)...)
		for i := range int64(6) {
			got := p.Observe(sumOf(t0+30+i, 10, append(allBad("c1"), calmFlows(channels[1:]...)...)...), f)
			if got.CommonMode {
				t.Fatalf("one failing channel of %d is taken for our own fault", len(channels))
			}
			if slices.Contains(cuts(got.Verdicts), "c1") {
				return
			}
		}
		t.Errorf("the failing channel of %d was not cut", len(channels))
	}
}

func TestCommonModeEndsWhenOthersStayCalm(t *testing.T) {
	p, f := NewPipeline(), fleetOf("c1", "c2", "c3", "c4", "c5", "c6")
	flows := append(allBad("c1", "c2", "c3"), calmFlows("c4", "c5", "c6")...)
	for i := range int64(60) {
		got := p.Observe(sumOf(t0+i, 10, flows...), f)
		if c := cuts(got.Verdicts); len(c) > 0 {
			if i < commonDoubt {
				t.Fatalf("second %d: %v were cut before the others proved that our side works", i, c)
			}
			equal(t, "cuts", c, []string{"c1", "c2", "c3"})
			return
		}
	}
	t.Error("three truly failing channels of six were never cut")
}

// Just after our own fault, two payments that succeed on a quiet channel do not outweigh what fails on another.
func TestAnotherLapseOfOursCutsNothing(t *testing.T) {
	t.Parallel()
	channels, banks := []string{"c1", "c2", "c3"}, []string{"ICBC", "CCB", "ABC"}
	f, p := fleetOf(channels...), NewPipeline()
	f.Default.Detector = statemachine.DetectorSequential
	second, began, ended := t0, 0, 0
	see := func(times int, results string) { // by channel: good, bad or nothing
		for range times {
			second++
			var flows []flow
			for i, r := range results {
				if r != ' ' {
					fl := flow{channel: channels[i], bank: banks[(i+int(second))%3]}
					fl.good, fl.bad = strings.Count("+", string(r)), strings.Count("-", string(r))
					flows = append(flows, fl)
				}
			}
			got := p.Observe(sumOf(second, 10, flows...), f)
			if c := cuts(got.Verdicts); len(c) > 0 {
				t.Fatalf("second %d: our own fault cuts %v", second-t0, c)
			}
			began += strings.Count(strings.Join(alertKinds(got.Alerts), " ")+" ", "COMMON_MODE ")
			ended += strings.Count(strings.Join(alertKinds(got.Alerts), " ")+" ", "COMMON_MODE_OVER ")
		}
	}
	see(600, "+++")
	see(10, "---")
	see(25, "   ")
	if began != 1 || ended != 1 {
		t.Fatalf("our own fault began %d times and ended %d times", began, ended)
	}
	see(2, "- +")
	see(10, "-- ")
	see(5, "   ")
}

func TestCommonModeProposalNamesDomains(t *testing.T) {
	p, f := NewPipeline(), fleetOf("c1:d1", "c2:d1", "c3", "c4:d2")
	for i := range int64(70) {
		for _, a := range p.Observe(sumOf(t0+i, 10, allBad("c1", "c2", "c3", "c4")...), f).Alerts {
			if a.Kind == "COMMON_MODE_PROPOSAL" {
				if !strings.HasSuffix(a.Message, "domain=d1, c3, c4") {
					t.Errorf("proposal %q, want domain=d1, c3, c4", a.Message)
				}
				return
			}
		}
	}
	t.Error("after a minute nothing was proposed")
}
