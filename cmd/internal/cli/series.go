package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// seriesPage is how many points are asked for at once.
const seriesPage = 5000

// seriesFlags select a part of a series.
type seriesFlags struct {
	since time.Duration
	step  time.Duration
}

func (a *app) newSeries() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "series",
		Short: "Show or export what was counted of a scope over time",
		Long: `Show or export what was counted of a scope over time. Seconds are kept for ten minutes and minutes for two days; the
running minute has no point yet. Nothing is decided from a series.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(a.newSeriesShow(), a.newSeriesExport())
	return cmd
}

func (f *seriesFlags) register(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.since, "since", 10*time.Minute, "how far back to begin, e.g. 10m or 24h")
	cmd.Flags().DurationVar(&f.step, "step", 0, "length of a point, 1s or 1m (default 1s up to ten minutes back, else 1m)")
	complete(cmd, "step", cobra.FixedCompletions([]string{"1s", "1m"}, noFiles))
}

// request checks the flags and makes the first request of them.
func (f *seriesFlags) request(arg string, now time.Time) (*sluicev1.QuerySeriesRequest, error) {
	scope, err := parseScope(arg)
	if err != nil {
		return nil, err
	}
	step := f.step
	switch {
	case f.since < time.Second:
		return nil, usagef("--since %s: want a second or more", f.since)
	case step == 0 && f.since <= 10*time.Minute:
		step = time.Second
	case step == 0:
		step = time.Minute
	case step != time.Second && step != time.Minute:
		return nil, usagef("--step %s: want 1s or 1m", step)
	}
	return &sluicev1.QuerySeriesRequest{
		Scope: scope, StartTime: timestamppb.New(now.Add(-f.since).Truncate(step)), EndTime: timestamppb.New(now), Step: durationpb.New(step), PageSize: seriesPage,
	}, nil
}

// pages asks for page after page and hands the points on.
func (a *app) pages(ctx context.Context, client sluicev1.ChannelServiceClient, request *sluicev1.QuerySeriesRequest, take func(*sluicev1.QuerySeriesResponse) error) error {
	for {
		page, err := a.querySeries(ctx, client, request)
		if err != nil {
			return err
		}
		if err := take(page); err != nil {
			return err
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return nil
		}
	}
}

func (a *app) querySeries(ctx context.Context, client sluicev1.ChannelServiceClient, request *sluicev1.QuerySeriesRequest) (*sluicev1.QuerySeriesResponse, error) {
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	page, err := client.QuerySeries(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("series of %s: %w", scopeArg(request.GetScope()), err)
	}
	return page, nil
}

func (a *app) newSeriesShow() *cobra.Command {
	var f seriesFlags
	var watch bool
	cmd := a.client(&cobra.Command{
		Use:   "show SCOPE",
		Short: "Show success, failures and their reasons over time",
		Long: `Show success, failures and their reasons over time, at most 24 lines; several points may share a line.

SUCCESS is the part of the results that say the channel works: paid, declined by the payer's side, or rejected.
PAID is the part that was paid. FAILED counts results that speak against the channel. -o json and yaml give every point.

` + scopeHelp,
		Example: "  sluice series show alipay/bank=ICBC\n  sluice series show alipay --since 24h --step 1m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showSeries(cmd.Context(), &f, args[0], watch)
		},
		ValidArgsFunction: a.completeScope,
	})
	f.register(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, watchHelp)
	return cmd
}

func (a *app) showSeries(ctx context.Context, f *seriesFlags, arg string, watch bool) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	if _, err := f.request(arg, a.clock()); err != nil {
		return err
	}
	client, closeConn, err := a.channelClient()
	if err != nil {
		return err
	}
	defer closeConn()
	return a.repeat(ctx, watch, func(ctx context.Context) (picture, error) {
		request, err := f.request(arg, a.clock())
		if err != nil {
			return picture{}, err
		}
		whole := &sluicev1.QuerySeriesResponse{}
		err = a.pages(ctx, client, request, func(page *sluicev1.QuerySeriesResponse) error {
			whole.Points = append(whole.Points, page.GetPoints()...)
			return nil
		})
		return picture{whole, func(v view) string { return v.seriesText(request, whole.GetPoints()) }}, err
	})
}
