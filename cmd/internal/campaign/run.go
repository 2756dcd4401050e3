package campaign

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/monitor"
)

// Options say who decides in a run.
type Options struct {
	Policy string           // its name in the results
	Of     *configv1.Policy // the production node's default policy; nil = the catalogue's
	Build  simulate.Build   // another policy instead of the production node

	Without monitor.Without // guards of the production node that are left out
}

// Run runs one unit: the same payments meet the same truth, whoever decides.
func Run(ctx context.Context, u Unit, o Options) (*Result, error) {
	t, err := Scenario(u)
	if err != nil {
		return nil, err
	}
	return t.Run(ctx, o)
}

// Run runs the trace.
func (t *Trace) Run(ctx context.Context, o Options) (*Result, error) {
	p, err := simulate.Prepare(t.Scenario, simulate.Options{Policy: o.Of, Without: o.Without})
	if err != nil {
		return nil, fmt.Errorf("unit %v: %w", t.Unit, err)
	}
	sum, err := simulate.Judge(ctx, p, o.Build)
	if err != nil {
		return nil, fmt.Errorf("unit %v: %w", t.Unit, err)
	}
	return newResult(t, o.Policy, sum), nil
}

// Units lists the units of a class: every day of every seed.
func Units(class string, seeds []uint64, days int) []Unit {
	var out []Unit
	for d := range days {
		for _, s := range seeds {
			out = append(out, Unit{Class: class, Seed: s, Day: d})
		}
	}
	return out
}

// RunAll runs the units that the store does not hold yet, a few at once, and puts each into it as it ends. done, which may
// be nil, is told of every unit. An error ends the run after the units under way.
func RunAll(ctx context.Context, units []Unit, store *Store, o Options, workers int, done func(*Result)) error {
	left := slices.DeleteFunc(slices.Clone(units), store.Holds)
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan Unit)
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range min(workers, len(left)) {
		all.Go(func() {
			for u := range queue {
				r, err := Run(ctx, u, o)
				mu.Lock()
				if err == nil {
					err = store.Put(r)
				}
				if err != nil {
					errs = append(errs, err)
					stop()
				} else if done != nil {
					done(r)
				}
				mu.Unlock()
			}
		})
	}
	feed(ctx, left, queue)
	all.Wait()
	if len(errs) == 0 {
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	return errors.Join(errs...)
}

func feed(ctx context.Context, units []Unit, queue chan<- Unit) {
	defer close(queue)
	for _, u := range units {
		select {
		case <-ctx.Done():
			return
		case queue <- u:
		}
	}
}
