// The command compare runs the same simulated days, with the same random numbers, through breaker libraries as they are
// published and through Sluice, and prints how they do side by side.
//
// Every contestant sees the same payments, which prefer the same channels and would meet the same fate there; only where
// they go differs. The libraries are unmodified and run in virtual time. They are treated with charity: a payer's refusal
// is reported to them as a success, a payment is sent although every breaker is open, and a permit whose payment is never
// sent is given back. Each is run with a breaker per channel and with one per channel and bank; Sluice chooses its scopes
// itself. A breaker's opening is a cut; a throttler's is when it refused three of ten payments (package gate).
//
// Recall is over the faults that a clairvoyant test could have found in time, `of all` over all of them; `samples/bound`
// holds the payments that met a fault before the cut against those the clairvoyant needed. A cut inside a fault is right,
// one that also touches others is over, any other is false. Net loss is failed payments beyond the oracle's, and a price
// for each healthy payment that was moved.
//
// It is a module of its own, so that nobody who uses Sluice inherits the libraries.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"github.com/sluice-pay/sluice/cmd/internal/campaign"

	"github.com/sluice-pay/sluice/cmd/compare/internal/gate"
	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

// wholeDay is the hours of a day.
const wholeDay = 24

// settings are the flags of the command.
type settings struct {
	days     map[string]int // by class
	seeds    []uint64
	hours    int // of each day
	policies string
	workers  int
	price    float64
	csv      string
	results  string
}

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	gate.Silence()
	out := os.Stdout
	virtual.Main(func(lab *virtual.Lab) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		return s.run(ctx, lab, out, os.Stderr)
	})
}

// parse reads the command line and says on errOut what is wrong with it.
func parse(args []string, errOut io.Writer) (*settings, error) {
	s := &settings{days: map[string]int{}}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(errOut)
	busy := flags.Int("busy", 1, "days at 30 payments/s")
	medium := flags.Int("medium", 2, "days at 3 payments/s")
	quiet := flags.Int("quiet", 4, "days at 0.5 payments/s")
	seeds := flags.String("seeds", "101", "seeds, such as 21-24 or 1,5,9; every seed has so many days")
	flags.IntVar(&s.hours, "hours", wholeDay, "hours of each day, from midnight")
	flags.StringVar(&s.policies, "policies", "", "only policies whose name and keys match this regular expression")
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "runs at a time")
	flags.Float64Var(&s.price, "price", 0.05, "what a healthy payment that is moved costs, in failed payments")
	flags.StringVar(&s.csv, "csv", "", "file to write the figures to, by kind of fault and trap")
	flags.StringVar(&s.results, "results", "", "directory to keep results in: a run that was stopped goes on where it was")
	if err := flags.Parse(args); err != nil {
		return nil, err //nolint:wrapcheck // already said
	}
	s.days["busy"], s.days["medium"], s.days["quiet"] = *busy, *medium, *quiet
	if err := s.check(flags.Args(), *seeds); err != nil {
		fmt.Fprintln(errOut, "compare:", err)
		return nil, err
	}
	return s, nil
}

func (s *settings) check(rest []string, seeds string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected %q: there are flags alone", rest[0])
	}
	total := 0
	for class, n := range s.days {
		if n < 0 {
			return fmt.Errorf("--%s: %d days: want 0 or more", class, n)
		}
		total += n
	}
	if total == 0 {
		return errors.New("no days to run: want at least one of --busy, --medium and --quiet above 0")
	}
	if s.hours < 1 || s.hours > wholeDay {
		return fmt.Errorf("--hours: %d: want 1 to %d", s.hours, wholeDay)
	}
	if s.results != "" && s.hours < wholeDay {
		return errors.New("--results keeps whole days: leave --hours out")
	}
	if s.workers < 1 {
		return fmt.Errorf("--workers: %d: want 1 or more", s.workers)
	}
	if s.price < 0 {
		return fmt.Errorf("--price: %v: want 0 or more", s.price)
	}
	var err error
	s.seeds, err = campaign.ParseSeeds(seeds)
	return err //nolint:wrapcheck // names the flag
}
