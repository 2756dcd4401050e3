package simulate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("scenarios/*.yaml")
	if err != nil || len(files) != len(expectations) {
		t.Fatalf("%d scenarios and %d expectations: %v", len(files), len(expectations), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, ok := expectations[name]
			if !ok {
				t.Fatal("no expectation")
			}
			if want.sequential && !sequentialByDefault() {
				t.Skip("the windows detector cannot: see what the file says")
			}
			sum, lines, _ := run(t, prepared(t, name, nil), production)
			want.judge(t, sum, lines)
			checkInvariants(t, sum, lines)
			if want.check != nil {
				want.check(t, lines)
			}
			if t.Failed() {
				tell(t, sum, lines)
			}
		})
	}
}

func (w expectation) judge(t *testing.T, sum *Summary, lines []map[string]any) {
	t.Helper()
	if sum.FalseCuts != 0 || sum.OverCuts != 0 {
		t.Errorf("%d false cuts and %d over-cuts", sum.FalseCuts, sum.OverCuts)
	}
	if w.cuts == nil && sum.Cuts != 0 {
		t.Errorf("%d cuts, want none", sum.Cuts)
	}
	for _, l := range lines {
		if scope := scopeText(l); automaticCut(l) && !slices.Contains(w.cuts, scope) && !slices.Contains(w.cuts, channelOf(l)) {
			t.Errorf("cut of %s at %v", scope, l["t"])
		}
	}
	w.judgeAlerts(t, sum)
	if w.detected > 0 {
		w.judgeIncidents(t, sum)
	}
	if part := float64(sum.MovedHealthy) / float64(sum.Payments); part > w.moved {
		t.Errorf("%.4f of the payments were kept off a well channel, want at most %v", part, w.moved)
	}
}

func (w expectation) judgeAlerts(t *testing.T, sum *Summary) {
	t.Helper()
	kinds := w.alerts
	if sequentialByDefault() {
		kinds = slices.Concat(w.alerts, w.told)
	}
	for _, kind := range kinds {
		if !slices.Contains(sum.Alerts, kind) {
			t.Errorf("no alert %s in %v", kind, sum.Alerts)
		}
	}
}

func (w expectation) judgeIncidents(t *testing.T, sum *Summary) {
	t.Helper()
	if len(sum.Incidents) == 0 {
		t.Error("no detectable incident")
	}
	detected, recovered := w.detected, w.recovered
	if w.windows != nil && !sequentialByDefault() {
		detected, recovered = w.windows.detected, w.windows.recovered
	}
	for _, in := range sum.Incidents {
		if in.DetectedAfter == nil || *in.DetectedAfter > detected {
			t.Errorf("%s: detected after %v s, want within %v", in.Label, orMinus(in.DetectedAfter), detected)
		}
		if w.samples > 0 && sequentialByDefault() && in.AttemptsUntilCut != nil && *in.AttemptsUntilCut > w.samples {
			t.Errorf("%s: detected after %d attempts, want at most %d", in.Label, *in.AttemptsUntilCut, w.samples)
		}
		if recovered > 0 && (in.RecoveredAfter == nil || *in.RecoveredAfter > recovered) {
			t.Errorf("%s: recovered after %v s, want within %v", in.Label, orMinus(in.RecoveredAfter), recovered)
		}
	}
}

func automaticCut(l map[string]any) bool {
	from := l["from"]
	return l["event"] == "transition" && l["cause"] == "AUTOMATION" && (l["to"] == "DISABLED" && (from == "HEALTHY" || from == "RAMPING") ||
		l["to"] == "RAMPING" && from == "HEALTHY")
}

// channelOf is the channel of a transition's scope, empty for a failure domain.
func channelOf(l map[string]any) string {
	scope, _ := l["scope"].(map[string]any)
	channel, _ := scope["channel"].(string)
	return channel
}

func scopeText(l map[string]any) string {
	s, ok := l["scope"].(map[string]any)
	if !ok {
		return ""
	}
	get := func(key string) string { v, _ := s[key].(string); return v }
	switch {
	case get("failure_domain") != "":
		return "domain=" + get("failure_domain")
	case get("bank") != "":
		return get("channel") + "/" + get("method") + ":" + get("bank") + ":" + get("card_type")
	case get("account") != "":
		return get("channel") + "/account=" + get("account")
	case get("business_type") != "":
		return get("channel") + "/business=" + get("business_type")
	case get("method") != "":
		return get("channel") + "/method=" + get("method")
	}
	return get("channel")
}

// watch follows the transitions of a log.
type watch struct {
	shares map[string]float64
	mild   map[string]bool // its share was lowered for a mild fault, not for want of capacity
	cuts   map[string][]float64
	n      int
}

// checkInvariants looks for what no run may show.
func checkInvariants(t *testing.T, sum *Summary, lines []map[string]any) {
	t.Helper()
	for _, v := range sum.Violations {
		t.Error(v)
	}
	w := watch{shares: map[string]float64{}, mild: map[string]bool{}, cuts: map[string][]float64{}}
	for _, l := range lines {
		if l["event"] == "transition" {
			w.take(t, l)
		}
	}
	if w.n != sum.Transitions {
		t.Errorf("%d transitions in the log, %d in the summary", w.n, sum.Transitions)
	}
}

func (w *watch) take(t *testing.T, l map[string]any) {
	t.Helper()
	w.n++
	scope, at, share := scopeText(l), l["t"].(float64), l["share"].(float64)
	if automaticCut(l) {
		w.takeCut(t, l, scope, at)
	}
	if evidence, _ := l["evidence"].(map[string]any); evidence != nil && l["from"] == "HEALTHY" && l["to"] == "RAMPING" {
		w.mild[scope] = evidence["rate"].(float64) < statemachine.DefaultPolicy().MildBelow
	}
	most := 2 * w.shares[scope]
	if l["kind"] == "DEGRADED" && w.mild[scope] {
		most *= 2
	}
	if l["cause"] == "AUTOMATION" && l["from"] == "RAMPING" && l["to"] == "RAMPING" && share > most+1e-6 {
		t.Errorf("the share of %s jumps from %v to %v", scope, w.shares[scope], share)
	}
	if l["cause"] == "AUTOMATION" && l["from"] == "DISABLED" && l["to"] == "HEALTHY" {
		t.Errorf("%s went straight to healthy", scope)
	}
	w.shares[scope] = share
}

func (w *watch) takeCut(t *testing.T, l map[string]any, scope string, at float64) {
	t.Helper()
	evidence, _ := l["evidence"].(map[string]any)
	if evidence == nil || evidence["bad"].(float64) <= 0 || l["incident"] == "" {
		t.Errorf("cut without evidence: %v", l)
	}
	if l["to"] != "DISABLED" {
		return
	}
	w.cuts[scope] = append(w.cuts[scope], at)
	if n := len(w.cuts[scope]); n > 2 && at-w.cuts[scope][n-3] < 600 {
		t.Errorf("three cuts of %s in ten minutes: %v", scope, w.cuts[scope])
	}
}

// othersUnharmed: what another bank on the channel is given does not change while ICBC is off it.
func othersUnharmed(t *testing.T, lines []map[string]any) {
	t.Helper()
	whole := map[float64]float64{} // attempts of CCB over all channels, by minute
	part := map[float64]float64{}
	closed := map[float64]bool{}
	off, healed := false, false
	for _, l := range lines {
		switch {
		case l["event"] == "transition" && scopeText(l) == icbcScope:
			off, healed = l["to"] != "HEALTHY", l["to"] == "HEALTHY"
		case l["event"] == "minute" && l["bank"] == "CCB":
			at := l["t"].(float64)
			whole[at] += l["attempts"].(float64)
			if l["channel"] == upChannel {
				part[at] += l["attempts"].(float64)
			}
			closed[at] = off
		}
	}
	seen := false
	for at, n := range whole {
		seen = seen || closed[at]
		if share := part[at] / n; share < 0.3 {
			t.Errorf("CCB had %.2f of its attempts on the channel in the minute to %v", share, at)
		}
	}
	if !seen || len(whole) > 2 && !healed {
		t.Errorf("ICBC was off: %v, and is back: %v", seen, healed)
	}
}

// neverTwice: each scope is closed once.
func neverTwice(t *testing.T, lines []map[string]any) {
	t.Helper()
	times := map[string]int{}
	for _, l := range lines {
		if scope := scopeText(l); automaticCut(l) && l["to"] == "DISABLED" {
			if times[scope]++; times[scope] > 1 {
				t.Errorf("%s is closed again at %v", scope, l["t"])
			}
		}
	}
}

// neverClosed: what is left could not carry the traffic, so nothing is closed and the share is lowered.
func neverClosed(t *testing.T, lines []map[string]any) {
	t.Helper()
	lowered := false
	for _, l := range lines {
		lowered = lowered || automaticCut(l) && l["to"] == "RAMPING"
		if l["event"] == "transition" && l["to"] == "DISABLED" && scopeText(l) == upChannel {
			t.Errorf("closed at %v", l["t"])
		}
	}
	if !lowered {
		t.Error("the share was not lowered")
	}
}

// domainCut: the failure domain itself is closed.
func domainCut(t *testing.T, lines []map[string]any) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l map[string]any) bool { return automaticCut(l) && scopeText(l) == upDomain }) {
		t.Error("the failure domain was not closed")
	}
}

// budgetKept: at most two channels that were healthy are closed within a minute.
func budgetKept(t *testing.T, lines []map[string]any) {
	t.Helper()
	var cuts []float64
	for _, l := range lines {
		if automaticCut(l) && l["from"] == "HEALTHY" && l["to"] == "DISABLED" && scopeText(l) == channelOf(l) {
			cuts = append(cuts, l["t"].(float64))
			if n := len(cuts); n > 2 && cuts[n-1]-cuts[n-3] < 60 {
				t.Errorf("three channels are closed within a minute: %v", cuts)
			}
		}
	}
}

// ordersObeyed: off means off, on goes through the ramp, an order that ran out leads over probes.
func ordersObeyed(t *testing.T, lines []map[string]any) {
	t.Helper()
	path := map[string][]string{}
	for _, l := range lines {
		switch l["event"] {
		case "transition":
			scope := scopeText(l)
			path[scope] = append(path[scope], l["to"].(string))
		case "minute":
			if at := l["t"].(float64); l["channel"] == upChannel && at > 180 && at <= 300 {
				t.Errorf("attempts on a channel that is off: %v", l)
			}
		}
	}
	for scope, first := range map[string]string{upChannel: "DISABLED", "cardlink": "DISABLED"} {
		p := path[scope]
		if len(p) < 3 || p[0] != first || p[len(p)-1] != "HEALTHY" || !slices.Contains(p, "RAMPING") {
			t.Errorf("%s went %v", scope, p)
		}
	}
	if !slices.Contains(path["cardlink"], "PROBING") {
		t.Errorf("cardlink went %v: an order that ran out leads over probes", path["cardlink"])
	}
}

// tell prints what happened.
func tell(t *testing.T, sum *Summary, lines []map[string]any) {
	t.Helper()
	n := 0
	for _, l := range lines {
		if l["event"] == "transition" || l["event"] == "alert" {
			if n++; n <= 60 {
				t.Logf("%v %v %v %s %v→%v share %v %v: %v%v", l["t"], l["event"], l["kind"], scopeText(l), l["from"], l["to"], l["share"], l["cause"], l["reason"], l["message"])
			}
		}
	}
	for _, in := range append(slices.Clone(sum.Incidents), sum.OtherIncidents...) {
		t.Logf("%s: detected after %v, recovered after %v", in.Label, orMinus(in.DetectedAfter), orMinus(in.RecoveredAfter))
	}
	t.Logf("%+v", *sum)
}

// TestTrapsOnOtherSeeds holds the traps, and the faults whose traces once cut what was well again, on seeds nobody chose.
func TestTrapsOnOtherSeeds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bank-down-everywhere", "moving-baselines", "two-at-once", "shared-failure-domain", "decline-burst", "our-own-network"} {
		for _, seed := range []uint64{3, 5, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				sum, lines, _ := run(t, prepared(t, name, func(s *Scenario) { s.Seed = seed }), production)
				if sum.FalseCuts != 0 || sum.OverCuts != 0 {
					t.Errorf("%d false cuts and %d over-cuts", sum.FalseCuts, sum.OverCuts)
					tell(t, sum, lines)
				}
			})
		}
	}
}
