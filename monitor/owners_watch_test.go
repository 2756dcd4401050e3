package monitor

import (
	"bytes"
	"errors"
	"testing"
)

func TestWatchersCheckpoint(t *testing.T) {
	w, world := NewWatchers(), newDeclineWorld(8, everyBank(1, 0.06))
	for s := range int64(200) {
		sum := world.second(firstSecond + s)
		sum.Items = append(sum.Items, refusals{failed: 1}.items("up-2")...)
		alerts := w.Observe(sum, declineFleet(world.traffic))
		if want := s == 1; (len(alerts) == 1) != want {
			t.Fatalf("second %d: %v", s, alerts)
		}
	}
	saved, restored := w.Checkpoint(), NewWatchers()
	if err := restored.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(restored.Checkpoint(), saved) {
		t.Error("restored watchers' checkpoint differs")
	}
	t.Logf("%d bytes for %d instruments", len(saved), len(world.traffic))
	for cut := range saved {
		if err := restored.Restore(saved[:cut]); !errors.Is(err, ErrPacked) {
			t.Fatalf("%d of %d bytes: %v", cut, len(saved), err)
		}
	}
}
