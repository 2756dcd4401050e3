package client

import (
	"slices"
	"sync"

	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	// demotedShare is what a channel keeps that fails by the client's own counts: enough to see that it is well again.
	demotedShare statemachine.Share = 50_000
	// mostTokens is how many probes of one scope a client sends within ProbeEvery when all before went well.
	mostTokens = 64
)

// solo is what a client does beyond StaleLimit: nobody else closes what fails, or opens what is well again.
type solo struct {
	mu     sync.Mutex
	router *routing.Router                  // nil while the snapshot is young enough
	base   *routing.Table                   // that was amended
	states []statemachine.State             // as amended
	probes map[statemachine.Scope]*probeLog // of scopes that automation had closed
}

// probeLog is what is known of the probes of one scope.
type probeLog struct {
	tokens, rate uint64 // given in all; given each time
	good, bad    uint64 // that had come back when tokens were last given
	next         int64  // second in which tokens are given next
}

// help amends the table for a client that is alone, once a second. What people closed stays closed.
func (c *Client) help(s *sight, second int64) {
	z := &c.solo
	z.mu.Lock()
	defer z.mu.Unlock()
	plan := s.table.Plan()
	failing := c.results.failing(plan, second)
	states, probed := amend(s.table.States(), failing, second, int64(c.cfg.StaleLimit.Seconds()))
	if z.router == nil || z.base != s.table {
		if z.router == nil {
			z.router, z.probes = routing.NewRouter(), map[statemachine.Scope]*probeLog{}
		}
		z.base, z.states = s.table, nil
	}
	if z.states == nil || !slices.Equal(z.states, states) {
		z.states = states
		z.router.Swap(plan.Table(s.table.Revision(), states, s.table.Scores()))
	}
	z.router.Drain(second - 1) // which frees what is held too long
	every := int64(c.cfg.ProbeEvery.Seconds())
	for _, st := range probed {
		p := z.probes[st.Scope]
		if p == nil {
			p = &probeLog{rate: 1}
			p.good, p.bad = c.results.of(plan, st.Scope)
			z.probes[st.Scope] = p
		}
		if second < p.next {
			continue
		}
		p.pace(c.results.of(plan, st.Scope))
		p.tokens, p.next = p.tokens+p.rate, second+every
		z.router.Grant(routing.Grant{Scope: st.Scope, Generation: st.Generation, Tokens: p.tokens, From: second, Until: second + every - 1})
	}
	c.mem.setAlone(s.table, z.router)
}

// pace doubles the probes while all that came back of them is good, and begins anew after a failure.
func (p *probeLog) pace(good, bad uint64) {
	switch {
	case bad > p.bad:
		p.rate = 1
	case good > p.good:
		p.rate = min(2*p.rate, mostTokens)
	}
	p.good, p.bad = good, bad
}

// rejoin ends what help does: the control plane is back.
func (c *Client) rejoin(s *sight) {
	z := &c.solo
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.router != nil {
		z.router, z.base, z.states, z.probes = nil, nil, nil, nil
	}
	c.mem.setAlone(s.table, nil)
}

// amend returns the states that a client which is alone decides by, sorted, and those of them that it probes. What automation
// closed longer than age ago is probed; what fails keeps a small share. Orders of people stand: suspensions, off, on-now and
// hold are left alone, also those whose time is over, as only the leader's clock ends them.
func amend(states []statemachine.State, failing map[statemachine.Scope]bool, second, age int64) (all, probed []statemachine.State) {
	all = slices.Clone(states)
	for i := range all {
		s := &all[i]
		if s.Held() {
			delete(failing, s.Scope)
			continue
		}
		switch s.Phase {
		case statemachine.Disabled, statemachine.Probing:
			if s.CutBy == statemachine.Automation && over(s.Since, second-age) && over(s.CoolUntil, second) {
				s.Phase, s.Share = statemachine.Probing, 0
				probed = append(probed, *s)
			}
		case statemachine.Healthy, statemachine.Ramping:
			if failing[s.Scope] {
				s.Share = demotedShare
				if s.Phase == statemachine.Ramping {
					s.Share = min(s.Share, states[i].Share)
				}
				s.Phase = statemachine.Ramping
			}
		}
		delete(failing, s.Scope)
	}
	for scope := range failing {
		s := statemachine.NewState(scope)
		s.Phase, s.Share = statemachine.Ramping, demotedShare
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b statemachine.State) int { return a.Scope.Compare(b.Scope) })
	return all, probed
}

// over reports whether an instant lies before a second.
func over(at statemachine.Instant, second int64) bool { return int64(at) <= second*1000 }
