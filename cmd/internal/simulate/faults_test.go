package simulate

import (
	"testing"
	"time"
)

// withFault is a channel that fails for four minutes, while the control plane has a fault of its own.
func withFault(t *testing.T, replicas int, f Fault) (*Summary, []map[string]any) {
	t.Helper()
	p := prepared(t, "channel-hard-down", func(s *Scenario) {
		s.Replicas = replicas
		s.Faults = []Fault{f}
	})
	sum, lines, _ := run(t, p, production)
	checkInvariants(t, sum, lines)
	return sum, lines
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
		{"the leader dies with the channel", 3, Fault{Kind: LeaderKilled, From: 4 * time.Minute, To: 6 * time.Minute}, 40},
		{"another replica dies", 3, Fault{Kind: ReplicaKilled, Replica: 3, From: 4*time.Minute + 2*time.Second, To: 5 * time.Minute}, 40},
		{"etcd is down when the channel fails", 1, Fault{Kind: EtcdDown, From: 4 * time.Minute, To: 4*time.Minute + 30*time.Second}, 50},
		{"Redis is down when the channel fails", 3, Fault{Kind: RedisDown, From: 4 * time.Minute, To: 4*time.Minute + 30*time.Second}, 60},
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
