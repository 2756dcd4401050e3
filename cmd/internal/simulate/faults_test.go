package simulate

import (
	"testing"
	"time"
)

// withFault is a channel that fails for a minute and a half, while the control plane has a fault of its own.
func withFault(t *testing.T, replicas int, f Fault) (*Summary, []map[string]any) {
	t.Helper()
	p := prepared(t, "channel-hard-down", func(s *Scenario) {
		s.Replicas, s.Duration = replicas, 9*time.Minute
		for i := range s.Truth {
			s.Truth[i].From, s.Truth[i].To = earlier(s.Truth[i].From), earlier(s.Truth[i].To)
		}
		s.Faults = []Fault{f}
	})
	sum, lines, _ := run(t, p, production)
	checkInvariants(t, sum, lines)
	return sum, lines
}

// earlier shortens the scenario: its fault begins after 90 s and ends after three minutes.
func earlier(at time.Duration) time.Duration {
	switch at { //nolint:exhaustive // two moments of the scenario
	case 4 * time.Minute:
		return 90 * time.Second
	case 8 * time.Minute:
		return 3 * time.Minute
	}
	return at
}

func TestFaultsOfTheControlPlane(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		replicas int
		fault    Fault
		detected float64 // at most
	}{
		{"three replicas, none fails", 3, Fault{Kind: EtcdDown, From: time.Second, To: 2 * time.Second}, 20},
		{"the leader dies with the channel", 3, Fault{Kind: LeaderKilled, From: 90 * time.Second, To: 150 * time.Second}, 40},
		{"another replica dies", 3, Fault{Kind: ReplicaKilled, Replica: 3, From: 92 * time.Second, To: 150 * time.Second}, 40},
		{"etcd is down when the channel fails", 1, Fault{Kind: EtcdDown, From: 90 * time.Second, To: 2 * time.Minute}, 50},
		{"Redis is down when the channel fails", 3, Fault{Kind: RedisDown, From: 90 * time.Second, To: 2 * time.Minute}, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sum, lines := withFault(t, tt.replicas, tt.fault)
			if sum.FalseCuts != 0 || sum.OverCuts != 0 || len(sum.Incidents) != 1 {
				t.Errorf("false %d, over %d, incidents %+v", sum.FalseCuts, sum.OverCuts, sum.Incidents)
			}
			for _, in := range sum.Incidents {
				if in.DetectedAfter == nil || *in.DetectedAfter > tt.detected || in.RecoveredAfter == nil {
					t.Errorf("detected after %v s, want within %v; recovered after %v", orMinus(in.DetectedAfter), tt.detected, orMinus(in.RecoveredAfter))
				}
			}
			if t.Failed() {
				tell(t, sum, lines)
			}
		})
	}
}
