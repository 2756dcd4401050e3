package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/sluice-pay/sluice/cmd/internal/campaign"
)

// row is one policy on one class of traffic.
type row struct {
	contestant contestant
	figures    *campaign.Figures
}

// column is a column of the comparison.
type column struct {
	title string // of the table for people
	name  string // of the CSV file
	of    func(r *row, price float64) float64
	text  func(float64) string
}

// columns lists what is compared, in the order of the table.
func columns() []column {
	all := func(f func(*campaign.Figures) float64) func(*row, float64) float64 {
		return func(r *row, _ float64) float64 { return f(r.figures) }
	}
	quantile := func(of func(*campaign.KindFigures) []float64, q float64) func(*row, float64) float64 {
		return all(func(f *campaign.Figures) float64 { return campaign.Quantile(of(&f.All), q) })
	}
	ttd := func(k *campaign.KindFigures) []float64 { return k.Seconds }
	late := func(k *campaign.KindFigures) []float64 { return k.Lateness }
	back := func(k *campaign.KindFigures) []float64 { return k.Recovery }
	return []column{
		{"recall", "recall", all(func(f *campaign.Figures) float64 { return f.All.Recall() }), part},
		{"of all", "recall_of_all", all(func(f *campaign.Figures) float64 { return f.All.RecallOfAll() }), part},
		{"precision", "precision", all(precision), part},
		{"cuts", "cuts", all(func(f *campaign.Figures) float64 { return float64(f.Right + f.Over + f.False) }), whole},
		{"over", "over_cuts", all(func(f *campaign.Figures) float64 { return float64(f.Over) }), whole},
		{"false/day", "false_cuts_per_channel_day", all((*campaign.Figures).FalsePerDay), three},
		{"95 % ≤", "false_cuts_per_channel_day_bound", all((*campaign.Figures).FalseBound), three},
		{"in traps", "cuts_in_traps", all(inTraps), whole},
		{"TTD p50 s", "ttd_p50_s", quantile(ttd, 0.5), one},
		{"p90 s", "ttd_p90_s", quantile(ttd, 0.9), one},
		{"samples/bound p50", "samples_over_bound_p50", quantile(late, 0.5), one},
		{"p90", "samples_over_bound_p90", quantile(late, 0.9), one},
		{"recovery p50 s", "recovery_p50_s", quantile(back, 0.5), one},
		{"p90 s", "recovery_p90_s", quantile(back, 0.9), one},
		{"healthy moved", "healthy_moved", all(func(f *campaign.Figures) float64 { return float64(f.MovedHealthy) }), whole},
		{"probes failed", "probes_failed", all(func(f *campaign.Figures) float64 { return float64(f.ProbesFailed) }), whole},
		{"excess failed", "excess_failed", all(func(f *campaign.Figures) float64 { return float64(f.Excess) }), whole},
		{"net loss", "net_loss", (*row).netLoss, whole},
	}
}

// precision is not 1 but undefined where nothing was cut.
func precision(f *campaign.Figures) float64 {
	if f.Right+f.False == 0 {
		return math.NaN()
	}
	return f.Precision()
}

// inTraps is how many decisions fell for an event that must not be cut: our own network, payers' declines, a bank that is
// down everywhere, one gateway instance.
func inTraps(f *campaign.Figures) float64 {
	n := 0
	for _, t := range f.Traps {
		n += t.Cuts
	}
	return float64(n)
}

// netLoss is failed payments, and a price for each healthy payment that was moved: routing it elsewhere cost something.
func (r *row) netLoss(price float64) float64 {
	return float64(r.figures.Excess) + price*float64(r.figures.MovedHealthy)
}

func part(x float64) string  { return number(math.Floor(x*1000+1e-9)/1000, 3) } // never rounded up to 1
func three(x float64) string { return number(x, 3) }
func one(x float64) string   { return number(x, 1) }
func whole(x float64) string { return number(x, 0) }

func number(x float64, digits int) string {
	if math.IsNaN(x) {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

// report is everything that is printed.
type report struct {
	rows  []row // by class, then in the order of the roster
	price float64
}

// markdown writes a table for each class.
func (r *report) markdown(out io.Writer) error {
	var b strings.Builder
	class := ""
	for i := range r.rows {
		f := r.rows[i].figures
		if f.Class != class {
			class = f.Class
			r.heading(&b, f)
		}
		fmt.Fprintf(&b, "| %s | %s |", r.rows[i].contestant.name, r.rows[i].contestant.keys)
		for _, c := range columns() {
			fmt.Fprintf(&b, " %s |", c.text(c.of(&r.rows[i], r.price)))
		}
		b.WriteByte('\n')
		if i+1 == len(r.rows) || r.rows[i+1].figures.Class != class {
			r.footing(&b, class)
		}
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func (*report) heading(b *strings.Builder, f *campaign.Figures) {
	fmt.Fprintf(b, "### %s: %d days, %.0f channel-days, %d payments, %d incidents (%d detectable)\n\n| policy | keys |",
		f.Class, f.Units, f.ChannelDays, f.Payments, f.All.Incidents, f.All.Detectable)
	for _, c := range columns() {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---:|", len(columns())) + "\n")
}

// footing holds Sluice against the best library and against the fixed window, by excess failed payments.
func (r *report) footing(b *strings.Builder, class string) {
	var own, library, window *row
	for i := range r.rows {
		c := &r.rows[i]
		if c.figures.Class != class {
			continue
		}
		switch {
		case c.contestant.kind == kindDefault:
			own = c
		case c.contestant.kind == kindLibrary && less(c, library):
			library = c
		case c.contestant.kind == kindWindow && less(c, window):
			window = c
		}
	}
	b.WriteByte('\n')
	for _, other := range []*row{library, window} {
		if own != nil && other != nil {
			fmt.Fprintf(b, "Excess failed: %d, %.0f %% of %s per %s (%d).\n", own.figures.Excess,
				100*float64(own.figures.Excess)/float64(other.figures.Excess), other.contestant.name, other.contestant.keys, other.figures.Excess)
		}
	}
	b.WriteByte('\n')
}

func less(a, b *row) bool { return b == nil || a.figures.Excess < b.figures.Excess }

// csv writes a line for each class, policy and kind of event: `all` first, faults, then traps.
func (r *report) csv(out io.Writer) error {
	w := csv.NewWriter(out)
	head := []string{"class", "policy", "keys", "kind", "days", "channel_days", "payments", "events", "detectable", "detected", "trap_events_cut"}
	for _, c := range columns() {
		head = append(head, c.name)
	}
	lines := [][]string{head}
	for i := range r.rows {
		lines = append(lines, r.lines(&r.rows[i])...)
	}
	if err := w.WriteAll(lines); err != nil {
		return fmt.Errorf("write the CSV file: %w", err)
	}
	return nil
}

func (r *report) lines(of *row) [][]string {
	f := of.figures
	begin := func(kind string, events, detectable, detected, cut int) []string {
		return []string{
			f.Class, of.contestant.name, of.contestant.keys, kind, strconv.Itoa(f.Units), three(f.ChannelDays),
			strconv.FormatUint(f.Payments, 10), strconv.Itoa(events), strconv.Itoa(detectable), strconv.Itoa(detected), strconv.Itoa(cut),
		}
	}
	var out [][]string
	line := begin("all", f.All.Incidents, f.All.Detectable, f.All.DetectedOfThem, 0)
	for _, c := range columns() {
		line = append(line, exact(c.of(of, r.price)))
	}
	out = append(out, line)
	for i := range f.Kinds {
		k := &f.Kinds[i]
		line := begin(k.Kind, k.Incidents, k.Detectable, k.DetectedOfThem, 0)
		for _, c := range columns() {
			line = append(line, exact(ofKind(c.name, k)))
		}
		out = append(out, line)
	}
	for _, t := range f.Traps {
		line := begin(t.Kind, t.Events, 0, 0, t.Cut)
		for _, c := range columns() {
			x := math.NaN()
			if c.name == "cuts" {
				x = float64(t.Cuts)
			}
			line = append(line, exact(x))
		}
		out = append(out, line)
	}
	return out
}

// ofKind is the value of a column for one kind of fault, NaN where the column is about a whole day.
func ofKind(column string, k *campaign.KindFigures) float64 {
	switch column {
	case "recall":
		return k.Recall()
	case "recall_of_all":
		return k.RecallOfAll()
	case "ttd_p50_s":
		return campaign.Quantile(k.Seconds, 0.5)
	case "ttd_p90_s":
		return campaign.Quantile(k.Seconds, 0.9)
	case "samples_over_bound_p50":
		return campaign.Quantile(k.Lateness, 0.5)
	case "samples_over_bound_p90":
		return campaign.Quantile(k.Lateness, 0.9)
	case "recovery_p50_s":
		return campaign.Quantile(k.Recovery, 0.5)
	case "recovery_p90_s":
		return campaign.Quantile(k.Recovery, 0.9)
	}
	return math.NaN()
}

// exact prints a number for machines; what does not exist is empty.
func exact(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
