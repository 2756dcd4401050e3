package monitor

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// How probes are spaced, in would-be payments of the scope. With a budget of 12 % the first takes the sixth, each after a
// failed one the thirteenth, on a quiet scope the tenth, and all of them together no more than 60 % of the budget, or what
// leaves enough of it to confirm a good one at once. By the clock nearly every payment of a quiet scope would be a probe, and the
// cut for nothing. A scope without traffic is tried every five minutes, or it would stay closed for ever.
const (
	firstProbe   = 0.72 // over the budget: would-be payments before the first probe
	nextProbe    = 1.5  // over the budget: between a failed probe and the next
	quietProbe   = 1.1  // the same on a quiet scope
	hintOfEnd    = 0.5  // odds, in nats, from which on probes speak for an end: one good probe of a fault of half does, of a mild one not
	searchPart   = 0.6  // of the budget, for probes while none speak for an end
	grantTrickle = 300  // seconds
	grantAhead   = 3    // tokens in flight once the probes look good
	grantBeyond  = 3    // probes beyond the budget that may confirm good ones: a quiet scope has saved up none
	grantMilder  = 1.5  // over the fault's rate: the same for milder faults, which take more probes and harm less
	grantMaxLife = 60   // seconds
	grantWaits   = 3    // payments a token's life should see
	liftedLife   = 15   // seconds a token lives at least, where nobody saw would-be traffic
)

// Grants hands out probe tokens. Every replica observes, so that a new leader knows at once; only the leader publishes.
type Grants struct {
	scopes map[statemachine.Scope]*probing
	delays delays
	now    int64
}

// probing is one scope that is closed, from the cut until it opens. The budget is that of the whole time: what its traffic
// allowed while nothing was probed may be used once the probes look good.
type probing struct {
	generation uint64
	closed     int64  // second in which it was first seen closed
	seen       uint64 // would-be payments since
	spent      uint64 // probes sent since
	last       int64  // second of the last token, 0 = none
	usedSeen   uint64 // seen when the last probe was sent: a token that lapses is no probe
	replicas   map[string]*prober

	// Of the running PROBING phase.
	sent     []openSends
	answered float64 // results
	tokens   []Grant // newest of each replica, sorted by replica
}

// prober is one replica as seen by a closed scope.
type prober struct {
	demand rolling
	sent   uint64 // in the running phase
	given  uint64 // tokens since the phase began, lapsed ones included: a router adds what is new to them
	spent  uint64 // sent when the newest tokens were given
	fresh  uint64 // tokens given then
}

// NewGrants returns grants for nobody.
func NewGrants() *Grants { return &Grants{scopes: map[statemachine.Scope]*probing{}, delays: delays{}} }

// Observe takes the rows that make up one sealed second and hands out the tokens that are due. Before the first probe, and
// between a failed one and the next, so many would-be payments must come by that probes stay within ProbeBudget of them, or
// five minutes pass; one token is in flight. While the probes look good, the budget of the whole time since the cut may be
// used up, with several tokens in flight. A token goes to the replica that saw most would-be payments in the last minute,
// self where nobody saw any. steps are the evidence of that second, sorted by scope. When that traffic yields less than one payment a ProbeInterval, tokens lift the scope to the
// first place.
func (g *Grants) Observe(rows []*Row, self string, f *statemachine.Fleet, second int64, steps []ScopeEvidence) {
	if second <= g.now {
		return
	}
	g.now = second
	for _, r := range rows {
		g.delays.observe(&r.Counts)
	}
	for scope := range g.scopes {
		if !closedPhase(f.State(scope)) {
			delete(g.scopes, scope)
		}
	}
	for scope, st := range f.States {
		if !closedPhase(st) {
			continue
		}
		p := g.scopes[scope]
		if p == nil {
			p = &probing{closed: second, replicas: map[string]*prober{}}
			g.scopes[scope] = p
		}
		p.follow(st.Generation)
		p.observe(scope, st, rows, f, second)
		if st.Phase == statemachine.Probing && !st.Held() {
			of := probeOf{scope: scope, policy: f.Policy(scope.Channel), self: self, silence: g.delays.silence(scope, f)}
			if i, ok := slices.BinarySearchFunc(steps, scope, byScope); ok && steps[i].Generation == st.Generation {
				ev := &steps[i].StepEvidence
				of.fault, of.odds, of.needs = fault(ev.Fault, probeNormal, faultLeast), ev.Odds, StepNeeds(ev)
			}
			p.grant(of, second)
		}
	}
}

func byScope(e ScopeEvidence, s statemachine.Scope) int { return e.Scope.Compare(s) }

func closedPhase(st statemachine.State) bool {
	return st.Phase == statemachine.Probing || st.Phase == statemachine.Disabled
}

// follow begins a phase anew where the state did.
func (p *probing) follow(generation uint64) {
	if p.generation == generation {
		return
	}
	p.generation = generation
	p.sent, p.tokens, p.answered = nil, nil, 0
	for _, r := range p.replicas {
		r.sent, r.given, r.spent, r.fresh = 0, 0, 0, 0
	}
}

func (p *probing) observe(scope statemachine.Scope, st statemachine.State, rows []*Row, f *statemachine.Fleet, second int64) {
	for _, r := range rows {
		for _, gate := range r.Counts.Gates {
			if gate.Scope != scope {
				continue
			}
			of := p.replica(r.Replica)
			of.demand.add(second, gate.WouldBe)
			p.seen += uint64(gate.WouldBe)
			if gate.Sent > 0 {
				p.spent += uint64(gate.Sent)
				p.usedSeen = p.seen
			}
			if gate.Generation == p.generation && gate.Sent > 0 {
				of.sent += uint64(gate.Sent)
				p.sent = append(p.sent, openSends{second, uint64(gate.Sent)})
			}
		}
		if r.Counts.countsFor(st) {
			p.answers(scope, r, f)
		}
	}
}

// answers takes the results of probes in one row.
func (p *probing) answers(scope statemachine.Scope, r *Row, f *statemachine.Fleet) {
	for i := range r.Counts.Items {
		item := &r.Counts.Items[i]
		domain := scope.Kind == statemachine.ScopeDomain && item.Item.Kind == statemachine.ScopeChannel && inside(item.Item, scope, f)
		if item.Item != scope && !domain {
			continue
		}
		answered, _ := item.Evidence[statemachine.KindProbe].Weighted()
		p.answered += answered
	}
}

func (p *probing) replica(name string) *prober {
	if p.replicas[name] == nil {
		p.replicas[name] = &prober{}
	}
	return p.replicas[name]
}

// probeOf is what grant needs to know of the scope.
type probeOf struct {
	scope   statemachine.Scope
	policy  statemachine.Policy
	fault   float64 // its failure rate
	odds    float64 // that it is well, in nats
	needs   float64 // results that pass
	self    string
	silence int64 // seconds after which a probe without an answer is waited for no longer
}

// grant hands out the tokens that are due and affordable.
func (p *probing) grant(of probeOf, second int64) {
	p.tokens = slices.DeleteFunc(p.tokens, func(t Grant) bool { return t.Until < second })
	interval := seconds(of.policy.ProbeInterval)
	n := p.affordable(of, second, interval)
	if n == 0 {
		return
	}
	rate := p.rate(second)
	life := max(2*interval, liftedLife)
	name := p.busiest(of.self, second)
	to := p.replica(name)
	if own := p.perSecond(to.demand.sum(second), second); own > 0 {
		life = max(2*interval, min(grantMaxLife, int64(grantWaits/own)+1))
	}
	unused := uint64(0) // of a grant that has not lapsed
	if slices.ContainsFunc(p.tokens, func(t Grant) bool { return t.Replica == name }) {
		unused = to.unused()
	}
	to.given, to.spent, to.fresh = to.given+n, to.sent, unused+n
	token := Grant{
		Scope: of.scope, Generation: p.generation, Replica: name, Tokens: to.given, Until: second + life,
		Lift: rate*float64(interval) < 1,
	}
	p.tokens = slices.DeleteFunc(p.tokens, func(t Grant) bool { return t.Replica == name })
	p.tokens = append(p.tokens, token)
	slices.SortFunc(p.tokens, func(a, b Grant) int { return cmp.Compare(a.Replica, b.Replica) })
	p.last = second
}

// affordable is how many tokens may be given now.
func (p *probing) affordable(of probeOf, second, interval int64) uint64 {
	budget := of.policy.ProbeBudget.Fraction()
	idle := second - max(p.last, p.closed)
	flying := p.unused() + p.unanswered(second-of.silence+1)
	if of.odds < hintOfEnd {
		if flying == 0 && (p.due(of, second, interval) || idle >= max(grantTrickle, interval)) {
			return 1
		}
		return 0
	}
	ahead := max(grantAhead, uint64(grantMilder/of.fault))
	if of.odds >= passHard { // shown; what is waited for is that it lasts
		ahead = 1
	}
	allowed := uint64(grantBeyond + budget*float64(p.seen))
	switch taken := p.spent + p.unused(); {
	case flying >= ahead, interval > 1 && second-p.last < interval:
		return 0
	case taken < allowed:
		return min(ahead-flying, allowed-taken)
	case flying == 0 && idle >= max(grantTrickle, interval):
		return 1
	}
	return 0
}

// due says whether the next probe may be sent while none speak for an end.
func (p *probing) due(of probeOf, second, interval int64) bool {
	wait := nextProbe
	switch {
	case p.spent == 0:
		wait = firstProbe
	case p.rate(second) < of.policy.QuietRate:
		wait = quietProbe
	}
	budget, spent := of.policy.ProbeBudget.Fraction(), float64(p.spent)
	all := budget * float64(p.seen)
	return float64(p.seen-p.usedSeen)*budget >= wait && (spent < 1+searchPart*all || spent+of.needs < grantBeyond+all) &&
		(p.last == 0 || second-p.last >= interval)
}

// unused is the number of tokens that are valid and, as far as is known, not used.
func (p *probing) unused() (n uint64) {
	for _, t := range p.tokens {
		n += p.replica(t.Replica).unused()
	}
	return n
}

func (r *prober) unused() uint64 { return r.fresh - min(r.fresh, r.sent-r.spent) }

// unanswered is the number of probes sent since a second that have no answer.
func (p *probing) unanswered(since int64) (n uint64) {
	all := uint64(0)
	for _, s := range p.sent {
		all += s.n
		if s.second >= since {
			n += s.n
		}
	}
	return min(n, all-min(all, uint64(p.answered)))
}

// rate is the would-be payments a second of the last minute, over all replicas.
func (p *probing) rate(second int64) float64 {
	sum := uint64(0)
	for _, r := range p.replicas {
		sum += r.demand.sum(second)
	}
	return p.perSecond(sum, second)
}

// perSecond is what so many payments of the last minute are a second.
func (p *probing) perSecond(n uint64, second int64) float64 {
	return float64(n) / float64(max(1, min(loadSpan, second-p.closed+1)))
}

// busiest is the replica with most would-be traffic in the last minute, the first by name of equals, self without any.
func (p *probing) busiest(self string, second int64) string {
	name, most := self, uint64(0)
	for _, r := range slices.Sorted(maps.Keys(p.replicas)) {
		if n := p.replicas[r].demand.sum(second); n > most {
			name, most = r, n
		}
	}
	return name
}

// Current returns the tokens that are valid in the seconds to come, sorted by scope and replica: what the leader publishes.
func (g *Grants) Current() []Grant {
	var all []Grant
	for _, scope := range slices.SortedFunc(maps.Keys(g.scopes), statemachine.Scope.Compare) {
		all = append(all, g.scopes[scope].tokens...)
	}
	return all
}
