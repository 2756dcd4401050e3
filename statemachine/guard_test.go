package statemachine

import (
	"strings"
	"testing"
	"time"
)

var icbc = Instrument{"QUICKPAY", "ICBC", "DEBIT"}

// guardFleet is one lane for ICBC with three channels, a, b and c, and one for ABC with a and b.
func guardFleet() *Fleet {
	lane := func(bank string) Lane {
		return Lane{Entity: "e1", Business: Collect, Instrument: Instrument{"QUICKPAY", bank, "DEBIT"}}
	}
	return &Fleet{
		Default: DefaultPolicy(),
		Lanes: []LaneMembers{
			{Lane: lane("ICBC"), Demand: 10, Members: []Member{
				{Channel: "a", Account: "a1", Weight: 0.5, Domains: []string{"net"}},
				{Channel: "b", Account: "b1", Weight: 0.3, Domains: []string{"net"}},
				{Channel: "c", Account: "c1", Weight: 0.2},
			}},
			{Lane: lane("ABC"), Demand: 4, Members: []Member{
				{Channel: "a", Account: "a1", Weight: 0.5, Domains: []string{"net"}},
				{Channel: "b", Account: "b1", Weight: 0.5, Domains: []string{"net"}},
			}},
		},
		States: map[Scope]State{},
	}
}

func closed(f *Fleet, scopes ...Scope) {
	for _, s := range scopes {
		f.States[s] = State{Scope: s, Phase: Disabled, Kind: Cut, Incident: "i", StepSince: 1}
	}
}

// capacities declares a pool for each channel: capacity and load.
func capacities(f *Fleet, of map[string][2]float64) {
	for _, channel := range []string{"a", "b", "c"} {
		c, ok := of[channel]
		if !ok {
			continue
		}
		f.Pools = append(f.Pools, Pool{Name: channel, PerSecond: c[0], Load: c[1]})
		for i := range f.Lanes {
			for j := range f.Lanes[i].Members {
				if m := &f.Lanes[i].Members[j]; m.Channel == channel {
					m.Pools = append(m.Pools, len(f.Pools)-1)
				}
			}
		}
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	at := At(scenarioStart)
	cut := func(s Scope) Proposal { return Proposal{Scope: s, Cause: Automation, Lower: 0.7} }
	byOperator := func(s Scope, overrides ...string) Proposal {
		return Proposal{Scope: s, Cause: Operator, Overrides: overrides}
	}
	aICBC := InstrumentScope("a", icbc)
	for name, c := range map[string]struct {
		fleet  func(*Fleet)
		p      Proposal
		answer Answer
		guard  string
		share  Share
		says   string
	}{
		"half of the weight stays":           {nil, cut(aICBC), Allow, "", 0, ""},
		"a scope nobody uses":                {nil, cut(ChannelScope("z")), Allow, "", 0, ""},
		"an account":                         {nil, cut(AccountScope("a", "a1")), Allow, "", 0, ""},
		"a business type":                    {nil, cut(BusinessScope("a", Collect)), Allow, "", 0, ""},
		"a method":                           {nil, cut(MethodScope("a", "QUICKPAY")), Allow, "", 0, ""},
		"another business type":              {nil, cut(BusinessScope("a", Payout)), Allow, "", 0, ""},
		"a domain with nothing outside":      {nil, cut(DomainScope("net")), Refuse, GuardLastUsable, 0, "e1/COLLECT/QUICKPAY:ABC:DEBIT"},
		"the others are closed":              {func(f *Fleet) { closed(f, ChannelScope("b"), ChannelScope("c")) }, cut(ChannelScope("a")), Refuse, GuardLastUsable, 0, "QUICKPAY:ICBC:DEBIT (10 payments/s) and 1 more lanes"},
		"the other is closed elsewhere only": {func(f *Fleet) { closed(f, InstrumentScope("b", icbc)) }, cut(InstrumentScope("a", Instrument{"QUICKPAY", "ABC", "DEBIT"})), Allow, "", 0, ""},
		"a probing channel is not usable": {func(f *Fleet) {
			f.States[ChannelScope("b")] = State{Scope: ChannelScope("b"), Phase: Probing, StepSince: 1}
		}, cut(InstrumentScope("a", Instrument{"QUICKPAY", "ABC", "DEBIT"})), Refuse, GuardLastUsable, 0, "ABC"},
		"one closed by order is not usable": {func(f *Fleet) {
			s := NewState(ChannelScope("b"))
			s.Off = Override{Author: "li", Reason: "r", Since: 1}
			f.States[s.Scope] = s
		}, cut(InstrumentScope("a", Instrument{"QUICKPAY", "ABC", "DEBIT"})), Refuse, GuardLastUsable, 0, "ABC"},
		"one forced open is usable": {func(f *Fleet) {
			s := State{Scope: ChannelScope("b"), Phase: Disabled, StepSince: 1}
			s.OnNow = Override{Author: "li", Reason: "r", Since: 1}
			f.States[s.Scope] = s
		}, cut(InstrumentScope("a", Instrument{"QUICKPAY", "ABC", "DEBIT"})), Allow, "", 0, ""},
		"the only member all along": {func(f *Fleet) { f.Lanes[1].Members = f.Lanes[1].Members[:1] }, cut(ChannelScope("a")), Refuse, GuardLastUsable, 0, "ABC"},
		"the last one without demand": {func(f *Fleet) {
			f.Lanes[1].Members, f.Lanes[1].Demand = f.Lanes[1].Members[:1], 0
		}, cut(ChannelScope("a")), Refuse, GuardLastUsable, 0, "ABC"},
		"nothing left to lose":          {func(f *Fleet) { closed(f, aICBC) }, cut(aICBC), Allow, "", 0, ""},
		"an operator is refused, too":   {func(f *Fleet) { closed(f, ChannelScope("b"), ChannelScope("c")) }, byOperator(ChannelScope("a")), Refuse, GuardLastUsable, 0, ""},
		"an operator overrides by name": {func(f *Fleet) { closed(f, ChannelScope("b"), ChannelScope("c")) }, byOperator(ChannelScope("a"), GuardLastUsable, GuardCapacity), Allow, "", 0, ""},
		"one name is not the other":     {func(f *Fleet) { closed(f, ChannelScope("b"), ChannelScope("c")) }, byOperator(ChannelScope("a"), GuardLastUsable), Refuse, GuardCapacity, 0, ""},
		"automation overrides nothing":  {func(f *Fleet) { closed(f, ChannelScope("b"), ChannelScope("c")) }, Proposal{Scope: ChannelScope("a"), Cause: Automation, Overrides: []string{GuardLastUsable, GuardCapacity}}, Refuse, GuardLastUsable, 0, ""},

		"70 of 100 weight may leave but for 10": {func(f *Fleet) {
			f.Lanes[0].Members[0].Weight, f.Lanes[0].Members[1].Weight, f.Lanes[0].Members[2].Weight = 0.7, 0.2, 0.1
		}, cut(aICBC), Lower, GuardCapacity, 142_857, "ICBC"},
		"a standby counts as much as the others": {func(f *Fleet) { f.Lanes[1].Members[0].Weight, f.Lanes[1].Members[1].Weight = 1, 0 }, cut(ChannelScope("a")), Allow, "", 0, ""},
		"a ramping survivor takes its share of what reaches it, the rest would be lost": {func(f *Fleet) {
			f.States[ChannelScope("b")] = State{Scope: ChannelScope("b"), Phase: Ramping, Share: ShareOf(0.1), StepSince: 1}
		}, cut(InstrumentScope("a", Instrument{"QUICKPAY", "ABC", "DEBIT"})), Refuse, GuardCapacity, 0, "ABC"},
		"too little was left before": {func(f *Fleet) { closed(f, aICBC); f.Lanes[0].Members[0].Weight = 5 }, cut(InstrumentScope("b", icbc)), Refuse, GuardCapacity, 0, "ICBC"},

		// a carries 5/s of the ICBC lane; 1.2 times that is 6.
		"room for all":         {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {9, 3}, "c": {3, 2}}) }, cut(aICBC), Allow, "", 0, ""},
		"room in two":          {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {6, 2}}) }, cut(aICBC), Allow, "", 0, ""},
		"room for half of it":  {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {3, 2}}) }, cut(aICBC), Lower, GuardCapacity, 500_000, "ICBC"},
		"room for a trifle":    {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {3.1, 3}, "c": {2.1, 2}}) }, cut(aICBC), Refuse, GuardCapacity, 0, "ICBC"},
		"room for nearly all":  {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {8, 3}, "c": {2.9, 2}}) }, cut(aICBC), Lower, GuardCapacity, MinLowered, "ICBC"},
		"no Lower for people":  {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {3, 2}}) }, byOperator(aICBC), Refuse, GuardCapacity, 0, ""},
		"people know better":   {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {3, 2}}) }, byOperator(aICBC, GuardCapacity), Allow, "", 0, ""},
		"a shared pool counts": {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {20, 3}, "c": {20, 2}}); share(f, 4, 3) }, cut(aICBC), Lower, GuardCapacity, 833_333, "ICBC"},
		"both lanes together": {func(f *Fleet) {
			capacities(f, map[string][2]float64{"b": {9, 3}, "c": {3, 2}}) // 6 for ICBC, leaving none of the 2.4 for ABC
		}, cut(ChannelScope("a")), Lower, GuardCapacity, 285_714, "ABC"},
		"a part wished for fits":     {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {3, 2}}) }, Proposal{Scope: aICBC, Share: ShareOf(0.5), Cause: Automation}, Allow, "", 0, ""},
		"a part wished for does not": {func(f *Fleet) { capacities(f, map[string][2]float64{"b": {5, 3}, "c": {3, 2}}) }, Proposal{Scope: aICBC, Share: ShareOf(0.3), Cause: Automation}, Lower, GuardCapacity, 500_000, ""},
		"what was closed a moment ago is not in the loads yet": {func(f *Fleet) {
			capacities(f, map[string][2]float64{"b": {9, 3}, "c": {9, 2}})
			closed(f, InstrumentScope("b", icbc)) // 3 payments/s more for a and c, seen for 15 of 60 seconds
			st := f.States[InstrumentScope("b", icbc)]
			st.StepSince = at.Add(-15 * time.Second)
			f.States[st.Scope] = st
		}, cut(aICBC), Lower, GuardCapacity, 0, "ICBC"},

		"one cut per instrument a minute": {func(f *Fleet) { f.Recent = []RecentCut{{InstrumentScope("b", icbc), at.Add(-30 * time.Second)}} }, cut(aICBC), Refuse, GuardBudget, 0, "b/instrument"},
		"another instrument": {func(f *Fleet) {
			f.Recent = []RecentCut{{InstrumentScope("b", Instrument{"QUICKPAY", "CMB", "DEBIT"}), at}}
		}, cut(aICBC), Allow, "", 0, ""},
		"a minute later":                    {func(f *Fleet) { f.Recent = []RecentCut{{InstrumentScope("b", icbc), at.Add(-60 * time.Second)}} }, cut(aICBC), Allow, "", 0, ""},
		"the same scope relapses":           {func(f *Fleet) { f.Recent = []RecentCut{{aICBC, at.Add(-30 * time.Second)}} }, cut(aICBC), Allow, "", 0, ""},
		"two channels a minute":             {func(f *Fleet) { f.Recent = []RecentCut{{ChannelScope("x"), at}, {DomainScope("y"), at}} }, cut(ChannelScope("a")), Refuse, GuardBudget, 0, "at most 2"},
		"certain failure breaks the budget": {func(f *Fleet) { f.Recent = []RecentCut{{ChannelScope("x"), at}, {DomainScope("y"), at}} }, Proposal{Scope: ChannelScope("a"), Cause: Automation, Lower: 0.95}, Allow, "", 0, ""},
		"people have no budget":             {func(f *Fleet) { f.Recent = []RecentCut{{ChannelScope("x"), at}, {DomainScope("y"), at}} }, byOperator(ChannelScope("a")), Allow, "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := guardFleet()
			if c.fleet != nil {
				c.fleet(f)
			}
			r := Guard(f, c.p, scenarioStart)
			if r.Answer != c.answer || r.Guard != c.guard || c.share != 0 && r.Share != c.share || !strings.Contains(r.Reason, c.says) {
				t.Errorf("got %+v, want %s %s %s %q", r, c.answer, c.guard, c.share, c.says)
			}
			if (r.Answer == Allow) != (r.Reason == "") || r.Answer == Lower && (r.Share < MinLowered || r.Share > MaxLowered) {
				t.Errorf("odd ruling %+v", r)
			}
		})
	}
}

// share makes b and c draw from one more pool.
func share(f *Fleet, perSecond, load float64) {
	f.Pools = append(f.Pools, Pool{Name: "egress", PerSecond: perSecond, Load: load})
	for i := range f.Lanes {
		for j := range f.Lanes[i].Members {
			if m := &f.Lanes[i].Members[j]; m.Channel != "a" {
				m.Pools = append(m.Pools, len(f.Pools)-1)
			}
		}
	}
}
