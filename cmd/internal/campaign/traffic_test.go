package campaign

import (
	"errors"
	"math"
	"testing"
)

func TestParseBand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Band{
		"": {0, math.Inf(1)}, "5-": {5, math.Inf(1)}, "0.1-1.5": {0.1, 1.5}, "-2": {0, 2},
	} {
		if got, err := ParseBand(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"5", "5-2", "2-2", "x-", "-1-2", "1-y", "NaN-"} {
		if b, err := ParseBand(text); !errors.Is(err, ErrFlag) {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
}

// Bands that meet split the incidents, cuts and channel-days of a day: each is in one of them, by the traffic of its channel then.
func TestWithinSplitsADayByTraffic(t *testing.T) {
	t.Parallel()
	u := Unit{Class: "busy", Seed: 3}
	trace, err := Scenario(u)
	if err != nil {
		t.Fatal(err)
	}
	whole := &Result{Unit: u, Channels: len(channels()), Seconds: day.Seconds()}
	for i := range trace.Events {
		if e := &trace.Events[i]; !e.Trap {
			whole.Incidents = append(whole.Incidents, Incident{Label: e.Label, Kind: e.Kind, From: e.From.Seconds()})
			// 30 payments/s by a day's curve of ±80 %, thrice as many in a minute of each hour; channels have 3 to 35 % of them.
			if x := trace.traffic(e); x < 0.03*6 || x > 0.35*30*1.8*1.5 {
				t.Errorf("%s on %s: %.2f payments/s", e.Label, e.Channel, x)
			}
		}
	}
	whole.Cuts = []Cut{
		{T: 4 * 3600, Scope: "foxtrot"}, {T: 14 * 3600, Scope: "alpha/account=alpha-m-1"}, {T: 14 * 3600, Scope: "bravo"}, {T: 14 * 3600, Scope: "delta"},
	}
	cuts := map[float64]int{0: 1, 2: 0, 5: 3} // by their band: foxtrot at night, all but it by day
	n, days := 0, 0.0
	for _, b := range []Band{{0, 2}, {2, 5}, {5, math.Inf(1)}} {
		part, err := Within([]*Result{whole}, b)
		if err != nil || len(part[0].Incidents) == 0 {
			t.Fatalf("%+v: %d incidents, %v", b, len(part[0].Incidents), err)
		}
		n += len(part[0].Incidents)
		if got := len(part[0].Cuts); got != cuts[b.Least] {
			t.Errorf("%+v: %d cuts, want %d", b, got, cuts[b.Least])
		}
		days += part[0].channelDays()
	}
	if math.Abs(days-whole.channelDays()) > 1e-9 {
		t.Errorf("%v channel-days in the bands, %v in all", days, whole.channelDays())
	}
	if n != len(whole.Incidents) {
		t.Errorf("%d incidents in the bands, %d in all", n, len(whole.Incidents))
	}
}
