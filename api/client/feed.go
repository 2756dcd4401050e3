package client

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

const (
	// watchSilence is how long a watch may say nothing: replicas renew at least every 10 s.
	watchSilence = 35 * time.Second
	// Between watches: a random part of a limit that doubles, so that clients of a replica that went away do not all come at once.
	firstPause = 200 * time.Millisecond
	mostPause  = 10 * time.Second
	// fetchPatience bounds one GetSnapshot.
	fetchPatience = 10 * time.Second
	// maxSnapshot bounds a message that holds a snapshot.
	maxSnapshot = 64 << 20
)

// watch follows the snapshot of the replicas until the client closes.
func (c *Client) watch() {
	limit := firstPause
	for c.ctx.Err() == nil {
		took, err := c.follow()
		if took {
			limit = firstPause
		}
		if c.ctx.Err() != nil {
			return
		}
		c.cfg.Logger.LogAttrs(c.ctx, slog.LevelDebug, "the watch of the snapshot ended", slog.Any("error", err))
		pause := time.NewTimer(rand.N(limit)) //nolint:gosec // no secret
		select {
		case <-c.ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		limit = min(2*limit, mostPause)
	}
}

// follow watches once. It reports whether anything came.
func (c *Client) follow() (took bool, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	_, held := c.mem.holder.Held()
	stream, err := c.stub.WatchSnapshot(ctx, &sluicev1.WatchSnapshotRequest{Epoch: held.Epoch, Revision: held.Revision.Revision},
		grpc.MaxCallRecvMsgSize(maxSnapshot))
	if err != nil {
		return false, err //nolint:wrapcheck // only logged
	}
	c.stats.connects.Add(1)
	watchdog := time.AfterFunc(watchSilence, cancel)
	defer watchdog.Stop()
	for {
		m, err := stream.Recv()
		if err != nil {
			return took, err //nolint:wrapcheck // only logged
		}
		watchdog.Reset(watchSilence)
		if err := c.update(ctx, m); err != nil {
			return took, err
		}
		took = true
	}
}

// update takes one message of the watch. Where only the whole snapshot helps, it is fetched.
func (c *Client) update(ctx context.Context, m *sluicev1.WatchSnapshotResponse) error {
	switch u := m.GetUpdate().(type) {
	case *sluicev1.WatchSnapshotResponse_Snapshot:
		return c.take(SourceFresh, routing.StampOf(u.Snapshot), func() (routing.Advance, error) { return c.mem.holder.Offer(u.Snapshot) })
	case *sluicev1.WatchSnapshotResponse_Change:
		to := stampOfChange(u.Change)
		change := &routing.SnapshotChange{
			Base: u.Change.GetBaseRevision(), Stamp: to, States: u.Change.GetStates(), Scores: u.Change.GetScores(),
		}
		err := c.take(SourceFresh, to, func() (routing.Advance, error) { return c.mem.holder.Change(change) })
		if errors.Is(err, routing.ErrSnapshotBase) {
			return c.fetch(ctx)
		}
		return err
	case *sluicev1.WatchSnapshotResponse_Renewal:
		of := stampOfRenewal(u.Renewal)
		if _, held := c.mem.holder.Held(); of.Newer(held.Revision) {
			return c.fetch(ctx)
		}
		return c.take(SourceFresh, of, func() (routing.Advance, error) { return c.mem.holder.Renew(of), nil })
	}
	return nil // of a later version
}

// fetch reads the whole snapshot of a replica.
func (c *Client) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	got, err := c.stub.GetSnapshot(ctx, &sluicev1.GetSnapshotRequest{}, grpc.MaxCallRecvMsgSize(maxSnapshot))
	if err != nil {
		return err //nolint:wrapcheck // only logged
	}
	s := got.GetSnapshot()
	return c.take(SourceFresh, routing.StampOf(s), func() (routing.Advance, error) { return c.mem.holder.Offer(s) })
}

// take offers something to the memory, counts what came of it, and has it kept in the file.
func (c *Client) take(from Source, told routing.Stamp, apply func() (routing.Advance, error)) error {
	advance, err := c.mem.take(from, told, c.now(), apply)
	switch {
	case errors.Is(err, routing.ErrSnapshotBase):
		return err
	case err != nil:
		c.stats.rejected.Add(1)
		c.cfg.Logger.LogAttrs(c.ctx, slog.LevelWarn, "a snapshot was refused", slog.String("source", from.String()), slog.Any("error", err))
		return err //nolint:wrapcheck // routing's own
	case advance == routing.AdvanceTable:
		c.stats.snapshots.Add(1)
		c.wake()
	}
	c.moved()
	return nil
}

// askEtcd asks the etcd step once, in a goroutine of its own, unless it is being asked.
func (c *Client) askEtcd() {
	if c.cfg.Etcd == nil || !c.asking.CompareAndSwap(false, true) {
		return
	}
	c.work.Go(func() {
		defer c.asking.Store(false)
		ctx, cancel := context.WithTimeout(c.ctx, fetchPatience)
		defer cancel()
		s, err := c.cfg.Etcd.Snapshot(ctx, c.cfg.Environment)
		if err != nil {
			c.cfg.Logger.LogAttrs(c.ctx, slog.LevelWarn, "etcd gave no snapshot", slog.Any("error", err))
			return
		}
		_ = c.take(SourceEtcd, routing.StampOf(s), func() (routing.Advance, error) { return c.mem.holder.Offer(s) }) // told where it was refused
	})
}
