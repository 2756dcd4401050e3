package server

import (
	"context"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// auditService shows who changed what, when and why.
type auditService struct {
	sluicev1.UnimplementedAuditServiceServer

	s *Server
}

const (
	auditPerPage = 50
	maxLooked    = 5000 // entries one call looks through; a page may be short of its size for it
)

// ListAuditEntries lists journal entries, newest first. Where few entries match, a page may be short or empty and still have a
// next one.
func (a *auditService) ListAuditEntries(ctx context.Context, m *sluicev1.ListAuditEntriesRequest) (*sluicev1.ListAuditEntriesResponse, error) {
	v, err := a.s.look()
	if err != nil {
		return nil, err
	}
	filters := filtersOf(m)
	before, err := auditStart(filters, m.GetPageToken(), v.View.Head.Sequence)
	if err != nil {
		return nil, err
	}
	size := auditPerPage
	if m.GetPageSize() > 0 {
		size = int(m.GetPageSize())
	}
	head := v.View.Head
	reply := &sluicev1.ListAuditEntriesResponse{
		Head: &configv1.Head{Epoch: head.Epoch, Sequence: head.Sequence, Hash: head.Hash[:], Catalog: head.Catalog},
	}
	looked := 0
	for before > 1 && len(reply.GetEntries()) < size && looked < maxLooked {
		after := before - 1 - min(before-1, journalPage)
		entries, err := a.s.cfg.Journal.Journal(ctx, after, int(before-1-after)) //nolint:gosec // at most journalPage
		if err != nil {
			return nil, err //nolint:wrapcheck // becomes a status
		}
		entries = slices.DeleteFunc(slices.Clone(entries), func(e monitor.JournalEntry) bool { return e.Sequence >= before })
		if len(entries) == 0 { // exported and removed
			return reply, nil
		}
		for _, e := range slices.Backward(entries) {
			looked++
			before = e.Sequence
			if auditMatches(&e, m) {
				if reply.Entries = append(reply.Entries, auditEntry(&e)); len(reply.GetEntries()) == size {
					break
				}
			}
		}
	}
	if before > 1 {
		reply.NextPageToken = pageToken(filters, strconv.FormatUint(before, 10))
	}
	return reply, nil
}

// auditStart returns the sequence below which a page begins.
func auditStart(filters, token string, newest uint64) (uint64, error) {
	key, err := pageKey(filters, token)
	if err != nil || key == "" {
		return newest + 1, err
	}
	before, err := strconv.ParseUint(key, 10, 64)
	if err != nil {
		return 0, invalid("page_token", "next_page_token of the page before")
	}
	return min(before, newest+1), nil
}

func auditMatches(e *monitor.JournalEntry, m *sluicev1.ListAuditEntriesRequest) bool {
	at := e.At.Time()
	switch {
	case m.GetStartTime() != nil && at.Before(m.GetStartTime().AsTime()),
		m.GetEndTime() != nil && !at.Before(m.GetEndTime().AsTime()),
		m.GetAuthor() != "" && e.Author != m.GetAuthor(),
		m.GetCause() != 0 && statepb.FromCause(e.Cause) != m.GetCause():
		return false
	}
	return m.GetChannel() == "" || slices.ContainsFunc(e.Moves, func(move monitor.Move) bool { return move.After.Scope.Channel == m.GetChannel() })
}

// auditEntry renders an entry with its hash, and with its stored bytes where they can be made again from what was read: they are
// given only if they lead to that hash.
func auditEntry(e *monitor.JournalEntry) *sluicev1.AuditEntry {
	out := &sluicev1.AuditEntry{Entry: journalMessage(e), Hash: e.Hash[:]}
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(out.GetEntry())
	if err == nil && monitor.ChainHash(stored) == e.Hash {
		out.Stored = stored
	}
	return out
}

func journalMessage(e *monitor.JournalEntry) *configv1.JournalEntry {
	m := &configv1.JournalEntry{
		Sequence: e.Sequence, Time: statepb.FromInstant(e.At), Cause: statepb.FromCause(e.Cause), Author: e.Author, Reason: e.Reason,
		RequestId: e.RequestID, Catalog: e.Catalog, RollbackOf: e.RollbackOf, PreviousHash: e.Previous[:],
	}
	for i := range e.Moves {
		move := &e.Moves[i]
		m.Moves = append(m.Moves, &configv1.Move{
			Before: statepb.FromState(move.Before), After: statepb.FromState(move.After), Reason: move.Reason, Cause: statepb.FromCause(move.Cause),
		})
	}
	for _, i := range e.Incidents {
		m.Incidents = append(m.Incidents, statepb.FromIncident(i))
	}
	for _, a := range e.Alerts {
		m.Alerts = append(m.Alerts, statepb.FromAlert(a))
	}
	return m
}
