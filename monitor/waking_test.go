package monitor

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

// That calm items are not looked at changes no verdict and nothing that is remembered: all is as if everyone were judged every
// second, whatever fails, whatever state it is given, and whoever comes late.
func TestCalmItemsNeedNoJudging(t *testing.T) {
	verdicts := 0
	rapid.Check(t, func(t *rapid.T) {
		f, a, b := sequentialFleet("c1:d1", "c2:d1", "c3", "c4"), NewDetectors(), NewDetectors()
		seen := rapid.SampledFrom([][]string{{"c1", "c2", "c3", "c4"}, {"c2"}}).Draw(t, "seen")
		world := drawWorld(t, 200)
		observed := rapid.IntRange(0, len(world)-1).Draw(t, "observed")
		for i := range int64(330) {
			flows := calmFlows(seen...)
			if i >= 130 {
				flows = world[i-130]
			}
			if i == 130+int64(observed) {
				scope := statemachine.ChannelScope(rapid.SampledFrom([]string{"c1", "c3"}).Draw(t, "scope"))
				st := statemachine.NewState(scope)
				st.Kind, st.Incident, st.Generation = statemachine.Observed, "i1", 1
				f.States = map[statemachine.Scope]statemachine.State{scope: st}
			}
			for _, v := range b.views() {
				v.history.waking.everyone = true
			}
			sum := sumOf(t0+i, 10, flows...)
			got, want := a.Observe(sum, f), b.Observe(sum, f)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("second %d:\n got %+v\nwant %+v", i, got, want)
			}
			verdicts += len(want)
		}
		if !reflect.DeepEqual(a.Checkpoint(), b.Checkpoint()) {
			t.Fatal("in the end the checkpoints differ")
		}
	})
	if verdicts == 0 {
		t.Error("no world had a verdict: nothing was tested")
	}
}
