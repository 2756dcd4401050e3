package clienttest

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/api/client"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// Route decides as a replica does.
func (s *Server) Route(_ context.Context, m *sluicev1.RouteRequest) (*sluicev1.RouteResponse, error) {
	s.mu.Lock()
	var fail error
	if len(s.failures) > 0 {
		fail, s.failures = s.failures[0], s.failures[1:]
	}
	memory := s.memory
	s.mu.Unlock()
	kept := proto.CloneOf(m)
	var reply *sluicev1.RouteResponse
	err := fail
	if err == nil {
		reply, err = client.AnswerFrom(s.router, memory, m, s.now().Unix())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routed = append(s.routed, Routed{Request: kept, Reply: proto.CloneOf(reply), Err: err})
	return reply, err //nolint:wrapcheck // a status
}

// ReportResult counts one report.
func (s *Server) ReportResult(_ context.Context, m *sluicev1.ReportResultRequest) (*sluicev1.ReportResultResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, no := s.count(m.GetReport())
	if no != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%s: %s", no.GetField(), no.GetDescription())
	}
	s.publish()
	return &sluicev1.ReportResultResponse{Disposition: d}, nil
}

// ReportResults counts many reports.
func (s *Server) ReportResults(_ context.Context, m *sluicev1.ReportResultsRequest) (*sluicev1.ReportResultsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts, no := s.countAll(m.GetReports())
	s.publish()
	return &sluicev1.ReportResultsResponse{Counts: counts, Rejections: no}, nil
}

// count counts a report, under the lock.
func (s *Server) count(m *sluicev1.Report) (sluicev1.ReportDisposition, *sluicev1.ReportRejection) {
	result, no := resolve(s.table, m)
	if no != nil {
		s.ledger.books.Deliveries++
		s.ledger.books.Rejected++
		return 0, no
	}
	d := s.ledger.enter(m)
	result.Known = d == sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE
	s.memory.Learn([]routing.Result{result}, s.now().Unix())
	return d, nil
}

func (s *Server) countAll(all []*sluicev1.Report) (*sluicev1.ReportCounts, []*sluicev1.ReportRejection) {
	counts := &sluicev1.ReportCounts{}
	var refused []*sluicev1.ReportRejection
	for i, m := range all {
		d, no := s.count(m)
		switch {
		case no != nil:
			no.Index = uint32(i)
			refused = append(refused, no)
			counts.Rejected++
		case d == sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED:
			counts.Applied++
		case d == sluicev1.ReportDisposition_REPORT_DISPOSITION_CORRECTED:
			counts.Corrected++
		default:
			counts.Duplicate++
		}
	}
	return counts, refused
}

// publish brings what was counted beyond an outage, under the lock.
func (s *Server) publish() bool {
	if s.held {
		return false
	}
	s.ledger.publish()
	return true
}

// GetSnapshot returns the snapshot of the table in force.
func (s *Server) GetSnapshot(context.Context, *sluicev1.GetSnapshotRequest) (*sluicev1.GetSnapshotResponse, error) {
	t, _ := s.sight()
	return &sluicev1.GetSnapshotResponse{Snapshot: routing.NewSnapshot(t, s.environment, s.now())}, nil
}

// WatchSnapshot sends the snapshot, then what changes, and a renewal every second between.
func (s *Server) WatchSnapshot(m *sluicev1.WatchSnapshotRequest, stream grpc.ServerStreamingServer[sluicev1.WatchSnapshotResponse]) error {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	var sent *routing.Table
	for {
		t, changed := s.sight()
		current := sent == nil && t.Revision() == (routing.Revision{Epoch: m.GetEpoch(), Revision: m.GetRevision()})
		if err := stream.Send(s.update(t, sent, current)); err != nil {
			return err //nolint:wrapcheck // of the transport
		}
		sent = t
		select {
		case <-stream.Context().Done():
			return stream.Context().Err() //nolint:wrapcheck // becomes a status
		case <-away:
			return status.Error(codes.Unavailable, "this replica stops")
		case <-changed:
		case <-beat.C:
		}
	}
}

// update leads from what was sent to a table; current says that the client holds it from before.
func (s *Server) update(t, sent *routing.Table, current bool) *sluicev1.WatchSnapshotResponse {
	now := s.now()
	if t == sent || current {
		return &sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Renewal{Renewal: &sluicev1.SnapshotRenewal{
			Epoch: t.Revision().Epoch, Revision: t.Revision().Revision, WriteTime: timestamppb.New(now),
		}}}
	}
	if sent != nil {
		if c, ok := t.ChangeSince(sent, now); ok {
			return &sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Change{Change: &sluicev1.SnapshotChange{
				Epoch: c.Stamp.Epoch, BaseRevision: c.Base, Revision: c.Stamp.Revision.Revision, WriteTime: timestamppb.New(now),
				States: c.States, Scores: c.Scores,
			}}}
		}
	}
	return &sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Snapshot{Snapshot: routing.NewSnapshot(t, s.environment, now)}}
}
