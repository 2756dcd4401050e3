package server

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestIncidents(t *testing.T) {
	s := newStand(t, nil)
	for _, channel := range []string{"alpha", "beta"} {
		s.cut(statemachine.InstrumentScope(channel, icbcDebit))
		s.second.Add(1)
	}
	list, err := s.incidents().ListIncidents(as(t, Viewer), &sluicev1.ListIncidentsRequest{PageSize: 1})
	if err != nil || len(list.GetIncidents()) != 1 || list.GetIncidents()[0].GetScope().GetChannel() != "beta" {
		t.Fatalf("first page %v, %v", list, err)
	}
	list, err = s.incidents().ListIncidents(as(t, Viewer), &sluicev1.ListIncidentsRequest{PageSize: 1, PageToken: list.GetNextPageToken()})
	if err != nil || len(list.GetIncidents()) != 1 || list.GetIncidents()[0].GetScope().GetChannel() != "alpha" || list.GetNextPageToken() != "" {
		t.Fatalf("second page %v, %v", list, err)
	}
	alpha := list.GetIncidents()[0]
	same(t, "phase", alpha.GetPhase(), configv1.Phase_PHASE_DISABLED)
	same(t, "first cause", alpha.GetIncident().GetEvidence().GetReasons()[0].GetReason(), "E91")
	none, err := s.incidents().ListIncidents(as(t, Viewer), &sluicev1.ListIncidentsRequest{Kinds: []configv1.IncidentKind{configv1.IncidentKind_INCIDENT_KIND_REFUSED}})
	if err != nil || len(none.GetIncidents()) != 0 {
		t.Errorf("refused ones: %v, %v", none, err)
	}
	got, err := s.incidents().GetIncident(as(t, Viewer), &sluicev1.GetIncidentRequest{IncidentId: alpha.GetIncident().GetId()})
	if err != nil || len(got.GetTransitions()) != 1 {
		t.Fatalf("incident %v, %v", got, err)
	}
	same(t, "phase reached", got.GetTransitions()[0].GetTo(), configv1.Phase_PHASE_DISABLED)
	same(t, "share now", got.GetStatus().GetSharePpm(), 0)
	_, err = s.incidents().GetIncident(as(t, Viewer), &sluicev1.GetIncidentRequest{IncidentId: "0000"})
	wantError(t, err, codes.NotFound, "UNKNOWN_INCIDENT")
}

func TestAnnotateIncident(t *testing.T) {
	s := newStand(t, nil)
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	id := s.Sight().View.Incidents[0].ID
	got, err := s.incidents().GetIncident(as(t, Viewer), &sluicev1.GetIncidentRequest{IncidentId: id})
	if err != nil {
		t.Fatal(err)
	}
	note := &sluicev1.AnnotateIncidentRequest{IncidentId: id, Note: "bank phoned", Etag: got.GetEtag(), RequestId: "n-1"}
	noted, err := s.incidents().AnnotateIncident(as(t, Operator), note)
	if err != nil || noted.GetIncident().GetNote() != "bank phoned" || noted.GetEtag() == got.GetEtag() {
		t.Fatalf("noted %v, %v", noted, err)
	}
	note.RequestId = "n-2"
	_, err = s.incidents().AnnotateIncident(as(t, Operator), note)
	wantError(t, err, codes.Aborted, "STALE_ETAG")
	_, err = s.incidents().AnnotateIncident(as(t, Operator), &sluicev1.AnnotateIncidentRequest{IncidentId: id, Note: "card 4111111111111111"})
	wantError(t, err, codes.InvalidArgument, "CARD_NUMBER_REFUSED")
	_, err = s.incidents().AnnotateIncident(as(t, Operator), &sluicev1.AnnotateIncidentRequest{IncidentId: "none", Note: "x"})
	wantError(t, err, codes.NotFound, "UNKNOWN_INCIDENT")
}

// The journal can be read page by page, newest first, and each entry carries the hash that the next one names.
func TestAuditEntries(t *testing.T) {
	s := newStand(t, nil)
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	s.second.Add(60)
	if _, err := s.channels().SwitchChannel(as(t, Operator), overriding(off(&sluicev1.Scope{Channel: "beta"}))); err != nil {
		t.Fatal(err)
	}
	audit := sluicev1.NewAuditServiceClient(s.conn)
	var entries []*sluicev1.AuditEntry
	q := &sluicev1.ListAuditEntriesRequest{PageSize: 2}
	for {
		reply, err := audit.ListAuditEntries(as(t, Viewer), q)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, reply.GetEntries()...)
		if len(entries) > 0 && !bytes.Equal(reply.GetHead().GetHash(), entries[0].GetHash()) {
			t.Error("head does not name the newest entry")
		}
		if q.PageToken = reply.GetNextPageToken(); q.GetPageToken() == "" {
			break
		}
	}
	var authors []string
	for i, e := range entries {
		authors = append(authors, e.GetEntry().GetAuthor())
		if i > 0 && !bytes.Equal(entries[i-1].GetEntry().GetPreviousHash(), e.GetHash()) {
			t.Errorf("entry %d does not continue entry %d", i-1, i)
		}
	}
	if want := []string{"operator", "automation/r1", "test"}; !slices.Equal(authors, want) {
		t.Errorf("authors %v, want %v", authors, want)
	}
}

func TestAuditFilters(t *testing.T) {
	s := newStand(t, nil)
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	s.second.Add(60)
	if _, err := s.channels().SwitchChannel(as(t, Operator), overriding(off(&sluicev1.Scope{Channel: "beta"}))); err != nil {
		t.Fatal(err)
	}
	audit := sluicev1.NewAuditServiceClient(s.conn)
	for name, q := range map[string]*sluicev1.ListAuditEntriesRequest{
		"operator":      {StartTime: timestamppb.New(epoch.Add(time.Minute))},
		"automation/r1": {EndTime: timestamppb.New(epoch.Add(time.Minute)), Cause: configv1.Cause_CAUSE_AUTOMATION},
		"test":          {Author: "test"},
	} {
		reply, err := audit.ListAuditEntries(as(t, Viewer), q)
		if err != nil || len(reply.GetEntries()) != 1 || reply.GetEntries()[0].GetEntry().GetAuthor() != name {
			t.Errorf("%v: %v, %v", q, reply.GetEntries(), err)
		}
	}
	reply, err := audit.ListAuditEntries(as(t, Viewer), &sluicev1.ListAuditEntriesRequest{EndTime: timestamppb.New(epoch)})
	if err != nil || len(reply.GetEntries()) != 0 {
		t.Errorf("before everything: %v, %v", reply.GetEntries(), err)
	}
	reply, err = audit.ListAuditEntries(as(t, Viewer), &sluicev1.ListAuditEntriesRequest{Channel: "alpha", Cause: configv1.Cause_CAUSE_AUTOMATION})
	if err != nil || len(reply.GetEntries()) != 1 || reply.GetEntries()[0].GetEntry().GetTime().AsTime().After(epoch.Add(time.Second)) {
		t.Errorf("filtered %v, %v", reply, err)
	}
}

func TestGetCatalog(t *testing.T) {
	s := newStand(t, nil)
	catalogs := sluicev1.NewCatalogServiceClient(s.conn)
	reply, err := catalogs.GetCatalog(as(t, Viewer), &sluicev1.GetCatalogRequest{})
	if err != nil || len(reply.GetCatalog().GetChannels()) != 4 || reply.GetRevision().GetRevision() != 1 || len(reply.GetCatalog().GetChannels()[0].GetContacts()) != 0 {
		t.Errorf("got %v, %v", reply, err)
	}
	_, err = catalogs.GetCatalog(as(t, Viewer), &sluicev1.GetCatalogRequest{Revision: 9})
	wantError(t, err, codes.NotFound, "UNKNOWN_REVISION")
}
