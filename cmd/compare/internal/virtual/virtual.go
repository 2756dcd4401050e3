// Package virtual runs code that reads the wall clock in virtual time: inside bubbles of testing/synctest, where time
// stands still until everybody sleeps. A bubble needs a test to live in; Main brings one, so that an ordinary command can
// have bubbles.
package virtual

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// settle is how far a bubble's clock is moved before it is used. Bubbles begin at 2000-01-01, and libraries that took
// the real time when they were loaded must not find themselves before it.
const settle = 60 * 365 * 24 * time.Hour

// Main calls body and ends the process: with status 0, or with 1 and the error on standard error.
func Main(body func(*Lab) error) {
	testing.Init()
	_ = flag.CommandLine.Parse(nil) // the settings of tests keep their defaults; the command has its own flags
	os.Stdout = os.Stderr           // the verdict that tests end with does not belong into what the command prints
	always := func(string, string) (bool, error) { return true, nil }
	testing.Main(always, []testing.InternalTest{{Name: "run", F: func(t *testing.T) { //nolint:thelper // it is the test
		if err := body(NewLab(t)); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			t.FailNow()
		}
	}}}, nil, nil)
}

// Lab starts bubbles.
type Lab struct{ t *testing.T }

// NewLab returns a lab that lives as long as a test.
func NewLab(t *testing.T) *Lab { //nolint:thelper // it keeps t
	return &Lab{t: t}
}

// Bubble calls f in a bubble of its own and returns its error. Bubbles may run side by side.
func (l *Lab) Bubble(f func(*Clock) error) error {
	var err error
	l.t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			time.Sleep(settle)
			err = f(&Clock{})
		})
	})
	return err
}

// Each calls job for 0 to n-1, at most workers at a time, and returns the first error by index. After an error no other
// job begins.
func Each(n, workers int, job func(int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	var broken atomic.Bool
	for range max(1, min(workers, n)) {
		wg.Go(func() {
			for i := range next {
				if broken.Load() {
					continue
				}
				if errs[i] = job(i); errs[i] != nil {
					broken.Store(true)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Clock moves the time of its bubble to that of a simulation.
type Clock struct {
	began bool
	// ahead is what the bubble's clock shows beyond the simulation's.
	ahead time.Duration
}

// Set lets the bubble's time follow to now. Time does not go back: an earlier instant than the last changes nothing.
func (c *Clock) Set(now time.Time) {
	at := time.Now()
	if !c.began {
		c.began, c.ahead = true, at.Sub(now)
		return
	}
	if d := now.Add(c.ahead).Sub(at); d > 0 {
		time.Sleep(d)
	}
}
