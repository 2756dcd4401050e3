package monitor

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Ten mistakes that detectors of failing channels make, and an eleventh. Each test fails when its mistake is made again; five to
// nine need the whole loop and stand beside its scenarios.

// Mistake 1: a baseline learned only while all is calm learns that nothing ever fails.
func TestMistake01_LearningOnlyWhileCalmIsBiased(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.01, 0.03, 0.06} {
		s := newStream(41)
		s.feed(2*3600, 5, rate)
		if got := s.track().base.rate(s.track().prior); got < 0.85*rate || got > 1.15*rate {
			t.Errorf("of a channel that fails at %.3f, %.4f is learned", rate, got)
		}
	}
}

// Mistake 2: if one failure makes a channel suspect, every real cut is vetoed as the fault of our own network.
func TestMistake02_OneFailureElsewhereVetoesNothing(t *testing.T) {
	t.Parallel()
	f, p := sequentialFleet("c1", "c2", "c3", "c4"), NewPipeline()
	play(p, f, t0, 1200, calmFlows("c1", "c2", "c3", "c4")...)
	for i := range int64(10) {
		flows := []flow{{channel: "c1", bank: "ABC", bad: 1}, {channel: "c1", bank: "ICBC", bad: 1}}
		if i == 1 { // the one failure elsewhere, without a coded reply, just when the alarm comes
			flows = append(flows, flow{channel: "c2", bank: "ABC", bad: 1}, flow{channel: "c3", bank: "ABC", good: 1})
		} else {
			flows = append(flows, flow{channel: "c2", bank: "ABC", good: 4}, flow{channel: "c3", bank: "ABC", good: 4}, flow{channel: "c4", bank: "ABC", good: 4})
		}
		out := p.Observe(sumOf(t0+1200+i, 10, flows...), f)
		if out.CommonMode {
			t.Fatalf("second %d: one failure elsewhere is taken for our own fault", i)
		}
		if slices.Contains(names(out.Verdicts), "failing c1") {
			return
		}
	}
	t.Error("no verdict about a channel of which nothing comes back")
}

// Mistake 3: a statistic without an upper end takes thousands of successes to come down after a bad minute, and cuts late.
func TestMistake03_EvidenceDrainsSoon(t *testing.T) {
	t.Parallel()
	k := newTrack(&resultsExpected)
	k.base.n, k.base.bad = learnedCap, learnedCap*0.01
	k.tune(0.02)
	second := t0
	for range 60 {
		second++
		k.observe(second, 100, 70)
	}
	if k.calm() {
		t.Fatal("a minute of seven failures in ten is no evidence")
	}
	const most = 1000
	for n := range most {
		if k.calm() {
			t.Logf("calm after %d successes", n)
			return
		}
		second++
		k.observe(second, 1, 0)
	}
	t.Errorf("not calm after %d successes", most)
}

// Mistake 4: a threshold of "a bit less" during probation is a false relapse within minutes on a busy channel. The risk of one
// is at most one in a hundred over the whole probation, unless the threshold is the usual one anyway.
func TestMistake04_ProbationKeepsItsRisk(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 10, 40} {
		s := newStream(51)
		s.f.Default.FalseAlarmDays = 30
		s.knows(0.02)
		s.feed(1200, n, 0.02)
		channel := statemachine.ChannelScope("c1")
		st := put(s.f, channel, statemachine.Healthy, 9, 0)
		st.Incident, st.Kind = "", statemachine.KindNone
		st.Probation = statemachine.At(time.Unix(s.second, 0).Add(s.f.Default.Probation))
		s.f.States[channel] = st
		s.feed(1, n, 0.02)
		usual, now := s.track().threshold, s.d.results.threshold(s.d.results.history.items[channel], s.f)
		risk := s.f.Default.Probation.Seconds() * float64(n) / math.Exp(now)
		if now > usual || now < usual && risk > 0.0101 {
			t.Errorf("%d a second: threshold %.1f of %.1f, a risk of %.3f", n, now, usual, risk)
		}
		if v, after, ok := s.feed(int(s.f.Default.Probation.Seconds()), n, 0.02); ok {
			t.Errorf("%d a second: relapse after %d s: %s", n, after, v.Evidence.Explanation)
		}
	}
}

// Mistake 10: the mean of 1/Δt has no end for arrivals by chance, so that a quiet channel looks busy.
func TestMistake10_TrafficIsCountedNotGuessedFromGaps(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.02, 0.1, 0.5} {
		s := newStream(61)
		for range 4 * 3600 {
			n := 0
			for p := math.Exp(-rate); p < s.draw.Float64(); p *= math.Exp(-rate) { // at least one result
				n++
				if n == 3 {
					break
				}
			}
			if n == 0 {
				s.second++
				s.d.Observe(&SecondCounts{Second: s.second, Revision: 5}, s.f)
				continue
			}
			s.take(uint32(n), 0, 0)
		}
		if got := s.track().perSecond(); got < 0.5*rate || got > 1.8*rate {
			t.Errorf("of %v results a second %.3f are counted", rate, got)
		}
	}
}

// Mistake 11: minutes in which our own side failed are learned as the usual.
func TestMistake11_CommonModeMinutesAreNotLearned(t *testing.T) {
	t.Parallel()
	f, p := sequentialFleet("c1", "c2", "c3"), NewPipeline()
	calm := calmFlows("c1", "c2", "c3")
	play(p, f, t0, 1800, calm...)
	normal := func() (all []float64) {
		for _, s := range p.detector.History().order {
			all = append(all, s.track.normal)
		}
		return all
	}
	before, second := normal(), t0+1800
	for range 4 {
		ours := slices.Clone(calm)
		for i := range ours {
			ours[i].good, ours[i].bad = 1, 4
		}
		active := false
		for range 150 {
			active = p.Observe(sumOf(second, 10, ours...), f).CommonMode || active
			second++
		}
		if !active {
			t.Fatal("not taken for our own fault: nothing was tested")
		}
		play(p, f, second, 300, calm...)
		second += 300
	}
	after := normal()
	for i := range before {
		if after[i] > before[i]+1e-3 {
			t.Errorf("item %s: at most %.4f was normal, after our own fault %.4f", p.detector.History().order[i].item, before[i], after[i])
		}
	}
}
