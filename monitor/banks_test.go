package monitor

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// quiet seconds: every channel has a few good results of two banks.
func wellFlows(channels ...string) (flows []flow) {
	for _, c := range channels {
		flows = append(flows, flow{channel: c, bank: "ICBC", good: 2}, flow{channel: c, bank: "CCB", good: 2})
	}
	return flows
}

// found lists the verdicts of failures over some seconds, each once.
func found(p *Pipeline, f *statemachine.Fleet, from int64, seconds ...[]flow) (all []string) {
	seen := map[string]bool{}
	for i, flows := range seconds {
		got := p.Observe(sumOf(from+int64(i), 10, flows...), f)
		for _, name := range names(got.Verdicts) {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all
}

// A channel that has seen hardly anything but payers of a bank that is down looks as if it failed itself.
func TestABankThatIsDownIsNotBlamedOnAChannel(t *testing.T) {
	c3 := [][]flow{ // three of the bank's and one by chance, no success between
		{{channel: "c3", bank: "ICBC", bad: 1, coded: true}},
		{{channel: "c3", bank: "ICBC", bad: 1, coded: true}},
		{{channel: "c3", bank: "CCB", bad: 1, coded: true}},
		{{channel: "c3", bank: "ICBC", bad: 1, coded: true}},
		nil, nil,
	}
	run := func(down bool) []string {
		f, p := sequentialFleet("c1", "c2", "c3"), NewPipeline()
		play(p, f, t0, 400, wellFlows("c1", "c2", "c3")...)
		others := wellFlows("c1", "c2")
		if down {
			for i := range others {
				if others[i].bank == "ICBC" {
					others[i].good, others[i].bad, others[i].coded = 0, 1, true
				}
			}
		}
		var seconds [][]flow
		for _, flows := range c3 {
			seconds = append(seconds, append(flows, others...))
		}
		for range 20 {
			seconds = append(seconds, others)
		}
		return found(p, f, t0+400, seconds...)
	}
	equal(t, "the bank is well elsewhere", run(false), []string{"failing c3"})
	equal(t, "the bank is down everywhere", run(true), nil)
}

// What a bank did to channels while it was down is forgotten when it is well again, so that chance failures after it cut nothing.
func TestWhatABankDidIsForgottenWhenItIsWell(t *testing.T) {
	f, p := sequentialFleet("c1", "c2", "c3"), NewPipeline()
	play(p, f, t0, 400, wellFlows("c1", "c2", "c3")...)
	var fails []flow
	for _, c := range []string{"c1", "c2", "c3"} {
		fails = append(fails, flow{channel: c, bank: "ICBC", bad: 2, coded: true}, flow{channel: c, bank: "CCB", good: 1})
	}
	if got := play(p, f, t0+400, 30, fails...); len(got.Verdicts) != 0 || len(got.BanksDown) != 1 {
		t.Fatalf("while it is down: %q, down %q", names(got.Verdicts), got.BanksDown)
	}
	var well []flow
	for _, c := range []string{"c1", "c2", "c3"} {
		well = append(well, flow{channel: c, bank: "ICBC", good: 1})
	}
	play(p, f, t0+430, 9, well...)
	for _, c := range []string{"c1", "c2", "c3"} {
		if track := &p.detector.History().items[statemachine.ChannelScope(c)].track; !track.calm() {
			t.Errorf("%s is still suspected, by %.1f of %.1f", c, track.statistic(), track.threshold)
		}
	}
}

// A channel on its way back is judged by its steps. What has the same payments is not cut in its stead under another name.
func TestAChannelOnItsWayBackAnswersForItsParts(t *testing.T) {
	f, p := sequentialFleet("c1", "c2"), NewPipeline()
	play(p, f, t0, 400, wellFlows("c1", "c2")...)
	channel := statemachine.ChannelScope("c1")
	put(f, channel, statemachine.Disabled, 1, 9)
	play(p, f, t0+400, 5, wellFlows("c2")...)
	put(f, channel, statemachine.Ramping, 2, 9)
	fails := append(wellFlows("c2"), flow{channel: "c1", bank: "ICBC", bad: 1, coded: true}, flow{channel: "c1", bank: "CCB", bad: 1, coded: true})
	var seconds [][]flow
	for range 20 {
		seconds = append(seconds, fails)
	}
	equal(t, "verdicts", found(p, f, t0+405, seconds...), nil)
}

// A falling threshold makes no alarm of what failed long ago.
func TestOldEvidenceIsNoNews(t *testing.T) {
	f, p := sequentialFleet("c1", "c2"), NewPipeline()
	play(p, f, t0, 400, append(wellFlows("c2"), flow{channel: "c1", bank: "ICBC", good: 20})...)
	item := statemachine.ChannelScope("c1")
	for i := range int64(3) {
		p.Observe(sumOf(t0+400+i, 10, flow{channel: "c1", bank: "ICBC", bad: 1, coded: true}), f)
	}
	track := &p.detector.History().items[item].track
	if track.alarms() || track.suspicion() < suspectPart {
		t.Fatalf("want a suspicion short of an alarm: %.1f of %.1f", track.statistic(), track.threshold)
	}
	track.aim(track.statistic() - 1)
	equal(t, "without a new failure", found(p, f, t0+403, wellFlows("c2"), wellFlows("c2")), nil)
	p.detector.History().items[item].track.aim(track.statistic() - 1)
	again := append(wellFlows("c2"), flow{channel: "c1", bank: "ICBC", bad: 1, coded: true})
	equal(t, "with one", found(p, f, t0+405, again, wellFlows("c2"), wellFlows("c2")), []string{"failing c1"})
}

// What a channel's fault did to an account is over with it, though the account has seen nothing since.
func TestAPartIsWellWithItsChannel(t *testing.T) {
	f, p := sequentialFleet("c1", "c2"), NewPipeline()
	well := append(wellFlows("c1", "c2"), flow{channel: "c1", bank: "ABC", account: "a2", good: 1})
	play(p, f, t0, 400, well...)
	channel := statemachine.ChannelScope("c1")
	f.States[channel] = statemachine.State{Scope: channel, Phase: statemachine.Ramping, Kind: statemachine.Degraded, Generation: 1, After: 9, Share: statemachine.FullShare / 2, Base: statemachine.ShareOf(0.2), Incident: "i1"}
	h := p.detector.History()
	p.Observe(sumOf(t0+400, 10, wellFlows("c2")...), f)
	for i := range int64(6) { // part of the channel fails, the account most
		p.Observe(sumOf(t0+401+i, 10, flow{channel: "c1", bank: "ABC", account: "a2", bad: 1, coded: true},
			flow{channel: "c1", bank: "CCB", good: 1, kind: statemachine.KindRamp}), f)
	}
	account := h.items[statemachine.Scope{Kind: statemachine.ScopeAccount, Channel: "c1", Of: "a2"}]
	if account == nil || !account.track.alarms() {
		t.Fatal("the account shows no fault")
	}
	account.track.crossed = t0 + 403
	d := sequential{history: h}
	if v := d.verdict(account, account.track.began(), &f.Default, account.track.threshold); v.Over {
		t.Error("it is over while the channel fails")
	}
	h.items[channel].track.well = t0 + 407
	if v := d.verdict(account, account.track.began(), &f.Default, account.track.threshold); !v.Over {
		t.Error("it lasts when the channel is well")
	}
}

// What parts of a channel showed while its share was lowered is over when the share is raised, and stands when it is lowered further.
func TestPartsForgetWhenALoweredShareIsRaised(t *testing.T) {
	for name, c := range map[string]struct {
		next  statemachine.Share
		wants bool
	}{
		"raised":  {statemachine.FullShare / 2, false},
		"lowered": {statemachine.FullShare / 8, true},
	} {
		f, p := sequentialFleet("c1", "c2"), NewPipeline()
		play(p, f, t0, 400, append(wellFlows("c1", "c2"), flow{channel: "c1", bank: "ABC", account: "a2", good: 1})...)
		channel := statemachine.ChannelScope("c1")
		st := statemachine.State{
			Scope: channel, Phase: statemachine.Ramping, Kind: statemachine.Degraded, Generation: 1, After: 9,
			Share: statemachine.FullShare / 4, Base: statemachine.ShareOf(0.2), Incident: "i1",
		}
		f.States[channel] = st
		for i := range int64(4) {
			p.Observe(sumOf(t0+400+i, 10, flow{channel: "c1", bank: "ABC", account: "a2", bad: 1, coded: true}), f)
		}
		st.Step, st.Share, st.After = 1, c.next, 10
		f.States[channel] = st
		p.Observe(sumOf(t0+404, 10, wellFlows("c2")...), f)
		account := p.detector.History().items[statemachine.Scope{Kind: statemachine.ScopeAccount, Channel: "c1", Of: "a2"}]
		if got := account.track.suspicion() > 0; got != c.wants {
			t.Errorf("%s: the account is suspected: %v", name, got)
		}
	}
}

// A part of a lowered channel is cut only where it fails clearly more than the fault its channel was lowered for: parts are tested
// every second for as long as that lasts, and chance makes one of them look worse.
func TestPartsOfALoweredChannelFailWithIt(t *testing.T) {
	f, p := sequentialFleet("c1", "c2"), NewPipeline()
	play(p, f, t0, 10, append(wellFlows("c1", "c2"), flow{channel: "c1", bank: "ABC", account: "a2", good: 1})...)
	channel := statemachine.ChannelScope("c1")
	f.States[channel] = statemachine.State{
		Scope: channel, Phase: statemachine.Ramping, Kind: statemachine.Degraded, Generation: 1, Share: statemachine.FullShare / 4,
		Base: statemachine.ShareOf(0.2), Incident: "i1",
	}
	for name, c := range map[string]struct {
		answered, bad float64
		trace         bool
	}{
		"no worse":      {40, 8, true},
		"by chance":     {24, 12, true},
		"clearly worse": {24, 20, false},
	} {
		v := statemachine.Verdict{Kind: statemachine.Failing, Scope: statemachine.Scope{Kind: statemachine.ScopeAccount, Channel: "c1", Of: "a2"}}
		v.Evidence = statemachine.Evidence{Detector: SequentialDetector, Scope: v.Scope, Answered: c.answered, Bad: c.bad, Rate: c.bad / c.answered, Baseline: 0.02}
		if got := channelsTrace(v, p.detector.History(), f); got != c.trace {
			t.Errorf("%s: the channel's own fault: %v, want %v", name, got, c.trace)
		}
	}
}
