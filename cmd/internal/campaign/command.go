package campaign

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/monitor"
)

// ErrFlag is wrapped by every error of the command's flags.
var ErrFlag = errors.New("bad flag")

// gcPercent is the garbage collector's while units run: they need a few dozen megabytes, and speed matters more.
const gcPercent = 400

// flags are the flags of `sluice campaign`.
type flags struct {
	class, seeds, out, report string
	policy, detector, without string
	traffic                   string
	days, workers             int
	misses, wrong             bool
}

// NewCommand returns `sluice campaign`.
func NewCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "campaign --class CLASS --seeds 21-24 --out RESULTS.jsonl",
		Short: "Measure automation over many simulated days",
		Long: `Simulate days of traffic with a fault every 20 to 30 minutes and traps between them, each day a unit of its own, and add
up what automation noticed, how soon, and what it cut that was well. Results are appended to a file, a line a unit; units
that are there already are not run again, so that a long command can be stopped and resumed.`,
		Example: `  sluice campaign --class busy --seeds 21-24 --days 1 --out busy.jsonl
  sluice campaign --report busy.jsonl --misses`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return f.run(cmd)
		},
	}
	cmd.Flags().StringVar(&f.class, "class", "", "traffic: busy, medium, quiet, or one of them with -healthy; several with commas")
	cmd.Flags().StringVar(&f.seeds, "seeds", "1", "seeds, such as 21-24 or 1,5,9")
	cmd.Flags().IntVar(&f.days, "days", 1, "days of each seed")
	cmd.Flags().StringVar(&f.out, "out", "", "file of results, one JSON object a line; what is there is not run again")
	cmd.Flags().StringVar(&f.report, "report", "", "print the table of a file of results, and run nothing")
	cmd.Flags().IntVar(&f.workers, "workers", 0, "units at once (default one a core)")
	cmd.Flags().StringVar(&f.policy, "policy", "", "policy file that replaces the default policy")
	cmd.Flags().StringVar(&f.detector, "detector", "", "detector of the default policy: sequential or windows")
	cmd.Flags().StringVar(&f.without, "without", "", "guards to leave out, with commas: "+strings.Join(monitor.GuardNames(), ", "))
	cmd.Flags().StringVar(&f.traffic, "traffic", "", "count only incidents and cuts on channels with so many payments a second at that time, such as 5- or 0.1-1.5")
	cmd.Flags().BoolVar(&f.misses, "misses", false, "list the incidents that were not detected")
	cmd.Flags().BoolVar(&f.wrong, "false", false, "list the cuts that were false or too wide")
	return cmd
}

func (f *flags) run(cmd *cobra.Command) error {
	band, err := ParseBand(f.traffic)
	if err != nil {
		return err
	}
	if f.report != "" {
		if f.class != "" || f.out != "" {
			return fmt.Errorf("%w: --report prints what is there: leave --class and --out away", ErrFlag)
		}
		data, err := os.ReadFile(f.report)
		if err != nil {
			return fmt.Errorf("read the results: %w", err)
		}
		results, err := Parse(f.report, data)
		if err != nil {
			return err
		}
		return f.print(cmd, results, band)
	}
	units, err := f.units()
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	store, err := Open(f.out, o.Policy)
	if err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	began, n := time.Now(), 0
	err = RunAll(cmd.Context(), units, store, o, f.workers, func(r *Result) {
		n++
		fmt.Fprintf(cmd.ErrOrStderr(), "%v: %d payments (%d units in %v)\n", r.Unit, r.Payments, n, time.Since(began).Round(time.Second))
	})
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	return f.print(cmd, wanted(store.Results(), units), band)
}

// wanted keeps the results of some units, in the units' order.
func wanted(results []*Result, units []Unit) []*Result {
	var out []*Result
	for _, u := range units {
		if i := slices.IndexFunc(results, func(r *Result) bool { return r.Unit == u }); i >= 0 {
			out = append(out, results[i])
		}
	}
	return out
}

func (f *flags) print(cmd *cobra.Command, results []*Result, band Band) error {
	results, err := Within(results, band)
	if err != nil {
		return err
	}
	if err := Write(cmd.OutOrStdout(), Aggregate(results)); err != nil {
		return err
	}
	if f.misses {
		if err := WriteMisses(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if f.wrong {
		return WriteFalse(cmd.OutOrStdout(), results)
	}
	return nil
}

func (f *flags) units() ([]Unit, error) {
	if f.out == "" {
		return nil, fmt.Errorf("%w: --out: want the file of results", ErrFlag)
	}
	if f.days < 1 {
		return nil, fmt.Errorf("%w: --days %d: want at least 1", ErrFlag, f.days)
	}
	seeds, err := ParseSeeds(f.seeds)
	if err != nil {
		return nil, err
	}
	var units []Unit
	for name := range strings.SplitSeq(f.class, ",") {
		c, err := ClassOf(name)
		if err != nil {
			return nil, fmt.Errorf("%w: --class: %w", ErrFlag, err)
		}
		units = append(units, Units(c.Name, seeds, f.days)...)
	}
	return units, nil
}

// mostSeeds bounds a slip of the finger.
const mostSeeds = 100_000

// ParseSeeds reads seeds such as `21-24` or `1,5,9-11`; each comes once.
func ParseSeeds(text string) ([]uint64, error) {
	var out []uint64
	for word := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(word, "-")
		from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 63)
		to := from
		if err == nil && ranged {
			to, err = strconv.ParseUint(strings.TrimSpace(last), 10, 63)
		}
		if err != nil || to < from || to-from >= mostSeeds {
			return nil, fmt.Errorf("%w: --seeds %q: want numbers and ranges, such as 21-24 or 1,5,9", ErrFlag, text)
		}
		for s := from; s <= to; s++ {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// options read the policy; its fingerprint names it in the results.
func (f *flags) options() (Options, error) {
	var o Options
	var err error
	if o.Of, err = simulate.ReadPolicy(f.policy); err != nil {
		return o, err
	}
	if f.detector != "" {
		name := "DETECTOR_" + strings.ToUpper(f.detector)
		d, ok := configv1.Detector_value[name]
		if !ok || d == 0 {
			return o, fmt.Errorf("%w: --detector %q: want sequential or windows", ErrFlag, f.detector)
		}
		if o.Of == nil {
			o.Of = &configv1.Policy{}
		}
		o.Of.Detector = configv1.Detector(d)
	}
	if o.Without, err = monitor.ParseWithout(f.without); err != nil {
		return o, fmt.Errorf("%w: --without: %w", ErrFlag, err)
	}
	o.Policy, err = nameOf(o.Of)
	if f.without != "" {
		o.Policy += " without " + o.Without.String()
	}
	return o, err
}

// nameOf is the fingerprint of a policy, empty for the catalogue's own.
func nameOf(p *configv1.Policy) (string, error) {
	if p == nil {
		return "", nil
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	return fmt.Sprintf("%s#%08x", strings.ToLower(strings.TrimPrefix(p.GetDetector().String(), "DETECTOR_")), xxhash.Sum64(wire)>>32), nil
}
