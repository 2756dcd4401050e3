package etcdstore

import (
	"crypto/sha256"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// damaged says that the value under a key cannot be what Sluice wrote.
func damaged(key []byte, err error) error {
	return fmt.Errorf("%w: key %s: %w", monitor.ErrDamaged, key, err)
}

func unmarshal(kv *mvccpb.KeyValue, m proto.Message) error {
	if err := proto.Unmarshal(kv.GetValue(), m); err != nil {
		return damaged(kv.GetKey(), err)
	}
	return nil
}

func headMessage(h monitor.Head) *configv1.Head {
	return &configv1.Head{Epoch: h.Epoch, Sequence: h.Sequence, Hash: h.Hash[:], Catalog: h.Catalog}
}

func toHead(kv *mvccpb.KeyValue) (monitor.Head, error) {
	var m configv1.Head
	if err := unmarshal(kv, &m); err != nil {
		return monitor.Head{}, err
	}
	h := monitor.Head{Epoch: m.GetEpoch(), Sequence: m.GetSequence(), Catalog: m.GetCatalog()}
	if err := toHash(m.GetHash(), &h.Hash); err != nil {
		return monitor.Head{}, damaged(kv.GetKey(), err)
	}
	return h, nil
}

func toHash(from []byte, to *[sha256.Size]byte) error {
	if copy(to[:], from) != len(to) || len(from) != len(to) {
		return fmt.Errorf("%w: hash of %d bytes, want %d", statepb.ErrMessage, len(from), len(to))
	}
	return nil
}

func entryMessage(e monitor.JournalEntry) *configv1.JournalEntry {
	m := &configv1.JournalEntry{
		Sequence:     e.Sequence,
		Time:         statepb.FromInstant(e.At),
		Cause:        statepb.FromCause(e.Cause),
		Author:       e.Author,
		Reason:       e.Reason,
		RequestId:    e.RequestID,
		Catalog:      e.Catalog,
		PreviousHash: e.Previous[:],
		RollbackOf:   e.RollbackOf,
	}
	for _, move := range e.Moves {
		m.Moves = append(m.Moves, moveMessage(move))
	}
	for _, i := range e.Incidents {
		m.Incidents = append(m.Incidents, statepb.FromIncident(i))
	}
	for _, a := range e.Alerts {
		m.Alerts = append(m.Alerts, statepb.FromAlert(a))
	}
	return m
}

func moveMessage(move monitor.Move) *configv1.Move {
	m := &configv1.Move{
		Before: statepb.FromState(move.Before), After: statepb.FromState(move.After), Reason: move.Reason, Cause: statepb.FromCause(move.Cause),
	}
	if move.Evidence != nil {
		m.Evidence = statepb.FromEvidence(*move.Evidence)
	}
	return m
}

// toEntry is the inverse of entryMessage and fills in what is known from the key alone: hash and revision.
func toEntry(kv *mvccpb.KeyValue) (monitor.JournalEntry, error) {
	var m configv1.JournalEntry
	if err := unmarshal(kv, &m); err != nil {
		return monitor.JournalEntry{}, err
	}
	e := monitor.JournalEntry{
		Sequence:   m.GetSequence(),
		At:         statepb.ToInstant(m.GetTime()),
		Author:     m.GetAuthor(),
		Reason:     m.GetReason(),
		RequestID:  m.GetRequestId(),
		Catalog:    m.GetCatalog(),
		RollbackOf: m.GetRollbackOf(),
		Revision:   kv.GetModRevision(),
		Hash:       monitor.ChainHash(kv.GetValue()),
	}
	err := toHash(m.GetPreviousHash(), &e.Previous)
	if err == nil {
		e.Cause, err = statepb.ToCause(m.GetCause())
	}
	if err == nil {
		err = fillEntry(&e, &m)
	}
	if err != nil {
		return monitor.JournalEntry{}, damaged(kv.GetKey(), err)
	}
	return e, nil
}

func fillEntry(e *monitor.JournalEntry, m *configv1.JournalEntry) error {
	for _, from := range m.GetMoves() {
		move, err := toMove(from)
		if err != nil {
			return err
		}
		e.Moves = append(e.Moves, move)
	}
	for _, from := range m.GetIncidents() {
		incident, err := statepb.ToIncident(from)
		if err != nil {
			return fmt.Errorf("journal entry %d: %w", e.Sequence, err)
		}
		e.Incidents = append(e.Incidents, incident)
	}
	for _, from := range m.GetAlerts() {
		alert, err := statepb.ToAlert(from)
		if err != nil {
			return fmt.Errorf("journal entry %d: %w", e.Sequence, err)
		}
		e.Alerts = append(e.Alerts, alert)
	}
	return nil
}

func toMove(m *configv1.Move) (monitor.Move, error) {
	before, err := statepb.ToState(m.GetBefore())
	if err != nil {
		return monitor.Move{}, fmt.Errorf("move: before: %w", err)
	}
	after, err := statepb.ToState(m.GetAfter())
	if err != nil {
		return monitor.Move{}, fmt.Errorf("move: after: %w", err)
	}
	cause, err := statepb.ToCause(m.GetCause())
	if err != nil {
		return monitor.Move{}, fmt.Errorf("move: %w", err)
	}
	move := monitor.Move{Before: before, After: after, Reason: m.GetReason(), Cause: cause}
	if m.GetEvidence() != nil {
		evidence, err := statepb.ToEvidence(m.GetEvidence())
		if err != nil {
			return monitor.Move{}, fmt.Errorf("move: %w", err)
		}
		move.Evidence = &evidence
	}
	return move, nil
}

// toState reads a stored state and holds it against its key, so that a value copied elsewhere does not open a gate.
func toState(keys statepb.Keys, kv *mvccpb.KeyValue) (monitor.VersionedState, error) {
	var m configv1.ScopeState
	if err := unmarshal(kv, &m); err != nil {
		return monitor.VersionedState{}, err
	}
	s, err := statepb.ToState(&m)
	if err != nil {
		return monitor.VersionedState{}, damaged(kv.GetKey(), err)
	}
	if keys.State(s.Scope) != string(kv.GetKey()) {
		return monitor.VersionedState{}, damaged(kv.GetKey(), fmt.Errorf("%w: it holds the state of %s", statepb.ErrMessage, s.Scope))
	}
	return monitor.VersionedState{State: s, Modified: kv.GetModRevision()}, nil
}

func toIncident(keys statepb.Keys, kv *mvccpb.KeyValue) (statemachine.Incident, error) {
	var m configv1.Incident
	if err := unmarshal(kv, &m); err != nil {
		return statemachine.Incident{}, err
	}
	i, err := statepb.ToIncident(&m)
	if err != nil {
		return statemachine.Incident{}, damaged(kv.GetKey(), err)
	}
	if keys.Incident(i.ID) != string(kv.GetKey()) {
		return statemachine.Incident{}, damaged(kv.GetKey(), fmt.Errorf("%w: it holds incident %s", statepb.ErrMessage, i.ID))
	}
	return i, nil
}

// catalogMessage packs a catalogue for storage; too large a one is monitor.ErrTooLarge.
func catalogMessage(number uint64, catalog []byte) (*configv1.StoredCatalog, error) {
	packed, err := monitor.PackCatalog(catalog)
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: %w", err)
	}
	sum := sha256.Sum256(catalog)
	return &configv1.StoredCatalog{Number: number, Gzip: packed, Sha256: sum[:]}, nil
}

func toCatalog(kv *mvccpb.KeyValue, number uint64) ([]byte, error) {
	var m configv1.StoredCatalog
	if err := unmarshal(kv, &m); err != nil {
		return nil, err
	}
	catalog, err := monitor.UnpackCatalog(m.GetGzip())
	if err != nil {
		return nil, damaged(kv.GetKey(), err)
	}
	var want [sha256.Size]byte
	if err := toHash(m.GetSha256(), &want); err != nil {
		return nil, damaged(kv.GetKey(), err)
	}
	if m.GetNumber() != number || sha256.Sum256(catalog) != want {
		return nil, damaged(kv.GetKey(), fmt.Errorf("%w: not catalogue %d as it was written", statepb.ErrMessage, number))
	}
	return catalog, nil
}
