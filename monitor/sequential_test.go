package monitor

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

// sequentialFleet is fleetOf with the sequential detector, at a budget of a thousand days between false alarms.
func sequentialFleet(channels ...string) *statemachine.Fleet {
	f := fleetOf(channels...)
	f.Default.Detector = statemachine.DetectorSequential
	f.Default.FalseAlarmDays = 1000
	return f
}

// stream feeds the detectors with the results of one channel, drawn with a seed.
type stream struct {
	d      *Detectors
	f      *statemachine.Fleet
	draw   *rand.Rand
	second int64
}

func newStream(seed uint64) *stream {
	return &stream{d: NewDetectors(), f: sequentialFleet("c1"), draw: rand.New(rand.NewPCG(seed, 7)), second: t0}
}

// feed takes seconds of n results each, failing at a rate, and returns the first alarm and how many seconds it took; ok is false
// if none came.
func (s *stream) feed(seconds, n int, rate float64) (v statemachine.Verdict, after int, ok bool) {
	for i := range seconds {
		bad := uint32(0)
		for range n {
			if s.draw.Float64() < rate {
				bad++
			}
		}
		if v, ok := s.take(uint32(n)-bad, bad, 0); ok {
			return v, i + 1, true
		}
	}
	return v, seconds, false
}

// take takes one second of counts and returns the alarm about it that can be acted on, if there is one.
func (s *stream) take(good, bad, half uint32) (statemachine.Verdict, bool) {
	s.second++
	for _, v := range s.d.Observe(channelOnly(s.second, 5, good, bad, half), s.f) {
		if !v.Part && !v.Over && v.Kind != statemachine.Recovered {
			return v, true
		}
	}
	return statemachine.Verdict{}, false
}

func (s *stream) track() *track {
	return &s.d.results.history.items[statemachine.ChannelScope("c1")].track
}

// seasoned returns a stream that knows its rate well and has had one result a second since.
func seasoned(t *testing.T, seed uint64, rate float64) *stream {
	t.Helper()
	s := newStream(seed)
	s.knows(rate)
	if v, after, ok := s.feed(3600, 1, rate); ok {
		t.Fatalf("alarm after %d healthy seconds: %s", after, v.Evidence.Explanation)
	}
	return s
}

// knows makes the stream's channel one that has been seen for long.
func (s *stream) knows(rate float64) {
	s.take(1, 0, 0)
	k := s.track()
	k.base.n, k.base.bad = learnedCap, learnedCap*rate
	k.tune(k.prior)
}

func divergence(a, b float64) float64 {
	d := 0.0
	if a > 0 {
		d += a * math.Log(a/b)
	}
	if a < 1 {
		d += (1 - a) * math.Log((1-a)/(1-b))
	}
	return d
}

// Time to alarm in samples against the limit of quickest detection: with a mean time between false alarms of γ samples, no
// detector is faster than ln γ/KL on average (Lorden 1971). γ is what the detector's threshold stands for; the rate before is
// the upper end of what it has learned, since the budget must hold up to there.
func TestAlarmsComeNearTheQuickestPossible(t *testing.T) {
	t.Parallel()
	tests := []struct {
		normal, fault float64
		samples       float64 // mean wanted at most
	}{
		{0.02, 1, 7}, {0.02, 0.5, 20}, {0.02, 0.2, 85}, {0.1, 1, 12}, {0.1, 0.5, 50}, {0.1, 0.2, 600},
	}
	for _, tt := range tests {
		base := seasoned(t, 11, tt.normal)
		checkpoint, at := base.d.Checkpoint(), base.second
		bound := base.track().threshold / divergence(tt.fault, base.track().normal)
		const runs = 60
		sum := 0.0
		for run := range uint64(runs) {
			s := newStream(100 + run)
			if err := s.d.Restore(checkpoint); err != nil {
				t.Fatal(err)
			}
			s.second = at
			if v, _, ok := s.feed(60, 1, tt.normal); ok {
				t.Fatalf("false alarm: %s", v.Evidence.Explanation)
			}
			v, after, ok := s.feed(6000, 1, tt.fault)
			if !ok {
				t.Fatalf("%v to %v: no alarm in 6000 samples", tt.normal, tt.fault)
			}
			if kind, err := Recompute(v.Evidence); err != nil || kind != v.Kind {
				t.Errorf("recomputed: %s, %v, want %s", kind, err, v.Kind)
			}
			sum += float64(after)
		}
		mean := sum / runs
		t.Logf("%3.0f %% to %3.0f %%: %.1f samples, bound %.1f, ratio %.2f (learned %.2f %%, threshold %.1f)",
			100*tt.normal, 100*tt.fault, mean, bound, mean/bound, 100*base.track().normal, base.track().threshold)
		if mean > 1.5*bound || mean > tt.samples {
			t.Errorf("%v to %v: %.1f samples on average, want at most %.0f and 1.5 times the bound of %.1f", tt.normal, tt.fault, mean, tt.samples, bound)
		}
	}
}

// A channel whose failures are as many as ever raises no alarm, whatever its rate and traffic.
func TestNoAlarmInLongHealthyRuns(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		rate       float64
		seconds, n int
	}{
		{0.005, 40_000, 40}, {0.02, 40_000, 40}, {0.02, 200_000, 1}, {0.08, 40_000, 20}, {0.25, 40_000, 20},
	} {
		s := newStream(uint64(i))
		s.knows(tt.rate)
		if v, after, ok := s.feed(tt.seconds, tt.n, tt.rate); ok {
			t.Errorf("%v at %d a second: alarm after %d s: %s", tt.rate, tt.n, after, v.Evidence.Explanation)
		}
	}
}

// What is not known yet is learned, not cut: at up to 6 % on a busy channel, and 8 % where there is time to look.
func TestColdItemsAreLearnedNotCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rate float64
		n    int
	}{{0.01, 20}, {0.04, 1}, {0.04, 20}, {0.06, 1}, {0.06, 20}, {0.08, 1}} {
		for seed := range uint64(10) {
			s := newStream(seed)
			if v, after, ok := s.feed(1800, tt.n, tt.rate); ok {
				t.Errorf("%v at %d a second, seed %d: alarm after %d s: %s", tt.rate, tt.n, seed, after, v.Evidence.Explanation)
			}
			if got := s.track().normal; got < 0.8*tt.rate || got > 2*tt.rate+0.01 {
				t.Errorf("%v at %d a second is learned as at most %.3f", tt.rate, tt.n, got)
			}
		}
	}
}

func TestAMildFaultIsCalledMild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rate float64
		want statemachine.VerdictKind
	}{{0.08, statemachine.MildlyFailing}, {0.5, statemachine.Failing}, {1, statemachine.Failing}} {
		s := seasoned(t, 3, 0.01)
		v, _, ok := s.feed(3600, 5, tt.rate)
		if !ok || v.Kind != tt.want {
			t.Errorf("%v: %s (%v), want %s", tt.rate, v.Kind, ok, tt.want)
		}
	}
}

// Results whose code nobody mapped are half a failure each: it takes more of them.
func TestUnmappedCodesWeighHalf(t *testing.T) {
	t.Parallel()
	needed := func(bad, half uint32) int {
		s := seasoned(t, 5, 0.01)
		for i := range 200 {
			if _, ok := s.take(1, bad, half); ok {
				return i + 1
			}
		}
		return 0
	}
	bad, half := needed(1, 0), needed(0, 1)
	if bad == 0 || half <= bad {
		t.Errorf("an alarm takes %d failures and %d unmapped codes, want more of these", bad, half)
	}
	var tally Tally
	tally.HalfPayers, tally.Outcomes[statemachine.Succeeded] = 3, 5
	if n, b := tally.Weighted(); n != 8 || b != 1.5 {
		t.Errorf("three of eight unmapped weigh %g of %g, want 1.5 of 8", b, n)
	}
}

// One payer who tries again and again is one piece of evidence; as many payers are an alarm.
func TestAPayerInAngerIsOneFailure(t *testing.T) {
	t.Parallel()
	alarm := func(payers int) bool {
		s := seasoned(t, 9, 0.01)
		c := newTestCounters(t, CountersOptions{})
		c.Close(s.second)
		for i := range 20 {
			s.second++
			c.Count(report(uint64(1000+i), statemachine.Succeeded), s.second)
			r := report(uint64(2000+i), statemachine.ChannelFailed)
			r.Payer = uint64(1 + i%payers)
			c.Count(r, s.second)
			for _, closed := range c.Close(s.second) {
				for _, v := range s.d.Observe(&closed, s.f) {
					if !v.Part {
						return true
					}
				}
			}
		}
		return false
	}
	if alarm(1) {
		t.Error("twenty failures of one payer are an alarm")
	}
	if !alarm(20) {
		t.Error("twenty failures of twenty payers are none")
	}
}

// drawWorld draws a few minutes of traffic of several channels with a fault or two, second by second.
func drawWorld(t *rapid.T, seconds int) [][]flow {
	channels, banks := []string{"c1", "c2", "c3", "c4"}, []string{"ICBC", "CCB", "ABC"}
	type fault struct {
		channel, bank string
		from, to      int
		rate          float64
		coded         bool
	}
	var faults []fault
	for range rapid.IntRange(0, 3).Draw(t, "faults") {
		from := rapid.IntRange(0, seconds-1).Draw(t, "from")
		faults = append(faults, fault{
			rapid.SampledFrom(channels).Draw(t, "channel"), rapid.SampledFrom(append([]string{""}, banks...)).Draw(t, "bank"),
			from, from + rapid.IntRange(1, 60).Draw(t, "length"), rapid.Float64Range(0.1, 1).Draw(t, "rate"), rapid.Bool().Draw(t, "coded"),
		})
	}
	draw := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	world := make([][]flow, seconds)
	for i := range world {
		for _, c := range channels {
			for _, b := range banks {
				fl := flow{channel: c, bank: b, good: draw.IntN(4), coded: true}
				rate := 0.01
				for _, x := range faults {
					if x.channel == c && (x.bank == "" || x.bank == b) && i >= x.from && i < x.to {
						rate, fl.coded = x.rate, x.coded
					}
				}
				for range fl.good {
					if draw.Float64() < rate {
						fl.good, fl.bad = fl.good-1, fl.bad+1
					}
				}
				if fl.good+fl.bad > 0 {
					world[i] = append(world[i], fl)
				}
			}
		}
	}
	return world
}

// TestInvariant04_SequentialVerdictsAreRecomputed checks that what is stored with a verdict is enough to come to it again, and
// that no other numbers are.
func TestInvariant04_SequentialVerdictsAreRecomputed(t *testing.T) {
	f, before := sequentialFleet("c1:d1", "c2:d1", "c3", "c4"), NewPipeline()
	play(before, f, t0, 130, calmFlows("c1", "c2", "c3", "c4")...)
	checkpoint, verdicts := before.Checkpoint(), 0
	rapid.Check(t, func(t *rapid.T) {
		p := NewPipeline()
		if err := p.Restore(checkpoint); err != nil {
			t.Fatal(err)
		}
		for i, flows := range drawWorld(t, 90) {
			for _, v := range p.Observe(sumOf(t0+130+int64(i), 10, flows...), f).Verdicts {
				verdicts++
				kind, err := Recompute(v.Evidence)
				if err != nil || kind != v.Kind || v.Evidence.Scope != v.Scope {
					t.Fatalf("%s %s recomputes to %s (%v): %+v", v.Kind, v.Scope, kind, err, v.Evidence)
				}
				tampered(t, v)
			}
		}
	})
	if verdicts == 0 {
		t.Error("no world had a verdict: nothing was tested")
	}
}

// tampered checks that changed numbers do not come to the same verdict.
func tampered(t *rapid.T, v statemachine.Verdict) {
	for name, change := range map[string]func(*statemachine.Evidence){
		"fewer bad":      func(e *statemachine.Evidence) { e.Bad = 0; e.Rate = 0; e.Lower = 0 },
		"rate":           func(e *statemachine.Evidence) { e.Rate = e.Rate/2 + 0.001 },
		"lower bound":    func(e *statemachine.Evidence) { e.Lower = 0.999 },
		"no baseline":    func(e *statemachine.Evidence) { e.Baseline = 0 },
		"threshold":      func(e *statemachine.Evidence) { e.Threshold = 10 * (e.Statistic + 1) },
		"outcomes":       func(e *statemachine.Evidence) { e.Outcomes[statemachine.Succeeded] += 1000 },
		"unknown rule":   func(e *statemachine.Evidence) { e.Rule = "hunch" },
		"time backwards": func(e *statemachine.Evidence) { e.From = e.To + 1 },
	} {
		e := v.Evidence
		change(&e)
		if kind, err := Recompute(e); kind == v.Kind && err == nil {
			t.Fatalf("%s: still %s: %+v", name, kind, e)
		}
	}
}

// A restarted replica, or a new leader, goes on as if nothing had happened: from a checkpoint at any second on, every verdict is
// the one that the detectors would have given without it.
func TestACheckpointChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, a := sequentialFleet("c1:d1", "c2:d1", "c3", "c4"), NewDetectors()
		for i := range int64(130) {
			a.Observe(sumOf(t0+i, 10, calmFlows("c1", "c2", "c3", "c4")...), f)
		}
		world := drawWorld(t, 150)
		at := rapid.IntRange(0, len(world)-1).Draw(t, "restart")
		var b *Detectors
		for i, flows := range world {
			if i == at {
				b = NewDetectors()
				if err := b.Restore(a.Checkpoint()); err != nil {
					t.Fatal(err)
				}
			}
			sum := sumOf(t0+130+int64(i), 10, flows...)
			want := a.Observe(sum, f)
			if b == nil {
				continue
			}
			if got := b.Observe(sum, f); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("second %d, restarted at %d:\n got %+v\nwant %+v", i, at, got, want)
			}
		}
		if !reflect.DeepEqual(a.Checkpoint(), b.Checkpoint()) {
			t.Fatal("in the end the checkpoints differ")
		}
	})
}

func TestADamagedCheckpointChangesNothing(t *testing.T) {
	t.Parallel()
	s := seasoned(t, 1, 0.02)
	good := s.d.Checkpoint()
	for i := 0; i < len(good); i += 7 {
		err := s.d.Restore(good[:i])
		if !errors.Is(err, ErrPacked) {
			t.Fatalf("the first %d of %d bytes: %v, want ErrPacked", i, len(good), err)
		}
	}
	if !reflect.DeepEqual(s.d.Checkpoint(), good) {
		t.Error("a refused checkpoint changed what was known")
	}
}
