// The command ranking runs the same simulated weeks, with the same payments and the same luck, through bandit algorithms and
// through Sluice's own ranking, and prints how many payments each lost.
//
// The world has five channels whose success rates swing once a day, each at an hour of its own; the best but one has an outage of
// two to six hours, one starts badly and ends as the best. Traffic swings once a day. Regret is the payments expected to fail
// beyond those that the channel best at each moment would fail. Every algorithm has one set of parameters for all volumes,
// chosen with --tune on other seeds than those that are shown.
//
// The algorithms learn of each result at once. Sluice learns as it does in production: from sealed seconds, by scores that
// are published every five seconds where they changed. Its state machine, which would cut the channel with the outage, is left
// out: all have the same information.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-pay/sluice/cmd/compare/internal/bandit"
)

// Seeds: those of tuning are never among those that are shown.
const (
	firstSeed   = 101
	tuningSeeds = 1_000_001
	mostSeeds   = 1_000_000
)

// settings are the flags of the command.
type settings struct {
	volumes []int
	seeds   int
	tune    bool
	only    string
	workers int
	csv     string
}

func main() {
	s, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if s.tune {
		err = s.search(ctx, os.Stdout)
	} else {
		err = s.compare(ctx, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ranking:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// parse reads the command line and says on standard error what is wrong with it.
func parse(args []string) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("ranking", flag.ContinueOnError)
	volumes := flags.String("volumes", "20000,63000,200000,632000,2000000", "payments a week, separated by commas")
	flags.IntVar(&s.seeds, "seeds", 20, "weeks of each volume")
	flags.BoolVar(&s.tune, "tune", false, "try the parameters of every algorithm, on other seeds, and print the best")
	flags.StringVar(&s.only, "only", "", "with --tune: only the algorithm of this name")
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "weeks at a time")
	flags.StringVar(&s.csv, "csv", "", "file to write every week's regret to")
	if err := flags.Parse(args); err != nil {
		return nil, err //nolint:wrapcheck // already said
	}
	if err := s.check(flags.Args(), *volumes); err != nil {
		fmt.Fprintln(os.Stderr, "ranking:", err)
		return nil, err
	}
	return s, nil
}

func (s *settings) check(rest []string, volumes string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected %q: there are flags alone", rest[0])
	}
	for field := range strings.SplitSeq(volumes, ",") {
		v, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || v < 1000 || v > 100_000_000 {
			return fmt.Errorf("--volumes: %q: want whole numbers from 1,000 to 100,000,000", field)
		}
		s.volumes = append(s.volumes, v)
	}
	slices.Sort(s.volumes)
	switch {
	case s.seeds < 2 || s.seeds > mostSeeds:
		return fmt.Errorf("--seeds: %d: want 2 to %d", s.seeds, mostSeeds)
	case s.workers < 1:
		return fmt.Errorf("--workers: %d: want 1 or more", s.workers)
	case s.only != "" && !s.tune:
		return errors.New("--only goes with --tune")
	}
	return nil
}

// search tries the parameters of every algorithm on the seeds of tuning.
func (s *settings) search(ctx context.Context, out *os.File) error {
	for _, grid := range bandit.Grids() {
		if s.only != "" && grid[0].Name != s.only {
			continue
		}
		results, err := s.run(ctx, grid, tuningSeeds, func(string) {})
		if err != nil {
			return err
		}
		best := 0
		for i := range grid {
			fmt.Fprintf(out, "%-22s %-24s %s loss %8.1f\n", grid[i].Name, grid[i].Parameters, means(results[i]), bandit.Loss(results[i]))
			if bandit.Loss(results[i]) < bandit.Loss(results[best]) {
				best = i
			}
		}
		fmt.Fprintf(out, "best: %s, %s\n\n", grid[best].Name, grid[best].Parameters)
	}
	return nil
}

func means(byVolume [][]float64) string {
	var b strings.Builder
	for _, regrets := range byVolume {
		fmt.Fprintf(&b, "%9.0f", bandit.Mean(regrets))
	}
	return b.String()
}
