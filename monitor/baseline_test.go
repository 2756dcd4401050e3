package monitor

import (
	"math"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// watched feeds a stream whose alarms are only observed: an alarm opens an incident, the end of the fault closes it. It returns
// how many were opened.
func (s *stream) watched(seconds, n int, rate float64) (opened int) {
	channel := statemachine.ChannelScope("c1")
	for range seconds {
		bad := uint32(0)
		for range n {
			if s.draw.Float64() < rate {
				bad++
			}
		}
		s.second++
		for _, v := range s.d.Observe(channelOnly(s.second, 5, uint32(n)-bad, bad, 0), s.f) {
			st := s.f.State(channel)
			switch {
			case v.Kind == statemachine.Recovered:
				st.Kind, st.Incident = statemachine.KindNone, ""
			case v.Part || v.Over || st.Incident != "":
				continue
			default:
				st.Kind, st.Incident = statemachine.Observed, "i1"
				opened++
			}
			s.f.States[channel] = st
		}
	}
	return opened
}

// A fault that lasts for twenty minutes teaches nothing: what is normal afterwards is what was normal before.
func TestAFaultIsNotLearned(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.06, 0.2, 0.5, 1} {
		s := newStream(21)
		s.knows(0.01)
		s.watched(1800, 10, 0.01)
		before := s.track().normal
		if s.watched(1200, 10, rate) == 0 {
			t.Errorf("%v: not noticed", rate)
		}
		s.watched(900, 10, 0.01)
		if st := s.f.State(statemachine.ChannelScope("c1")); st.Incident != "" {
			t.Errorf("%v: not over fifteen minutes after the fault", rate)
		}
		after := s.track().normal
		// Some minutes of the beginning and the end, which look like chance, are believed of a mild fault.
		if most := 1.05 * before; after > most+0.02*math.Max(0, 0.1-rate) || after < 0.9*before {
			t.Errorf("%v: at most %.4f was normal before, %.4f after", rate, before, after)
		}
		if s.watched(1200, 10, rate) == 0 {
			t.Errorf("%v: not noticed when it comes again", rate)
		}
	}
}

// A rate that creeps up by less than any alarm needs is followed by a fifth an hour at most, and never beyond the ceiling.
func TestABaselineRisesSlowly(t *testing.T) {
	t.Parallel()
	var b baseline
	b.n, b.bad = learnedCap, learnedCap*0.01
	now := t0
	minute := func(rate float64) {
		now += 60
		b.add(6000, 6000*rate)
		b.roll(now, 0.02, false)
	}
	minute(0.01)
	minute(0.01)
	for hour := 1; hour <= 5; hour++ {
		for range 60 {
			minute(0.2)
		}
		if most := 0.01 * math.Pow(riseAnHour, float64(hour+1)); b.bad/b.n > most+1e-9 {
			t.Errorf("after %d hours %.4f is learned, want at most %.4f", hour, b.bad/b.n, most)
		}
	}
	b.bad = b.n
	if got := b.normal(0.02, &resultsExpected); got != resultsExpected.ceil {
		t.Errorf("of a channel that always fails %.2f is normal, want the ceiling", got)
	}
	if got := (&baseline{n: learnedCap}).normal(0.02, &resultsExpected); got != normalFloor {
		t.Errorf("of a channel that never fails %.4f is normal, want the floor", got)
	}
}

// A rate that wanders is known to wander, and one that does not is not suspected of it.
func TestWanderingIsMeasured(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sigma, least, most float64 }{{0, 0, 0.1}, {0.2, 0.1, 0.3}, {0.3, 0.15, 0.5}, {0.5, 0.3, 0.9}} {
		s := newStream(31)
		s.knows(0.02)
		for range 6 * 60 {
			rate := 0.02 * math.Exp(tt.sigma*s.draw.NormFloat64()-tt.sigma*tt.sigma/2)
			for range 60 {
				s.feed(1, 20, rate) // an alarm about a wild minute is none of this test's business
			}
		}
		if got := s.track().base.spread.relative(); got < tt.least || got > tt.most {
			t.Errorf("σ %v is measured as %.2f, want %v to %v", tt.sigma, got, tt.least, tt.most)
		}
	}
}

// The narrower item starts from what is known of its channel.
func TestANewItemStartsFromItsChannel(t *testing.T) {
	t.Parallel()
	var b baseline
	if got := b.rate(0.08); got != 0.08 {
		t.Errorf("nothing known: %.3f, want the channel's 0.08", got)
	}
	b.n, b.bad = priorResults, 0
	if got := b.rate(0.08); math.Abs(got-0.04) > 1e-12 {
		t.Errorf("as many of its own, none bad: %.3f, want half of the channel's", got)
	}
}

// Faults that pass unnoticed on a quiet channel are no wandering of its rate: what is normal there stays low enough for the next.
func TestUnnoticedFaultsAreNoWandering(t *testing.T) {
	t.Parallel()
	var b baseline
	b.n, b.bad = 5000, 50
	now := t0
	minutes := func(count, every int, suspected bool) {
		for i := range count {
			now += 60
			bad := 0.0
			if i%every == 0 {
				bad = 1
			}
			b.add(10, bad)
			b.roll(now, 0.02, suspected)
		}
	}
	for range 4 {
		minutes(100, 10, false) // one in a hundred
		minutes(2, 1, false)    // one in ten: not suspected yet …
		minutes(10, 1, true)    // … suspected …
		minutes(2, 1, false)    // … and not any more
	}
	if got := b.spread.relative(); got > 0.1 {
		t.Errorf("a constant rate between faults is taken to wander by %.2f of it", got)
	}
	if got := b.normal(0.02, &resultsExpected); got > 0.025 {
		t.Errorf("%.3f is normal, want little more than 0.01", got)
	}
}
