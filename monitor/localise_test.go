package monitor

import (
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

func TestLocalise(t *testing.T) {
	others := calmFlows("c8", "c9")
	tests := []struct {
		name  string
		fleet *statemachine.Fleet
		flows []flow // each second, for ten seconds
		want  []string
		banks []string
	}{
		{
			"one bank of a cross-card channel", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5, coded: true}, {channel: "c1", bank: "CCB", good: 5}},
			[]string{"failing " + icbc("c1")},
			nil,
		},
		{
			"one bank that carries most of the channel", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 9, coded: true}, {channel: "c1", bank: "CCB", good: 1}},
			[]string{"failing " + icbc("c1")},
			nil,
		},
		{
			"two banks of three", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5, coded: true}, {channel: "c1", bank: "CCB", bad: 5, coded: true}, {channel: "c1", bank: "ABC", good: 5}},
			[]string{"failing c1/instrument=QUICKPAY:CCB:DEBIT", "failing " + icbc("c1")},
			nil,
		},
		{
			"all banks", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5, coded: true}, {channel: "c1", bank: "CCB", bad: 4, good: 1, coded: true}, {channel: "c1", bank: "ABC", bad: 5, coded: true}},
			[]string{"failing c1"},
			nil,
		},
		{
			"all banks, one too quiet for a verdict of its own", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5, coded: true}, {channel: "c1", bank: "CCB", bad: 5, coded: true}, {channel: "c1", bank: "ABC", bad: 1, coded: true}},
			[]string{"failing c1"},
			nil,
		},
		{
			"the only bank with traffic", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5, coded: true}},
			[]string{"failing " + icbc("c1")},
			nil,
		},
		{
			"one account over all banks", fleetOf("c1", "c8", "c9"),
			[]flow{
				{channel: "c1", bank: "ICBC", account: "a1", bad: 6, coded: true},
				{channel: "c1", bank: "ICBC", account: "a2", good: 4},
				{channel: "c1", bank: "CCB", account: "a1", bad: 6, coded: true},
				{channel: "c1", bank: "CCB", account: "a2", good: 4},
			},
			[]string{"failing c1/account=a1"},
			nil,
		},
		{
			"a bank and an account on their own", fleetOf("c1", "c8", "c9"),
			[]flow{
				{channel: "c1", bank: "ICBC", account: "a1", bad: 4, coded: true},
				{channel: "c1", bank: "CCB", account: "a2", bad: 4, coded: true},
				{channel: "c1", bank: "CCB", account: "a1", good: 30},
				{channel: "c1", bank: "ABC", account: "a1", good: 30},
			},
			[]string{"failing c1/account=a2", "failing " + icbc("c1")},
			nil,
		},
		{
			"a failure domain", fleetOf("c1:d1", "c2:d1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 5}, {channel: "c1", bank: "CCB", bad: 5}, {channel: "c2", bank: "ICBC", bad: 5}, {channel: "c2", bank: "CCB", bad: 5}},
			[]string{"failing domain=d1"},
			nil,
		},
		{
			"a calm channel in the domain", fleetOf("c1:d1", "c2:d1", "c3:d1", "c8", "c9"),
			[]flow{
				{channel: "c1", bank: "ICBC", bad: 5, coded: true},
				{channel: "c1", bank: "CCB", bad: 5, coded: true},
				{channel: "c2", bank: "ICBC", bad: 5, coded: true},
				{channel: "c2", bank: "CCB", bad: 5, coded: true},
				{channel: "c3", bank: "CCB", good: 5},
			},
			[]string{"failing c1", "failing c2"},
			nil,
		},
		{
			"a bank that is down everywhere", fleetOf("c1", "c2"),
			[]flow{
				{channel: "c1", bank: "ICBC", bad: 5, coded: true},
				{channel: "c1", bank: "CCB", good: 9},
				{channel: "c2", bank: "ICBC", bad: 5, coded: true},
				{channel: "c2", bank: "CCB", good: 9},
			},
			nil,
			[]string{"ICBC"},
		},
		{
			"a bank that is fine on one of three channels", fleetOf("c1", "c2", "c3"),
			[]flow{
				{channel: "c1", bank: "ICBC", bad: 5, coded: true},
				{channel: "c1", bank: "CCB", good: 9},
				{channel: "c2", bank: "ICBC", bad: 5, coded: true},
				{channel: "c2", bank: "CCB", good: 9},
				{channel: "c3", bank: "ICBC", good: 5},
			},
			[]string{"failing " + icbc("c1"), "failing " + icbc("c2")},
			nil,
		},
		{
			"a mild fault of one bank", fleetOf("c1", "c8", "c9"),
			[]flow{{channel: "c1", bank: "ICBC", bad: 3, good: 7, coded: true}, {channel: "c1", bank: "CCB", good: 10}},
			[]string{"mildly-failing " + icbc("c1")},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flows := tt.flows
			if _, ok := tt.fleet.Channels["c8"]; ok {
				flows = append(flows, others...)
			}
			got := play(NewPipeline(), tt.fleet, t0, 10, flows...)
			equal(t, "verdicts", names(got.Verdicts), tt.want)
			equal(t, "banks down", got.BanksDown, tt.banks)
			for _, v := range got.Verdicts {
				if len(v.Evidence.Considered) == 0 {
					t.Errorf("%s does not say what was considered", v.Scope)
				}
			}
		})
	}
}

func TestLocaliseSecondChannelOfADomainAfterTheFirstWasCut(t *testing.T) {
	f := fleetOf("c1:d1", "c2:d1", "c8", "c9")
	p := NewPipeline()
	bad := []flow{{channel: "c1", bank: "ICBC", bad: 5}, {channel: "c1", bank: "CCB", bad: 5}}
	first := play(p, f, t0, 4, append(bad, calmFlows("c8", "c9")...)...)
	equal(t, "first", names(first.Verdicts), []string{"failing c1"})
	put(f, statemachine.ChannelScope("c1"), statemachine.Disabled, 1, 9)
	f.Recent = []statemachine.RecentCut{{Scope: statemachine.ChannelScope("c1"), At: statemachine.Instant(t0 * 1000)}}
	then := play(p, f, t0+4, 4, append([]flow{{channel: "c2", bank: "ICBC", bad: 5}, {channel: "c2", bank: "CCB", bad: 5}}, calmFlows("c8", "c9")...)...)
	equal(t, "then", names(then.Verdicts), []string{"failing domain=d1"})
}

func TestBankDownIsToldOnce(t *testing.T) {
	f, p := fleetOf("c1", "c2"), NewPipeline()
	var alerts []string
	for i := range int64(30) {
		got := p.Observe(sumOf(t0+i, 10, flow{channel: "c1", bank: "ICBC", bad: 5, coded: true}, flow{channel: "c2", bank: "ICBC", bad: 5, coded: true},
			flow{channel: "c1", bank: "CCB", good: 9}, flow{channel: "c2", bank: "CCB", good: 9}), f)
		alerts = append(alerts, alertKinds(got.Alerts)...)
	}
	equal(t, "alerts", alerts, []string{"BANK_DOWN"})
}

// A fault of our own network may reach one bank's payments first: without coded replies a bank's fault must last.
func TestBankDownWaitsForOurOwnNetwork(t *testing.T) {
	const well = 130 // seconds
	bank := []flow{{channel: "c1", bank: "ICBC", bad: 30}, {channel: "c2", bank: "ICBC", bad: 30}}
	calm := []flow{{channel: "c1", bank: "CCB", good: 40}, {channel: "c2", bank: "CCB", good: 40}}
	down := []flow{{channel: "c1", bank: "CCB", bad: 40}, {channel: "c2", bank: "CCB", bad: 40}}
	for name, c := range map[string]struct {
		coded bool
		then  []flow
		want  []string
	}{
		"the bank alone":             {false, calm, []string{"BANK_DOWN"}},
		"the bank alone, with codes": {true, calm, []string{"BANK_DOWN"}},
		"everything from then on":    {false, down, []string{"COMMON_MODE"}},
	} {
		f, p := fleetOf("c1", "c2"), NewPipeline()
		f.Default.Detector = statemachine.DetectorSequential
		var alerts []string
		first := int64(-1)
		for i := range int64(well + 10) {
			flows := slices.Clone(bank)
			for k := range flows {
				flows[k].coded = c.coded
				if i < well {
					flows[k].good, flows[k].bad = flows[k].bad, 0
				}
			}
			if i <= well {
				flows = append(flows, calm...)
			} else {
				flows = append(flows, c.then...)
			}
			got := p.Observe(sumOf(t0+i, 10, flows...), f)
			if alerts = append(alerts, alertKinds(got.Alerts)...); len(alerts) > 0 && first < 0 {
				first = i
			}
		}
		equal(t, name, alerts, c.want)
		if c.coded && first != well || !c.coded && first != well+commonConfirm {
			t.Errorf("%s: told after %d s", name, first-well)
		}
	}
}

func TestLocaliseLeavesADomainsRelapseToTheDomain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		second flow
		want   []string
	}{
		{"the other channel fails too", flow{channel: "c2", bank: "CCB", bad: 4}, nil},
		{"the other channel is calm", flow{channel: "c2", bank: "CCB", good: 4}, []string{"failing c1"}},
	} {
		f := fleetOf("c1:d1", "c2:d1", "c8", "c9")
		put(f, statemachine.DomainScope("d1"), statemachine.Ramping, 3, 1)
		flows := append(calmFlows("c8", "c9"), flow{channel: "c1", bank: "CCB", bad: 4}, flow{channel: "c1", bank: "ICBC", bad: 4}, tt.second)
		got := play(NewPipeline(), f, t0, 6, flows...)
		var channels []string
		for _, v := range got.Verdicts {
			if v.Scope.Kind == statemachine.ScopeChannel {
				channels = append(channels, v.Kind.String()+" "+v.Scope.String())
			}
		}
		equal(t, tt.name, channels, tt.want)
		if got.CommonMode {
			t.Errorf("%s: the relapse of a domain is taken for our own fault", tt.name)
		}
	}
}
