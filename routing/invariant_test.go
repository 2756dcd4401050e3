package routing

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// worldPlan has channels a to d over two entities and two domains, a with two accounts, splits within a priority.
func worldPlan(tb testing.TB) *Plan {
	tb.Helper()
	domains := func(ids ...string) func(*configv1.Channel) {
		return func(c *configv1.Channel) { c.FailureDomains = ids }
	}
	a := newChannel("a", domains("net", "east"), func(c *configv1.Channel) {
		c.Accounts = append(c.Accounts, &configv1.Account{Id: "named", Entity: "e-1", Merchants: []string{"m-1"}}, &configv1.Account{Id: "theirs", Entity: "e-2"})
	})
	b := newChannel("b", domains("net"))
	c := newChannel("c", domains("east"), func(c *configv1.Channel) { c.Accounts[0].Entity = "e-2" })
	d := newChannel("d")
	cat := newCatalog(a, b, c, d)
	cat.FailureDomains = []*configv1.FailureDomain{
		{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_CLEARING_NETWORK},
		{Id: "east", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_REGION},
	}
	for i, m := range cat.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = uint32(i/3), uint32(10*(i+1))
	}
	return mustPlan(tb, cat)
}

// worldScopes are scopes of worldPlan that states may be about.
func worldScopes() []statemachine.Scope {
	return []statemachine.Scope{
		statemachine.DomainScope("net"), statemachine.DomainScope("east"), statemachine.ChannelScope("a"), statemachine.ChannelScope("b"),
		statemachine.ChannelScope("c"), statemachine.ChannelScope("d"), statemachine.BusinessScope("a", statemachine.Collect),
		statemachine.MethodScope("b", "QUICKPAY"), statemachine.AccountScope("a", "main"), statemachine.AccountScope("a", "named"),
		statemachine.InstrumentScope("a", icbc), statemachine.InstrumentScope("b", icbc), statemachine.InstrumentScope("d", icbc),
		statemachine.ChannelScope("not-in-the-catalogue"),
	}
}

// drawStates draws states; a scope's step has one share, so that counts by step can be judged.
func drawStates(t *rapid.T, label string) []statemachine.State {
	var states []statemachine.State
	for _, s := range worldScopes() {
		phase := rapid.SampledFrom([]statemachine.Phase{0, 0, 0, 1, 2, 3, 3, 3}).Draw(t, label+" "+s.String())
		if phase == statemachine.Healthy {
			continue
		}
		st := inPhase(s, phase, 0)
		st.Generation = uint64(rapid.IntRange(1, 2).Draw(t, "generation"))*10 + uint64(phase)
		if phase == statemachine.Ramping {
			st.Step = uint32(rapid.IntRange(0, 2).Draw(t, "step"))
			st.Share = stepShare(st.Step)
		}
		states = append(states, st)
	}
	return states
}

func stepShare(step uint32) statemachine.Share {
	return []statemachine.Share{73_000, 250_000, 500_000}[step]
}

type stepKey struct {
	scope      statemachine.Scope
	generation uint64
	step       uint32
}

// books are what several routers admitted, over swaps and restarts.
type books struct {
	wouldBe, sent, watched, tokens map[stepKey]uint64
}

func newBooks() *books {
	return &books{map[stepKey]uint64{}, map[stepKey]uint64{}, map[stepKey]uint64{}, map[stepKey]uint64{}}
}

func (b *books) drain(r *Router) {
	for _, g := range r.Drain(noon).Gates {
		k := stepKey{g.Scope, g.Generation, g.Step}
		b.wouldBe[k] += uint64(g.WouldBe)
		b.sent[k] += uint64(g.Sent)
	}
}

// watch counts a decision by the rules of the table alone, apart from the router's own counters.
func (b *books) watch(t *Table, d *Decision) {
	c := &d.Candidates[0]
	for i := range t.hot {
		h := &t.hot[i]
		applies := h.scope == statemachine.ChannelScope(c.Channel) || h.scope == statemachine.BusinessScope(c.Channel, statemachine.Collect) ||
			h.scope == statemachine.MethodScope(c.Channel, "QUICKPAY") || h.scope == statemachine.AccountScope(c.Channel, c.Account) ||
			h.scope == statemachine.InstrumentScope(c.Channel, icbc) ||
			h.scope.Kind == statemachine.ScopeDomain && slices.Contains(t.plan.facts[c.Channel].Domains, h.scope.Of)
		if applies {
			b.watched[stepKey{h.scope, h.generation, h.step}]++
		}
	}
}

// check holds sent against share × would-be and tokens.
func (b *books) check(fail func(string, ...any)) {
	for k, sent := range b.watched {
		if b.sent[k] != sent {
			fail("%v: routers say %d sent, decisions say %d", k, b.sent[k], sent)
		}
		switch statemachine.Phase(k.generation % 10) {
		case statemachine.Ramping:
			if sent*uint64(statemachine.FullShare) > b.wouldBe[k]*uint64(stepShare(k.step)) {
				fail("%v: %d sent of %d would-be, share %d", k, sent, b.wouldBe[k], stepShare(k.step))
			}
		case statemachine.Probing:
			if sent > b.tokens[stepKey{k.scope, k.generation, 0}] {
				fail("%v: %d probes with %d tokens", k, sent, b.tokens[stepKey{k.scope, k.generation, 0}])
			}
		case statemachine.Healthy, statemachine.Disabled:
			fail("%v: %d sent to a disabled scope", k, sent)
		}
	}
}

// TestInvariant05_RampNeverExceedsShare lets several routers route, swap, restart and take grants in any interleaving: over
// all of them no scope gets more than its share of its would-be traffic, nor more probes than tokens.
func TestInvariant05_RampNeverExceedsShare(t *testing.T) {
	plan, other := worldPlan(t), worldPlan(t)
	rapid.Check(t, func(t *rapid.T) {
		tables := make([]*Table, 3)
		for i := range tables {
			p := plan
			if i == 2 {
				p = other
			}
			tables[i] = p.Table(Revision{1, int64(i + 1)}, drawStates(t, fmt.Sprint("table", i)), nil)
		}
		routers := []*Router{NewRouter(), NewRouter(), NewRouter()}
		cumulative := map[statemachine.Scope]uint64{}
		b := newBooks()
		second := int64(noon)
		var d Decision
		for i := range routers {
			routers[i].Swap(tables[0])
		}
		n := 0
		for range rapid.IntRange(10, 120).Draw(t, "operations") {
			r := rapid.IntRange(0, len(routers)-1).Draw(t, "router")
			switch rapid.IntRange(0, 9).Draw(t, "operation") {
			case 0:
				routers[r].Swap(tables[rapid.IntRange(0, 2).Draw(t, "table")])
			case 1:
				b.drain(routers[r])
				routers[r] = NewRouter()
				lapse(tables, routers[r], r, cumulative, second)
				routers[r].Swap(tables[rapid.IntRange(0, 2).Draw(t, "table")])
			case 2:
				grant(t, tables, routers[r], r, cumulative, b, second)
			case 3:
				second++
			default:
				for range rapid.IntRange(1, 30).Draw(t, "payments") {
					n++
					q := newRequest(func(q *Request) {
						q.PaymentID = fmt.Sprint("pay-", n)
						q.Entity = []string{"e-1", "e-1", "e-2"}[n%3]
						q.Merchant = []string{"m-1", "m-2"}[n%2]
					})
					if err := routers[r].Route(q, second, &d); err == nil {
						b.watch(routers[r].Table(), &d)
					}
				}
			}
		}
		for _, r := range routers {
			b.drain(r)
		}
		b.check(t.Fatalf)
	})
}

// grant hands over tokens as a leader does: cumulative per scope, generation and replica.
func grant(t *rapid.T, tables []*Table, r *Router, replica int, cumulative map[statemachine.Scope]uint64, b *books, second int64) {
	table := tables[rapid.IntRange(0, 2).Draw(t, "table")]
	for i := range table.hot {
		h := &table.hot[i]
		if h.phase != statemachine.Probing {
			continue
		}
		key := granted(h, replica)
		n := uint64(rapid.IntRange(0, 2).Draw(t, "tokens"))
		cumulative[key] += n
		b.tokens[stepKey{h.scope, h.generation, 0}] += n
		r.Grant(Grant{
			Scope: h.scope, Generation: h.generation, Tokens: cumulative[key], From: second,
			Until: second + int64(rapid.IntRange(0, 3).Draw(t, "life")), Lift: rapid.Bool().Draw(t, "lift"),
		})
	}
}

// granted names the tokens of one scope, generation and replica.
func granted(h *hotScope, replica int) statemachine.Scope {
	return statemachine.Scope{Kind: h.scope.Kind, Channel: h.scope.Channel, Of: fmt.Sprint(h.scope.Of, h.generation, replica)}
}

// lapse tells a router that starts anew of the tokens that its replica was given before, as a node does.
func lapse(tables []*Table, r *Router, replica int, cumulative map[statemachine.Scope]uint64, second int64) {
	for _, table := range tables {
		for i := range table.hot {
			if h := &table.hot[i]; cumulative[granted(h, replica)] > 0 {
				r.Grant(Grant{Scope: h.scope, Generation: h.generation, Tokens: cumulative[granted(h, replica)], From: second, Until: second - 1})
			}
		}
	}
}

// TestInvariant05_RampNeverExceedsShareConcurrently is the same with goroutines that route while tables are swapped.
func TestInvariant05_RampNeverExceedsShareConcurrently(t *testing.T) {
	plan := worldPlan(t)
	var tables []*Table
	for step := range uint32(3) {
		var states []statemachine.State
		for _, s := range []statemachine.Scope{statemachine.DomainScope("net"), statemachine.AccountScope("a", "main"), statemachine.InstrumentScope("d", icbc)} {
			st := inPhase(s, statemachine.Ramping, stepShare(step))
			st.Generation, st.Step = 13, step
			states = append(states, st)
		}
		tables = append(tables, plan.Table(Revision{1, int64(step + 1)}, states, nil))
	}
	r := NewRouter()
	r.Swap(tables[0])
	b := newBooks()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var d Decision
			for i := range 3000 {
				q := newRequest(func(q *Request) { q.PaymentID = fmt.Sprint(g, "-", i) })
				if r.Route(q, noon, &d) == nil {
					mu.Lock()
					b.watch(d.table, &d)
					mu.Unlock()
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 300 {
			r.Swap(tables[i%3])
			mu.Lock()
			b.drain(r)
			mu.Unlock()
		}
	})
	wg.Wait()
	b.drain(r)
	b.check(t.Fatalf)
	if len(b.watched) == 0 {
		t.Fatal("nothing was sent")
	}
}

// drawRequest draws a request about worldPlan, sensible or not.
func drawRequest(t *rapid.T) *Request {
	channel := rapid.SampledFrom([]string{"a", "b", "c", "d", "x"})
	q := newRequest()
	q.PaymentID = rapid.StringN(0, 20, -1).Draw(t, "payment")
	q.Merchant = rapid.SampledFrom([]string{"m-1", "m-2", ""}).Draw(t, "merchant")
	q.Entity = rapid.SampledFrom([]string{"e-1", "e-1", "e-2", "e-9", ""}).Draw(t, "entity")
	q.Business = statemachine.BusinessType(rapid.SampledFrom([]int{1, 1, 1, 0, 2, 3, 5, 6, 7, 9, 255}).Draw(t, "business"))
	q.Instrument.Bank = rapid.SampledFrom([]string{"ICBC", "ICBC", "CCB", "", "-", "XYZ"}).Draw(t, "bank")
	q.Amount = rapid.Int64Range(-1, 1<<40).Draw(t, "amount")
	q.Currency = rapid.SampledFrom([]string{"CNY", "CNY", "USD", ""}).Draw(t, "currency")
	q.MaxChannels = rapid.IntRange(-1, 70).Draw(t, "most")
	q.Deadline = rapid.SampledFrom([]int64{0, 0, noon*1000 - 1, noon*1000 + 500}).Draw(t, "deadline")
	q.Exclude = rapid.SliceOfN(channel, 0, 2).Draw(t, "exclude")
	if rapid.Bool().Draw(t, "original") {
		q.Original = Original{Channel: channel.Draw(t, "original channel"), Account: rapid.SampledFrom([]string{"main", "theirs", "x"}).Draw(t, "account")}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "attempts") {
		q.Attempts = append(q.Attempts, Attempt{
			Channel: channel.Draw(t, "attempted"), Outcome: statemachine.Outcome(rapid.IntRange(0, 11).Draw(t, "outcome")),
			Code: rapid.SampledFrom([]string{"", "", "E1"}).Draw(t, "code"),
		})
	}
	return q
}

// TestInvariant09_RouteNeverFailsWithSnapshot routes anything on any table: there is an answer, or a typed refusal whose cause
// lies in catalogue, state or request. Whatever came out can be decided again from table, request, second and admission.
func TestInvariant09_RouteNeverFailsWithSnapshot(t *testing.T) {
	plan := worldPlan(t)
	rapid.Check(t, func(t *rapid.T) {
		table := plan.Table(Revision{1, 9}, drawStates(t, "table"), nil)
		r := NewRouter()
		r.Swap(table)
		for range 5 {
			q := drawRequest(t)
			var d, again Decision
			err := r.Route(q, noon, &d)
			judge(t, plan, q, &d, err)
			err2 := Decide(table, q, noon, d.Admission, &again)
			if fmt.Sprint(err) != fmt.Sprint(err2) || !slices.Equal(d.Candidates, again.Candidates) || !slices.Equal(d.Dropped, again.Dropped) ||
				d.ID != again.ID || d.ValidUntil != again.ValidUntil {
				t.Fatalf("decided again: %v %+v, before %v %+v", err2, again.Candidates, err, d.Candidates)
			}
			if id, err := ParseDecisionID(d.ID.String()); err != nil || id != d.ID {
				t.Fatalf("id %v read as %v: %v", d.ID, id, err)
			}
		}
	})
}

// judge says whether an answer is one that Route may give.
func judge(t *rapid.T, p *Plan, q *Request, d *Decision, err error) {
	refusal, refused := errors.AsType[*Refusal](err)
	previous, forbidden := errors.AsType[*PreviousAttemptError](err)
	switch {
	case err == nil && len(d.Candidates) > 0:
	case refused && refusal.Reason != RefusalNone && len(d.Candidates) == 0:
	case forbidden && previous.Channel != "" && len(d.Candidates) == 0:
	default:
		t.Fatalf("%+v: %v with %d candidates", q, err, len(d.Candidates))
	}
	judgeCandidates(t, p, q, d)
}

// judgeCandidates says whether each channel may be given to the request.
func judgeCandidates(t *rapid.T, p *Plan, q *Request, d *Decision) {
	for _, c := range d.Candidates {
		ch := p.channels[p.channelOf[c.Channel]]
		if p.accounts[ch.accounts[c.Account]].entity != q.Entity {
			t.Fatalf("%+v crosses to another entity: %s/%s", q, c.Channel, c.Account)
		}
		if slices.Contains(q.Exclude, c.Channel) {
			t.Fatalf("%+v got an excluded channel", q)
		}
		if !q.Business.FollowsOriginal() && slices.ContainsFunc(q.Attempts, func(a Attempt) bool { return a.Channel == c.Channel }) {
			t.Fatalf("%+v got a channel tried before", q)
		}
		if q.Business.FollowsOriginal() && (c.Channel != q.Original.Channel || c.Account != q.Original.Account) {
			t.Fatalf("%+v left its original: %s/%s", q, c.Channel, c.Account)
		}
	}
}

// TestInvariant10_NoSecondChannelWhileInDoubt gives any mix of previous attempts with one in doubt: there is no channel.
func TestInvariant10_NoSecondChannelWhileInDoubt(t *testing.T) {
	plan := worldPlan(t)
	rapid.Check(t, func(t *rapid.T) {
		r := NewRouter()
		r.Swap(plan.Table(Revision{1, 9}, drawStates(t, "table"), nil))
		q := drawRequest(t)
		if q.Business == statemachine.Query {
			q.Business = statemachine.Collect
		}
		doubt := rapid.SampledFrom([]Attempt{
			{Channel: "a", Outcome: statemachine.TimedOut},
			{Channel: "b", Outcome: statemachine.Pending},
			{Channel: "c"},
			{Channel: "x", Code: "unmapped"},
			{Channel: "d", Outcome: statemachine.OutcomeUnmapped},
			{Channel: "d", Outcome: 200},
		}).Draw(t, "doubt")
		q.Attempts = slices.Insert(q.Attempts, rapid.IntRange(0, len(q.Attempts)).Draw(t, "place"), doubt)
		var d Decision
		err := r.Route(q, noon, &d)
		if len(d.Candidates) > 0 || !errors.Is(err, ErrAmbiguousPreviousAttempt) && !errors.Is(err, ErrAlreadyPaid) {
			t.Fatalf("%+v: %v with %d candidates", q.Attempts, err, len(d.Candidates))
		}
	})
}
