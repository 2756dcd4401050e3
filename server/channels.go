package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// channelService shows channels and takes orders.
type channelService struct {
	sluicev1.UnimplementedChannelServiceServer

	s *Server
}

// channelsPerPage is the size of a page without page_size.
const channelsPerPage = 100

// ListChannels lists channels, sorted by id.
func (c *channelService) ListChannels(_ context.Context, m *sluicev1.ListChannelsRequest) (*sluicev1.ListChannelsResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	filters := filtersOf(m)
	key, err := pageKey(filters, m.GetPageToken())
	if err != nil {
		return nil, err
	}
	var wanted []*configv1.Channel
	for _, ch := range v.Catalog.GetChannels() {
		if v.matches(ch, m) {
			wanted = append(wanted, ch)
		}
	}
	slices.SortFunc(wanted, func(a, b *configv1.Channel) int { return strings.Compare(a.GetId(), b.GetId()) })
	part, more := page(wanted, key, (*configv1.Channel).GetId, strings.Compare, m.GetPageSize(), channelsPerPage)
	reply := &sluicev1.ListChannelsResponse{TableRevision: v.View.Revision, TableAge: v.age()}
	for _, ch := range part {
		reply.Channels = append(reply.Channels, v.channel(ch))
	}
	if more {
		reply.NextPageToken = pageToken(filters, part[len(part)-1].GetId())
	}
	if key == "" {
		reply.FailureDomains = v.domains(func(d string) bool { return m.GetFailureDomain() == "" || d == m.GetFailureDomain() })
	}
	return reply, nil
}

// matches reports whether a channel passes the filters.
func (v *viewer) matches(c *configv1.Channel, m *sluicev1.ListChannelsRequest) bool {
	switch {
	case m.GetProvider() != "" && c.GetProvider() != m.GetProvider(),
		m.GetFailureDomain() != "" && !slices.Contains(c.GetFailureDomains(), m.GetFailureDomain()),
		m.GetNotHealthyOnly() && !v.affected(c):
		return false
	case m.GetMethod() == "" && m.GetBank() == "":
		return true
	}
	return slices.ContainsFunc(c.GetInstruments(), func(i *configv1.Instrument) bool {
		return (m.GetMethod() == "" || i.GetMethod() == m.GetMethod()) && (m.GetBank() == "" || slices.Contains(i.GetBanks(), m.GetBank()))
	})
}

// affected reports whether a scope of the channel, or a failure domain it depends on, is worth showing.
func (v *viewer) affected(c *configv1.Channel) bool {
	if slices.ContainsFunc(v.byChannel[c.GetId()], func(s statemachine.Scope) bool { return notable(v.Fleet.State(s)) }) {
		return true
	}
	return slices.ContainsFunc(c.GetFailureDomains(), func(d string) bool { return notable(v.Fleet.State(statemachine.DomainScope(d))) })
}

// GetChannel shows one channel whole.
func (c *channelService) GetChannel(ctx context.Context, m *sluicev1.GetChannelRequest) (*sluicev1.GetChannelResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(v.Catalog.GetChannels(), func(ch *configv1.Channel) bool { return ch.GetId() == m.GetChannel() })
	if i < 0 {
		return nil, unknownChannel(m.GetChannel())
	}
	ch := v.Catalog.GetChannels()[i]
	config := proto.CloneOf(ch)
	if !callerOf(ctx).may(operators) {
		withoutContacts(config)
	}
	return &sluicev1.GetChannelResponse{
		Channel: v.channel(ch), Config: config, Policy: policyMessage(v.Fleet.Policy(ch.GetId()), ch, v.Catalog),
		TableRevision: v.View.Revision, TableAge: v.age(),
	}, nil
}

// withoutContacts takes the people out of a channel's configuration.
func withoutContacts(c *configv1.Channel) {
	c.Contacts = nil
	for _, a := range c.GetAccounts() {
		a.Owner = nil
	}
}
