package virtual

import (
	"errors"
	"testing"
	"time"
)

func TestClockFollowsTheSimulation(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err := NewLab(t).Bubble(func(c *Clock) error {
		c.Set(start)
		began := time.Now()
		c.Set(start.Add(90 * time.Second))
		if d := time.Since(began); d != 90*time.Second {
			t.Errorf("90 s of simulation were %v in the bubble", d)
		}
		c.Set(start.Add(time.Second))
		if d := time.Since(began); d != 90*time.Second {
			t.Errorf("time went back: %v", d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBubbleBeginsAfterTheRealTime(t *testing.T) {
	loaded := time.Now()
	err := NewLab(t).Bubble(func(*Clock) error {
		if time.Now().Before(loaded) {
			t.Errorf("the bubble begins at %v, before %v", time.Now(), loaded)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBubblesRunSideBySide(t *testing.T) {
	lab := NewLab(t)
	var slept [8]time.Duration
	err := Each(len(slept), 3, func(i int) error {
		return lab.Bubble(func(*Clock) error {
			began := time.Now()
			time.Sleep(time.Duration(i) * time.Hour)
			slept[i] = time.Since(began)
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	for i, d := range slept {
		if d != time.Duration(i)*time.Hour {
			t.Errorf("bubble %d slept %v", i, d)
		}
	}
}

func TestNothingBeginsAfterAnError(t *testing.T) {
	broken, begun := errors.New("broken"), 0
	err := Each(100, 1, func(i int) error {
		begun++
		if i == 3 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || begun != 4 {
		t.Errorf("%v after %d jobs, want it after 4", err, begun)
	}
}

func TestErrorLeavesItsBubble(t *testing.T) {
	broken := errors.New("broken")
	if err := NewLab(t).Bubble(func(*Clock) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v, want the bubble's error", err)
	}
}
