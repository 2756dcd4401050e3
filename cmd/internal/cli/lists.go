package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func (a *app) newChannels() *cobra.Command {
	request := &sluicev1.ListChannelsRequest{}
	var watch bool
	cmd := a.client(&cobra.Command{
		Use:     "channels",
		Short:   "List the channels and how they are doing",
		Example: "  sluice channels --bank ICBC\n  sluice channels --domain unionpay-network --not-healthy",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.channels(cmd.Context(), request, watch)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&request.NotHealthyOnly, "not-healthy", false, "only channels with a part that is not healthy or under an order")
	f.StringVar(&request.Provider, "provider", "", "only channels of this provider")
	f.StringVar(&request.Method, "method", "", "only channels with this method")
	f.StringVar(&request.Bank, "bank", "", "only channels with this bank")
	f.StringVar(&request.FailureDomain, "domain", "", "only channels that depend on this failure domain")
	f.BoolVarP(&watch, "watch", "w", false, watchHelp)
	complete(cmd, "provider", a.completeNames(providersOf))
	complete(cmd, "domain", a.completeNames(domainsOf))
	return cmd
}

func (a *app) channels(ctx context.Context, request *sluicev1.ListChannelsRequest, watch bool) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	client, closeConn, err := a.channelClient()
	if err != nil {
		return err
	}
	defer closeConn()
	return a.repeat(ctx, watch, func(ctx context.Context) (picture, error) {
		reply, err := a.listChannels(ctx, client, request)
		return picture{reply, func(v view) string { return v.channelsText(reply) }}, err
	})
}

func (a *app) newIncidents() *cobra.Command {
	request := &sluicev1.ListIncidentsRequest{}
	var most uint32
	var watch bool
	cmd := a.client(&cobra.Command{
		Use:     "incidents",
		Short:   "List what was detected, newest first",
		Example: "  sluice incidents --open\n  sluice incidents --channel alipay --most 200",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.incidents(cmd.Context(), request, most, watch)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&request.OpenOnly, "open", false, "only those that are not over")
	f.StringVar(&request.Channel, "channel", "", "only those of this channel")
	f.Uint32Var(&most, "most", 50, "list at most this `NUMBER`; 0 = all that are kept")
	f.BoolVarP(&watch, "watch", "w", false, watchHelp)
	complete(cmd, "channel", a.completeChannels(true))
	return cmd
}

func (a *app) incidents(ctx context.Context, request *sluicev1.ListIncidentsRequest, most uint32, watch bool) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	client := sluicev1.NewIncidentServiceClient(conn)
	return a.repeat(ctx, watch, func(ctx context.Context) (picture, error) {
		whole, err := a.listIncidents(ctx, client, request, most)
		return picture{whole, func(v view) string { return v.incidentsText(whole) }}, err
	})
}

// listIncidents reads as many as asked for into one reply; 0 = all.
func (a *app) listIncidents(ctx context.Context, client sluicev1.IncidentServiceClient, request *sluicev1.ListIncidentsRequest, most uint32) (*sluicev1.ListIncidentsResponse, error) {
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	whole := &sluicev1.ListIncidentsResponse{}
	var err error
	whole.NextPageToken, err = readAll(most, func(size uint32, token string) (int, string, error) {
		request.PageSize, request.PageToken = size, token
		page, err := client.ListIncidents(ctx, request)
		if err != nil {
			return 0, "", fmt.Errorf("list incidents: %w", err)
		}
		whole.Incidents = append(whole.Incidents, page.GetIncidents()...)
		return len(page.GetIncidents()), page.GetNextPageToken(), nil
	})
	return whole, err
}
