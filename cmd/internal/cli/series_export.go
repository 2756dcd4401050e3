package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// The formats of an export.
const (
	formatCSV   = "csv"
	formatJSONL = "jsonl"
)

func (a *app) newSeriesExport() *cobra.Command {
	var f seriesFlags
	var format string
	cmd := &cobra.Command{
		Use:   "export SCOPE",
		Short: "Write every point as CSV or as lines of JSON",
		Long: `Write every point to standard output, oldest first: as CSV with a heading, times in UTC, a column for each outcome and the
reasons as REASON=COUNT; or as jsonl, each point as protojson on a line. A point without traffic is missing.

` + scopeHelp,
		Example: "  sluice series export alipay --since 24h --step 1m -o csv > alipay.csv\n  sluice series export alipay/bank=ICBC -o jsonl | jq .bad",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.exportSeries(cmd.Context(), &f, args[0], format)
		},
		ValidArgsFunction: a.completeScope,
	}
	a.connection(cmd)
	f.register(cmd)
	cmd.Flags().StringVarP(&format, "output", "o", formatCSV, "csv or jsonl")
	complete(cmd, "output", cobra.FixedCompletions([]string{formatCSV, formatJSONL}, noFiles))
	return cmd
}

func (a *app) exportSeries(ctx context.Context, f *seriesFlags, arg, format string) error {
	if format != formatCSV && format != formatJSONL {
		return usagef("--output %q: want %s or %s", format, formatCSV, formatJSONL)
	}
	request, err := f.request(arg, a.clock())
	if err != nil {
		return err
	}
	client, closeConn, err := a.channelClient()
	if err != nil {
		return err
	}
	defer closeConn()
	if format == formatJSONL {
		return a.pages(ctx, client, request, func(page *sluicev1.QuerySeriesResponse) error {
			for _, p := range page.GetPoints() {
				if err := a.json(p, false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	w := csv.NewWriter(a.Out)
	headed := false
	err = a.pages(ctx, client, request, func(page *sluicev1.QuerySeriesResponse) error {
		if !headed {
			_ = w.Write(csvHeading()) // Error below tells
			headed = true
		}
		for _, p := range page.GetPoints() {
			_ = w.Write(csvRow(request, p))
		}
		w.Flush()
		return w.Error() //nolint:wrapcheck // below
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// exported lists the outcomes that have a column.
func exported() []configv1.Outcome {
	var all []configv1.Outcome
	for o := configv1.Outcome_OUTCOME_UNSPECIFIED; configv1.Outcome_name[int32(o)] != ""; o++ {
		all = append(all, o)
	}
	return all
}

func csvHeading() []string {
	row := []string{"time", "scope", "step_seconds", "answered", "bad"}
	for _, o := range exported() {
		row = append(row, strings.ToLower(strings.TrimPrefix(o.String(), "OUTCOME_")))
	}
	return append(row, "latency_sum_ms", "latency_count", "sent_normal", "sent_probe", "sent_ramp", "reasons")
}

func csvRow(request *sluicev1.QuerySeriesRequest, p *sluicev1.SeriesPoint) []string {
	n := func(n uint64) string { return strconv.FormatUint(n, 10) }
	x := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	row := []string{
		p.GetTime().AsTime().Format(time.RFC3339), scopeArg(request.GetScope()), strconv.FormatInt(request.GetStep().GetSeconds(), 10),
		x(p.GetAnswered()), x(p.GetBad()),
	}
	counts := make(map[configv1.Outcome]uint64, len(p.GetOutcomes()))
	for _, o := range p.GetOutcomes() {
		counts[o.GetOutcome()] = o.GetCount()
	}
	for _, o := range exported() {
		row = append(row, n(counts[o]))
	}
	var reasons []string
	for _, r := range p.GetReasons() {
		reasons = append(reasons, clean(r.GetReason())+"="+n(r.GetCount()))
	}
	return append(row, n(p.GetLatencySumMs()), n(p.GetLatencyCount()), n(p.GetSentNormal()), n(p.GetSentProbe()), n(p.GetSentRamp()),
		harmless(strings.Join(reasons, "; ")))
}

// harmless keeps a spreadsheet from taking a text of others for a formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}
