package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// ErrReplaced says that a later life of a replica of the same name took over: this one must not lead any more.
var ErrReplaced = errors.New("a later process of the same replica name has started")

// errLost ends a term.
var errLost = errors.New("the leader key is lost")

// campaignPause is how long a failed attempt waits before the next.
const campaignPause = 300 * time.Millisecond

// Lead takes part in the election until ctx ends, then resigns. Whoever creates the leader key leads until its lease ends;
// a replica that finds the key of its own earlier life revokes that lease and leads at once. View.Leader tells whether this
// replica leads, and Changed is signalled when that changes. The only error is ErrReplaced.
func (l *Ledger) Lead(ctx context.Context) error {
	for ctx.Err() == nil {
		err := l.campaign(ctx)
		if errors.Is(err, ErrReplaced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			l.options.Logger.LogAttrs(ctx, slog.LevelWarn, "election", slog.String("replica", l.options.Replica), slog.Any("error", err))
			pause(ctx, campaignPause)
		}
	}
	return nil
}

// campaign looks at the leader key once: it takes it if it is free, or waits for a change.
func (l *Ledger) campaign(ctx context.Context) error {
	kv, err := l.leader(ctx)
	if err != nil {
		return err
	}
	if kv == nil {
		return l.term(ctx)
	}
	var holder configv1.StoredLeader
	if err := unmarshal(kv, &holder); err != nil {
		return err
	}
	if holder.GetReplica() != l.options.Replica {
		l.await(ctx, kv.GetModRevision())
		return nil
	}
	if holder.GetBoot() > l.options.Boot {
		return fmt.Errorf("%w: %s", ErrReplaced, l.options.Replica)
	}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	if _, err := l.client.Revoke(ctx, clientv3.LeaseID(kv.GetLease())); err != nil {
		return fmt.Errorf("revoke the lease of the earlier life: %w", err)
	}
	return nil
}

func (l *Ledger) leader(ctx context.Context) (*mvccpb.KeyValue, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Get(ctx, l.keys.Leader())
	if err != nil {
		return nil, fmt.Errorf("read the leader key: %w", err)
	}
	if len(got.Kvs) == 0 {
		return nil, nil //nolint:nilnil // nobody leads
	}
	return got.Kvs[0], nil
}

// await returns when the leader key has changed, and after one lease at the latest, because watches may hang.
func (l *Ledger) await(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), l.options.LeaderTTL)
	defer cancel()
	for got := range l.client.Watch(ctx, l.keys.Leader(), clientv3.WithRev(revision+1)) {
		if len(got.Events) > 0 || got.Err() != nil {
			return
		}
	}
}

// term tries to take the free key and leads until the lease or the key is lost or ctx ends.
func (l *Ledger) term(ctx context.Context) error {
	value, err := marshal(&configv1.StoredLeader{Replica: l.options.Replica, Boot: l.options.Boot})
	if err != nil {
		return err
	}
	lease, err := l.grant(ctx)
	if err != nil {
		return err
	}
	defer l.resign(ctx, lease)
	revision, err := l.take(ctx, lease, value)
	if err != nil || revision == 0 {
		return err
	}
	l.leading.Store(revision)
	l.signal()
	return l.hold(ctx, lease, revision)
}

func (l *Ledger) grant(ctx context.Context) (clientv3.LeaseID, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	lease, err := l.client.Grant(ctx, int64(l.options.LeaderTTL/time.Second))
	if err != nil {
		return 0, fmt.Errorf("grant a lease: %w", err)
	}
	return lease.ID, nil
}

// take creates the leader key and returns its CreateRevision, 0 if another was first.
func (l *Ledger) take(ctx context.Context, lease clientv3.LeaseID, value string) (int64, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), "=", 0)).
		Then(clientv3.OpPut(l.keys.Leader(), value, clientv3.WithLease(lease))).
		Commit()
	if err != nil {
		return 0, fmt.Errorf("take the leader key: %w", err)
	}
	if !got.Succeeded {
		return 0, nil
	}
	return got.Header.GetRevision(), nil
}

// hold keeps the lease alive and looks once a lease whether the key is still there, since someone may have deleted it.
func (l *Ledger) hold(ctx context.Context, lease clientv3.LeaseID, revision int64) error {
	alive, err := l.client.KeepAlive(ctx, lease)
	if err != nil {
		return fmt.Errorf("keep the lease alive: %w", err)
	}
	look := time.NewTicker(l.options.LeaderTTL)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-alive:
			if !ok {
				return errLost
			}
		case <-look.C:
			kv, err := l.leader(ctx)
			if err == nil && (kv == nil || kv.GetCreateRevision() != revision) {
				return errLost
			}
		}
	}
}

// resign ends a term, also when ctx has ended: the next leader need not wait for the lease.
func (l *Ledger) resign(ctx context.Context, lease clientv3.LeaseID) {
	if l.leading.Swap(0) != 0 {
		l.signal()
	}
	ctx, cancel := l.deadline(context.WithoutCancel(ctx))
	defer cancel()
	if _, err := l.client.Revoke(ctx, lease); err != nil { // then it runs out by itself
		l.options.Logger.LogAttrs(ctx, slog.LevelDebug, "resign", slog.Any("error", err))
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
