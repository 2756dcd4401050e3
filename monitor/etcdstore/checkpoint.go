package etcdstore

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// SaveCheckpoint implements monitor.Checkpoints.
func (l *Ledger) SaveCheckpoint(ctx context.Context, name string, at statemachine.Instant, data []byte) error {
	if err := monitor.CheckPart(name, data); err != nil {
		return fmt.Errorf("etcd ledger: %w", err)
	}
	value, err := marshal(&configv1.StoredCheckpoint{WriteTime: statepb.FromInstant(at), Data: data})
	if err != nil {
		return err
	}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	own := l.leading.Load()
	got, err := l.client.Txn(ctx).If(
		clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), "=", own),
		clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), ">", 0),
	).Then(clientv3.OpPut(l.keys.Checkpoint(name), value)).Commit()
	if err != nil {
		return outcome(err)
	}
	if !got.Succeeded {
		return fmt.Errorf("%w: %s", monitor.ErrNotLeader, l.options.Replica)
	}
	return nil
}

// LoadCheckpoint implements monitor.Checkpoints.
func (l *Ledger) LoadCheckpoint(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Get(ctx, l.keys.Checkpoint(name))
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: load checkpoint %s: %w", name, err)
	}
	if len(got.Kvs) == 0 {
		return nil, nil
	}
	var m configv1.StoredCheckpoint
	if err := unmarshal(got.Kvs[0], &m); err != nil {
		return nil, err
	}
	return m.GetData(), nil
}
