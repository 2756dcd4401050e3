package etcdstore

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// Catalog implements monitor.Ledger. A catalogue whose change has lost lies under a number that head has not reached: it was
// never in force.
func (l *Ledger) Catalog(ctx context.Context, number uint64) ([]byte, monitor.CatalogRevision, error) {
	none := monitor.CatalogRevision{}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).Then(
		clientv3.OpGet(l.keys.Head()), clientv3.OpGet(l.keys.Catalog(number)), clientv3.OpGet(l.keys.CatalogInfo(number)),
	).Commit()
	if err != nil {
		return nil, none, fmt.Errorf("etcd ledger: read catalogue %d: %w", number, err)
	}
	inForce, err := l.inForce(got.Responses[0].GetResponseRange().GetKvs())
	if err != nil {
		return nil, none, err
	}
	values := got.Responses[1].GetResponseRange().GetKvs()
	if number == 0 || number > inForce || len(values) == 0 {
		return nil, none, fmt.Errorf("%w: %d", monitor.ErrNoRevision, number)
	}
	catalog, err := toCatalog(values[0], number)
	if err != nil {
		return nil, none, err
	}
	revision := monitor.CatalogRevision{Number: number}
	if infos := got.Responses[2].GetResponseRange().GetKvs(); len(infos) > 0 {
		revision, err = toRevision(l.keys, infos[0])
	}
	return catalog, revision, err
}

// Catalogs implements monitor.Ledger.
func (l *Ledger) Catalogs(ctx context.Context) ([]monitor.CatalogRevision, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).Then(
		clientv3.OpGet(l.keys.Head()), clientv3.OpGet(l.keys.CatalogInfos(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: list the catalogues: %w", err)
	}
	inForce, err := l.inForce(got.Responses[0].GetResponseRange().GetKvs())
	if err != nil {
		return nil, err
	}
	known := map[uint64]monitor.CatalogRevision{}
	for _, kv := range got.Responses[1].GetResponseRange().GetKvs() {
		r, err := toRevision(l.keys, kv)
		if err != nil {
			return nil, err
		}
		known[r.Number] = r
	}
	var out []monitor.CatalogRevision
	for n := inForce; n >= monitor.KeptFrom(inForce); n-- {
		r := known[n] // nothing about one of an older version
		r.Number = n
		out = append(out, r)
	}
	return out, nil
}

// inForce is the number of the catalogue in force, 0 if there is none.
func (l *Ledger) inForce(heads []*mvccpb.KeyValue) (uint64, error) {
	if len(heads) == 0 {
		return 0, damaged([]byte(l.keys.Head()), statepb.ErrMessage)
	}
	head, err := toHead(heads[0])
	return head.Catalog, err
}

func revisionMessage(r monitor.CatalogRevision) *configv1.StoredRevision {
	return &configv1.StoredRevision{
		Number: r.Number, Version: r.Version, Author: r.Author, Reason: r.Reason, Time: statepb.FromInstant(r.At),
		RollbackOf: r.RollbackOf, Sequence: r.Sequence,
	}
}

func toRevision(keys statepb.Keys, kv *mvccpb.KeyValue) (monitor.CatalogRevision, error) {
	var m configv1.StoredRevision
	if err := unmarshal(kv, &m); err != nil {
		return monitor.CatalogRevision{}, err
	}
	if keys.CatalogInfo(m.GetNumber()) != string(kv.GetKey()) {
		return monitor.CatalogRevision{}, damaged(kv.GetKey(), fmt.Errorf("%w: it is about catalogue %d", statepb.ErrMessage, m.GetNumber()))
	}
	return monitor.CatalogRevision{
		Number: m.GetNumber(), Version: m.GetVersion(), Author: m.GetAuthor(), Reason: m.GetReason(), At: statepb.ToInstant(m.GetTime()),
		RollbackOf: m.GetRollbackOf(), Sequence: m.GetSequence(),
	}, nil
}
