package clienttest

import (
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

type resultStream = grpc.BidiStreamingServer[sluicev1.StreamResultsRequest, sluicev1.StreamResultsResponse]

// StreamResults counts batches and acknowledges them. What is counted is published at once, unless HoldPublishing holds it.
func (s *Server) StreamResults(stream resultStream) error {
	f := &feed{s: s, in: make(chan *sluicev1.StreamResultsRequest), failed: make(chan error, 1)}
	go f.read(stream)
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		var counted *sluicev1.StreamResultsResponse
		select {
		case err := <-f.failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case m := <-f.in:
			if m.GetSequence() <= f.sequence {
				return status.Error(codes.InvalidArgument, "sequence: want a number greater than that of the batch before")
			}
			counted = f.take(m)
		case <-ticker.C:
		}
		if ack := f.acknowledge(counted); ack != nil {
			if err := stream.Send(ack); err != nil {
				return err //nolint:wrapcheck // of the transport
			}
		}
	}
}

// feed is one running stream of results.
type feed struct {
	s        *Server
	in       chan *sluicev1.StreamResultsRequest
	failed   chan error
	sequence uint64 // newest batch counted
	through  uint64 // newest batch that the client was told is published
	given    int    // grants that the client was told
}

func (f *feed) read(stream resultStream) {
	for {
		m, err := stream.Recv()
		if err != nil {
			f.failed <- err
			return
		}
		select {
		case f.in <- m:
		case <-stream.Context().Done():
			return
		}
	}
}

// take counts a batch.
func (f *feed) take(m *sluicev1.StreamResultsRequest) *sluicev1.StreamResultsResponse {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.sequence = m.GetSequence()
	if m.GetDecisions() != nil {
		f.s.decisions = append(f.s.decisions, m.GetDecisions())
	}
	counts, refused := f.s.countAll(m.GetReports())
	return &sluicev1.StreamResultsResponse{Counts: counts, Rejections: refused}
}

// acknowledge completes an acknowledgement, of a batch or of what was published since; nil if there is nothing to tell.
func (f *feed) acknowledge(ack *sluicev1.StreamResultsResponse) *sluicev1.StreamResultsResponse {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	through := f.through
	if f.s.publish() {
		through = f.sequence
	}
	grants := slices.Clone(f.s.grants[f.given:])
	if ack == nil {
		if through == f.through && len(grants) == 0 {
			return nil
		}
		ack = &sluicev1.StreamResultsResponse{}
	}
	f.through = through
	f.given += len(grants)
	ack.Sequence, ack.PublishedThrough, ack.Grants = f.sequence, through, grants
	return ack
}
