package simulate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

func prepared(tb testing.TB, name string, change func(*Scenario)) *Prepared {
	tb.Helper()
	file := filepath.Join("scenarios", name+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := Parse(file, data)
	if err != nil {
		tb.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	p, err := Prepare(s, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func run(t *testing.T, p *Prepared, start build) (*Summary, []map[string]any, string) {
	t.Helper()
	var out bytes.Buffer
	sum, err := Run(t.Context(), p, &out, start)
	if err != nil {
		t.Fatal(err)
	}
	text := out.String()
	var lines []map[string]any
	for line := range strings.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, m)
	}
	return sum, lines, text
}

const oneBank = "one-bank-down-on-a-cross-card-channel"

func icbc() statemachine.Scope {
	return statemachine.InstrumentScope("unionpay-api", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"})
}

func TestJudgeRulesOnScopeAndTime(t *testing.T) {
	up, cut, well := statemachine.ChannelScope("unionpay-api"), statemachine.Disabled, statemachine.Healthy
	tests := []struct {
		name              string
		script            map[int64][]statemachine.State
		falseCuts, over   int
		detected, recover float64 // -1 = null
	}{
		{"right, and back 30 s after the end", map[int64][]statemachine.State{
			245: {moved(icbc(), cut, 0, 1)}, 560: {moved(icbc(), statemachine.Ramping, 0.5, 2)}, 570: {moved(icbc(), well, 1, 3)},
		}, 0, 0, 5, 30},
		{"right, and never back", map[int64][]statemachine.State{250: {moved(icbc(), cut, 0, 1)}}, 0, 0, 10, -1},
		{"back before the end", map[int64][]statemachine.State{
			250: {moved(icbc(), cut, 0, 1)}, 300: {moved(icbc(), well, 1, 2)},
		}, 0, 0, 10, 0},
		{"the whole channel instead of the bank", map[int64][]statemachine.State{250: {moved(up, cut, 0, 1)}}, 0, 1, -1, -1},
		{"another channel", map[int64][]statemachine.State{250: {moved(statemachine.ChannelScope("netsunion"), cut, 0, 1)}}, 1, 0, -1, -1},
		{"before the fault", map[int64][]statemachine.State{200: {moved(icbc(), cut, 0, 1)}}, 1, 0, -1, -1},
		{"long after the fault", map[int64][]statemachine.State{700: {moved(icbc(), cut, 0, 1)}}, 1, 0, -1, -1},
		{"a relapse of probes is no new cut", map[int64][]statemachine.State{
			245: {moved(icbc(), cut, 0, 1)}, 260: {moved(icbc(), statemachine.Probing, 0, 2)}, 700: {moved(icbc(), cut, 0, 3)}, 710: {moved(icbc(), well, 1, 4)},
		}, 0, 0, 5, 170},
		{"a lower share counts as a cut", map[int64][]statemachine.State{
			246: {moved(icbc(), statemachine.Ramping, 0.5, 1)}, 600: {moved(icbc(), well, 1, 2)},
		}, 0, 0, 6, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sum, _, _ := run(t, prepared(t, oneBank, nil), scripted(tt.script, nil))
			if sum.FalseCuts != tt.falseCuts || sum.OverCuts != tt.over {
				t.Errorf("false %d over %d, want %d and %d", sum.FalseCuts, sum.OverCuts, tt.falseCuts, tt.over)
			}
			if len(sum.Incidents) != 1 || len(sum.OtherIncidents) != 0 {
				t.Fatalf("want one detectable incident, got %+v", sum)
			}
			in := sum.Incidents[0]
			if orMinus(in.DetectedAfter) != tt.detected || orMinus(in.RecoveredAfter) != tt.recover {
				t.Errorf("detected %v recovered %v, want %v and %v", orMinus(in.DetectedAfter), orMinus(in.RecoveredAfter), tt.detected, tt.recover)
			}
			if tt.detected > 0 && (in.AttemptsUntilCut == nil || *in.AttemptsUntilCut == 0) {
				t.Errorf("attempts until cut: %v", in.AttemptsUntilCut)
			}
			if len(sum.Violations) > 0 {
				t.Errorf("violations: %v", sum.Violations)
			}
		})
	}
}

func orMinus(f *float64) float64 {
	if f == nil {
		return -1
	}
	return *f
}

func TestShareViolationIsNoticed(t *testing.T) {
	leaky := &fakeNode{leak: true}
	script := map[int64][]statemachine.State{250: {moved(icbc(), statemachine.Ramping, 0.3, 1)}}
	sum, _, _ := run(t, prepared(t, oneBank, nil), scripted(script, &leaky))
	if len(sum.Violations) == 0 {
		t.Error("a router that admits everything to a ramp of 30 % went unnoticed")
	}
}

func TestNobodyCanDetectATinyFault(t *testing.T) {
	p := prepared(t, oneBank, func(s *Scenario) { s.Truth[1].To = s.Truth[1].From + 2*time.Second })
	sum, _, _ := run(t, p, scripted(nil, nil))
	if len(sum.Incidents) != 0 || len(sum.OtherIncidents) != 1 {
		t.Errorf("want the incident among the others: %+v", sum)
	}
}

func TestBooksOfTheLog(t *testing.T) {
	var node *fakeNode
	p := prepared(t, "duplicate-and-late-reports", nil)
	p.Payments = true
	sum, lines, text := run(t, p, scripted(nil, &node))
	attempts, payments := 0.0, uint64(0)
	last := 0.0
	for _, l := range lines {
		switch l["event"] {
		case "minute":
			attempts += l["attempts"].(float64)
			total := 0.0
			for _, n := range l["outcomes"].(map[string]any) {
				total += n.(float64)
			}
			if total != l["attempts"] {
				t.Errorf("outcomes of %v do not add up", l)
			}
		case "payment":
			payments++
		}
		if at, ok := l["t"].(float64); ok {
			if at < last {
				t.Errorf("time goes back at %v", l)
			}
			last = at
		}
	}
	if uint64(attempts) != sum.Attempts {
		t.Errorf("minutes hold %v attempts, the summary %d", attempts, sum.Attempts)
	}
	if open := sum.Payments - payments; open > 30 {
		t.Errorf("%d of %d payments have no line", open, sum.Payments)
	}
	if lines[len(lines)-1]["event"] != "summary" {
		t.Error("the last line is no summary")
	}
	if strings.Contains(text, "\\u00") {
		t.Error("the log escapes HTML")
	}
	ratio := float64(len(node.reports)) / float64(sum.Attempts)
	if want := 0.95 * 1.25; ratio < want-0.02 || ratio > want+0.02 {
		t.Errorf("%.3f reports an attempt, want about %.3f of duplicates and losses", ratio, want)
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	one := func(seed uint64) string {
		p := prepared(t, oneBank, nil)
		p.Payments, p.Seed = true, seed
		_, _, text := run(t, p, scripted(map[int64][]statemachine.State{250: {moved(icbc(), statemachine.Disabled, 0, 1)}}, nil))
		return text
	}
	a, b, c := one(7), one(7), one(8)
	if a != b {
		t.Error("the same seed gave other bytes")
	}
	if a == c {
		t.Error("another seed gave the same bytes")
	}
}

// Two policies meet the same payments: same arrivals and, for a payment both send the same way, the same outcome.
func TestCommonRandomNumbers(t *testing.T) {
	first := func(script map[int64][]statemachine.State) map[string]string {
		p := prepared(t, oneBank, nil)
		p.Payments = true
		_, lines, _ := run(t, p, scripted(script, nil))
		out := map[string]string{}
		for _, l := range lines {
			if l["event"] != "payment" {
				continue
			}
			met := ""
			if tries := l["attempts"].([]any); len(tries) > 0 {
				try := tries[0].(map[string]any)
				met = try["channel"].(string) + " " + try["outcome"].(string)
			}
			out[l["payment"].(string)] = met
		}
		return out
	}
	free := first(nil)
	closed := first(map[int64][]statemachine.State{100: {moved(statemachine.ChannelScope("cardlink"), statemachine.Disabled, 0, 1)}})
	same, other := 0, 0
	for id, met := range closed {
		was, ok := free[id]
		if !ok {
			continue // its line lies beyond the end of one of the runs
		}
		channel, _, _ := strings.Cut(met, " ")
		if strings.HasPrefix(was, channel+" ") && channel != "" {
			same++
			if was != met {
				t.Fatalf("%s met %q in one run and %q in the other", id, was, met)
			}
		} else if channel != "" {
			other++
		}
	}
	if same < 1000 || other < 1000 {
		t.Errorf("%d payments went the same way and %d another: nothing was compared", same, other)
	}
}

func TestOperatorsAndRefusals(t *testing.T) {
	var node *fakeNode
	p := prepared(t, oneBank, func(s *Scenario) {
		s.Operators = []Order{
			{At: time.Minute, Action: statemachine.ActionOff, Scope: Selector{Channel: "netsunion", Bank: "CCB"}, Reason: "r", For: time.Hour},
			{At: 2 * time.Minute, Action: statemachine.ActionSuspend, Scope: Selector{Channel: "netsunion"}, Reason: "r"},
		}
	})
	sum, lines, _ := run(t, p, scripted(nil, &node))
	if len(node.orders) != 2 || node.orders[0].scopes[0].String() != "netsunion/instrument=QUICKPAY:CCB:DEBIT" || node.orders[0].lasts != time.Hour {
		t.Fatalf("orders: %+v", node.orders)
	}
	if len(sum.Alerts) != 1 || sum.Alerts[0] != "ORDER_REFUSED" {
		t.Errorf("alerts: %v", sum.Alerts)
	}
	for _, l := range lines {
		if l["event"] == "alert" && (l["t"] != 120.0 || l["scope"].(map[string]any)["channel"] != "netsunion") {
			t.Errorf("alert: %v", l)
		}
	}
}

func TestAngryPayerFailsOnTheChannelOfTheEntry(t *testing.T) {
	var node *fakeNode
	run(t, prepared(t, "payer-in-anger", nil), scripted(nil, &node))
	payers := map[uint64]int{}
	for _, r := range node.reports {
		if strings.HasPrefix(r.payment, "angry") {
			if r.channel == "unionpay-api" && r.outcome == statemachine.ChannelFailed {
				payers[r.payer]++
			}
		}
	}
	if len(payers) != 1 {
		t.Fatalf("want one payer, got %v", payers)
	}
	for _, n := range payers {
		if n != 8 {
			t.Errorf("%d failures, want 8", n)
		}
	}
}

func TestLastWayIsWatched(t *testing.T) {
	script := map[int64][]statemachine.State{250: {
		moved(statemachine.ChannelScope("unionpay-api"), statemachine.Disabled, 0, 1),
		moved(statemachine.ChannelScope("netsunion"), statemachine.Disabled, 0, 1),
		moved(statemachine.ChannelScope("cardlink"), statemachine.Disabled, 0, 1),
	}}
	sum, _, _ := run(t, prepared(t, oneBank, nil), scripted(script, nil))
	if len(sum.Violations) == 0 || !strings.Contains(sum.Violations[0], "without a way") {
		t.Errorf("violations: %v", sum.Violations)
	}
}
