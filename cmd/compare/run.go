package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/campaign"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"

	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

// job is one day decided by one contestant.
type job struct {
	unit       campaign.Unit
	length     time.Duration
	contestant contestant
}

// run runs every job and prints the comparison.
func (s *settings) run(ctx context.Context, lab *virtual.Lab, out, progress io.Writer) error {
	contestants, err := pick(s.policies)
	if err != nil {
		return err
	}
	var jobs []job
	for _, class := range []string{"busy", "medium", "quiet"} { // the long ones first
		for _, u := range campaign.Units(class, s.seeds, s.days[class]) {
			for _, c := range contestants {
				jobs = append(jobs, job{u, time.Duration(s.hours) * time.Hour, c})
			}
		}
	}
	kept, err := openArchive(s.results, contestants)
	if err != nil {
		return err
	}
	results, err := runAll(ctx, lab, jobs, s.workers, kept, progress)
	if err := errors.Join(err, kept.close()); err != nil {
		return err
	}
	return s.print(out, results)
}

// runAll returns the results of jobs: those that are kept, and of the others by running them, a few at a time.
func runAll(ctx context.Context, lab *virtual.Lab, jobs []job, workers int, kept *archive, progress io.Writer) ([]*campaign.Result, error) {
	results := make([]*campaign.Result, len(jobs))
	var mu sync.Mutex
	done := 0
	err := virtual.Each(len(jobs), workers, func(i int) error {
		began, j := time.Now(), &jobs[i]
		r := kept.get(j)
		if r == nil {
			var err error
			if r, err = j.run(ctx, lab); err == nil {
				err = kept.put(j, r)
			}
			if err != nil {
				return fmt.Errorf("%s on %v: %w", j.contestant.id(), j.unit, err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		done++
		fmt.Fprintf(progress, "%d/%d %v %s: %v\n", done, len(jobs), j.unit, j.contestant.id(), time.Since(began).Round(100*time.Millisecond))
		return nil
	})
	return results, err
}

func (j *job) run(ctx context.Context, lab *virtual.Lab) (*campaign.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err //nolint:wrapcheck // the caller's own
	}
	t, err := campaign.Scenario(j.unit)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the unit
	}
	shorten(t, j.length)
	c := &j.contestant
	o := campaign.Options{Policy: c.id(), Of: c.policy}
	if c.kind == kindOracle {
		o.Build = newOracle
	}
	if c.maker == nil {
		return t.Run(ctx, o)
	}
	var r *campaign.Result
	err = lab.Bubble(func(clock *virtual.Clock) error {
		o.Build = library(c, clock)
		var err error
		r, err = t.Run(ctx, o)
		return err
	})
	return r, err
}

// shorten ends a trace before its day does. What does not end before that does not begin.
func shorten(t *campaign.Trace, length time.Duration) {
	s := t.Scenario
	if length >= s.Duration {
		return
	}
	whole := s.Duration
	s.Duration = length
	s.Truth = slices.DeleteFunc(s.Truth, func(e simulate.Truth) bool { return e.To > length && e.To < whole })
	for i := range s.Truth {
		s.Truth[i].To = min(s.Truth[i].To, length)
	}
	s.Index()
	t.Events = slices.DeleteFunc(t.Events, func(e campaign.Event) bool { return e.To > length })
}

// print adds the results up and writes the table, and the file if one is wanted.
func (s *settings) print(out io.Writer, results []*campaign.Result) error {
	r := &report{price: s.price, rows: rows(campaign.Aggregate(results))}
	if s.csv != "" {
		file, err := os.Create(s.csv) //nolint:gosec // where the caller wants it
		if err != nil {
			return fmt.Errorf("create the CSV file: %w", err)
		}
		err = r.csv(file)
		if end := file.Close(); err == nil {
			err = end
		}
		if err != nil {
			return err
		}
	}
	return r.markdown(out)
}

// rows orders figures by class, then as the roster does.
func rows(all []*campaign.Figures) []row {
	var out []row
	for _, class := range []string{"busy", "medium", "quiet"} {
		for _, c := range roster() {
			for _, f := range all {
				if f.Class == class && f.Policy == c.id() {
					out = append(out, row{c, f})
				}
			}
		}
	}
	return out
}
