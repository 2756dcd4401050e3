package main

import (
	"os"
	"strconv"
	"testing"
)

// SLUICE_HISTORIES is the number of histories to play instead of a million.
const env = "SLUICE_HISTORIES"

// TestInvariant10_Histories plays a million random payments: asked of two replicas by callers that forget, repeat and lose what
// they were told, with reports that are lost, late, repeated and contradict one another, over tables that ramp and cut. No request
// gets a channel while an attempt is in doubt or paid as far as it, or the replica asked, knows; none is refused without that; and
// no payment moves money twice whose caller, or whose reports, told everything.
func TestInvariant10_Histories(t *testing.T) {
	n := int64(1_000_000)
	if given := os.Getenv(env); given != "" {
		var err error
		if n, err = strconv.ParseInt(given, 10, 64); err != nil {
			t.Fatalf("%s: %v", env, err)
		}
	}
	if testing.Short() {
		n /= 100
	}
	sum, err := Play(t.Context(), 1, n, 2)
	t.Log(sum)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Histories != n || sum.Remembered < n/100 || sum.Doubt < n/100 || sum.Paid < n/100 || sum.Final < n/100 || sum.Refused < n/1000 || sum.Executed < n/100 {
		t.Errorf("not everything was played: %s", sum)
	}
}
