package monitor

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// ScopeEvidence is the evidence of the running phase or ramp step of one scope.
type ScopeEvidence struct {
	Scope statemachine.Scope
	statemachine.StepEvidence
}

// Steps gathers what is seen of the scopes on their way back: results of the attempts that probes and ramps let through
// since the running step began, and what the routers' gates counted.
type Steps struct {
	scopes map[statemachine.Scope]*step
	home   map[statemachine.Scope]*homecoming
	delays delays
	now    int64
}

// step is the running step of one scope. Would-be traffic, routers and comeback outlive it.
type step struct {
	generation uint64
	number     uint32
	tally      Tally
	points     []point // the same by second
	reasons    []statemachine.ReasonCount
	from       int64 // first second with evidence, 0 = none
	wouldBe    uint64
	sent       uint64
	open       []openSends // attempts without a result, oldest first
	first      int64       // second of the first attempt, 0 = none
	phase      statemachine.Phase
	share      statemachine.Share
	raised     bool               // it follows a step of a lesser share
	fallen     int                // steps before it that did and had to be lowered again
	well       bool               // its probes would have passed at some time
	base       statemachine.Share // the fault's rate
	demand     rolling
	routers    [loadSpan]uint32
	comeback   comeback
}

// openSends is what one second sent and has not come back.
type openSends struct {
	second int64
	n      uint64
}

// NewSteps returns empty steps.
func NewSteps() *Steps {
	return &Steps{scopes: map[statemachine.Scope]*step{}, home: map[statemachine.Scope]*homecoming{}, delays: delays{}}
}

// Observe takes the sum of one sealed second.
func (s *Steps) Observe(sum *SecondCounts, f *statemachine.Fleet) {
	if sum.Second <= s.now {
		return
	}
	s.now = sum.Second
	s.delays.observe(sum)
	s.follow(f)
	for _, g := range sum.Gates {
		if st := s.scopes[g.Scope]; st != nil {
			st.gate(g, sum.Second)
		}
	}
	for scope, st := range s.scopes {
		if st.routersStale(sum.Second) {
			st.routers[sum.Second%loadSpan] = 0
		}
		state := f.State(scope)
		st.gather(scope, state.Phase, sum, f, sum.countsFor(state))
		st.settle(sum.Second - openKept)
	}
	s.watch(sum, f)
}

// follow begins a new step where the state did, and forgets scopes that are healthy.
func (s *Steps) follow(f *statemachine.Fleet) {
	for scope, state := range f.States {
		st := s.scopes[scope]
		if state.Phase == statemachine.Healthy {
			if st != nil {
				s.returned(scope, st, state, f.Policy(scope.Channel))
			}
			delete(s.scopes, scope)
			continue
		}
		switch {
		case st == nil:
			st = &step{comeback: comeback{closed: s.now}}
			s.scopes[scope] = st.next(state, s.now)
		case st.generation != state.Generation || st.number != state.Step:
			s.scopes[scope] = st.next(state, s.now)
		}
	}
	for scope := range s.scopes {
		if _, ok := f.States[scope]; !ok {
			delete(s.scopes, scope)
		}
	}
}

// next is the step that follows. Would-be traffic, routers and what was learned of the scope since it was closed go on.
func (st *step) next(to statemachine.State, now int64) *step {
	n := &step{
		generation: to.Generation, number: to.Step, phase: to.Phase, share: to.Share, base: to.Base,
		demand: st.demand, routers: st.routers, comeback: st.comeback,
	}
	if st.generation == to.Generation {
		n.raised, n.fallen = to.Share > st.share, st.fallen
		if st.raised && to.Share < st.share {
			n.fallen++
		}
	}
	if to.Phase == statemachine.Disabled {
		n.comeback.ended(now)
		if st.phase == statemachine.Probing {
			n.comeback.failed(&st.tally, st.well)
		}
	}
	return n
}

// gate takes what the routers counted. Would-be traffic tells the demand whatever step it was counted in.
func (st *step) gate(g GateSum, second int64) {
	if g.WouldBe > 0 {
		st.demand.add(second, g.WouldBe)
		st.routers[second%loadSpan] = g.Routers
	}
	if g.Generation != st.generation || g.Step != st.number {
		return
	}
	st.wouldBe += uint64(g.WouldBe)
	st.sent += uint64(g.Sent)
	if g.Sent > 0 {
		if st.first == 0 {
			st.first = second
		}
		st.open = append(st.open, openSends{second, uint64(g.Sent)})
	}
}

// answer takes the results of one second by their age since the decision: they are those of the oldest attempts of that
// age without one. A result counts here also where its second is no evidence.
func (st *step) answer(second int64, ages *[NumAgeBuckets]uint32) {
	youngest := int64(0)
	for bucket, n := range ages {
		oldest := second // any age
		if bucket < len(AgeBounds) {
			oldest = int64(AgeBounds[bucket])
		}
		left := st.took(uint64(n), second-oldest, second-youngest)
		// A decision just after a full second may have been counted in the second before.
		st.took(left, second-oldest-1, second-oldest-1)
		youngest = oldest + 1
	}
}

// took closes n attempts of the seconds from to to, oldest first, and returns how many there were not.
func (st *step) took(n uint64, from, to int64) uint64 {
	for i := range st.open {
		if o := &st.open[i]; o.second >= from && o.second <= to {
			closed := min(n, o.n)
			o.n -= closed
			n -= closed
		}
	}
	return n
}

// settled is the number of attempts of the step that are not missing: they have answered, are older than the learned delay,
// or so young that most do not answer sooner. Of a steady flow some attempts are always on their way, and a step that waited
// for them would last twenty times the delay. Until there is an attempt that should have answered, all are waited for.
func (st *step) settled(now, usual, longest int64) uint64 {
	to := now - usual
	if st.first > to {
		to = now
	}
	return st.sent - min(st.sent, st.unanswered(now-longest+1, to))
}

// unanswered is the number of attempts without a result that were sent in the seconds from to to.
func (st *step) unanswered(from, to int64) (n uint64) {
	for _, o := range st.open {
		if o.second >= from && o.second <= to {
			n += o.n
		}
	}
	return n
}

// routersStale reports whether the place of a second in routers holds the second of a minute ago.
func (st *step) routersStale(second int64) bool { return st.demand.at[second%loadSpan] != second }

// openKept is how many seconds an attempt without a result is remembered: longer than any timeout.
const openKept = 150

// settle drops the attempts sent up to a second: what has not answered by now never will.
func (st *step) settle(upTo int64) {
	st.open = slices.DeleteFunc(st.open, func(o openSends) bool { return o.second <= upTo || o.n == 0 })
}

// gather adds the results of one second, as evidence or only as answers. A failure domain sums up its channels.
func (st *step) gather(scope statemachine.Scope, phase statemachine.Phase, sum *SecondCounts, f *statemachine.Fleet, evidence bool) {
	kind := statemachine.KindRamp
	switch phase {
	case statemachine.Probing:
		kind = statemachine.KindProbe
	case statemachine.Ramping:
	case statemachine.Healthy, statemachine.Disabled:
		return
	}
	for i := range sum.Items {
		item := &sum.Items[i]
		switch {
		case item.Item == scope:
			st.answer(sum.Second, &item.Ages)
			st.add(item, kind, sum.Second, evidence)
			st.forget(sum.Second - keptSeconds)
		case scope.Kind == statemachine.ScopeDomain && item.Item.Kind == statemachine.ScopeChannel && inside(item.Item, scope, f):
			st.answer(sum.Second, &item.Ages)
			st.add(item, statemachine.KindNormal, sum.Second, evidence) // the domain is wider than the channel: see DESIGN 10.1
			if !returning(item.Item.Channel, f) {
				st.add(item, kind, sum.Second, evidence)
			}
		}
	}
}

// returning reports whether a scope of the channel has probes or a ramp of its own, whose results its domain must not get.
func returning(channel string, f *statemachine.Fleet) bool {
	for scope, state := range f.States {
		if scope.Channel == channel && (state.Phase == statemachine.Probing || state.Phase == statemachine.Ramping) {
			return true
		}
	}
	return false
}

func (st *step) add(item *ItemCounts, kind statemachine.LaneKind, second int64, evidence bool) {
	t := &item.Evidence[kind]
	if *t == (Tally{}) {
		return
	}
	if !evidence {
		return
	}
	if st.from == 0 {
		st.from = second
	}
	st.tally.Add(t)
	st.points = append(st.points, point{second: second, tally: *t})
	if t.Bad+t.Half > 0 {
		st.reasons = mergeReasons(st.reasons, item.Reasons)
	}
}

// forget drops the seconds up to one, as far as there are more than a judgement may look at: those of a quiet scope count
// however old.
func (st *step) forget(upTo int64) {
	n := 0
	for n < len(st.points)-maxResults && st.points[n].second <= upTo {
		n++
	}
	st.points = slices.Delete(st.points, 0, n)
}

// lately is the step's evidence over the narrowest window that holds enough: a DEGRADED scope stays in its step while the
// fault lasts, and what the fault did must not outweigh what came after.
func (st *step) lately(points []point, p statemachine.Policy, now int64) (Tally, int64) {
	for length, widest := seconds(p.Window), widest(p); ; length = min(2*length, widest) {
		var sum Tally
		from := max(st.from, now-length+1)
		for _, at := range points {
			if at.second >= from {
				sum.Add(&at.tally)
			}
		}
		if answered, _ := sum.Weighted(); answered >= p.StepEvidence || length >= widest {
			return sum, from
		}
	}
}

// Forgive forgets the results gathered so far, where failures turned out to be our own fault.
func (s *Steps) Forgive() {
	for _, st := range s.scopes {
		st.forgive()
	}
	for _, h := range s.home {
		h.forgive()
	}
}

func (st *step) forgive() { st.tally, st.points, st.reasons, st.from = Tally{}, nil, nil, 0 }

// stepResults are how many results of probes or a ramp step are looked at where there are more: many good ones of before
// must not outweigh a fault that begins.
const stepResults = 60

// maxResults are as many of a step as are looked at in any case.
const maxResults = 1000

// recent is the evidence of the newest seconds that hold so many results, of all where there are fewer.
func (st *step) recent(points []point, results float64) (Tally, int64) {
	var sum Tally
	for i := len(points) - 1; i >= 0; i-- {
		sum.Add(&points[i].tally)
		if answered, _ := sum.Weighted(); answered >= results {
			return sum, points[i].second
		}
	}
	return sum, st.from
}

// weighed is the evidence of a step that its judgement rests on, probes by the sequential detector apart.
func (st *step) weighed(points, silent []point, state statemachine.State, p statemachine.Policy, normal float64, now int64) (Tally, int64) {
	switch lowered := state.Lowered(); {
	case p.Detector == statemachine.DetectorSequential && lowered:
		if fault := loweredFor(state.Base); fault > normal {
			tally, from, _ := newest(points, normal, fault)
			return tally, from
		}
		return st.recent(points, maxResults)
	case p.Detector == statemachine.DetectorSequential:
		return st.recent(points, stepResults)
	case lowered:
		return st.lately(points, p, now)
	}
	tally := st.tally
	for i := range silent {
		tally.Add(&silent[i].tally)
	}
	return tally, st.from
}

// silent are the attempts of a step that should have answered and did not, where that is the fault, as results of the second in
// which they were sent: in good times some are never made, and those must not outweigh what has answered since.
func (s *Steps) silent(scope statemachine.Scope, st *step, state statemachine.State, f *statemachine.Fleet) (all []point) {
	if !state.Hangs {
		return nil
	}
	upTo := s.now - s.delays.silence(scope, f)
	for _, o := range st.open {
		if n := uint32(o.n); n > 0 && o.second <= upTo { //nolint:gosec // attempts of one second
			at := point{second: o.second, tally: Tally{Bad: n, BadPayers: n}}
			at.tally.Outcomes[statemachine.TimedOut] = n
			all = append(all, at)
		}
	}
	return all
}

// among merges two lists of results, each in order of time.
func among(points, others []point) []point {
	if len(others) == 0 {
		return points
	}
	all := slices.Concat(points, others)
	slices.SortStableFunc(all, func(x, y point) int { return cmp.Compare(x.second, y.second) })
	return all
}

// PerSecond is a scope's would-be payments a second over the last minute, and how many routers saw any of them. It is
// known only for scopes that are not healthy.
func (s *Steps) PerSecond(scope statemachine.Scope) (perSecond float64, routers int) {
	st := s.scopes[scope]
	if st == nil {
		return 0, 0
	}
	span := max(1, min(loadSpan, s.now-st.comeback.closed+1))
	most := uint32(0)
	for _, n := range st.routers {
		most = max(most, n)
	}
	return float64(st.demand.sum(s.now)) / float64(span), int(most)
}

// Evidence returns what was gathered for every PROBING and RAMPING scope, sorted, without a judgement. normal is the upper end
// of the failure rate that is normal for a scope.
func (s *Steps) Evidence(f *statemachine.Fleet, normal func(statemachine.Scope) float64) []ScopeEvidence {
	var all []ScopeEvidence
	for _, scope := range slices.SortedFunc(maps.Keys(s.scopes), statemachine.Scope.Compare) {
		st, state := s.scopes[scope], f.State(scope)
		if state.Phase != statemachine.Probing && state.Phase != statemachine.Ramping {
			continue
		}
		usual := normalRate(normal(scope))
		perSecond, routers := s.PerSecond(scope)
		found := ScopeEvidence{Scope: scope, StepEvidence: statemachine.StepEvidence{
			Generation: st.generation, Step: st.number, WouldBe: st.wouldBe, Sent: st.sent,
			Settled:   st.settled(s.now, s.delays.of(scope, f, s.delays.usual), s.delays.of(scope, f, s.delays.p99)),
			PerSecond: perSecond, Routers: routers, Fault: st.comeback.rate(state.Base), Raised: st.raised, Fallen: st.fallen,
		}}
		policy, silent := f.Policy(scope.Channel), s.silent(scope, st, state, f)
		points := among(st.points, silent)
		tally, from := st.weighed(points, silent, state, policy, usual, s.now)
		if state.Phase == statemachine.Probing {
			newest, since := st.probes(points, &found.StepEvidence, policy, usual, s.now)
			if policy.Detector == statemachine.DetectorSequential {
				tally, from = newest, since
			}
		}
		e := evidence(scope, &tally, from, s.now)
		if st.from == 0 {
			e.From = s.now
		}
		e.Reasons = slices.Clone(st.reasons)
		found.Answered, found.Bad, found.Evidence = e.Answered, e.Bad, e
		all = append(all, found)
	}
	return all
}
