package monitor

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// merchantFleet is two channels with an account of merchant m-1 each ("own") and one that every merchant of the entity may use.
func merchantFleet(own ...statemachine.AccountFacts) *statemachine.Fleet {
	f := fleetOf("cardlink", "unionpay")
	f.Default.Detector = statemachine.DetectorWindows // whose looks need no learned baselines
	for name, facts := range f.Channels {
		facts.Accounts = append([]statemachine.AccountFacts{{ID: "a1", Entity: "e-1"}}, own...)
		f.Channels[name] = facts
	}
	return f
}

// failingAccounts sees ten seconds of flows, and says which accounts a detector would call failing.
func failingAccounts(f *statemachine.Fleet, accounts []string, flows ...flow) ([]statemachine.Verdict, *History) {
	h := NewHistory()
	for s := range int64(10) {
		h.Add(sumOf(1000+s, 10, flows...), f)
	}
	var verdicts []statemachine.Verdict
	for _, a := range accounts {
		scope, err := statemachine.ParseScope(a)
		if err != nil {
			return nil, h
		}
		t := h.Over(scope, 1000, 1009)
		e := evidence(scope, &t, 1000, 1009)
		e.Explanation = explain(e)
		verdicts = append(verdicts, statemachine.Verdict{Kind: statemachine.Failing, Scope: scope, Evidence: e})
	}
	return verdicts, h
}

func TestMerchantsFailing(t *testing.T) {
	own := statemachine.AccountFacts{ID: "own", Entity: "e-1", Merchants: []string{"m-1"}}
	two := statemachine.AccountFacts{ID: "own", Entity: "e-1", Merchants: []string{"m-1", "m-2"}}
	entity := statemachine.AccountFacts{ID: "own", Entity: "e-2"}
	well := func(channel string) flow { return flow{channel: channel, bank: "ICBC", account: "a1", good: 5} }
	sick := func(channel, account string) flow {
		return flow{channel: channel, bank: "ICBC", account: account, bad: 5, coded: true}
	}
	both := []string{"cardlink/account=own", "unionpay/account=own"}
	tests := []struct {
		name    string
		fleet   *statemachine.Fleet
		failing []string
		flows   []flow
		left    []string // verdicts not withheld
		says    string   // of the alert; empty = none
	}{
		{
			"everywhere, shared accounts are well", merchantFleet(own), both,
			[]flow{well("cardlink"), well("unionpay"), sick("cardlink", "own"), sick("unionpay", "own")},
			both, "merchant m-1 fails",
		},
		{
			"everywhere, shared accounts carry nothing", merchantFleet(own), both,
			[]flow{sick("cardlink", "own"), sick("unionpay", "own")},
			nil, "nothing is cut",
		},
		{
			"merchants that share the accounts", merchantFleet(two), both,
			[]flow{sick("cardlink", "own"), sick("unionpay", "own")},
			nil, "m-1, m-2 (they share accounts and cannot be told apart)",
		},
		{
			"a settlement entity", merchantFleet(entity), both,
			[]flow{well("cardlink"), well("unionpay"), sick("cardlink", "own"), sick("unionpay", "own")},
			nil, "settlement entity e-2 fails",
		},
		{
			"on one channel only", merchantFleet(own), both[1:],
			[]flow{well("cardlink"), well("unionpay"), {channel: "cardlink", bank: "ICBC", account: "own", good: 5}, sick("unionpay", "own")},
			both[1:], "",
		},
		{
			"well on one of three", func() *statemachine.Fleet {
				f := merchantFleet(own)
				f.Channels["netsunion"] = f.Channels["unionpay"]
				return f
			}(), both,
			[]flow{sick("cardlink", "own"), sick("unionpay", "own"), {channel: "netsunion", bank: "ICBC", account: "own", good: 8}},
			both, "",
		},
		{
			"the other account fails as well", merchantFleet(own), append(slices.Clone(both), "unionpay/account=a1"),
			[]flow{sick("cardlink", "own"), sick("unionpay", "own"), sick("unionpay", "a1")},
			append(slices.Clone(both), "unionpay/account=a1"), "",
		},
		{
			"accounts of nobody in particular", merchantFleet(),
			[]string{"cardlink/account=a1", "unionpay/account=a1"},
			[]flow{sick("cardlink", "a1"), sick("unionpay", "a1")},
			[]string{"cardlink/account=a1", "unionpay/account=a1"},
			"",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			verdicts, seen := failingAccounts(tc.fleet, tc.failing, tc.flows...)
			left, found := merchantsFailing(verdicts, seen, tc.fleet)
			var scopes []string
			for _, v := range left {
				scopes = append(scopes, v.Scope.String())
			}
			equal(t, "verdicts left", scopes, tc.left)
			alerts := NewMerchants().Observe(found, 1009)
			switch {
			case tc.says == "" && len(alerts) != 0:
				t.Errorf("told: %v", alerts)
			case tc.says != "" && (len(alerts) != 1 || alerts[0].Kind != AlertMerchantFailing || !strings.Contains(alerts[0].Message, tc.says)):
				t.Errorf("told %v, want %q", alerts, tc.says)
			}
		})
	}
}

// A failing merchant is told once while it fails, and again after it was well for ten minutes.
func TestMerchantsAreToldOnce(t *testing.T) {
	m := NewMerchants()
	found := []MerchantFailing{{Merchants: []string{"m-1"}, Entity: "e-1"}}
	told := 0
	for s := range int64(4000) {
		if s < 1000 || s >= 1900 {
			told += len(m.Observe(found, s))
		} else {
			told += len(m.Observe(nil, s))
		}
	}
	if told != 2 {
		t.Errorf("told %d times, want 2", told)
	}
}
