package simulate

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// fate is the distribution of what one attempt meets.
type fate struct {
	p       [statemachine.NumOutcomes]float64
	codes   []codeOf // raw codes behind the outcomes, if the truth speaks in raw codes
	latency Spread
	takes   *[statemachine.NumOutcomes]Spread // latency by outcome, zero = latency
	pending *Pending                          // nil = results are final at once
	reason  string
	unwell  bool // a labelled or common-mode entry applies
}

// codeOf is a raw code with what it means on a channel.
type codeOf struct {
	CodeChance
	meaning
}

// fates answers what attempts meet, from the truth of a scenario.
type fates struct {
	truth  []Truth
	byCell [][]int32             // entries that can match a cell, in order
	codes  []map[string][]codeOf // by entry and channel
	known  *contracts
	rnd    *draws
	usual  Spread  // latency where the truth says nothing
	over   []int32 // room for layers
	late   bool    // some entry speaks of PENDING

	live     [][]int32 // the entries of byCell that last, from from to to
	from, to time.Duration
}

func newFates(s *Scenario, cells []cell, k *contracts, seed uint64) *fates {
	f := &fates{truth: s.Truth, known: k, rnd: newDraws(seed), byCell: make([][]int32, len(cells))}
	f.usual = NewSpread(400*time.Millisecond, 1500*time.Millisecond)
	f.codes = make([]map[string][]codeOf, len(s.Truth))
	for i := range cells {
		c := &cells[i]
		for j := range s.Truth {
			t := &s.Truth[j]
			f.late = f.late || t.Pending != nil
			if t.Burst != nil || !t.Selector.matchesCell(&s.Traffic[c.stream], c) {
				continue
			}
			f.byCell[c.id] = append(f.byCell[c.id], int32(j))
			f.learnCodes(t, c.channel)
		}
	}
	return f
}

func (f *fates) learnCodes(t *Truth, channel string) {
	if t.Codes == nil {
		return
	}
	byChannel := f.codes[t.index]
	if byChannel == nil {
		byChannel = map[string][]codeOf{}
		f.codes[t.index] = byChannel
	}
	if _, ok := byChannel[channel]; ok {
		return
	}
	list := make([]codeOf, len(t.Codes))
	for i, c := range t.Codes {
		list[i] = codeOf{CodeChance: c, meaning: f.known.meaningOf(channel, c.Code)}
	}
	byChannel[channel] = list
}

// where is what a truth entry can ask about one attempt beyond its cell.
type where struct {
	at      time.Duration
	gateway int // from 1
	replica int // from 1
}

func (t *Truth) active(w where) bool {
	return w.at >= t.From && w.at < t.To && (t.Selector.Gateway == 0 || t.Selector.Gateway == w.gateway) &&
		(t.Selector.Replica == 0 || t.Selector.Replica == w.replica)
}

// lasting lists the entries that last, by cell; they change where one begins or ends.
func (f *fates) lasting(at time.Duration) [][]int32 {
	if f.live != nil && at >= f.from && at < f.to {
		return f.live
	}
	if f.live == nil {
		f.live = make([][]int32, len(f.byCell))
	}
	f.from, f.to = math.MinInt64, math.MaxInt64
	for i := range f.truth {
		for _, edge := range [...]time.Duration{f.truth[i].From, f.truth[i].To} {
			if edge <= at {
				f.from = max(f.from, edge)
			} else {
				f.to = min(f.to, edge)
			}
		}
	}
	for i, entries := range f.byCell {
		f.live[i] = f.live[i][:0]
		for _, j := range entries {
			if t := &f.truth[j]; at >= t.From && at < t.To {
				f.live[i] = append(f.live[i], j)
			}
		}
	}
	return f.live
}

// layers are the entries that apply to one attempt, gathered from the newest down.
type layers struct {
	base                     int     // the entry that says what happens, -1 = none yet
	over                     []int32 // entries above it that change what it says
	latency, reason, pending bool    // found
}

// meet fills out with what an attempt meets; entries labelled without are left out.
func (f *fates) meet(c *cell, w where, without string, out *fate) {
	*out = fate{latency: f.usual}
	l := layers{base: -1, over: f.over[:0], pending: !f.late}
	for _, j := range slices.Backward(f.lasting(w.at)[c.id]) {
		t := &f.truth[j]
		if t.active(w) && (without == "" || t.Incident != without) && l.add(t, j, out) {
			break
		}
	}
	f.fill(l.base, c, w, out)
	f.over = l.over
	for _, j := range slices.Backward(l.over) {
		f.change(&f.truth[j], c, w, out)
	}
}

// add takes the next entry below; true means that no further entry can say anything.
func (l *layers) add(t *Truth, index int32, out *fate) bool {
	if t.Latency != nil && !l.latency {
		out.latency, out.takes, l.latency = *t.Latency, t.Takes, true
	}
	if t.Pending != nil && !l.pending {
		out.pending, l.pending = t.Pending, true
	}
	if l.base >= 0 {
		return l.latency && l.pending
	}
	out.unwell = out.unwell || t.Incident != "" || t.CommonMode
	if t.Reason != "" && !l.reason {
		out.reason, l.reason = t.Reason, true
	}
	if t.base() {
		l.base = t.index
	}
	if t.Factor != 0 || t.Wander.Sigma != 0 {
		l.over = append(l.over, index)
	}
	return false
}

// fill takes the outcomes of the base entry; without one everything succeeds.
func (f *fates) fill(base int, c *cell, w where, out *fate) {
	if base < 0 {
		out.p[statemachine.Succeeded] = 1
		return
	}
	t := &f.truth[base]
	switch {
	case t.HasOutcomes:
		out.p = t.Outcomes
	case t.Success != nil:
		s := t.Success
		swing := 1 + s.Amplitude*math.Sin(2*math.Pi*w.at.Seconds()/s.Period.Seconds()+s.Phase)
		rate := clip(s.Base * swing)
		out.p[statemachine.Succeeded] = rate
		out.p[t.Otherwise] += 1 - rate
	default:
		out.codes = f.codes[base][c.channel]
		for _, code := range out.codes {
			out.p[code.outcome] += code.P
		}
	}
}

func clip(rate float64) float64 { return min(max(rate, 0.001), 0.999) }

// change lets an entry multiply the success rate or the failure rates below it.
func (f *fates) change(t *Truth, c *cell, w where, out *fate) {
	if t.Factor != 0 {
		was := out.p[statemachine.Succeeded]
		is := was * t.Factor
		if t.Factor > 1 {
			is = min(is, max(was, 0.999))
			scaleOthers(&out.p, was, is)
		} else {
			out.p[t.Otherwise] += was - is
		}
		out.p[statemachine.Succeeded] = is
	}
	if t.Wander.Sigma != 0 {
		z := f.rnd.of(forWander, natural(t.index)<<32|hash32(c.channel), natural(w.at/t.Wander.Every)).NormFloat64()
		wander(&out.p, math.Exp(t.Wander.Sigma*z-t.Wander.Sigma*t.Wander.Sigma/2))
	}
}

// scaleOthers shrinks everything but success so that the sum stays 1.
func scaleOthers(p *[statemachine.NumOutcomes]float64, was, is float64) {
	if was >= 1 {
		return
	}
	by := (1 - is) / (1 - was)
	for o := range p {
		if statemachine.Outcome(o) != statemachine.Succeeded {
			p[o] *= by
		}
	}
}

// wander multiplies the failure rates by x, as far as success can give or take.
func wander(p *[statemachine.NumOutcomes]float64, x float64) {
	bad := 0.0
	for o := range p {
		if isBad(statemachine.Outcome(o)) {
			bad += p[o]
		}
	}
	if bad == 0 {
		return
	}
	x = min(x, (bad+p[statemachine.Succeeded])/bad)
	for o := range p {
		if isBad(statemachine.Outcome(o)) {
			p[o] *= x
		}
	}
	p[statemachine.Succeeded] -= bad * (x - 1)
}

func isBad(o statemachine.Outcome) bool {
	switch o.Health() {
	case statemachine.HealthBad, statemachine.HealthHalf, statemachine.HealthAccountBad:
		return true
	case statemachine.HealthNone, statemachine.HealthGood:
	}
	return false
}

// latencyOf is how long an attempt with this outcome takes.
func (f *fate) latencyOf(o statemachine.Outcome) *Spread {
	if f.takes != nil && f.takes[o].P50 > 0 {
		return &f.takes[o]
	}
	return &f.latency
}

// bad is the probability of a failure.
func (f *fate) bad() float64 {
	sum := 0.0
	for o, p := range f.p {
		if p > 0 && isBad(statemachine.Outcome(o)) {
			sum += p
		}
	}
	return sum
}

// order is how outcomes share the unit interval: failures at its low end and success at its high end, so that one
// number draws a failure under a worse truth whenever it draws one under a better.
var order = [statemachine.NumOutcomes]statemachine.Outcome{ //nolint:gochecknoglobals // read-only table
	statemachine.OutcomeUnspecified, statemachine.NetworkFailed, statemachine.TimedOut, statemachine.ChannelFailed,
	statemachine.AccountFailed, statemachine.OutcomeUnmapped, statemachine.Throttled, statemachine.Pending,
	statemachine.Rejected, statemachine.UserDeclined, statemachine.Succeeded,
}

// pick returns the outcome that u in [0,1) draws, and its raw code if the truth speaks in raw codes.
func (f *fate) pick(u float64) (statemachine.Outcome, *codeOf) {
	for _, o := range order {
		if u < f.p[o] {
			return o, f.code(o, u/f.p[o])
		}
		u -= f.p[o]
	}
	return statemachine.Succeeded, f.code(statemachine.Succeeded, 0)
}

// code picks among the raw codes of an outcome by a number in [0,1).
func (f *fate) code(o statemachine.Outcome, u float64) *codeOf {
	sum := 0.0
	for i := range f.codes {
		if f.codes[i].outcome == o {
			sum += f.codes[i].P
		}
	}
	var last *codeOf
	for i := range f.codes {
		c := &f.codes[i]
		if c.outcome != o {
			continue
		}
		last = c
		if u*sum < c.P {
			return c
		}
		u -= c.P / sum
	}
	return last
}
