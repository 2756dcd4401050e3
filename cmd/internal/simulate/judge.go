package simulate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// judge compares what automation did with the labels of the scenario, and counts.
type judge struct {
	p      *Prepared
	fates  *fates
	rnd    *draws
	labels []*label
	closed map[statemachine.Scope]*closedScope // not healthy
	counts [][statemachine.NumOutcomes]uint64  // of the running minute, by cell
	sum    Summary
	oracle float64
	angry  uint64 // successes of payer bursts, which the oracle leaves out
	fate   fate

	always  bool // watch every payment
	hurried bool // without the expected successes of the oracle, which only the event log tells

	lasting  []*label // the labels whose fault lasts, from from to to
	from, to time.Duration

	detail  Detail
	entries map[statemachine.Scope][]time.Duration // of the last ten minutes
	oracles *payment                               // the payment whose first try is held against the oracle's
}

// closedScope is a scope that is not healthy, with what the world counted for its present step.
type closedScope struct {
	state    statemachine.State
	operator bool // an order, not automation, keeps it
	wouldBe  uint64
	sent     uint64
}

func newJudge(p *Prepared, f *fates) *judge {
	return &judge{
		p: p, fates: f, rnd: newDraws(p.Seed), labels: newLabels(p),
		closed: map[statemachine.Scope]*closedScope{}, counts: make([][statemachine.NumOutcomes]uint64, len(p.cells)),
	}
}

// watching reports whether the judge needs to know what would have been.
func (j *judge) watching(at time.Duration) bool {
	if j.always || len(j.closed) > 0 {
		return true
	}
	return len(j.live(at)) > 0
}

// live lists the labels whose fault lasts; they change where one begins or ends.
func (j *judge) live(at time.Duration) []*label {
	if at >= j.from && at < j.to {
		return j.lasting
	}
	j.lasting, j.from, j.to = j.lasting[:0], 0, math.MaxInt64
	for _, l := range j.labels {
		if l.active(at) {
			j.lasting = append(j.lasting, l)
		}
		for _, edge := range []time.Duration{l.from, l.to} {
			if edge <= at {
				j.from = max(j.from, edge)
			} else {
				j.to = min(j.to, edge)
			}
		}
	}
	return j.lasting
}

// arrived counts a payment, and what the oracle may expect of it: the best channel at that instant.
func (j *judge) arrived(p *payment, at time.Duration) {
	j.sum.Payments++
	if p.abandon || p.angry != nil || j.hurried {
		return
	}
	best := 0.0
	for _, id := range j.p.ways[p.stream] {
		j.fates.meet(&j.p.cells[id], where{at: at, gateway: p.gateway, replica: p.replica}, "", &j.fate)
		best = max(best, j.fate.p[statemachine.Succeeded])
	}
	j.oracle += best
}

// decided takes a decision beside the order the payment would have had with every scope healthy. way is nil if it was
// refused.
func (j *judge) decided(p *payment, at time.Duration, way *cell, kind statemachine.LaneKind, would []offer) {
	if len(would) == 0 {
		return
	}
	first := j.p.cell(p.stream, would[0].channel, would[0].account)
	if first == nil {
		return
	}
	if len(p.tried) == 0 && !p.abandon && p.angry == nil {
		j.affected(p, at, first, way)
		j.oracleTries(p, at, first, would)
		if way == nil {
			j.detail.ExcessFailed++
		}
	}
	if !j.always && len(j.closed) == 0 {
		return
	}
	if len(p.tried) == 0 && (way == nil || way.channel != first.channel) && !j.byOperator(first) {
		j.fates.meet(first, where{at: at, gateway: p.gateway, replica: p.replica}, "", &j.fate)
		if !j.fate.unwell {
			j.sum.MovedHealthy++
		}
	}
	j.gate(p, way, kind, would)
}

// oracleTries counts the failure that the oracle's try of a payment would be, and marks the payment for its own.
func (j *judge) oracleTries(p *payment, at time.Duration, first *cell, would []offer) {
	w := where{at: at, gateway: p.gateway, replica: p.replica}
	j.fates.meet(first, w, "", &j.fate)
	for i := 1; i < len(would) && j.fate.unwell; i++ {
		if c := j.p.cell(p.stream, would[i].channel, would[i].account); c != nil {
			j.fates.meet(c, w, "", &j.fate)
		}
	}
	if j.fate.unwell { // nobody is well: there is nothing better than the first
		j.fates.meet(first, w, "", &j.fate)
	}
	if outcome, _ := j.fate.pick(j.rnd.of(forAttempt, natural(p.stream), p.number<<8).Float64()); isBad(outcome) {
		j.detail.ExcessFailed--
	}
	j.oracles = p
}

// gate counts would-be and sent payments of closed scopes as routers do: each candidate before the chosen one was
// dropped or not admitted.
func (j *judge) gate(p *payment, way *cell, kind statemachine.LaneKind, would []offer) {
	for i := range would {
		c := j.p.cell(p.stream, would[i].channel, would[i].account)
		if c == nil {
			continue
		}
		for _, s := range c.scopes {
			if g := j.closed[s]; g != nil {
				g.wouldBe++
				if c == way && kind == statemachine.KindRamp {
					g.sent++
					j.shareKept(g)
				}
			}
		}
		if c == way {
			return
		}
	}
}

// shareKept notes a violation of invariant 5: more was sent than the share of the would-be traffic.
func (j *judge) shareKept(g *closedScope) {
	_, share := g.state.Effective()
	if float64(g.sent) > share.Fraction()*float64(g.wouldBe)+1e-6 {
		j.violated("share of %s exceeded: %d sent of %d at %v", g.state.Scope, g.sent, g.wouldBe, share.Fraction())
	}
}

func (j *judge) violated(format string, args ...any) {
	const most = 20
	if len(j.sum.Violations) < most {
		j.sum.Violations = append(j.sum.Violations, fmt.Sprintf(format, args...))
	}
}

func (j *judge) byOperator(c *cell) bool {
	return slices.ContainsFunc(c.scopes, func(s statemachine.Scope) bool {
		g := j.closed[s]
		return g != nil && g.operator
	})
}

// attempted counts an attempt.
func (j *judge) attempted(p *payment, at time.Duration, way *cell, t *tried) {
	j.sum.Attempts++
	j.counts[way.id][t.outcome]++
	if t.outcome == statemachine.Succeeded {
		j.sum.Succeeded++
		if p.angry != nil {
			j.angry++
		}
	}
	if t.kind == statemachine.KindProbe && isBad(t.outcome) {
		j.sum.ProbesFailed++
	}
	bad := isBad(t.outcome)
	if j.oracles == p {
		j.oracles = nil
		if bad {
			j.detail.ExcessFailed++
		}
	}
	for _, l := range j.live(at) {
		if !l.cells[way.id] {
			continue
		}
		if l.detected < 0 {
			l.attempts++
		}
		if bad && l.disabled[way.id] && t.kind != statemachine.KindProbe && p.angry == nil {
			l.early++
		}
	}
}

// moved takes one change of state.
func (j *judge) moved(e *monitor.JournalEntry, m *monitor.Move, at time.Duration) {
	j.settle(at)
	if cut(e, m) {
		v, l := j.rule(m, at)
		j.note(e, m, at, v, l)
		if m.After.Incident == "" {
			j.violated("%s cut without an incident", m.After.Scope)
		}
	}
	scope := m.After.Scope
	if phase, share := m.After.Effective(); phase == statemachine.Healthy || share == statemachine.FullShare {
		delete(j.closed, scope)
	} else {
		g := j.closed[scope]
		if g == nil || g.state.Generation != m.After.Generation || g.state.Step != m.After.Step {
			g = &closedScope{}
			j.closed[scope] = g
		}
		g.state = m.After
		g.operator = m.After.Off.Set() || m.After.Suspend.Set() || m.After.CutBy == statemachine.Operator
	}
	if cut(e, m) {
		j.lastKept(scope)
	}
	j.settle(at)
}

// lastKept notes a violation of invariant 2: a cut left a stream without a usable way.
func (j *judge) lastKept(s statemachine.Scope) {
	for i, ways := range j.p.ways {
		hit, left := false, false
		for _, id := range ways {
			c := &j.p.cells[id]
			hit = hit || slices.Contains(c.scopes, s)
			left = left || !slices.ContainsFunc(c.scopes, j.shut)
		}
		if hit && !left {
			j.violated("the cut of %s left %s without a way", s, j.p.Scenario.Traffic[i].Instrument)
		}
	}
}

// shut reports whether a scope takes no ordinary traffic.
func (j *judge) shut(s statemachine.Scope) bool {
	g := j.closed[s]
	if g == nil {
		return false
	}
	phase, _ := g.state.Effective()
	return phase == statemachine.Disabled || phase == statemachine.Probing
}

// cut reports whether automation closed a scope or lowered its share.
func cut(e *monitor.JournalEntry, m *monitor.Move) bool {
	if causeOf(e, m) != statemachine.Automation {
		return false
	}
	from, before := m.Before.Effective()
	to, after := m.After.Effective()
	switch to {
	case statemachine.Disabled:
		return from == statemachine.Healthy || from == statemachine.Ramping
	case statemachine.Ramping:
		return from == statemachine.Healthy || from == statemachine.Ramping && after < before
	case statemachine.Healthy, statemachine.Probing:
	}
	return false
}

// causeOf is who moved the state: one entry may hold moves of several causes.
func causeOf(e *monitor.JournalEntry, m *monitor.Move) statemachine.Cause {
	if m.Cause != statemachine.CauseNone {
		return m.Cause
	}
	return e.Cause
}

// rule judges one cut: right inside a label, over if it touches more, false otherwise. It returns the label as well, nil
// if it is false.
func (j *judge) rule(m *monitor.Move, at time.Duration) (Verdict, *label) {
	j.sum.Cuts++
	var over *label
	for _, l := range j.labels {
		if !l.lasts(at) || l.never {
			continue
		}
		inside, touches := l.covers(j.p.cells, m.After.Scope)
		if inside {
			l.found(j.p.cells, m, at)
			return Right, l
		}
		if touches {
			over = l
		}
	}
	if over != nil {
		j.sum.OverCuts++
		return Over, over
	}
	j.sum.FalseCuts++
	return False, nil
}

// found takes a right cut.
func (l *label) found(cells []cell, m *monitor.Move, at time.Duration) {
	if l.detected < 0 {
		l.detected = at
	}
	if at >= l.to { // its results came after its end
		l.held, l.settled, l.recovered = true, true, -1
	}
	if to, _ := m.After.Effective(); to != statemachine.Disabled {
		return
	}
	for i := range cells {
		if l.cells[i] && slices.Contains(cells[i].scopes, m.After.Scope) {
			l.disabled[i] = true
		}
	}
}

// settle notes labels whose scopes are well again after the fault.
func (j *judge) settle(at time.Duration) {
	for _, l := range j.labels {
		if at < l.to || l.recovered >= 0 {
			continue
		}
		holds := j.holds(l)
		if !l.settled {
			l.settled, l.held = true, holds
			if !holds {
				l.recovered = l.to
			}
			continue
		}
		if !holds {
			l.recovered = at
		}
	}
}

// holds reports whether automation still keeps traffic of the label off.
func (j *judge) holds(l *label) bool {
	for s, g := range j.closed {
		if _, touches := l.covers(j.p.cells, s); touches && !g.operator {
			return true
		}
	}
	return false
}

// minute writes the attempts of the minute that ends now.
func (j *judge) minute(log *eventLog, at time.Duration) {
	type group struct{ channel, bank, card string }
	sums := map[group]*[statemachine.NumOutcomes]uint64{}
	var keys []group
	for i := range j.counts {
		c := &j.p.cells[i]
		in := j.p.Scenario.Traffic[c.stream].Instrument
		key := group{c.channel, in.Bank, in.CardType}
		n := sums[key]
		if n == nil {
			n = &[statemachine.NumOutcomes]uint64{}
			sums[key] = n
			keys = append(keys, key)
		}
		for o, k := range j.counts[i] {
			n[o] += k
		}
	}
	clear(j.counts)
	slices.SortFunc(keys, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.channel, b.channel), cmp.Compare(a.bank, b.bank), cmp.Compare(a.card, b.card))
	})
	for _, k := range keys {
		line := minuteJSON{
			Event: "minute", T: at.Seconds(), Channel: k.channel, Bank: k.bank, CardType: k.card, Outcomes: outcomeCounts(sums[k]),
		}
		for _, n := range line.Outcomes {
			line.Attempts += n
		}
		if line.Attempts > 0 {
			log.write(line)
		}
	}
}

// round keeps six decimals, so that sums of floats read well.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
