package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrViolated is wrapped by the error of a history that broke the rule.
var ErrViolated = errors.New("the rule for previous attempts is broken")

// Sum counts what was played.
type Sum struct {
	Histories, Asked, Answered  int64
	Doubt, Paid, Final, Refused int64 // refusals
	Remembered                  int64 // of them for an attempt the caller did not name
	Reports, Executed           int64
}

// String tells the figures in one line.
func (s *Sum) String() string {
	return fmt.Sprintf("%d histories: %d requests, %d answered, %d refused in doubt, %d paid, %d final, %d otherwise; "+
		"%d refusals were remembered for the caller; %d reports; %d attempts moved money",
		s.Histories, s.Asked, s.Answered, s.Doubt, s.Paid, s.Final, s.Refused, s.Remembered, s.Reports, s.Executed)
}

func (s *Sum) add(o *Sum) {
	s.Histories += o.Histories
	s.Asked += o.Asked
	s.Answered += o.Answered
	s.Doubt += o.Doubt
	s.Paid += o.Paid
	s.Final += o.Final
	s.Refused += o.Refused
	s.Remembered += o.Remembered
	s.Reports += o.Reports
	s.Executed += o.Executed
}

// Play plays n histories with the seeds seed, seed+1, … and stops at the first that breaks the rule.
func Play(ctx context.Context, seed uint64, n int64, workers int) (*Sum, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers = max(1, workers)
	sums, errs := make([]Sum, workers), make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			world, err := newWorld()
			if err != nil {
				errs[w] = err
				return
			}
			for i := int64(w); i < n; i += int64(workers) {
				if i&1023 < int64(workers) && ctx.Err() != nil {
					return
				}
				if err := world.play(seed+uint64(i), &sums[w]); err != nil { //nolint:gosec // not negative
					errs[w] = err
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	sum := &Sum{}
	for i := range sums {
		sum.add(&sums[i])
	}
	return sum, errors.Join(errs...)
}
