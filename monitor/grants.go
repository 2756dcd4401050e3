package monitor

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	grantTrickle = 60 // seconds: a lifted scope gets at least a token in this time, or it could stay closed for ever
	grantMaxLife = 60 // seconds
	grantWaits   = 3  // payments a token's life should see
)

// Grants hands out probe tokens. Every replica observes, so that a new leader knows at once; only the leader publishes.
type Grants struct {
	scopes map[statemachine.Scope]*probing
	now    int64
}

// probing is the running PROBING phase of one scope.
type probing struct {
	generation uint64
	begun      int64
	last       int64 // second of the last token
	wouldBe    uint64
	sent       uint64
	replicas   map[string]*prober
	tokens     []Grant // newest of each replica, sorted by replica
}

// prober is one replica as seen by a PROBING scope.
type prober struct {
	demand rolling
	sent   uint64
	given  uint64 // tokens since the phase began, lapsed ones included: a router adds what is new to them
	spent  uint64 // sent when the newest token was given
}

// NewGrants returns grants for nobody.
func NewGrants() *Grants { return &Grants{scopes: map[statemachine.Scope]*probing{}} }

// Observe takes the rows that make up one sealed second and hands out the tokens that are due. A PROBING scope gets a
// token per ProbeInterval while all tokens used or in use stay within ProbeBudget of its would-be traffic; the first is
// free. It goes to the replica that saw most would-be payments in the last minute, self where nobody saw any. When that
// traffic yields less than one payment an interval, tokens lift the scope to the first place, one a minute at least.
func (g *Grants) Observe(rows []*Row, self string, f *statemachine.Fleet, second int64) {
	if second <= g.now {
		return
	}
	g.now = second
	for scope := range g.scopes {
		if f.State(scope).Phase != statemachine.Probing {
			delete(g.scopes, scope)
		}
	}
	for scope, st := range f.States {
		if st.Phase != statemachine.Probing {
			continue
		}
		p := g.scopes[scope]
		if p == nil || p.generation != st.Generation {
			p = &probing{generation: st.Generation, begun: second, replicas: map[string]*prober{}}
			g.scopes[scope] = p
		}
		p.observe(scope, rows, second)
		if !st.Held() {
			p.grant(scope, self, f.Policy(scope.Channel), second)
		}
	}
}

func (p *probing) observe(scope statemachine.Scope, rows []*Row, second int64) {
	for _, r := range rows {
		for _, gate := range r.Counts.Gates {
			if gate.Scope != scope || gate.Generation != p.generation {
				continue
			}
			of := p.replica(r.Replica)
			of.demand.add(second, gate.WouldBe)
			of.sent += uint64(gate.Sent)
			p.wouldBe += uint64(gate.WouldBe)
			p.sent += uint64(gate.Sent)
		}
	}
}

func (p *probing) replica(name string) *prober {
	if p.replicas[name] == nil {
		p.replicas[name] = &prober{}
	}
	return p.replicas[name]
}

// grant hands out one token if it is due and affordable.
func (p *probing) grant(scope statemachine.Scope, self string, policy statemachine.Policy, second int64) {
	interval := seconds(policy.ProbeInterval)
	p.tokens = slices.DeleteFunc(p.tokens, func(t Grant) bool { return t.Until < second })
	if p.inUse() > 0 || p.last != 0 && second-p.last < interval {
		return
	}
	rate := p.rate(second)
	lift := rate*float64(interval) < 1
	allowed := 1 + policy.ProbeBudget.Fraction()*float64(p.wouldBe)
	if lift {
		allowed += float64(second-p.begun) / float64(max(grantTrickle, interval))
	}
	if float64(p.sent)+1 > allowed {
		return
	}
	life := max(2*interval, grantTrickle/4)
	if rate > 0 {
		life = max(2*interval, min(grantMaxLife, int64(grantWaits/rate)+1))
	}
	name := p.busiest(self, second)
	to := p.replica(name)
	to.given, to.spent = to.given+1, to.sent
	token := Grant{Scope: scope, Generation: p.generation, Replica: name, Tokens: to.given, Until: second + life, Lift: lift}
	p.tokens = slices.DeleteFunc(p.tokens, func(t Grant) bool { return t.Replica == name })
	p.tokens = append(p.tokens, token)
	slices.SortFunc(p.tokens, func(a, b Grant) int { return cmp.Compare(a.Replica, b.Replica) })
	p.last = second
}

// inUse is the number of tokens that are valid and, as far as is known, not used.
func (p *probing) inUse() (n uint64) {
	for _, t := range p.tokens {
		if r := p.replica(t.Replica); r.sent == r.spent {
			n++
		}
	}
	return n
}

// rate is the would-be payments a second of the last minute, over all replicas.
func (p *probing) rate(second int64) float64 {
	sum := uint64(0)
	for _, r := range p.replicas {
		sum += r.demand.sum(second)
	}
	return float64(sum) / float64(max(1, min(loadSpan, second-p.begun+1)))
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
