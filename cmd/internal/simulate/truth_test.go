package simulate

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

func TestTheLastMatchingEntryWins(t *testing.T) {
	s, err := Parse("f.yaml", []byte(minimal+`  - {success: {base: 0.8}, otherwise: TIMED_OUT, latency: 2s}
  - {from: 10s, to: 20s, outcomes: {CHANNEL_FAILED: 1}, incident: down}
  - {from: 30s, to: 40s, factor: 0.5}
  - {from: 40s, to: 50s, factor: 0.5, otherwise: ACCOUNT_FAILED, gateway: 2, latency: 1s}
  - {from: 50s, to: 60s, raw_codes: {A: 0.25, B: 0.75}}
gateways: 2
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prepare(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.known.codes["a"] = map[string]meaning{"A": {outcome: statemachine.Succeeded, money: statemachine.MoneyPaid}}
	f := newFates(s, p.cells, p.known, 1)
	tests := []struct {
		at      time.Duration
		gateway int
		without string
		outcome statemachine.Outcome
		p       float64
		latency time.Duration
		unwell  bool
	}{
		{0, 1, "", statemachine.Succeeded, 0.8, 2 * time.Second, false},
		{0, 1, "", statemachine.TimedOut, 0.2, 2 * time.Second, false},
		{10 * time.Second, 1, "", statemachine.ChannelFailed, 1, 2 * time.Second, true},
		{10 * time.Second, 1, "down", statemachine.Succeeded, 0.8, 2 * time.Second, false},
		{20 * time.Second, 1, "", statemachine.Succeeded, 0.8, 2 * time.Second, false},
		{30 * time.Second, 1, "", statemachine.Succeeded, 0.4, 2 * time.Second, false},
		{30 * time.Second, 1, "", statemachine.ChannelFailed, 0.4, 2 * time.Second, false},
		{40 * time.Second, 1, "", statemachine.Succeeded, 0.8, 2 * time.Second, false},
		{40 * time.Second, 2, "", statemachine.AccountFailed, 0.4, time.Second, false},
		{50 * time.Second, 1, "", statemachine.Succeeded, 0.25, 2 * time.Second, false},
		{50 * time.Second, 1, "", statemachine.OutcomeUnmapped, 0.75, 2 * time.Second, false},
	}
	for _, tt := range tests {
		var got fate
		f.meet(&p.cells[0], where{at: tt.at, gateway: tt.gateway, replica: 1}, tt.without, &got)
		if math.Abs(got.p[tt.outcome]-tt.p) > 1e-9 || got.latency.P50 != tt.latency || got.unwell != tt.unwell {
			t.Errorf("%v gateway %d: %v is %v (latency %v, unwell %v), want %+v", tt.at, tt.gateway, tt.outcome, got.p[tt.outcome], got.latency, got.unwell, tt)
		}
	}
	var got fate
	f.meet(&p.cells[0], where{at: 55 * time.Second, gateway: 1, replica: 1}, "", &got)
	if o, code := got.pick(0.1); o != statemachine.OutcomeUnmapped || code == nil || code.Code != "B" {
		t.Errorf("picked %v %v, want B, unmapped", o, code)
	}
}

func TestFatesAreDistributions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p [statemachine.NumOutcomes]float64
		sum := 0.0
		for o := range p {
			p[o] = rapid.Float64Range(0, 1).Draw(t, "p")
			sum += p[o]
		}
		if sum == 0 {
			return
		}
		for o := range p {
			p[o] /= sum
		}
		wander(&p, rapid.Float64Range(0.01, 20).Draw(t, "x"))
		total := 0.0
		for o, x := range p {
			if x < -1e-9 {
				t.Fatalf("%v has probability %v", statemachine.Outcome(o), x)
			}
			total += x
		}
		if math.Abs(total-1) > 1e-9 {
			t.Fatalf("adds up to %v", total)
		}
	})
}

func TestWanderKeepsTheMean(t *testing.T) {
	sum, n := 0.0, 20_000
	d := newDraws(3)
	const sigma = 0.5
	for i := range n {
		sum += math.Exp(sigma*d.of(forWander, 1, uint64(i)).NormFloat64() - sigma*sigma/2)
	}
	if mean := sum / float64(n); math.Abs(mean-1) > 0.02 {
		t.Errorf("mean %v, want 1", mean)
	}
}

func TestSpreadHasItsQuantiles(t *testing.T) {
	s := NewSpread(400*time.Millisecond, 1500*time.Millisecond)
	below50, below99, n := 0, 0, 50_000
	d := newDraws(9)
	for i := range n {
		x := s.draw(d.of(forAttempt, 0, uint64(i)).NormFloat64())
		if x < s.P50 {
			below50++
		}
		if x < s.P99 {
			below99++
		}
	}
	if a, b := float64(below50)/float64(n), float64(below99)/float64(n); math.Abs(a-0.5) > 0.01 || math.Abs(b-0.99) > 0.003 {
		t.Errorf("%.3f below p50, %.4f below p99", a, b)
	}
	constant := NewSpread(time.Second, time.Second)
	if got := constant.draw(3); got != time.Second {
		t.Errorf("a constant drew %v", got)
	}
}

func TestShapesOfTraffic(t *testing.T) {
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		shape Shape
		at    time.Duration
		want  float64
	}{
		{"constant", Shape{}, time.Hour, 1},
		{"diurnal at its peak", Shape{Kind: ShapeDiurnal, Amplitude: 0.6, Peak: 20 * time.Hour}, 12 * time.Hour, 1.6},
		{"diurnal at its low", Shape{Kind: ShapeDiurnal, Amplitude: 0.6, Peak: 20 * time.Hour}, 0, 0.4},
		{"burst", Shape{Kind: ShapeBursts, Every: 10 * time.Minute, Length: 30 * time.Second, Factor: 8}, 9*time.Minute + 45*time.Second, 8},
		{"between bursts", Shape{Kind: ShapeBursts, Every: 10 * time.Minute, Length: 30 * time.Second, Factor: 8}, 9 * time.Minute, 1},
		{"ramp half way", Shape{Kind: ShapeRamp, Factor: 5}, time.Hour, 3},
		{"in the window", Shape{Kind: ShapeWindow, From: time.Minute, To: time.Hour}, time.Minute, 1},
		{"after the window", Shape{Kind: ShapeWindow, From: time.Minute, To: time.Hour}, time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.shape.at(tt.at, start, 2*time.Hour); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("factor %v, want %v", got, tt.want)
			}
			if tt.shape.at(tt.at, start, 2*time.Hour) > tt.shape.most()+1e-9 {
				t.Errorf("above its bound %v", tt.shape.most())
			}
		})
	}
}

func TestArrivalsFollowTheShape(t *testing.T) {
	s := &Scenario{Start: time.Unix(0, 0).UTC(), Duration: time.Hour, Traffic: []Stream{{
		Rate: 5, Shape: Shape{Kind: ShapeWindow, From: 20 * time.Minute, To: 40 * time.Minute},
	}}}
	a, n := newArrivals(s, 0, 5), 0
	last := time.Duration(-1)
	for {
		at, ok := a.next()
		if !ok {
			break
		}
		if at < 20*time.Minute || at >= 40*time.Minute || at <= last {
			t.Fatalf("arrival at %v after %v", at, last)
		}
		last = at
		n++
	}
	if want := 6000.0; math.Abs(float64(n)-want) > 4*math.Sqrt(want) {
		t.Errorf("%d arrivals, want about %v", n, want)
	}
}

func TestAgendaGivesEventsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		times := rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "times")
		for i, at := range times {
			a.push(event{at: at, index: int32(i)})
		}
		prev := event{at: -1}
		for range times {
			e, ok := a.pop(21)
			if !ok {
				t.Fatal("an event is missing")
			}
			if e.at < prev.at || e.at == prev.at && e.index < prev.index {
				t.Fatalf("%+v after %+v", e, prev)
			}
			prev = e
		}
		if _, ok := a.pop(21); ok {
			t.Fatal("one event too many")
		}
	})
}
