package simulate

import (
	"fmt"
	"testing"
	"time"
)

// A relapse is caught at whatever step of the way back it comes: while the channel is probed, at each share of the ramp, and
// when all of its traffic is back. A run without a relapse shows when the steps come; up to there the same seed gives the
// same run.
func TestRelapseAtEveryStep(t *testing.T) {
	t.Parallel()
	const name, lasts = "channel-hard-down", 25 * time.Second
	_, calm, _ := run(t, prepared(t, name, nil), production)
	for _, step := range wayBack(calm) {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			from := time.Duration(step.at+1) * time.Second
			sum, lines, _ := run(t, prepared(t, name, func(s *Scenario) {
				again := s.Truth[len(s.Truth)-1]
				again.From, again.To = from, from+lasts
				s.Truth = append(s.Truth, again)
				s.Index()
			}), production)
			checkInvariants(t, sum, lines)
			if sum.FalseCuts != 0 || sum.OverCuts != 0 {
				t.Errorf("%d false cuts and %d over-cuts", sum.FalseCuts, sum.OverCuts)
			}
			closed, last := false, ""
			for _, l := range lines {
				if at, _ := l["t"].(float64); l["event"] == "transition" && scopeText(l) == upChannel && at > from.Seconds() {
					last, _ = l["to"].(string)
					closed = closed || last == "DISABLED" && at < (from+lasts+10*time.Second).Seconds()
				}
			}
			if !closed || last != "HEALTHY" {
				t.Errorf("relapse at %v: closed again: %v, and in the end %s", from, closed, last)
			}
			if t.Failed() {
				tell(t, sum, lines)
			}
		})
	}
}

type moment struct {
	name string
	at   float64
}

// wayBack lists when each step of the last recovery of the channel begins.
func wayBack(lines []map[string]any) []moment {
	var steps []moment
	for _, l := range lines {
		if l["event"] != "transition" || scopeText(l) != upChannel {
			continue
		}
		at, _ := l["t"].(float64)
		switch l["to"] {
		case "DISABLED":
			steps = nil
		case "PROBING":
			steps = []moment{{"probing", at}}
		case "RAMPING":
			steps = append(steps, moment{fmt.Sprintf("share of %.2f", l["share"]), at})
		case "HEALTHY":
			steps = append(steps, moment{"all of it", at})
		}
	}
	return steps
}

// Mistake 9 of the ten: a probe cadence by the clock swallows the traffic of a quiet channel. Probes stay within their budget,
// 12 % of what the channel would carry, whatever the traffic.
func TestMistake09_ProbesStayWithinTheirBudget(t *testing.T) {
	t.Parallel()
	const budget, room = 0.12, 3 // probes that the first and the last interval may take beyond the budget
	for name, would := range map[string]float64{"quiet-hard-down": 0.2, "medium-hard-down": 1.2, "channel-hard-down": 4.8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepared(t, name, nil)
			p.Payments = true
			_, lines, _ := run(t, p, production)
			cut, ramp, probes := firstOutage(lines, upChannel)
			most := budget*would*(ramp-cut) + room
			if cut == 0 || ramp == 0 || probes == 0 || float64(probes) > most {
				t.Errorf("%d probes between %v and %v, want at most %.0f", probes, cut, ramp, most)
			}
		})
	}
}

// firstOutage returns when a channel is first closed, when its way back from the probes begins, and the probes of the run on it.
func firstOutage(lines []map[string]any, channel string) (cut, ramp float64, probes int) {
	for _, l := range lines {
		at, _ := l["t"].(float64)
		switch {
		case l["event"] == "payment":
			probes += probesOn(l, channel)
		case l["event"] != "transition" || scopeText(l) != channel:
		case l["to"] == "DISABLED" && cut == 0:
			cut = at
		case (l["to"] == "RAMPING" || l["to"] == "HEALTHY") && cut > 0 && ramp == 0: // a quiet channel needs no ramp
			ramp = at
		}
	}
	return cut, ramp, probes
}

// probesOn counts the probes of a payment line on a channel.
func probesOn(line map[string]any, channel string) int {
	n := 0
	attempts, _ := line["attempts"].([]any)
	for _, a := range attempts {
		if try, _ := a.(map[string]any); try["channel"] == channel && try["kind"] == "probe" {
			n++
		}
	}
	return n
}

// Mistake 8 of the ten: results of attempts that were sent before the cut come in while the channel is probed, and must not
// feed the probes. Nothing that is sent after the fault fails, so that from then on the only way leads up.
func TestMistake08_ResultsFromBeforeTheCutDoNotFeedTheProbes(t *testing.T) {
	t.Parallel()
	p := prepared(t, "late-failures-of-a-cut-channel", nil)
	p.Payments = true
	sum, lines, _ := run(t, p, production)
	over := p.Scenario.Truth[len(p.Scenario.Truth)-1].To.Seconds() + 2 // its last probes are answered
	probing, late := map[string]bool{}, 0
	for _, l := range lines {
		scope := scopeText(l)
		at, _ := l["t"].(float64)
		switch {
		case l["event"] == "transition" && l["to"] == "PROBING":
			probing[scope] = true
		case l["event"] == "transition" && l["to"] == "DISABLED" && probing[scope] && at > over:
			t.Errorf("%s goes back at %v", scope, l["t"])
		case l["event"] == "payment" && len(probing) > 0:
			late += timedOut(l)
		}
	}
	if len(probing) == 0 || late < 10 {
		t.Errorf("%d scopes were probed while %d results from before came in: nothing was tested", len(probing), late)
	}
	if t.Failed() {
		tell(t, sum, lines)
	}
}

func timedOut(line map[string]any) int {
	n := 0
	attempts, _ := line["attempts"].([]any)
	for _, a := range attempts {
		if try, _ := a.(map[string]any); try["outcome"] == "TIMED_OUT" {
			n++
		}
	}
	return n
}

// Mistake 5 of the ten: child items cut one by one inside an event of our own.
func TestMistake05_NoItemIsCutAloneInAnEventOfOurOwn(t *testing.T) {
	t.Parallel()
	cutsNothing(t, "our-own-network-over-many-items", 0, 21)
}

// Mistake 6 of the ten: the newest second is diluted by what succeeded before our own network broke.
func TestMistake06_TheNewestSecondIsNotDiluted(t *testing.T) {
	t.Parallel()
	cutsNothing(t, "our-own-network-within-a-second", 0, 21)
}

// Mistake 7 of the ten: fast failures overtake slow successes, so that the first results of every burst are failures.
func TestMistake07_FastFailuresDoNotOvertakeSlowSuccesses(t *testing.T) {
	t.Parallel()
	cutsNothing(t, "fast-failures-slow-successes", 0, 21)
}

// cutsNothing runs a scenario with its own seed (0) and with ones that nobody chose.
func cutsNothing(t *testing.T, name string, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
			t.Parallel()
			sum, lines, _ := run(t, prepared(t, name, func(s *Scenario) {
				if seed != 0 {
					s.Seed = seed
				}
			}), production)
			if sum.Cuts != 0 {
				t.Errorf("%d cuts, want none", sum.Cuts)
				tell(t, sum, lines)
			}
		})
	}
}
