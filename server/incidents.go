package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// incidentService shows what was detected and what was done about it.
type incidentService struct {
	sluicev1.UnimplementedIncidentServiceServer

	s *Server
}

const (
	incidentsPerPage = 50
	maxHistory       = 20_000 // journal entries that are looked through for one incident
	journalPage      = 500
)

// ListIncidents lists incidents, newest first.
func (i *incidentService) ListIncidents(_ context.Context, m *sluicev1.ListIncidentsRequest) (*sluicev1.ListIncidentsResponse, error) {
	v, err := i.s.look()
	if err != nil {
		return nil, err
	}
	filters := filtersOf(m)
	key, err := pageKey(filters, m.GetPageToken())
	if err != nil {
		return nil, err
	}
	var wanted []statemachine.Incident
	for _, in := range v.View.Incidents {
		switch {
		case m.GetOpenOnly() && in.Closed != 0, m.GetChannel() != "" && in.Scope.Channel != m.GetChannel(),
			len(m.GetKinds()) > 0 && !slices.Contains(m.GetKinds(), statepb.FromKind(in.Kind)):
			continue
		}
		wanted = append(wanted, in)
	}
	monitor.SortIncidents(wanted)
	part, more := page(wanted, key, incidentKey, strings.Compare, m.GetPageSize(), incidentsPerPage)
	reply := &sluicev1.ListIncidentsResponse{}
	for n := range part {
		reply.Incidents = append(reply.Incidents, v.incident(&part[n]))
	}
	if more {
		reply.NextPageToken = pageToken(filters, incidentKey(part[len(part)-1]))
	}
	return reply, nil
}

// incidentKey sorts like the list: newest first, then by id.
func incidentKey(i statemachine.Incident) string {
	return fmt.Sprintf("%019d %s", int64(1)<<62-int64(i.Opened), i.ID)
}

func (v *viewer) incident(i *statemachine.Incident) *sluicev1.IncidentSummary {
	phase, share := v.Fleet.State(i.Scope).Effective()
	return &sluicev1.IncidentSummary{
		Incident: statepb.FromIncident(*i), Scope: routepb.FromScope(i.Scope), Phase: statepb.FromPhase(phase), SharePpm: uint32(share),
	}
}

// incidentEtag changes with every change of an incident.
func incidentEtag(i statemachine.Incident) string {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(statepb.FromIncident(i))
	if err != nil { // an incident that was stored can be marshalled
		return ""
	}
	return fingerprint(raw)
}

func unknownIncident(id string) error {
	return notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_INCIDENT, "no incident "+id+", or it is no longer kept")
}

// GetIncident shows one incident with its evidence and course.
func (i *incidentService) GetIncident(ctx context.Context, m *sluicev1.GetIncidentRequest) (*sluicev1.GetIncidentResponse, error) {
	v, err := i.s.look()
	if err != nil {
		return nil, err
	}
	in := v.incidents[m.GetIncidentId()]
	if in == nil {
		return nil, unknownIncident(m.GetIncidentId())
	}
	transitions, err := i.course(ctx, v, in)
	if err != nil {
		return nil, err
	}
	return &sluicev1.GetIncidentResponse{Incident: v.incident(in), Transitions: transitions, Status: v.scope(in.Scope), Etag: incidentEtag(*in)}, nil
}

// course returns what the incident's scope went through from its opening to its end, oldest first, as far as the newest
// maxHistory entries of the journal hold it.
func (i *incidentService) course(ctx context.Context, v *viewer, in *statemachine.Incident) ([]*sluicev1.Transition, error) {
	var out []*sluicev1.Transition
	after := v.View.Head.Sequence - min(v.View.Head.Sequence, maxHistory)
	for {
		entries, err := i.s.cfg.Journal.Journal(ctx, after, journalPage)
		if err != nil || len(entries) == 0 {
			return out, err //nolint:wrapcheck // becomes a status
		}
		for n := range entries {
			e := &entries[n]
			after = e.Sequence
			if e.At < in.Opened || in.Closed != 0 && e.At > in.Closed {
				continue
			}
			for k := range e.Moves {
				if e.Moves[k].After.Scope == in.Scope {
					out = append(out, v.transition(e, &e.Moves[k]))
				}
			}
		}
	}
}

// AnnotateIncident adds a person's note.
func (i *incidentService) AnnotateIncident(ctx context.Context, m *sluicev1.AnnotateIncidentRequest) (*sluicev1.AnnotateIncidentResponse, error) {
	v, err := i.s.look()
	if err != nil {
		return nil, err
	}
	in := v.incidents[m.GetIncidentId()]
	if in == nil {
		return nil, unknownIncident(m.GetIncidentId())
	}
	if current := incidentEtag(*in); m.GetEtag() != "" && m.GetEtag() != current {
		return nil, staleEtag(m.GetEtag(), current)
	}
	result, err := i.s.cfg.Orders.Annotate(ctx, monitor.AnnotateRequest{
		ID: m.GetIncidentId(), Note: m.GetNote(), Author: callerOf(ctx).Name, RequestID: m.GetRequestId(),
	}, v.now)
	if err != nil {
		return nil, err //nolint:wrapcheck // becomes a status
	}
	at := slices.IndexFunc(result.Incidents, func(in statemachine.Incident) bool { return in.ID == m.GetIncidentId() })
	if at < 0 || result.Incidents[at].Note != m.GetNote() && result.Replayed {
		return nil, monitor.ErrRequestReused
	}
	noted := result.Incidents[at]
	return &sluicev1.AnnotateIncidentResponse{Incident: statepb.FromIncident(noted), Etag: incidentEtag(noted)}, nil
}
