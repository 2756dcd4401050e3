package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

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

// policyMessage renders the policy in force, defaults filled in. What package statemachine does not hold is taken from the
// channel's policy or the default one.
func policyMessage(p statemachine.Policy, c *configv1.Channel, catalog *configv1.Catalog) *configv1.Policy {
	first := func(of func(*configv1.Policy) bool) *configv1.Policy {
		if of(c.GetPolicy()) {
			return c.GetPolicy()
		}
		return catalog.GetDefaultPolicy()
	}
	detector := first(func(p *configv1.Policy) bool { return p.GetDetector() != 0 }).GetDetector()
	if detector == 0 {
		detector = configv1.Detector_DETECTOR_WINDOWS
	}
	m := &configv1.Policy{
		Automation: levelMessage(p.Level), Detector: detector, OverrideExpiryMax: durationpb.New(p.OffMax),
		Windows: &configv1.WindowsPolicy{
			Window: durationpb.New(p.Window), Every: durationpb.New(p.Every), FailureRate: &p.FailureRate, MinSamples: &p.MinSamples,
			WidenFactorMax: new(uint32(p.WidenFactor)), MildRate: &p.MildRate, //nolint:gosec // 1 to 10
			CountRatio: &configv1.CountRatioRule{Count: &p.RatioCount, Ratio: &p.Ratio, Window: durationpb.New(p.RatioWindow)},
		},
		Recovery: recoveryMessage(p),
		Guards: &configv1.GuardPolicy{
			CapacityHeadroom: &p.CapacityHeadroom, MinWeightShare: &p.MinWeightLeft, CutsPerMinute: new(uint32(p.CutsPerMinute)), //nolint:gosec // 1 to 100
			CertainFailure: &p.CertainFailure,
		},
	}
	m.Recovery.TolerantTiers = first(func(p *configv1.Policy) bool { return len(p.GetRecovery().GetTolerantTiers()) > 0 }).GetRecovery().GetTolerantTiers()
	m.Recovery.SmallAmount = new(first(func(p *configv1.Policy) bool { return p.GetRecovery().GetSmallAmount() != 0 }).GetRecovery().GetSmallAmount())
	return m
}

func recoveryMessage(p statemachine.Policy) *configv1.RecoveryPolicy {
	share := func(s statemachine.Share) *uint32 { return new(uint32(s)) }
	return &configv1.RecoveryPolicy{
		CoolDown: durationpb.New(p.CoolDown), CoolDownGrowth: &p.CoolDownGrowth, CoolDownMax: durationpb.New(p.CoolDownMax),
		ProbeEvidence: &p.ProbeEvidence, FailureLimit: &p.ProbeFailRate, ProbeInterval: durationpb.New(p.ProbeInterval),
		ProbeBudgetPpm: share(p.ProbeBudget), QuietRate: &p.QuietRate, FirstSharePpm: share(p.FirstShare),
		FirstShareMinPpm: share(p.FirstShareMin), FirstShareMaxPpm: share(p.FirstShareMax), Factor: &p.Factor,
		Dwell: durationpb.New(p.Dwell), StepEvidence: &p.StepEvidence, StepSettled: &p.StepSettled, Probation: durationpb.New(p.Probation),
	}
}

func levelMessage(l statemachine.Level) configv1.AutomationLevel {
	switch l {
	case statemachine.LevelObserve:
		return configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE
	case statemachine.LevelOffOnly:
		return configv1.AutomationLevel_AUTOMATION_LEVEL_OFF_ONLY
	case statemachine.LevelFull:
	}
	return configv1.AutomationLevel_AUTOMATION_LEVEL_FULL
}
