package campaign

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

// Write prints the figures of every class.
func Write(out io.Writer, all []*Figures) error {
	for i, f := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := f.write(out); err != nil {
			return err
		}
	}
	return nil
}

func (f *Figures) write(out io.Writer) error {
	fmt.Fprintf(out, "%s: %d units, %.1f channel-days, %d payments", f.Class, f.Units, f.ChannelDays, f.Payments)
	if f.Policy != "" {
		fmt.Fprintf(out, ", policy %s", f.Policy)
	}
	fmt.Fprintln(out)
	a := &f.All
	fmt.Fprintf(out, "  incidents %d, detectable %d; recall %s of detectable, %s of all; precision %s\n",
		a.Incidents, a.Detectable, digits(3).of(a.Recall()), digits(3).of(a.RecallOfAll()), digits(3).of(f.Precision()))
	fmt.Fprintf(out, "  cut decisions: %d right, %d over, %d false (%d within 60 s after the fault); false per channel-day %.4f, 95 %% bound %.4f\n",
		f.Right, f.Over, f.False, f.Aftermath, f.FalsePerDay(), f.FalseBound())
	fmt.Fprintf(out, "  healthy payments moved %d (%.4f %%); probes failed %d; excess failed %d (%.1f a unit); most entries in ten minutes %d; violations %d\n",
		f.MovedHealthy, 100*float64(f.MovedHealthy)/float64(max(1, f.Payments)), f.ProbesFailed, f.Excess,
		float64(f.Excess)/float64(f.Units), f.Entries, f.Violations)
	fmt.Fprintf(out, "  returned too early: %d failed of %d saved (%.2f %%); still shut at the end of a unit %d\n",
		a.EarlyFailed, a.Saved, 100*a.Early(), a.Unhealthy)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "  kind\tincidents\tdetectable\trecall\tof all\tTTD p50\tp90\tsamples p50\tp90\tlateness p50\tp90\trecovery p50\tp90\theld\tearly %\t")
	for _, k := range append([]KindFigures{f.All}, f.Kinds...) {
		if k.Incidents == 0 {
			continue
		}
		fmt.Fprintf(w, "  %s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%.2f\t\n", k.Kind, k.Incidents, k.Detectable,
			digits(3).of(k.Recall()), digits(3).of(k.RecallOfAll()), at(k.Seconds, 0.5), at(k.Seconds, 0.9), at(k.Samples, 0.5), at(k.Samples, 0.9),
			at(k.Lateness, 0.5), at(k.Lateness, 0.9), at(k.Recovery, 0.5), at(k.Recovery, 0.9), k.Held, 100*k.Early())
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	f.writeTraps(out)
	return nil
}

func (f *Figures) writeTraps(out io.Writer) {
	var words []string
	for _, t := range f.Traps {
		if t.Events > 0 {
			words = append(words, fmt.Sprintf("%s %d of %d (%d cuts)", t.Kind, t.Cut, t.Events, t.Cuts))
		}
	}
	fmt.Fprintf(out, "  traps cut: %s\n", strings.Join(words, ", "))
	words = words[:0]
	for _, a := range f.Alerts {
		words = append(words, a.Kind+" "+strconv.Itoa(a.N))
	}
	fmt.Fprintf(out, "  alerts: %s\n", strings.Join(words, ", "))
}

// digits prints a part of one with so many digits, never rounded up to 1.
type digits int

func (p digits) of(x float64) string {
	scale := math.Pow10(int(p))
	return strconv.FormatFloat(math.Floor(x*scale+1e-9)/scale, 'f', int(p), 64)
}

func at(sorted []float64, q float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return strconv.FormatFloat(Quantile(sorted, q), 'f', 1, 64)
}

// WriteMisses prints the incidents that were not detected, the detectable ones first.
func WriteMisses(out io.Writer, results []*Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "unit\tlabel\tfrom s\taffected\tclairvoyant at\tdetectable")
	for _, detectable := range []bool{true, false} {
		for _, r := range results {
			for _, in := range r.Incidents {
				if in.DetectedIn == nil && in.Detectable == detectable {
					fmt.Fprintf(w, "%v\t%s\t%.0f\t%d\t%d\t%v\n", r.Unit, in.Label, in.From, in.Affected, in.Crossing, in.Detectable)
				}
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the misses: %w", err)
	}
	return nil
}

// WriteFalse prints the cut decisions that were not right.
func WriteFalse(out io.Writer, results []*Result) error {
	for _, r := range results {
		for _, c := range r.Cuts {
			if c.Verdict == simulate.Right {
				continue
			}
			fmt.Fprintf(out, "%v %s t=%.0f %s %s→%s %.2f", r.Unit, c.Verdict, c.T, c.Scope, c.From, c.To, c.Share)
			if c.Label != "" {
				fmt.Fprintf(out, " (%s)", c.Label)
			}
			if c.SinceFault != nil {
				fmt.Fprintf(out, " %.0f s after the last fault", *c.SinceFault)
			}
			if _, err := fmt.Fprintf(out, ": %s\n", c.Why); err != nil {
				return fmt.Errorf("write the false cuts: %w", err)
			}
		}
	}
	return nil
}
