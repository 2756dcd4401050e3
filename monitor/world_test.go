package monitor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// flow is the traffic of one bank and account on one channel in a second, all of the default method and business type.
type flow struct {
	channel, bank, account string
	good, bad              int
	coded                  bool
	reporters              uint64 // bitmap; 0 = the first of two
	kind                   statemachine.LaneKind
	age                    int // age bucket of the results + 1; 0 = without a decision
}

// sumOf builds the sum of a second under a revision, as the counters would.
func sumOf(second, revision int64, flows ...flow) *SecondCounts {
	s := SecondCounts{Second: second, Revision: revision}
	for _, f := range flows {
		if f.reporters == 0 {
			f.reporters = 3
		}
		if f.account == "" {
			f.account = "a1"
		}
		s.Reporters |= f.reporters
		var t Tally
		t.Outcomes[statemachine.Succeeded] = uint32(f.good)
		t.Bad, t.BadPayers = uint32(f.bad), uint32(f.bad)
		bad := statemachine.TimedOut
		if f.coded {
			t.CodedBad, bad = t.Bad, statemachine.ChannelFailed
		} else if f.bad > 0 {
			t.Reporters = f.reporters
		}
		t.Outcomes[bad] = uint32(f.bad)
		for _, item := range []statemachine.Scope{
			statemachine.ChannelScope(f.channel), statemachine.BusinessScope(f.channel, statemachine.Collect),
			statemachine.MethodScope(f.channel, "QUICKPAY"), statemachine.AccountScope(f.channel, f.account),
			statemachine.InstrumentScope(f.channel, bank(f.bank)),
		} {
			c := ItemCounts{Item: item}
			c.Evidence[f.kind] = t
			if f.age > 0 {
				c.Ages[f.age-1] = uint32(f.good + f.bad)
			}
			if f.bad > 0 {
				c.Reasons = []statemachine.ReasonCount{{Reason: "E_" + f.bank, N: uint64(f.bad)}}
			}
			s.Items = append(s.Items, c)
		}
	}
	s.Items = mergeItems(s.Items)
	return &s
}

// fleetOf builds a fleet of channels that carry ICBC, CCB and ABC each. A channel may be given as "name:domain,domain".
func fleetOf(channels ...string) *statemachine.Fleet {
	f := &statemachine.Fleet{
		Default: statemachine.DefaultPolicy(), Channels: map[string]statemachine.ChannelFacts{}, States: map[statemachine.Scope]statemachine.State{},
	}
	f.Default.Detector = statemachine.DetectorWindows
	for _, c := range channels {
		name, domain := c, ""
		for i := range c {
			if c[i] == ':' {
				name, domain = c[:i], c[i+1:]
			}
		}
		facts := statemachine.ChannelFacts{Instruments: []statemachine.Instrument{bank("ABC"), bank("CCB"), bank("ICBC")}}
		if domain != "" {
			facts.Domains = []string{domain}
		}
		f.Channels[name] = facts
	}
	return f
}

// put sets a state in the fleet.
func put(f *statemachine.Fleet, s statemachine.Scope, phase statemachine.Phase, generation uint64, after int64) statemachine.State {
	st := statemachine.NewState(s)
	st.Phase, st.Generation, st.After = phase, generation, after
	if phase != statemachine.Healthy {
		st.Kind, st.Incident = statemachine.Cut, "i1"
	}
	f.States[s] = st
	return st
}

// names renders verdicts as "failing scope" lines for comparison.
func names(verdicts []statemachine.Verdict) []string {
	var list []string
	for _, v := range verdicts {
		line := v.Kind.String() + " " + v.Scope.String()
		if v.Ruling.Guard != "" {
			line += " " + v.Ruling.Guard
		}
		list = append(list, line)
	}
	return list
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// play feeds the same flows for a number of seconds and returns the last findings.
func play(p *Pipeline, f *statemachine.Fleet, from int64, n int, flows ...flow) Findings {
	var last Findings
	for i := range n {
		last = p.Observe(sumOf(from+int64(i), 10, flows...), f)
	}
	return last
}

func alertKinds(alerts []statemachine.Alert) []string {
	var kinds []string
	for _, a := range alerts {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

// calmFlows is healthy traffic of channels.
func calmFlows(channels ...string) []flow {
	var flows []flow
	for _, c := range channels {
		for _, b := range []string{"ABC", "CCB", "ICBC"} {
			flows = append(flows, flow{channel: c, bank: b, good: 5})
		}
	}
	return flows
}

func icbc(channel string) string { return fmt.Sprintf("%s/instrument=QUICKPAY:ICBC:DEBIT", channel) }
