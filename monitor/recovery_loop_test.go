package monitor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// wayBack is one channel that is found failing at second 0 and ends to fail later, in simulated time: state machine, grants,
// steps and judgement are the real ones, the router and the detector of the healthy phase are played.
type wayBack struct {
	perSecond float64 // would-be payments
	fault     float64 // failure rate while it lasts
	normal    float64 // failure rate of the channel that is well
	lasts     int64   // seconds from the cut to its end
	flaps     int64   // seconds after which it pauses for as long, 0 = never
	policy    statemachine.Policy

	rnd       *rand.Rand
	fleet     *statemachine.Fleet
	scope     statemachine.Scope
	state     statemachine.State
	steps     *Steps
	grants    *Grants
	used      uint64 // tokens used or lapsed of the running generation
	phase     phaseCount
	flying    []underWay
	suspicion float64

	back            int64 // seconds after the end until the whole traffic was back
	returns         int   // wrong ones
	entries         []int64
	probes, wouldBe float64 // until the end
	saved, early    float64 // failed payments: that the cut saved, that wrong returns cost
	probesFailed    float64
}

// phaseCount is the account of the running step.
type phaseCount struct {
	generation    uint64
	step          uint32
	wouldBe, sent uint32
}

// underWay is an attempt under way.
type underWay struct {
	answers, decided int64
	generation       uint64
	step             uint32
	kind             statemachine.LaneKind
	bad              bool
}

func (c *wayBack) run(seed uint64, cut statemachine.IncidentKind, base float64) {
	c.rnd = rand.New(rand.NewPCG(seed, 7))
	c.fleet = fleetOf("c1")
	c.fleet.Default = c.policy
	c.scope = statemachine.ChannelScope("c1")
	c.steps, c.grants = NewSteps(), NewGrants()
	c.state = statemachine.NewState(c.scope)
	learned := sumOf(t0-1, 0, flow{channel: "c1", bank: "ICBC", good: 200, age: 2})
	c.steps.Observe(learned, c.fleet)
	c.back = -1
	v := statemachine.Verdict{Kind: statemachine.Failing, Evidence: statemachine.Evidence{Answered: 50, Bad: 50 * base, Rate: base}}
	if cut == statemachine.Degraded {
		v.Kind = statemachine.MildlyFailing
	}
	c.event(v, t0)
	for second := t0; second < t0+c.lasts+3000 && c.back < 0; second++ {
		c.second(second)
		if second-t0 >= c.lasts && c.state.Phase != statemachine.Disabled && c.state.Share == statemachine.FullShare && c.back < 0 {
			c.back = second - t0 - c.lasts
		}
	}
}

func (c *wayBack) event(e statemachine.Event, second int64) {
	was := c.state
	c.state, _ = statemachine.Step(c.state, e, c.policy, time.Unix(second, 0))
	if c.state.Phase == statemachine.Disabled && (was.Phase == statemachine.Healthy || was.Phase == statemachine.Ramping) {
		c.entries = append(c.entries, second)
	}
	if was.Phase == statemachine.Probing && (c.state.Phase == statemachine.Ramping || c.state.Phase == statemachine.Healthy) && second-t0 < c.lasts {
		c.returns++
	}
	if was.Generation != c.state.Generation {
		c.used, c.suspicion = 0, 0
	}
	if c.state.Phase == statemachine.Healthy {
		delete(c.fleet.States, c.scope)
		return
	}
	c.fleet.States[c.scope] = c.state
}

// second plays the payments of one second, closes it and lets the state machine tick.
func (c *wayBack) second(second int64) {
	if k := (phaseCount{generation: c.state.Generation, step: c.state.Step}); c.phase.generation != k.generation || c.phase.step != k.step {
		c.phase = k
	}
	before := c.phase
	lasts := second-t0 < c.lasts && (c.flaps == 0 || (second-t0)/c.flaps%2 == 0)
	c.lift(second, lasts)
	for range arrivals(c.rnd, c.perSecond) {
		c.phase.wouldBe++
		if lasts {
			c.wouldBe++
			c.saved += c.fault
		}
		if kind, ok := c.admits(second, false); ok {
			c.send(second, kind, lasts)
		}
	}
	sum := c.close(second)
	if c.state.Phase != statemachine.Healthy {
		g := gate(c.scope, c.phase.generation, c.phase.step, c.phase.wouldBe-before.wouldBe, c.phase.sent-before.sent, 1)
		sum.Gates = []GateSum{g}
	}
	c.judge(sum, second)
}

func arrivals(rnd *rand.Rand, mean float64) (n int) {
	for p := rnd.Float64(); p > math.Exp(-mean); p *= rnd.Float64() {
		n++
	}
	return n
}

// admits plays the router's gate.
func (c *wayBack) admits(second int64, lift bool) (statemachine.LaneKind, bool) {
	switch c.state.Phase {
	case statemachine.Healthy:
		return statemachine.KindNormal, true
	case statemachine.Ramping:
		return statemachine.KindRamp, float64(c.phase.sent+1) <= c.state.Share.Fraction()*float64(c.phase.wouldBe)
	case statemachine.Probing:
		for _, t := range c.grants.Current() {
			if t.Until >= second && t.Tokens > c.used && (t.Lift || !lift) {
				c.used++
				return statemachine.KindProbe, true
			}
		}
	case statemachine.Disabled:
	}
	return 0, false
}

// lift uses lifted tokens: there is always a payment to take.
func (c *wayBack) lift(second int64, lasts bool) {
	if c.state.Phase != statemachine.Probing {
		return
	}
	for range 3 {
		if kind, ok := c.admits(second, true); ok {
			c.send(second, kind, lasts)
		}
	}
}

func (c *wayBack) send(second int64, kind statemachine.LaneKind, lasts bool) {
	c.phase.sent++
	rate := c.normal
	if lasts {
		rate = c.fault
	}
	f := underWay{answers: second, decided: second, generation: c.state.Generation, step: c.state.Step, kind: kind, bad: c.rnd.Float64() < rate}
	if c.rnd.Float64() < 0.75 {
		f.answers++
	}
	c.flying = append(c.flying, f)
	if !lasts {
		return
	}
	if kind == statemachine.KindProbe {
		c.probes++
	}
	switch {
	case f.bad && kind == statemachine.KindProbe:
		c.probesFailed++
	case f.bad && c.state.Kind != statemachine.Degraded:
		c.early++
	}
}

// close sums up what answered in a second.
func (c *wayBack) close(second int64) *SecondCounts {
	item := ItemCounts{Item: c.scope}
	for _, f := range c.flying {
		if f.answers != second {
			continue
		}
		item.Ages[min(second-f.decided, 3)]++
		if f.generation != c.state.Generation || f.step != c.state.Step {
			continue
		}
		t := &item.Evidence[f.kind]
		if f.bad {
			t.Bad++
			t.BadPayers++
			t.CodedBad++
			t.Outcomes[statemachine.ChannelFailed]++
		} else {
			t.Outcomes[statemachine.Succeeded]++
		}
	}
	c.flying = slices.DeleteFunc(c.flying, func(f underWay) bool { return f.answers == second })
	return &SecondCounts{Second: second, Revision: 1, Items: []ItemCounts{item}}
}

// judge lets the second be seen: steps, grants, and for an open channel a CUSUM in the detector's place.
func (c *wayBack) judge(sum *SecondCounts, second int64) {
	c.steps.Observe(sum, c.fleet)
	steps := c.steps.Evidence(c.fleet, oneInAHundred)
	c.grants.Observe([]*Row{{Replica: "r1", Counts: *sum}}, "r1", c.fleet, second, steps)
	c.event(statemachine.Tick{}, second+1)
	for _, e := range steps {
		if e.Generation == c.state.Generation {
			e.Judgement, e.Evidence = judgeStep(c.state, e.StepEvidence, c.policy, 0.01)
			c.event(e.StepEvidence, second+1)
		}
	}
	if second-t0 < c.lasts && second%15 == 0 && c.state.Kind == statemachine.Degraded { // a mild fault is seen again and again
		ev := statemachine.Evidence{Answered: 200, Bad: 200 * c.fault, Rate: c.fault}
		c.event(statemachine.Verdict{Kind: statemachine.MildlyFailing, Evidence: ev}, second+1)
	}
	if c.state.Phase == statemachine.Healthy {
		t := sum.Items[0].Evidence[statemachine.KindNormal]
		answered, bad := t.Weighted()
		c.suspicion = max(0, c.suspicion-statemachine.Odds(answered, bad, 0.01, fault(c.fault, 0.01, 0.06)))
		if c.suspicion > 12 {
			ev := statemachine.Evidence{Answered: 20, Bad: 20 * c.fault, Rate: c.fault}
			c.event(statemachine.Verdict{Kind: statemachine.Failing, Evidence: ev}, second+1)
		}
	}
}

func oneInAHundred(statemachine.Scope) float64 { return 0.01 }

type returnFigures struct {
	p50, p90             int64
	early, probes, wrong float64 // parts of: saved, would-be, runs
	most                 int     // entries into DISABLED within ten minutes
}

// mostEntries is how often a channel was closed within ten minutes at most.
func mostEntries(at []int64) (most int) {
	for i := range at {
		n := 1
		for j := i + 1; j < len(at) && at[j]-at[i] < 600; j++ {
			n++
		}
		most = max(most, n)
	}
	return most
}

// figures plays many comebacks of faults that last one to fifteen minutes.
func figures(c wayBack, runs int, cut statemachine.IncidentKind) (f returnFigures) {
	var back []int64
	var early, saved, probes, wouldBe float64
	for seed := range uint64(runs) {
		r := c
		r.lasts = 60 + int64(seed*7919%840)
		r.run(seed, cut, c.fault)
		back = append(back, r.back)
		early, saved = early+r.early, saved+r.saved
		probes, wouldBe = probes+r.probes, wouldBe+r.wouldBe
		if r.returns > 0 {
			f.wrong += 1 / float64(runs)
		}
		f.most = max(f.most, mostEntries(r.entries))
	}
	slices.Sort(back)
	f.p50, f.p90 = back[len(back)/2], back[len(back)*9/10]
	f.early, f.probes = early/saved, probes/wouldBe
	return f
}

func sequentialPolicy() statemachine.Policy {
	p := statemachine.DefaultPolicy()
	p.Detector = statemachine.DetectorSequential
	return p
}

// TestTimeToReturn holds the whole way back to what is asked of it, over faults of one to fifteen minutes: from the end of the
// fault until all traffic is back. Half of them let nothing pass.
func TestTimeToReturn(t *testing.T) {
	t.Parallel()
	const runs = 40
	for _, class := range []struct {
		name      string
		perSecond float64
		p50, p90  int64 // of hard faults
		mild      int64 // p50 of a fault of 50 %
	}{
		{"busy", 10, 22, 30, 30},
		{"a payment a second", 1, 25, 35, 80},
		{"medium", 0.5, 40, 60, 150},
		{"quiet", 0.1, 110, 200, 300},
		{"very quiet", 0.03, 200, 400, 600},
	} {
		t.Run(class.name, func(t *testing.T) {
			t.Parallel()
			c := wayBack{perSecond: class.perSecond, fault: 1, normal: 0.006, policy: sequentialPolicy()}
			hard := figures(c, runs, statemachine.Cut)
			c.fault = 0.5
			half := figures(c, runs, statemachine.Cut)
			t.Logf("hard %+v, half %+v", hard, half)
			if hard.p50 > class.p50 || hard.p90 > class.p90 || half.p50 > class.mild {
				t.Errorf("back after %d s (p90 %d s), of a fault of a half %d s: want %d, %d and %d at most",
					hard.p50, hard.p90, half.p50, class.p50, class.p90, class.mild)
			}
			if hard.early > 0 || half.early > 0.05 {
				t.Errorf("returning too early cost %.4f and %.4f of what the cuts saved", hard.early, half.early)
			}
			if hard.probes > 0.125 || half.probes > 0.2 {
				t.Errorf("%.3f and %.3f of the would-be traffic were probes", hard.probes, half.probes)
			}
			if max(hard.most, half.most) > 2 {
				t.Errorf("closed %d times within ten minutes", max(hard.most, half.most))
			}
		})
	}
}

// A mild fault has lowered the share to a tenth; when it ends the share comes back by evidence, and not before.
func TestTimeToReturnOfAMildFault(t *testing.T) {
	t.Parallel()
	c := wayBack{perSecond: 10, fault: 0.2, normal: 0.006, policy: sequentialPolicy()}
	got := figures(c, 40, statemachine.Degraded)
	t.Logf("%+v", got)
	if got.p50 > 40 || got.p90 > 60 || got.most > 0 {
		t.Errorf("back after %d s (p90 %d s), closed %d times", got.p50, got.p90, got.most)
	}
}

// A channel that breaks and heals by turns is not opened in its good times, and so need not wait out ten minutes.
func TestTimeToReturnAfterFlapping(t *testing.T) {
	t.Parallel()
	c := wayBack{perSecond: 10, fault: 1, normal: 0.006, flaps: 20, policy: sequentialPolicy()}
	var back []int64
	for seed := range uint64(40) {
		r := c
		r.lasts = 340 + 40*int64(seed%5) // to the end of a bad time
		r.run(seed, statemachine.Cut, c.fault)
		back = append(back, r.back)
		if len(r.entries) > 2 {
			t.Errorf("run %d: closed %d times", seed, len(r.entries))
		}
	}
	slices.Sort(back)
	t.Logf("back after %d s, the slowest after %d s", back[len(back)/2], back[len(back)-1])
	if back[len(back)/2] > 60 {
		t.Errorf("back after %d s, want 60 at most", back[len(back)/2])
	}
}

// TestInvariant17_AFlappingChannelIsClosedTwiceInTenMinutes: faults that come and go by the half minute, under the real way back.
func TestInvariant17_AFlappingChannelIsClosedTwiceInTenMinutes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		c := wayBack{perSecond: 10, fault: 1, normal: 0.006, flaps: 10 + 7*int64(seed), policy: sequentialPolicy(), lasts: 1800}
		c.run(seed, statemachine.Cut, 1)
		if n := mostEntries(c.entries); n > 2 {
			t.Errorf("flapping every %d s: closed %d times within ten minutes", c.flaps, n)
		}
	}
}
