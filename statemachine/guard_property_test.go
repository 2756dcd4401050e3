package statemachine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// drawFleet makes a small arbitrary fleet with states and capacities.
func drawFleet(t *rapid.T) *Fleet {
	f := &Fleet{Default: DefaultPolicy(), States: map[Scope]State{}}
	for i := range rapid.IntRange(0, 3).Draw(t, "pools") {
		f.Pools = append(f.Pools, Pool{Name: strconv.Itoa(i), PerSecond: rapid.Float64Range(0, 40).Draw(t, "capacity"), Load: rapid.Float64Range(0, 40).Draw(t, "load")})
	}
	channels := []string{"a", "b", "c", "d"}
	for i := range rapid.IntRange(1, 4).Draw(t, "lanes") {
		l := LaneMembers{
			Lane:   Lane{Entity: "e", Business: Collect, Instrument: Instrument{"QUICKPAY", fmt.Sprint("B", i), "DEBIT"}},
			Demand: rapid.Float64Range(0, 20).Draw(t, "demand"),
		}
		for _, c := range channels[:rapid.IntRange(1, 4).Draw(t, "members")] {
			m := Member{Channel: c, Account: c + "1", Weight: rapid.SampledFrom([]float64{0, 0.2, 0.5, 1}).Draw(t, "weight")}
			if rapid.Bool().Draw(t, "in domain") {
				m.Domains = []string{"net"}
			}
			if len(f.Pools) > 0 && rapid.Bool().Draw(t, "pooled") {
				m.Pools = []int{rapid.IntRange(0, len(f.Pools)-1).Draw(t, "pool")}
			}
			l.Members = append(l.Members, m)
		}
		f.Lanes = append(f.Lanes, l)
	}
	for range rapid.IntRange(0, 3).Draw(t, "states") {
		s := drawScope(t)
		st := State{Scope: s, Phase: rapid.SampledFrom([]Phase{Disabled, Probing, Ramping}).Draw(t, "phase"), StepSince: At(scenarioStart) - Instant(rapid.IntRange(0, 90_000).Draw(t, "age"))}
		if st.Phase == Ramping {
			st.Share = ShareOf(rapid.Float64Range(0.02, 1).Draw(t, "share"))
		}
		f.States[s] = st
	}
	return f
}

func drawScope(t *rapid.T) Scope {
	channel := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "channel")
	return rapid.SampledFrom([]Scope{
		ChannelScope(channel), DomainScope("net"), BusinessScope(channel, Collect), MethodScope(channel, "QUICKPAY"), AccountScope(channel, channel+"1"),
		InstrumentScope(channel, Instrument{"QUICKPAY", "B0", "DEBIT"}), InstrumentScope(channel, Instrument{"QUICKPAY", "B1", "DEBIT"}),
	}).Draw(t, "scope")
}

// usableIn counts a lane's usable members the slow way, by the words every room shares.
func usableIn(f *Fleet, l LaneMembers) (n int) {
	for _, m := range l.Members {
		usable := true
		for _, s := range m.Scopes(l.Lane, nil) {
			if _, share := f.State(s).Effective(); share == 0 {
				usable = false
			}
		}
		if usable {
			n++
		}
	}
	return n
}

// afterCut is the fleet as the next question of the same second sees it.
func afterCut(f *Fleet, st State) *Fleet {
	g := *f
	g.States = maps.Clone(f.States)
	g.States[st.Scope] = st
	if st.Cuts[0] != 0 {
		g.Recent = append(slices.Clone(f.Recent), RecentCut{Scope: st.Scope, At: st.Cuts[0]})
	}
	return &g
}

// TestInvariant02_AutomationNeverCutsTheLastUsable: whatever the fleet, after the cuts the guard allows, one after the other,
// every lane that had a usable member still has one.
func TestInvariant02_AutomationNeverCutsTheLastUsable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		for range 4 {
			p := Proposal{Scope: drawScope(t), Cause: Automation, Lower: rapid.SampledFrom([]float64{0.5, 0.95}).Draw(t, "lower")}
			r := Guard(f, p, scenarioStart)
			if again := Guard(f, p, scenarioStart); again != r {
				t.Fatalf("same question, different answers: %+v %+v", r, again)
			}
			v := Verdict{Kind: Failing, Evidence: Evidence{Answered: 20, Bad: 20, Rate: 1, To: scenarioStart.Unix()}, Ruling: r}
			before := f
			next, _ := Step(f.State(p.Scope), v, f.Default, scenarioStart)
			f = afterCut(f, next)
			for _, l := range f.Lanes {
				if usableIn(before, l) > 0 && usableIn(f, l) == 0 {
					t.Fatalf("%s (%s) took the last usable member of %s", p.Scope, r.Answer, l.Lane)
				}
			}
		}
	})
}

// TestMatcherAgreesWithMemberScopes: the guard's fast comparison covers exactly the members that a scope applies to.
func TestMatcherAgreesWithMemberScopes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, s := drawFleet(t), drawScope(t)
		x := matchScope(s)
		for _, l := range f.Lanes {
			for _, m := range l.Members {
				want := false
				for _, applying := range m.Scopes(l.Lane, nil) {
					want = want || applying == s
				}
				if got := x.covers(&l.Lane, &m); got != want {
					t.Fatalf("%s covers %+v in %s: %v, want %v", s, m, l.Lane, got, want)
				}
			}
		}
	})
}

// bigFleet has n lanes of ten members on 1,000 channels with declared capacities.
func bigFleet(n int) *Fleet {
	f := &Fleet{Default: DefaultPolicy(), States: map[Scope]State{}}
	for c := range 1000 {
		f.Pools = append(f.Pools, Pool{Name: fmt.Sprint("c", c), PerSecond: 100, Load: 50})
	}
	for i := range n {
		l := LaneMembers{Lane: Lane{Entity: fmt.Sprint("e", i%4), Business: Collect, Instrument: Instrument{"QUICKPAY", fmt.Sprint("B", i/4), "DEBIT"}}, Demand: 0.5}
		for m := range 10 {
			c := (i*7 + m*13) % 1000
			l.Members = append(l.Members, Member{Channel: fmt.Sprint("c", c), Account: "a", Weight: 0.1, Pools: []int{c}})
		}
		f.Lanes = append(f.Lanes, l)
	}
	closed(f, ChannelScope("c3"), ChannelScope("c5"))
	return f
}

func BenchmarkGuard40kLanes(b *testing.B) {
	f := bigFleet(40_000)
	for name, s := range map[string]Scope{"channel": ChannelScope("c1"), "instrument": InstrumentScope("c7", Instrument{"QUICKPAY", "B0", "DEBIT"})} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Guard(f, Proposal{Scope: s, Cause: Automation}, scenarioStart)
			}
		})
	}
}
