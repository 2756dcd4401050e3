package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func (a *app) newChannels() *cobra.Command {
	request := &sluicev1.ListChannelsRequest{}
	cmd := a.client(&cobra.Command{
		Use:     "channels",
		Short:   "List the channels and how they are doing",
		Example: "  sluice channels --bank ICBC\n  sluice channels --domain unionpay-network --not-healthy",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.channels(cmd.Context(), request)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&request.NotHealthyOnly, "not-healthy", false, "only channels with a part that is not healthy or under an order")
	f.StringVar(&request.Provider, "provider", "", "only channels of this provider")
	f.StringVar(&request.Method, "method", "", "only channels with this method")
	f.StringVar(&request.Bank, "bank", "", "only channels with this bank")
	f.StringVar(&request.FailureDomain, "domain", "", "only channels that depend on this failure domain")
	return cmd
}

func (a *app) channels(ctx context.Context, request *sluicev1.ListChannelsRequest) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	client, closeConn, err := a.channelClient()
	if err != nil {
		return err
	}
	defer closeConn()
	reply, err := a.listChannels(ctx, client, request)
	if err != nil {
		return err
	}
	return a.show(reply, func(v view) string { return v.channelsText(reply) })
}

func (a *app) newIncidents() *cobra.Command {
	request := &sluicev1.ListIncidentsRequest{}
	var most uint32
	cmd := a.client(&cobra.Command{
		Use:     "incidents",
		Short:   "List what was detected, newest first",
		Example: "  sluice incidents --open\n  sluice incidents --channel alipay --most 200",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.incidents(cmd.Context(), request, most)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&request.OpenOnly, "open", false, "only those that are not over")
	f.StringVar(&request.Channel, "channel", "", "only those of this channel")
	f.Uint32Var(&most, "most", 50, "list at most this `NUMBER`; 0 = all that are kept")
	return cmd
}

func (a *app) incidents(ctx context.Context, request *sluicev1.ListIncidentsRequest, most uint32) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	client := sluicev1.NewIncidentServiceClient(conn)
	whole := &sluicev1.ListIncidentsResponse{}
	for {
		request.PageSize = pageSize
		if most > 0 {
			request.PageSize = min(pageSize, most-uint32(len(whole.GetIncidents()))) //nolint:gosec // At most most.
		}
		page, err := client.ListIncidents(ctx, request)
		if err != nil {
			return fmt.Errorf("list incidents: %w", err)
		}
		whole.Incidents = append(whole.Incidents, page.GetIncidents()...)
		whole.NextPageToken = page.GetNextPageToken()
		request.PageToken = page.GetNextPageToken()
		if request.GetPageToken() == "" || most > 0 && len(whole.GetIncidents()) >= int(most) {
			return a.show(whole, func(v view) string { return v.incidentsText(whole) })
		}
	}
}
