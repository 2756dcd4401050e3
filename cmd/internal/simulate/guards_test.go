package simulate

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
)

// What each guard is for, shown by leaving it out: with it the run does no harm, without it the same run does.
func TestEveryGuardEarnsItsPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		guard    string
		scenario string
		harm     func(sum *Summary, lines []map[string]any) int
	}{
		{"common-mode", "our-own-network", wrongCuts},
		{"common-mode", "our-own-network-at-medium-traffic", wrongCuts},
		{"failure-domain", "failure-domain-among-many", cutsOfChannels},
		{"failure-domain", "shared-failure-domain", cutsOfChannels},
		{"capacity", "capacity-left", closings},
		{"cut-budget", "three-channels-within-a-minute", thirdCutsOfAMinute},
		{"single-reporter", "sick-gateway-on-one-channel", wrongCuts},
		{"payer-dedup", "payer-in-anger", wrongCuts},
		{"payer-dedup", "quiet-payer-in-anger", wrongCuts},
	}
	for _, tt := range tests {
		t.Run(tt.guard+"/"+tt.scenario, func(t *testing.T) {
			t.Parallel()
			for _, left := range []bool{false, true} {
				p := prepared(t, tt.scenario, nil)
				if left {
					var err error
					if p.Without, err = monitor.ParseWithout(tt.guard); err != nil {
						t.Fatal(err)
					}
				}
				sum, lines, _ := run(t, p, production)
				switch n := tt.harm(sum, lines); {
				case left && n == 0:
					t.Errorf("no harm without the guard %s: it, or this scenario, is for nothing", tt.guard)
				case !left && n != 0:
					t.Errorf("harm done %d times under the guard", n)
					tell(t, sum, lines)
				}
			}
		})
	}
}

func wrongCuts(sum *Summary, _ []map[string]any) int { return sum.FalseCuts + sum.OverCuts }

// cutsOfChannels counts the cuts of single channels, where the domain that they share is to be cut.
func cutsOfChannels(_ *Summary, lines []map[string]any) (n int) {
	for _, l := range lines {
		if automaticCut(l) && channelOf(l) != "" {
			n++
		}
	}
	return n
}

// closings counts the cuts of all of a channel's traffic, where the others can carry a part of it only.
func closings(_ *Summary, lines []map[string]any) (n int) {
	for _, l := range lines {
		if automaticCut(l) && l["to"] == "DISABLED" {
			n++
		}
	}
	return n
}

// thirdCutsOfAMinute counts the first cuts of channels that come within a minute of two other channels'.
func thirdCutsOfAMinute(_ *Summary, lines []map[string]any) (n int) {
	first := map[string]float64{}
	for _, l := range lines {
		at, _ := l["t"].(float64)
		scope := scopeText(l)
		if _, seen := first[scope]; seen || !automaticCut(l) || l["to"] != "DISABLED" {
			continue
		}
		before := 0
		for _, other := range first {
			if at-other < 60 {
				before++
			}
		}
		if first[scope] = at; before >= 2 {
			n++
		}
	}
	return n
}

func TestUnknownGuardsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"common-mode,hunch", "Common-Mode", ",", "capacity,"} {
		if _, err := monitor.ParseWithout(text); !errors.Is(err, monitor.ErrGuard) || !strings.Contains(err.Error(), "payer-dedup") {
			t.Errorf("%q: %v, want ErrGuard with the names there are", text, err)
		}
	}
	all := "common-mode,failure-domain,capacity,cut-budget,single-reporter,payer-dedup"
	if w, err := monitor.ParseWithout(all); err != nil || w.String() != all {
		t.Errorf("all of them: %q, %v", w, err)
	}
	cmd := NewCommand()
	cmd.SetArgs([]string{"--scenario", "scenarios/quiet-healthy.yaml", "--out", t.TempDir() + "/x", "--without", "hunch"})
	cmd.SilenceErrors = true
	if err := cmd.Execute(); !errors.Is(err, monitor.ErrGuard) {
		t.Errorf("the command: %v, want ErrGuard", err)
	}
}
