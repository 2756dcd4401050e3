package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func (a *app) newNow() *cobra.Command {
	var all, watch bool
	cmd := a.client(&cobra.Command{
		Use:   "now",
		Short: "Show what is not healthy, worst first",
		Long: `Show what is not healthy or under an order, worst first: faults that automation does not act on, what is
closed, probed, ramping, held. Healthy channels are a number, unless --all.

With --watch it is redrawn as things change. Without a terminal a new picture is printed at every change.`,
		Example: "  sluice now -w\n  sluice now -o json | jq '.channels[].scopes[] | select(.sharePpm < 1000000) | .scope.name'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.now(cmd.Context(), all, watch)
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "list the healthy channels too")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on, and redraw at every change")
	return cmd
}

func (a *app) now(ctx context.Context, all, watch bool) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	client := sluicev1.NewChannelServiceClient(conn)
	if watch {
		return a.newLive(client, all).run(ctx)
	}
	reply, err := a.listChannels(ctx, client, &sluicev1.ListChannelsRequest{})
	if err != nil {
		return err
	}
	return a.show(reply, func(v view) string { return v.nowText(reply, a.target(), all) })
}

// listChannels reads all pages into one reply. Where the table changed between two pages it keeps the older revision, which
// is what is true of the whole.
func (a *app) listChannels(ctx context.Context, client sluicev1.ChannelServiceClient, request *sluicev1.ListChannelsRequest) (*sluicev1.ListChannelsResponse, error) {
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	var whole *sluicev1.ListChannelsResponse
	token, err := readAll(0, func(size uint32, token string) (int, string, error) {
		request.PageSize, request.PageToken = size, token
		page, err := client.ListChannels(ctx, request)
		if err != nil {
			return 0, "", fmt.Errorf("list channels: %w", err)
		}
		if whole == nil {
			whole = page
		} else {
			whole.Channels = append(whole.Channels, page.GetChannels()...)
		}
		return len(page.GetChannels()), page.GetNextPageToken(), nil
	})
	if err != nil {
		return nil, err
	}
	whole.NextPageToken = token
	return whole, nil
}
