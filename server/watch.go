package server

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// maxReplayed is how many earlier entries a watch may ask for at once.
const maxReplayed = 1000

// WatchChannels sends how all channels are doing, then every change in the order of the journal.
func (c *channelService) WatchChannels(m *sluicev1.WatchChannelsRequest, stream grpc.ServerStreamingServer[sluicev1.WatchChannelsResponse]) error {
	w := c.s.hub.watch() // before the full state is taken, so that nothing falls between
	defer c.s.hub.leave(w)
	v, err := c.s.look()
	if err != nil {
		return err
	}
	feed := &channelFeed{s: c.s, stream: stream, asked: m.GetChannels(), wanted: wantedChannels(m.GetChannels(), v.Catalog), sent: v.View.Head.Sequence}
	if err := feed.full(v); err != nil {
		return err
	}
	if err := feed.replay(m.GetAfterSequence(), v.View.Head.Sequence); err != nil {
		return err
	}
	return feed.follow(w)
}

// channelFeed is one running watch.
type channelFeed struct {
	s      *Server
	stream grpc.ServerStreamingServer[sluicev1.WatchChannelsResponse]
	asked  []string // channels asked for; none = all
	wanted watchedScopes
	sent   uint64 // sequence of the newest entry that was sent or is part of the full state
}

// watchedScopes are the channels watched and the failure domains they depend on; nil = all.
type watchedScopes struct{ channels, domains map[string]bool }

func wantedChannels(ids []string, catalog *configv1.Catalog) watchedScopes {
	if len(ids) == 0 {
		return watchedScopes{}
	}
	w := watchedScopes{channels: map[string]bool{}, domains: map[string]bool{}}
	for _, id := range ids {
		w.channels[id] = true
	}
	for _, ch := range catalog.GetChannels() {
		if w.channels[ch.GetId()] {
			for _, d := range ch.GetFailureDomains() {
				w.domains[d] = true
			}
		}
	}
	return w
}

func (w watchedScopes) channel(id string) bool { return w.channels == nil || w.channels[id] }
func (w watchedScopes) domain(id string) bool  { return w.channels == nil || w.domains[id] }

func (w watchedScopes) scope(s statemachine.Scope) bool {
	switch s.Kind {
	case statemachine.ScopeDomain:
		return w.domain(s.Of)
	case statemachine.ScopeUnspecified: // an alert about no scope is for everybody
		return true
	case statemachine.ScopeChannel, statemachine.ScopeBusiness, statemachine.ScopeMethod, statemachine.ScopeAccount, statemachine.ScopeInstrument:
	}
	return w.channel(s.Channel)
}

func (f *channelFeed) full(v *viewer) error {
	m := &sluicev1.ChannelsStatus{TableRevision: v.View.Revision, JournalSequence: v.View.Head.Sequence}
	channels := slices.Clone(v.Catalog.GetChannels())
	slices.SortFunc(channels, func(a, b *configv1.Channel) int { return strings.Compare(a.GetId(), b.GetId()) })
	for _, ch := range channels {
		if f.wanted.channel(ch.GetId()) {
			m.Channels = append(m.Channels, v.channel(ch))
		}
	}
	m.FailureDomains = v.domains(f.wanted.domain)
	return f.stream.Send(&sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Full{Full: m}})
}

// replay sends what an earlier watch has missed, as far as the journal keeps it.
func (f *channelFeed) replay(after, until uint64) error {
	if after == 0 || after >= until {
		return nil
	}
	if until-after > maxReplayed {
		after = until - maxReplayed
	}
	entries, err := f.s.cfg.Journal.Journal(f.stream.Context(), after, int(until-after)) //nolint:gosec // at most maxReplayed
	if err != nil {
		return err //nolint:wrapcheck // becomes a status
	}
	for i := range entries {
		if entries[i].Sequence <= until {
			if err := f.entry(&entries[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow sends entries as they come, heartbeats between them, and ends when the reader is too slow or the server stops.
func (f *channelFeed) follow(w *watcher) error {
	beat := time.NewTicker(f.s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-f.stream.Context().Done():
			return f.stream.Context().Err() //nolint:wrapcheck // becomes a status
		case <-f.s.away:
			return goAway()
		case <-w.slow:
			return tooSlow()
		case e := <-w.entries:
			if e.Sequence != 0 && e.Sequence <= f.sent {
				continue
			}
			if err := f.entry(&e); err != nil {
				return err
			}
			f.sent = max(f.sent, e.Sequence)
			if err := f.renew(&e); err != nil {
				return err
			}
			beat.Reset(f.s.cfg.Heartbeat)
		case <-beat.C:
			if err := f.heartbeat(); err != nil {
				return err
			}
		}
	}
}

func goAway() *fault {
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		message: "this replica stops: watch another one, from the newest journal_sequence", retry: 100 * time.Millisecond,
	}
}

func tooSlow() *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		message: "the watch was read too slowly and ended: watch again, from the newest journal_sequence", retry: time.Second,
	}
}

func (f *channelFeed) heartbeat() error {
	b := &sluicev1.Heartbeat{Time: timestamppb.New(f.s.cfg.Now()), JournalSequence: f.sent}
	if sight := f.s.cfg.World.Sight(); sight != nil {
		b.TableRevision = sight.View.Revision
	}
	return f.stream.Send(&sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Heartbeat{Heartbeat: b}})
}

// renew sends the full state anew after another catalogue: it may have other channels.
func (f *channelFeed) renew(e *monitor.JournalEntry) error {
	if e.Catalog == 0 {
		return nil
	}
	v, err := f.s.look()
	if err != nil {
		return err
	}
	f.wanted = wantedChannels(f.asked, v.Catalog)
	return f.full(v)
}

// catalog tells of another catalogue; its label is known while it is in force.
func (f *channelFeed) catalog(e *monitor.JournalEntry, v *viewer) error {
	if e.Catalog == 0 {
		return nil
	}
	info := monitor.CatalogRevision{Number: e.Catalog, Author: e.Author, Reason: e.Reason, At: e.At, RollbackOf: e.RollbackOf}
	if v.View.Head.Catalog == e.Catalog {
		info.Version = v.Catalog.GetVersion()
	}
	return f.stream.Send(&sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Catalog{Catalog: &sluicev1.CatalogChanged{
		Revision: revisionMessage(&info, v.View.Head.Catalog), TableRevision: e.Revision, JournalSequence: e.Sequence,
	}}})
}

// entry sends the transitions and alerts of one journal entry.
func (f *channelFeed) entry(e *monitor.JournalEntry) error {
	v, err := f.s.look()
	if err != nil {
		return err
	}
	if err := f.catalog(e, v); err != nil {
		return err
	}
	for i := range e.Moves {
		if f.wanted.scope(e.Moves[i].After.Scope) {
			t := &sluicev1.WatchChannelsResponse_Transition{Transition: v.transition(e, &e.Moves[i])}
			if err := f.stream.Send(&sluicev1.WatchChannelsResponse{Event: t}); err != nil {
				return err
			}
		}
	}
	for _, a := range e.Alerts {
		if f.wanted.scope(a.Scope) {
			m := &sluicev1.RaisedAlert{Alert: statepb.FromAlert(a), JournalSequence: e.Sequence}
			if callerOf(f.stream.Context()).may(operators) {
				m.Owner = owner(v.Catalog, a.Scope)
			}
			if err := f.stream.Send(&sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Alert{Alert: m}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// owner is who is told of the alerts about a merchant account: alerts themselves carry no contact, so that none enters the
// journal or a log.
func owner(catalog *configv1.Catalog, s statemachine.Scope) *configv1.Contact {
	if s.Kind != statemachine.ScopeAccount {
		return nil
	}
	for _, ch := range catalog.GetChannels() {
		if ch.GetId() != s.Channel {
			continue
		}
		for _, a := range ch.GetAccounts() {
			if a.GetId() == s.Of {
				return a.GetOwner()
			}
		}
	}
	return nil
}

// transition renders one move of a journal entry.
func (v *viewer) transition(e *monitor.JournalEntry, move *monitor.Move) *sluicev1.Transition {
	from, fromShare := move.Before.Effective()
	to, toShare := move.After.Effective()
	t := &sluicev1.Transition{
		Time: statepb.FromInstant(e.At), Scope: routepb.FromScope(move.After.Scope), From: statepb.FromPhase(from), To: statepb.FromPhase(to),
		FromSharePpm: uint32(fromShare), ToSharePpm: uint32(toShare), Cause: statepb.FromCause(move.Cause), Author: e.Author, Reason: move.Reason,
		IncidentId: move.After.Incident, IncidentKind: statepb.FromKind(move.After.Kind), Status: v.state(move.After, e.Revision),
		TableRevision: e.Revision, JournalSequence: e.Sequence,
	}
	if t.GetReason() == "" {
		t.Reason = e.Reason
	}
	incident := entryIncident(e, move.After)
	if t.GetIncidentId() == "" && incident != nil { // the change that closed it
		t.IncidentId, t.IncidentKind = incident.ID, statepb.FromKind(incident.Kind)
	}
	switch {
	case move.Evidence != nil: // of this step of the way back
		t.Evidence = statepb.FromEvidence(*move.Evidence)
	case move.Cause == statemachine.Automation && incident != nil && incident.Closed == 0:
		t.Evidence = statepb.FromEvidence(incident.Evidence)
	}
	return t
}
