package simulate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

// flags are the flags of `sluice simulate`.
type flags struct {
	scenario, out, catalog, policy string
	record, without                string
	seed                           uint64
	payments                       bool
}

// NewCommand returns `sluice simulate`.
func NewCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "simulate --scenario FILE --out EVENTS.jsonl",
		Short: "Run the production node in virtual time against a scenario",
		Long: `Run monitor, state machine, guards and router in virtual time against a scenario of payments, faults and
operators, and write what happened as one JSON object a line; the last line judges it. The same seed and files give the
same bytes.`,
		Example: "  sluice simulate --scenario one-bank-down.yaml --out events.jsonl --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return f.run(cmd)
		},
	}
	cmd.Flags().StringVar(&f.scenario, "scenario", "", "scenario file (YAML)")
	cmd.Flags().StringVar(&f.out, "out", "", "event log to write; - is standard output")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed, instead of the scenario's")
	cmd.Flags().StringVar(&f.catalog, "catalog", "", "catalogue file, for a scenario without one")
	cmd.Flags().StringVar(&f.policy, "policy", "", "policy file that replaces the catalogue's default policy")
	cmd.Flags().StringVar(&f.record, "record", "", "recording `file` to write, for sluice backtest")
	cmd.Flags().StringVar(&f.without, "without", "", "guards to leave out, with commas: "+strings.Join(monitor.GuardNames(), ", "))
	cmd.Flags().BoolVar(&f.payments, "payments", false, "write a line for every payment")
	for _, name := range []string{"scenario", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			cmd.RunE = func(*cobra.Command, []string) error { return err }
		}
	}
	return cmd
}

func (f *flags) run(cmd *cobra.Command) error {
	p, err := f.prepare(cmd)
	if err != nil {
		return err
	}
	recording, err := openRecording(f.record, p)
	if err != nil {
		return err
	}
	out, done, err := f.open(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	began := time.Now()
	sum, err := Run(cmd.Context(), p, out, production)
	if err := errors.Join(err, done(), recording.close()); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v simulated in %v (%.0f payments/s of wall time): %d payments, %d transitions, %d false and %d over-cuts\n",
		p.Scenario.Name, p.Scenario.Duration, took.Round(time.Millisecond), float64(sum.Payments)/took.Seconds(), sum.Payments,
		sum.Transitions, sum.FalseCuts, sum.OverCuts)
	return nil
}

// prepare reads every file before anything is written.
func (f *flags) prepare(cmd *cobra.Command) (*Prepared, error) {
	data, err := os.ReadFile(f.scenario)
	if err != nil {
		return nil, fmt.Errorf("read the scenario: %w", err)
	}
	s, err := Parse(f.scenario, data)
	if err != nil {
		return nil, err
	}
	o := Options{Payments: f.payments}
	if o.Without, err = monitor.ParseWithout(f.without); err != nil {
		return nil, fmt.Errorf("--without: %w", err)
	}
	if cmd.Flags().Changed("seed") {
		o.Seed = &f.seed
	}
	if f.catalog != "" {
		if data, err = os.ReadFile(f.catalog); err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		if o.Catalog, err = catalogfile.Parse(f.catalog, data); err != nil {
			return nil, err
		}
	}
	if o.Policy, err = ReadPolicy(f.policy); err != nil {
		return nil, err
	}
	return Prepare(s, o)
}

// ReadPolicy reads a policy file; without one, it is nil.
func ReadPolicy(file string) (*configv1.Policy, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the catalogue's own
	}
	data, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	p := &configv1.Policy{}
	if err := catalogfile.Decode(file, data, p); err != nil {
		return nil, err
	}
	return p, nil
}

// open returns where the event log goes and how to end it.
func (f *flags) open(stdout io.Writer) (io.Writer, func() error, error) {
	if f.out == "-" {
		return stdout, func() error { return nil }, nil
	}
	file, err := os.Create(f.out)
	if err != nil {
		return nil, nil, fmt.Errorf("create the event log: %w", err)
	}
	return file, file.Close, nil
}
