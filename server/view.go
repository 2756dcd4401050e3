package server

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// viewer renders one sight for people and programs.
type viewer struct {
	*Sight

	world     World
	now       time.Time
	modified  map[statemachine.Scope]int64
	incidents map[string]*statemachine.Incident
	byChannel map[string][]statemachine.Scope // scopes with a state, sorted
}

// look returns a viewer of the newest sight.
func (s *Server) look() (*viewer, error) {
	sight := s.cfg.World.Sight()
	if sight == nil {
		return nil, noTable()
	}
	v := &viewer{
		Sight: sight, world: s.cfg.World, now: s.cfg.Now(), modified: make(map[statemachine.Scope]int64, len(sight.View.States)),
		incidents: make(map[string]*statemachine.Incident, len(sight.View.Incidents)), byChannel: map[string][]statemachine.Scope{},
	}
	for i := range sight.View.States {
		st := &sight.View.States[i]
		v.modified[st.Scope] = st.Modified
		v.byChannel[st.Scope.Channel] = append(v.byChannel[st.Scope.Channel], st.Scope)
	}
	for i := range sight.View.Incidents {
		v.incidents[sight.View.Incidents[i].ID] = &sight.View.Incidents[i]
	}
	return v, nil
}

func (v *viewer) age() *durationpb.Duration {
	return durationpb.New(max(0, v.now.Sub(v.Confirmed)).Truncate(time.Millisecond))
}

// notable reports whether a state is worth showing: not healthy, under an order, or with an open incident.
func notable(s statemachine.State) bool {
	phase, share := s.Effective()
	return phase != statemachine.Healthy || share != statemachine.FullShare || s.Held() || s.Incident != ""
}

// etag renders the revision that last wrote a state; 0 = never written.
func etag(modified int64) string { return strconv.FormatInt(modified, 10) }

// scope renders how a scope is doing now.
func (v *viewer) scope(s statemachine.Scope) *sluicev1.ScopeStatus {
	return v.state(v.Fleet.State(s), v.modified[s])
}

// state renders a state, which may be newer than the sight.
func (v *viewer) state(st statemachine.State, modified int64) *sluicev1.ScopeStatus {
	phase, share := st.Effective()
	m := &sluicev1.ScopeStatus{
		Scope: routepb.FromScope(st.Scope), Phase: statepb.FromPhase(phase), SharePpm: uint32(share), State: statepb.FromState(st), Etag: etag(modified),
	}
	if i := v.incidents[st.Incident]; st.Incident != "" && i != nil {
		m.Evidence = statepb.FromEvidence(i.Evidence)
	}
	m.Reason = v.because(st)
	next, at := v.next(st)
	m.Next, m.NextTime = next, statepb.FromInstant(at)
	if p, ok := v.world.Progress(st.Scope); ok && p.Generation == st.Generation && p.Step == st.Step {
		m.Progress = &sluicev1.StepProgress{
			Answered: p.Answered, Bad: p.Bad, Needed: p.Needed, WouldBe: p.WouldBe, Sent: p.Sent, Settled: p.Settled,
		}
	}
	m.Traffic = v.traffic(st.Scope)
	return m
}

func (v *viewer) traffic(s statemachine.Scope) *sluicev1.Traffic {
	t, ok := v.world.Traffic(s)
	if !ok {
		return nil
	}
	return &sluicev1.Traffic{
		Window: durationpb.New(t.Window), Results: t.Results, Succeeded: t.Succeeded, Answered: t.Answered, Bad: t.Bad, PaymentsPerSecond: t.PerSecond,
	}
}

// channel renders how a channel is doing: its own scope first, then its narrower ones worth showing.
func (v *viewer) channel(c *configv1.Channel) *sluicev1.ChannelStatus {
	whole := statemachine.ChannelScope(c.GetId())
	phase, share := v.Fleet.State(whole).Effective()
	m := &sluicev1.ChannelStatus{
		Channel: c.GetId(), Name: c.GetName(), Provider: c.GetProvider(), Phase: statepb.FromPhase(phase), SharePpm: uint32(share),
		Scopes: []*sluicev1.ScopeStatus{v.scope(whole)}, Traffic: v.traffic(whole), FailureDomains: slices.Sorted(slices.Values(c.GetFailureDomains())),
		InWindow: v.Table.Plan().Open(c.GetId(), v.now.Unix()), Retired: c.GetRetired(),
	}
	for _, s := range v.byChannel[c.GetId()] {
		if s != whole && notable(v.Fleet.State(s)) {
			m.Scopes = append(m.Scopes, v.scope(s))
		}
	}
	instruments := v.Fleet.Channels[c.GetId()].Instruments
	m.Instruments = uint32(len(instruments)) //nolint:gosec // bounded by the catalogue
	for _, i := range instruments {
		if v.down(c, i) {
			m.InstrumentsDown++
		}
	}
	return m
}

// down reports whether an instrument of a channel is closed, whole or by a wider scope.
func (v *viewer) down(c *configv1.Channel, i statemachine.Instrument) bool {
	closed := func(s statemachine.Scope) bool {
		phase, _ := v.Fleet.State(s).Effective()
		return phase == statemachine.Disabled
	}
	if closed(statemachine.ChannelScope(c.GetId())) || closed(statemachine.MethodScope(c.GetId(), i.Method)) || closed(statemachine.InstrumentScope(c.GetId(), i)) {
		return true
	}
	return slices.ContainsFunc(c.GetFailureDomains(), func(d string) bool { return closed(statemachine.DomainScope(d)) })
}

// domains renders the failure domains worth showing, those that keep returns true for.
func (v *viewer) domains(keep func(domain string) bool) []*sluicev1.ScopeStatus {
	var out []*sluicev1.ScopeStatus
	for _, s := range v.byChannel[""] { // a domain has no channel
		if notable(v.Fleet.State(s)) && keep(s.Of) {
			out = append(out, v.scope(s))
		}
	}
	return out
}

// entryIncident returns the incident of a move that its entry carries.
func entryIncident(e *monitor.JournalEntry, st statemachine.State) *statemachine.Incident {
	for i := range e.Incidents {
		if e.Incidents[i].Scope == st.Scope {
			return &e.Incidents[i]
		}
	}
	return nil
}
