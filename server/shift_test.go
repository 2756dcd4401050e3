package server

import (
	"math"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// splitCatalog deals ICBC 70 : 30 over alpha and beta, gamma is their last resort, delta comes after them.
func splitCatalog() *configv1.Catalog {
	c := testCatalog()
	m := c.GetRoutes()[0].GetMembers()
	m[0].Split, m[1].Split = 70, 30
	m[1].Priority, m[2].Priority = 0, 0
	c.GetChannels()[3] = testChannel("delta", "ICBC", "ABC")
	return c
}

// The prediction agrees with what the router really does, whichever scopes are closed.
func TestPredictionAgreesWithDecisions(t *testing.T) {
	closed := func(channels ...string) map[statemachine.Scope]statemachine.State {
		m := map[statemachine.Scope]statemachine.State{}
		for _, c := range channels {
			s := statemachine.NewState(statemachine.ChannelScope(c))
			s.Phase, s.Share, s.Generation = statemachine.Disabled, 0, 1
			m[s.Scope] = s
		}
		return m
	}
	s := newWorld(t, splitCatalog())
	fleet := s.Sight().Fleet
	at, ok := s.plan.LaneIndex(statemachine.Lane{Entity: "acme", Business: statemachine.Collect, Instrument: icbcDebit})
	if !ok {
		t.Fatal("no lane")
	}
	lane := &fleet.Lanes[at]
	for name, down := range map[string]map[statemachine.Scope]statemachine.State{
		"none": closed(), "alpha": closed("alpha"), "both": closed("alpha", "beta"), "three": closed("alpha", "beta", "gamma"), "all": closed("alpha", "beta", "gamma", "delta"),
	} {
		t.Run(name, func(t *testing.T) {
			want := spread(newWays(s.catalog).groups(lane), states{fleet, down}.openings(lane))
			var list []statemachine.State
			for _, st := range down {
				list = append(list, st)
			}
			got := decided(t, s.plan.Table(routing.Revision{Epoch: 1, Revision: 9}, list, nil))
			for i, m := range lane.Members {
				if math.Abs(got[m.Channel]-want[i]) > 0.02 {
					t.Errorf("%s: predicted %.3f, decided %.3f", m.Channel, want[i], got[m.Channel])
				}
			}
		})
	}
}

// decided is the part of many payments that each channel gets first.
func decided(t *testing.T, table *routing.Table) map[string]float64 {
	t.Helper()
	const n = 8000
	got := map[string]float64{}
	w := &scratch{}
	for i := range n {
		routepb.ReadRequest(payment("p"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))), &w.request)
		if err := routing.Decide(table, &w.request, epoch.Unix(), routing.Admission{Lifted: -1}, &w.decision); err == nil {
			got[w.decision.Candidates[0].Channel] += 1.0 / n
		}
	}
	return got
}

// A channel on a ramp takes its share of what it would be dealt, the rest goes on.
func TestPredictionOfARamp(t *testing.T) {
	turns := []turn{{{members: []int{0}, weight: 70}, {members: []int{1}, weight: 30}}, {{members: []int{2}, weight: 1}}}
	tests := map[string]struct{ open, want []float64 }{
		"alpha at a tenth": {[]float64{0.1, 1, 1}, []float64{0.07, 0.93, 0}},
		"both on ramps":    {[]float64{0.1, 0.5, 1}, []float64{0.07, 0.15, 0.78}},
		"only a ramp left": {[]float64{0, 0, 0.2}, []float64{0, 0, 0.2}},
	}
	for name, test := range tests {
		for i, got := range spread(turns, test.open) {
			if math.Abs(got-test.want[i]) > 1e-9 {
				t.Errorf("%s: member %d gets %v, want %v", name, i, got, test.want[i])
			}
		}
	}
}
