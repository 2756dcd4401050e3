package server

import (
	"context"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

const (
	// snapshotPatience is how long one message may wait for its reader. A watch holds no queue: it is told the newest table
	// when it can take it.
	snapshotPatience = 30 * time.Second
	// behindPatience is how long a replica may take to catch up with a client that knows more.
	behindPatience = 2 * time.Second
)

// GetSnapshot returns the snapshot of the table in force.
func (r *routingService) GetSnapshot(context.Context, *sluicev1.GetSnapshotRequest) (*sluicev1.GetSnapshotResponse, error) {
	sight := r.s.cfg.World.Sight()
	if sight == nil {
		return nil, noTable()
	}
	return &sluicev1.GetSnapshotResponse{Snapshot: routing.NewSnapshot(sight.Table, r.s.cfg.Environment, sight.Confirmed)}, nil
}

// WatchSnapshot sends the snapshot, then what changes, and renewals between. A client that holds a newer one than this replica
// is told so.
func (r *routingService) WatchSnapshot(m *sluicev1.WatchSnapshotRequest, stream grpc.ServerStreamingServer[sluicev1.WatchSnapshotResponse]) error {
	f := &snapshotFeed{s: r.s, stream: stream, held: routing.Revision{Epoch: m.GetEpoch(), Revision: m.GetRevision()}}
	patience := time.NewTimer(r.s.snapshots.patience(behindPatience))
	defer patience.Stop()
	beat := time.NewTicker(r.s.cfg.Heartbeat)
	defer beat.Stop()
	renew := false
	for {
		changed := r.s.snapshots.next() // before the sight is taken, so that nothing falls between
		sight := r.s.cfg.World.Sight()
		if sight == nil {
			return noTable()
		}
		sent, err := f.update(sight, renew)
		if err != nil {
			return err
		}
		if sent {
			beat.Reset(r.s.cfg.Heartbeat)
		}
		renew = false
		select {
		case <-stream.Context().Done():
			return stream.Context().Err() //nolint:wrapcheck // becomes a status
		case <-r.s.away:
			return snapshotGoAway()
		case <-patience.C:
			if f.table == nil {
				return snapshotBehind(f.held, sight.Table.Revision())
			}
		case <-changed:
		case <-beat.C:
			renew = true
		}
	}
}

// snapshotFeed is one running watch.
type snapshotFeed struct {
	s      *Server
	stream grpc.ServerStreamingServer[sluicev1.WatchSnapshotResponse]
	held   routing.Revision // what the client has
	table  *routing.Table   // what the client has, nil until it has one of ours
}

// update brings the client from what it has to the sight; renew asks for a sign of life where nothing changed.
func (f *snapshotFeed) update(sight *Sight, renew bool) (sent bool, err error) {
	now := sight.Table.Revision()
	switch {
	case f.held.Newer(now) && f.table == nil: // the replica may catch up
		return false, nil
	case f.held.Newer(now):
		return false, snapshotBehind(f.held, now)
	case f.held == now:
		if f.table != nil && !renew {
			return false, nil
		}
		err = f.send(&sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Renewal{Renewal: &sluicev1.SnapshotRenewal{
			Epoch: now.Epoch, Revision: now.Revision, WriteTime: timestamppb.New(sight.Confirmed),
		}}})
	default:
		err = f.send(f.advance(sight))
	}
	f.held, f.table = now, sight.Table
	return true, err
}

// advance tells a newer table: the change where that is enough, else the whole.
func (f *snapshotFeed) advance(sight *Sight) *sluicev1.WatchSnapshotResponse {
	if f.table != nil {
		if c, ok := sight.Table.ChangeSince(f.table, sight.Confirmed); ok {
			return &sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Change{Change: &sluicev1.SnapshotChange{
				Epoch: c.Stamp.Epoch, BaseRevision: c.Base, Revision: c.Stamp.Revision.Revision, WriteTime: timestamppb.New(c.Stamp.Written),
				States: c.States, Scores: c.Scores,
			}}}
		}
	}
	return &sluicev1.WatchSnapshotResponse{Update: &sluicev1.WatchSnapshotResponse_Snapshot{
		Snapshot: routing.NewSnapshot(sight.Table, f.s.cfg.Environment, sight.Confirmed),
	}}
}

// send gives one message to the stream. A reader that leaves no room for it is too slow: when the handler has returned, the
// transport ends the send that is still waiting.
func (f *snapshotFeed) send(m *sluicev1.WatchSnapshotResponse) error {
	done := make(chan error, 1)
	go func() { done <- f.stream.Send(m) }()
	timer := time.NewTimer(f.s.snapshots.patience(snapshotPatience))
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-f.s.away:
		return snapshotGoAway()
	case <-timer.C:
		f.s.metrics.dropped.Inc()
		return snapshotTooSlow()
	}
}

// snapshotSignal wakes the watches when a new table is in force.
type snapshotSignal struct {
	mu      sync.Mutex
	table   *routing.Table
	changed chan struct{} // closed at the next change; nil = nobody waits
	hurry   time.Duration // most patience, for tests; 0 = as it is given
}

// look compares the table in force with the last one.
func (n *snapshotSignal) look(sight *Sight) {
	if sight == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.table == sight.Table {
		return
	}
	n.table = sight.Table
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// next is closed when the next table is in force.
func (n *snapshotSignal) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *snapshotSignal) patience(d time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hurry > 0 {
		return min(d, n.hurry)
	}
	return d
}

func snapshotBehind(held, now routing.Revision) *fault {
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_SNAPSHOT_BEHIND, retry: time.Second,
		message: "your snapshot is newer than this replica's table: keep it, and ask another replica or again later",
		metadata: map[string]string{
			"epoch": strconv.FormatUint(now.Epoch, 10), "revision": strconv.FormatInt(now.Revision, 10),
			"your_epoch": strconv.FormatUint(held.Epoch, 10), "your_revision": strconv.FormatInt(held.Revision, 10),
		},
	}
}

func snapshotGoAway() *fault {
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		message: "this replica stops: watch another one, with the epoch and revision you have", retry: 100 * time.Millisecond,
	}
}

func snapshotTooSlow() *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		message: "the watch was read too slowly and ended: watch again, with the epoch and revision you have", retry: time.Second,
	}
}
