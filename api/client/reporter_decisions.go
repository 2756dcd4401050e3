package client

import (
	"log/slog"
	"sync"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// carryDecisions starts the reporter that only takes a local-first client's decisions to the replicas, for clients that report
// nothing themselves. Without replicas it does nothing.
func (c *Client) carryDecisions() error {
	if c.stub == nil {
		return nil
	}
	_, err := c.Reporter(ReporterConfig{})
	return err
}

// seconds are the local decisions on their way over one stream. A second has no identity that a replica could tell from a
// repetition, so each is sent once: what was on its way when the stream broke is lost, and counted as that.
type seconds struct {
	mu     sync.Mutex
	flying []uint64 // sequences of the messages that carry them
}

// carry sends the decisions of the seconds that are over.
func (d *seconds) carry(s *session) error {
	if s.r.decisions == nil {
		return nil
	}
	for m := s.r.decisions(); m != nil; m = s.r.decisions() {
		s.sequence++
		d.mu.Lock()
		d.flying = append(d.flying, s.sequence)
		d.mu.Unlock()
		if err := s.stream.Send(&sluicev1.StreamResultsRequest{Sequence: s.sequence, Reporter: s.r.cfg.Name, Decisions: m}); err != nil {
			return errBroken
		}
	}
	return nil
}

// acknowledged books the messages that an acknowledgement covers; refused says that the newest of them was refused.
func (d *seconds) acknowledged(r *Reporter, m *sluicev1.StreamResultsResponse, refused bool) {
	d.mu.Lock()
	n, last := 0, false
	for n < len(d.flying) && d.flying[n] <= m.GetSequence() {
		last = d.flying[n] == m.GetSequence()
		n++
	}
	d.flying = d.flying[n:]
	d.mu.Unlock()
	if n == 0 {
		return
	}
	taken, not := uint64(n), uint64(0)
	if refused && last {
		taken, not = taken-1, 1
		for _, j := range m.GetRejections() {
			r.logger.Warn("local decisions were refused", slog.String("field", j.GetField()), slog.String("description", j.GetDescription()))
		}
	}
	r.queue.note(func(s *ReporterStats) {
		s.Decisions += taken
		s.DecisionsRefused += not
	})
}

// strand books what was on its way when the stream broke.
func (s *session) strand() {
	s.seconds.mu.Lock()
	n := uint64(len(s.seconds.flying))
	s.seconds.flying = nil
	s.seconds.mu.Unlock()
	if n > 0 {
		s.r.queue.note(func(st *ReporterStats) { st.DecisionsLost += n })
	}
}
