package backtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

const (
	formatText = "text"
	formatJSON = "json"
	// recordedPolicy is the name of the policy that the recording's own catalogue holds.
	recordedPolicy = "catalogue"
)

// usageError is a mistake on the command line.
type usageError struct{ error }

// ExitCode makes it end the process as every mistake on the command line does.
func (usageError) ExitCode() int { return 2 }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// flags are the flags of `sluice backtest`.
type flags struct {
	recording, catalog, from, to, output string
	policies                             []string
	observed                             bool
}

// NewCommand returns `sluice backtest`.
func NewCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "backtest --recording FILE|DIR",
		Short: "Replay recorded seconds under other policies, and compare them with what was done",
		Long: `Replay recorded seconds through detectors, guards and state machine, under the catalogue's own policy and under each one
given, and say what would have been closed, when, why, and what that would have saved, beside what automation and people
really did. Automation is let act everywhere, whatever its level was. With --observed nothing is replayed: the incidents
that automation at level observe recorded are held against what people did.

A replay is open-loop: the traffic that really flowed is what is judged. Replayed probes and ramps see a part of the
recorded results; where the recording itself had a scope closed, only its own probes are known. Orders are not replayed.

Recordings are written by sluice serve (recording.directory) and by sluice simulate --record.`,
		Example: "  sluice backtest --recording /var/lib/sluice/recordings --policy calm.yaml --policy eager=quick.yaml\n" +
			"  sluice backtest --recording day.sluicerec --from 08:00 --to 09:30 -o json\n" +
			"  sluice backtest --recording /var/lib/sluice/recordings --observed",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.recording, "recording", "", "recording, or directory of recordings")
	cmd.Flags().StringVar(&f.catalog, "catalog", "", "catalogue `file` instead of the recorded one")
	cmd.Flags().StringArrayVar(&f.policies, "policy", nil, "policy `[NAME=]FILE` that replaces the catalogue's default policy; may be repeated")
	cmd.Flags().StringVar(&f.from, "from", "", "first second judged: RFC 3339, or HH:MM[:SS] UTC on the day the recording began")
	cmd.Flags().StringVar(&f.to, "to", "", "end of the seconds judged")
	cmd.Flags().BoolVar(&f.observed, "observed", false, "compare the incidents of level observe with what people did")
	cmd.Flags().StringVarP(&f.output, "output", "o", formatText, "text or json")
	return cmd
}

func (f *flags) run(cmd *cobra.Command) (err error) {
	o, err := f.options()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Recording.Close()) }()
	if f.observed {
		r, err := RunObserved(cmd.Context(), o)
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), r, r.Text)
	}
	r, err := Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	return f.show(cmd.OutOrStdout(), r, r.Text)
}

// options reads every file before anything is replayed.
func (f *flags) options() (o Options, err error) {
	switch {
	case f.recording == "":
		return o, usagef("--recording is missing: want a recording, or a directory of recordings")
	case f.output != formatText && f.output != formatJSON:
		return o, usagef("--output %q: want %s or %s", f.output, formatText, formatJSON)
	case f.observed && len(f.policies) > 0:
		return o, usagef("--observed replays nothing: leave --policy out")
	}
	if o.Policies, err = readPolicies(f.policies); err != nil {
		return o, err
	}
	if f.catalog != "" {
		data, err := os.ReadFile(f.catalog)
		if err != nil {
			return o, fmt.Errorf("catalogue: %w", err)
		}
		if o.Catalog, _, err = catalogfile.Check(f.catalog, data); err != nil {
			return o, err //nolint:wrapcheck // its problems name the file
		}
	}
	if o.Recording, err = record.Open(f.recording); err != nil {
		return o, err
	}
	if err := f.times(&o); err != nil {
		return o, errors.Join(err, o.Recording.Close())
	}
	return o, nil
}

// times reads --from and --to.
func (f *flags) times(o *Options) (err error) {
	day := o.Recording.Headers()[0].Started
	if o.From, err = timeOf("--from", f.from, day); err != nil {
		return err
	}
	if o.To, err = timeOf("--to", f.to, day); err != nil {
		return err
	}
	if !o.From.IsZero() && !o.To.IsZero() && !o.From.Before(o.To) {
		return usagef("--from %s is not before --to %s", f.from, f.to)
	}
	return nil
}

func timeOf(flag, text string, day time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			y, m, d := day.UTC().Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC), nil
		}
	}
	return time.Time{}, usagef("%s %q: want a time such as 2026-03-02T08:30:00Z or 08:30", flag, text)
}

// readPolicies reads the policies to compare; the catalogue's own goes first.
func readPolicies(args []string) ([]Policy, error) {
	list := []Policy{{Name: recordedPolicy}}
	for _, arg := range args {
		name, file, named := strings.Cut(arg, "=")
		if !named {
			file = arg
			name = strings.TrimSuffix(filepath.Base(arg), filepath.Ext(arg))
		}
		for _, p := range list {
			if p.Name == name {
				return nil, usagef("--policy %s: there are two of the name %q: want NAME=FILE", arg, name)
			}
		}
		data, err := os.ReadFile(file) //nolint:gosec // the user names it
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		p := &configv1.Policy{}
		if err := catalogfile.Decode(file, data, p); err != nil {
			return nil, err //nolint:wrapcheck // its problems name the file
		}
		list = append(list, Policy{Name: name, Policy: p})
	}
	return list, nil
}

func (f *flags) show(to io.Writer, report any, text func(io.Writer) error) error {
	if f.output == formatText {
		return text(to)
	}
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("render the report: %w", err)
	}
	if _, err := to.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
