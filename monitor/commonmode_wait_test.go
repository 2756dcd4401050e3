package monitor

import (
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// onlyCalm fails if anything is cut while seconds go by after ten calm minutes.
func onlyCalm(t *testing.T, channels []string, calm []flow, seconds ...[]flow) {
	t.Helper()
	f, p := sequentialFleet(channels...), NewPipeline()
	play(p, f, t0, 600, calm...)
	for i, flows := range seconds {
		got := p.Observe(sumOf(t0+600+int64(i), 10, flows...), f)
		if c := cuts(got.Verdicts); len(c) > 0 {
			t.Fatalf("second %d cuts %v", i, c)
		}
	}
}

// Failures are faster than successes: what succeeds elsewhere in the first second of a fault was sent before it, and proves
// nothing about a fault of ours that has reached the others as well.
func TestSuccessesSentBeforeAFaultProveNothing(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	second := func(good, bad int) []flow {
		return []flow{{channel: "c1", bank: "ICBC", bad: 6}, {channel: "c2", bank: "ICBC", good: good, bad: bad}, {channel: "c3", bank: "ICBC", good: good, bad: bad}}
	}
	onlyCalm(t, channels, calmFlows(channels...), second(9, 0), second(1, 0), second(0, 0), second(0, 3), second(0, 3), second(0, 3))
}

// Nor does what succeeds elsewhere after a scope was last seen to fail: a fault of ours may be over.
func TestSuccessesSentAfterAFaultProveNothing(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	fault, over := []flow{{channel: "c1", bank: "ICBC", bad: 6}}, calmFlows("c2", "c3")
	onlyCalm(t, channels, calmFlows(channels...), fault, nil, nil, over, over, over, over, over, calmFlows(channels...), calmFlows(channels...))

	f, p := sequentialFleet(channels...), NewPipeline()
	play(p, f, t0, 600, calmFlows(channels...)...)
	equal(t, "it goes on", found(p, f, t0+600, fault, nil, nil, over, over, append(over, fault...), over), []string{"failing " + icbc("c1")})
}

// How long answers take is known after a restart as well.
func TestAnswerTimesSurviveARestart(t *testing.T) {
	t.Parallel()
	f, before, after := sequentialFleet("c1"), NewDetectors(), NewDetectors()
	for i := range int64(100) {
		before.Observe(sumOf(t0+i, 10, flow{channel: "c1", bank: "ICBC", good: 5, age: 3}), f)
	}
	if err := after.Restore(before.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Detectors{before, after} {
		if got := d.History().answersIn("c1"); got != 2 {
			t.Errorf("answers come within %d s, want 2", got)
		}
	}
}

// The same of a bank: it is not well on other channels because of payments sent before it failed.
func TestSuccessesSentBeforeABankFailedProveNothing(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	second := func(one, good, bad int) (flows []flow) {
		for _, c := range channels {
			flows = append(flows, flow{channel: c, bank: "CCB", good: 5}, flow{channel: c, bank: "ABC", good: 5})
		}
		flows = append(flows, flow{channel: "c1", bank: "ICBC", bad: one, coded: true})
		for _, c := range channels[1:] {
			flows = append(flows, flow{channel: c, bank: "ICBC", good: good, bad: bad, coded: true})
		}
		return flows
	}
	onlyCalm(t, channels, calmFlows(channels...), second(4, 3, 0), second(4, 0, 0), second(4, 0, 4), second(4, 0, 4), second(4, 0, 4))
}

// A few successes elsewhere do not prove that a bank works there: one in ten passes even while it is down.
func TestFewSuccessesElsewhereDoNotClearABank(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	second := func(good, bad int) []flow {
		flows := []flow{{channel: "c1", bank: "ICBC", bad: 3, coded: true}, {channel: "c2", bank: "ICBC", good: good}}
		for _, c := range channels {
			flows = append(flows, flow{channel: c, bank: "CCB", good: 5}, flow{channel: c, bank: "ABC", good: 5})
		}
		return append(flows, flow{channel: "c2", bank: "ICBC", bad: bad, coded: true}, flow{channel: "c3", bank: "ICBC", bad: bad, coded: true})
	}
	for _, good := range []int{1, 3} {
		onlyCalm(t, channels, calmFlows(channels...), second(0, 0), second(good, 0), second(0, 0), second(0, 2), second(0, 2), second(0, 2))
	}
}

// A quiet channel that begins to fail is not outvoted by a busy one that our own fault reaches a second later.
func TestAnotherChannelThatBeginsToFailIsWaitedFor(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	second := func(two, three int) []flow {
		return []flow{
			{channel: "c1", bank: "ICBC", bad: 3},
			{channel: "c1", bank: "CCB", bad: 3},
			{channel: "c2", bank: "ICBC", good: 20 - two, bad: two},
			{channel: "c3", bank: "ICBC", good: 1 - three, bad: three},
		}
	}
	onlyCalm(t, channels, calmFlows(channels...), second(0, 0), second(0, 0), second(0, 1), second(14, 1), second(14, 1), second(14, 1))
}

// A part that explains why its channel fails must have failed as long as the channel must.
func TestAPartWaitsAsLongAsItsChannel(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	second := func(one, elsewhere int) []flow {
		flows := []flow{{channel: "c1", bank: "ICBC", bad: one}}
		for _, c := range channels[1:] {
			flows = append(flows, flow{channel: c, bank: "CCB", good: 10 - elsewhere, bad: elsewhere}, flow{channel: c, bank: "ICBC", good: 10 - elsewhere, bad: elsewhere})
		}
		return flows
	}
	calm := append(calmFlows("c2", "c3"), flow{channel: "c1", bank: "ICBC", good: 40, bad: 1}, flow{channel: "c1", bank: "CCB", good: 400})
	chance := []flow{{channel: "c1", bank: "ABC", bad: 1}, {channel: "c1", bank: "CCB", good: 4}}
	onlyCalm(t, channels, calm, second(2, 0), append(second(3, 0), chance...), second(2, 9), second(2, 9), second(2, 9))
}

// Silence shows seconds late. Channels that have answered all the while prove that our side works, so that nothing is waited
// for; channels that fall silent as well are waited for.
func TestAHangIsNotWaitedForWhereOthersAnswer(t *testing.T) {
	t.Parallel()
	channels := []string{"c1", "c2", "c3"}
	run := func(answering ...string) (after int) {
		f, p := sequentialFleet(channels...), NewPipeline()
		for i := range int64(660) {
			var flows []flow
			for _, c := range channels {
				good := 3
				if i >= 600 && !slices.Contains(answering, c) {
					good = 0
				}
				for _, bank := range []string{"ICBC", "CCB"} {
					flows = append(flows, flow{channel: c, bank: bank, good: good, age: 1})
				}
			}
			sum := sumOf(t0+i, 10, flows...)
			for k := range sum.Items {
				sent := uint32(6)
				if sum.Items[k].Item.Kind == statemachine.ScopeInstrument {
					sent = 3
				}
				sum.Items[k].Sent[statemachine.KindNormal] = sent
			}
			if got := cuts(p.Observe(sum, f).Verdicts); len(got) > 0 {
				equal(t, "cuts", got, []string{"c1"})
				return int(i) - 600
			}
		}
		return -1
	}
	after := run("c2", "c3")
	if after < 3 || after > 4 {
		t.Errorf("a channel that hangs while others answer is cut after %d s", after)
	}
	if after := run(); after != -1 {
		t.Errorf("cut after %d s while all hang", after)
	}
}
