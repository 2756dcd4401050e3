package simulate

import (
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// detailed runs a script on one bank that is down on one channel from minute 4 to minute 9, and returns what became of it.
func detailed(t *testing.T, script map[int64][]statemachine.State) (*Detail, Finding) {
	t.Helper()
	sum, _, _ := run(t, prepared(t, oneBank, nil), scripted(script, nil))
	if len(sum.Detail.Findings) != 1 {
		t.Fatalf("%d findings", len(sum.Detail.Findings))
	}
	return sum.Detail, sum.Detail.Findings[0]
}

func TestFindingFollowsTheAffected(t *testing.T) {
	none, untouched := detailed(t, nil)
	if untouched.Detected >= 0 || untouched.Moved != 0 || untouched.Samples != untouched.Affected || !untouched.Detectable {
		t.Errorf("nothing was cut: %+v", untouched)
	}
	d, f := detailed(t, map[int64][]statemachine.State{
		260: {moved(icbc(), statemachine.Disabled, 0, 1)}, 560: {moved(icbc(), statemachine.Healthy, 1, 2)},
	})
	if f.Detected != 260*time.Second || !f.HeldAtEnd || f.Recovered != 560*time.Second || f.EarlyFailed != 0 {
		t.Errorf("cut and held: %+v", f)
	}
	sameFate(t, &f, &untouched)
	if d.ExcessFailed <= 0 || d.ExcessFailed >= none.ExcessFailed {
		t.Errorf("excess %d with the cut, %d without", d.ExcessFailed, none.ExcessFailed)
	}
	if len(d.Rulings) != 1 || d.Rulings[0].Verdict != Right || d.Rulings[0].Label != f.Label {
		t.Errorf("rulings %+v", d.Rulings)
	}
}

// sameFate checks that a cut changed nothing of what the payments are, and that it is known what became of each.
func sameFate(t *testing.T, f, untouched *Finding) {
	t.Helper()
	if f.Affected != untouched.Affected || f.Crossing != untouched.Crossing {
		t.Errorf("the cut changed what payments are: %+v, %+v", f, untouched)
	}
	if f.Samples+f.Moved != f.Affected || f.Saved == 0 || f.Saved > f.Moved {
		t.Errorf("%d before the cut and %d moved of %d, %d saved", f.Samples, f.Moved, f.Affected, f.Saved)
	}
}

func TestReturnedTooEarlyIsCounted(t *testing.T) {
	_, f := detailed(t, map[int64][]statemachine.State{
		250: {moved(icbc(), statemachine.Disabled, 0, 1)}, 300: {moved(icbc(), statemachine.Healthy, 1, 2)},
	})
	if f.HeldAtEnd || f.Recovered >= 0 {
		t.Errorf("it was not held at the end: %+v", f)
	}
	if f.EarlyFailed < f.Affected/4 {
		t.Errorf("%d of %d failed after the return", f.EarlyFailed, f.Affected)
	}
	// A share that was only lowered returns nothing early: what it let through was never cut.
	_, f = detailed(t, map[int64][]statemachine.State{
		250: {moved(icbc(), statemachine.Ramping, 0.5, 1)}, 560: {moved(icbc(), statemachine.Healthy, 1, 2)},
	})
	if f.EarlyFailed != 0 || f.Saved == 0 {
		t.Errorf("lowered: %+v", f)
	}
}

func TestRulingsTellFalseFromOver(t *testing.T) {
	up, other := statemachine.ChannelScope("unionpay-api"), statemachine.ChannelScope("netsunion")
	d, _ := detailed(t, map[int64][]statemachine.State{
		250: {moved(up, statemachine.Disabled, 0, 1)}, 280: {moved(up, statemachine.Healthy, 1, 2)},
		300: {moved(other, statemachine.Disabled, 0, 1)}, 310: {moved(other, statemachine.Healthy, 1, 2)},
		800: {moved(icbc(), statemachine.Disabled, 0, 1)}, 810: {moved(icbc(), statemachine.Healthy, 1, 2)},
		900: {moved(icbc(), statemachine.Disabled, 0, 3)},
	})
	want := []struct {
		verdict Verdict
		since   bool
	}{{Over, false}, {False, false}, {False, true}, {False, true}}
	if len(d.Rulings) != len(want) {
		t.Fatalf("%d rulings", len(d.Rulings))
	}
	for i, w := range want {
		if r := d.Rulings[i]; r.Verdict != w.verdict || (r.SinceFault >= 0) != w.since {
			t.Errorf("ruling %d: %+v, want %+v", i, r, w)
		}
	}
	if d.Entries != 2 {
		t.Errorf("%d entries in ten minutes, want the 2 of the bank", d.Entries)
	}
}
