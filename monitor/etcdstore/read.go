package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/monitor"
)

// Read implements monitor.Ledger: one transaction of ranges, and the catalogue when it is a new one. A value that cannot be
// read is an error that wraps monitor.ErrDamaged; the caller keeps the last good view.
func (l *Ledger) Read(ctx context.Context) (*monitor.View, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("etcd ledger: read: %w", err)
	}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).Then(
		clientv3.OpGet(l.keys.Head()),
		clientv3.OpGet(l.keys.States(), clientv3.WithPrefix()),
		clientv3.OpGet(l.keys.Incidents(), clientv3.WithPrefix()),
		clientv3.OpGet(l.keys.Leader()),
		clientv3.OpGet(l.keys.Scores()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: read: %w", err)
	}
	ranges := make([][]*mvccpb.KeyValue, len(got.Responses))
	for i, r := range got.Responses {
		ranges[i] = r.GetResponseRange().GetKvs()
	}
	view, err := l.view(ranges)
	if err != nil {
		return nil, err
	}
	if view.Catalog, err = l.readCatalog(ctx, view.Head.Catalog); err != nil {
		return nil, err
	}
	l.remember(view)
	return view, nil
}

// view puts together what Read got: head, states, incidents, leader, scores.
func (l *Ledger) view(ranges [][]*mvccpb.KeyValue) (*monitor.View, error) {
	if len(ranges[0]) == 0 {
		return nil, damaged([]byte(l.keys.Head()), errors.New("it is missing"))
	}
	head, err := toHead(ranges[0][0])
	if err != nil {
		return nil, err
	}
	v := &monitor.View{Revision: ranges[0][0].GetModRevision(), Head: head}
	for _, kv := range ranges[1] {
		s, err := toState(l.keys, kv)
		if err != nil {
			return nil, err
		}
		v.States = append(v.States, s)
	}
	slices.SortFunc(v.States, func(a, b monitor.VersionedState) int { return a.Scope.Compare(b.Scope) })
	for _, kv := range ranges[2] {
		i, err := toIncident(l.keys, kv)
		if err != nil {
			return nil, err
		}
		v.Incidents = append(v.Incidents, i)
	}
	monitor.SortIncidents(v.Incidents)
	if own := l.leading.Load(); own != 0 && len(ranges[3]) == 1 && ranges[3][0].GetCreateRevision() == own {
		v.Leader = own
	}
	if len(ranges[4]) == 1 {
		v.Scores = ranges[4][0].GetValue()
	}
	return v, nil
}

// readCatalog returns the catalogue head points to. It was written before head named it and is not changed after.
func (l *Ledger) readCatalog(ctx context.Context, number uint64) ([]byte, error) {
	if number == 0 {
		return nil, nil
	}
	l.mu.Lock()
	cached := l.catalog
	l.mu.Unlock()
	if cached.number == number {
		return cached.catalog, nil
	}
	key := l.keys.Catalog(number)
	got, err := l.client.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: read catalogue %d: %w", number, err)
	}
	if len(got.Kvs) == 0 {
		return nil, damaged([]byte(key), errors.New("it is missing"))
	}
	catalog, err := toCatalog(got.Kvs[0], number)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catalog = stored{number: number, catalog: catalog}
	return catalog, nil
}

// remember keeps the newest view for the next Commit.
func (l *Ledger) remember(v *monitor.View) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil || v.Revision >= l.known.Revision {
		l.known = v
		l.read.Store(v.Revision)
	}
}
