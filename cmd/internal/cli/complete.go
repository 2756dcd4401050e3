package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// completionDeadline bounds what a completion waits for the server; whoever types goes on typing.
const completionDeadline = 500 * time.Millisecond

const noFiles = cobra.ShellCompDirectiveNoFileComp

// complete sets how the values of a flag are completed.
func complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		cobra.CompErrorln(err.Error()) // a flag that the command does not have
	}
}

// asking returns a connection's clients for one completion, nil if there is none to be had.
func (a *app) asking(cmd *cobra.Command) (context.Context, sluicev1.ChannelServiceClient, sluicev1.IncidentServiceClient, func()) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	conn, err := a.connect()
	if err != nil {
		return nil, nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(parent, completionDeadline)
	return ctx, sluicev1.NewChannelServiceClient(conn), sluicev1.NewIncidentServiceClient(conn), func() { cancel(); _ = conn.Close() }
}

// beginningWith keeps what begins with what was typed. A description behind a tab does not count.
func beginningWith(all []string, typed string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, typed) })
}

// completeScope completes the one SCOPE argument: channels and failure domains, then the parts of a channel.
func (a *app) completeScope(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	ctx, channels, _, done := a.asking(cmd)
	if done == nil {
		return nil, noFiles
	}
	defer done()
	return a.scopes(ctx, channels, typed)
}

func (a *app) scopes(ctx context.Context, client sluicev1.ChannelServiceClient, typed string) ([]string, cobra.ShellCompDirective) {
	channel, _, part := strings.Cut(typed, "/")
	if part {
		reply, err := client.GetChannel(ctx, &sluicev1.GetChannelRequest{Channel: channel})
		if err != nil {
			return nil, noFiles
		}
		return beginningWith(partsOf(reply.GetConfig()), typed), noFiles
	}
	reply, err := a.listChannels(ctx, client, &sluicev1.ListChannelsRequest{})
	if err != nil {
		return nil, noFiles
	}
	// No blank behind it: a part of the channel may follow.
	return beginningWith(append(channelsOf(reply), domainScopesOf(reply)...), typed), noFiles | cobra.ShellCompDirectiveNoSpace
}

// partsOf lists what a channel can be cut into, as SCOPE arguments.
func partsOf(c *configv1.Channel) []string {
	var all []string
	add := func(kind, of string) { all = append(all, c.GetId()+"/"+kind+"="+of) }
	for _, i := range c.GetInstruments() {
		add("method", i.GetMethod())
		for _, bank := range i.GetBanks() {
			add("bank", bank)
			for _, card := range i.GetCardTypes() {
				add("bank", bank+":"+cardName(card))
			}
		}
	}
	for _, b := range c.GetBusinessTypes() {
		add("business", businessName(b))
	}
	for _, account := range c.GetAccounts() {
		add("account", account.GetId())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// completeWhy completes what can be asked about: open incidents, then scopes.
func (a *app) completeWhy(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	ctx, channels, incidents, done := a.asking(cmd)
	if done == nil {
		return nil, noFiles
	}
	defer done()
	all, directive := a.scopes(ctx, channels, typed)
	if reply, err := incidents.ListIncidents(ctx, &sluicev1.ListIncidentsRequest{PageSize: 50}); err == nil {
		for _, i := range reply.GetIncidents() {
			line := i.GetIncident().GetId() + "\t" + kindName(i.GetIncident().GetKind()) + " " + people(incidentScope(i))
			all = append(all, beginningWith([]string{line}, typed)...)
		}
	}
	return all, directive
}

// completeChannels completes channels; several in a row where more is set.
func (a *app) completeChannels(more bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if !more && len(args) > 0 {
			return nil, noFiles
		}
		all, directive := a.completeNames(channelsOf)(cmd, args, typed)
		return slices.DeleteFunc(all, func(c string) bool {
			id, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, id)
		}), directive
	}
}

// completeNames completes by what a list of the channels holds.
func (a *app) completeNames(of func(*sluicev1.ListChannelsResponse) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, channels, _, done := a.asking(cmd)
		if done == nil {
			return nil, noFiles
		}
		defer done()
		reply, err := a.listChannels(ctx, channels, &sluicev1.ListChannelsRequest{})
		if err != nil {
			return nil, noFiles
		}
		return beginningWith(of(reply), typed), noFiles
	}
}

// channelsOf lists channels with how they are doing.
func channelsOf(r *sluicev1.ListChannelsResponse) []string {
	var all []string
	for _, c := range r.GetChannels() {
		all = append(all, c.GetChannel()+"\t"+channelStanding(c).word)
	}
	return all
}

func providersOf(r *sluicev1.ListChannelsResponse) []string {
	var all []string
	for _, c := range r.GetChannels() {
		all = append(all, c.GetProvider())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func domainsOf(r *sluicev1.ListChannelsResponse) []string {
	var all []string
	for _, c := range r.GetChannels() {
		all = append(all, c.GetFailureDomains()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func domainScopesOf(r *sluicev1.ListChannelsResponse) []string {
	domains := domainsOf(r)
	for i, d := range domains {
		domains[i] = statemachine.DomainScope(d).String()
	}
	return domains
}

// completeContexts completes the names of contexts.
func (a *app) completeContexts(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	saved, err := a.loadContexts()
	if err != nil {
		return nil, noFiles
	}
	return beginningWith(saved.names(), typed), noFiles
}

// completeContext completes the one NAME argument.
func (a *app) completeContext(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.completeContexts(cmd, args, typed)
}
