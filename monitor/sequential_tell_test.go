package monitor

import (
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Evidence is read on machines of any time zone: its sentence names the one it means.
func TestTell_NamesItsTimeZone(t *testing.T) {
	e := statemachine.Evidence{
		Detector: SequentialDetector, Rule: RuleFailing, Scope: statemachine.ChannelScope("c"), Answered: 7, Bad: 7, Rate: 1,
		From: time.Date(2026, 3, 2, 8, 4, 1, 0, time.FixedZone("UTC+8", 8*3600)).Unix(), Baseline: 0.04, Statistic: 20.8, Threshold: 19,
		Reasons: []statemachine.ReasonCount{{Reason: "91", N: 5}},
	}
	const want = "c: 7 of 7 results failed since 00:04:01 UTC (100 %); at most 4.0 % is normal here, and the evidence of 20.8 is beyond the 19.0" +
		" that chance would need; most often 91 (5)"
	if got := tell(e); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
