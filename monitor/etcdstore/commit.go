package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// Limits of one transaction: etcd takes 128 operations and 1.5 MiB with overhead.
const (
	maxOps   = 120
	maxBytes = 1 << 20
)

// leasePeriod is for how long one lease takes new request ids.
const leasePeriod = time.Hour

// Commit implements monitor.Ledger.
func (l *Ledger) Commit(ctx context.Context, c monitor.Change) (int64, error) {
	if err := c.Check(); err != nil {
		return 0, fmt.Errorf("etcd ledger: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("etcd ledger: commit: %w", err)
	}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	term := l.leading.Load() // once: it may end meanwhile, and a compare with 0 would hold while nobody leads
	if c.Fenced && term == 0 {
		return 0, l.why(ctx, &c, term)
	}
	base, err := l.base(ctx, &c, term)
	if err != nil {
		return 0, err
	}
	ifs := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(l.keys.Head()), "=", c.Base)}
	if c.Fenced {
		ifs = append(ifs, clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), "=", term))
	}
	if c.Catalog != nil {
		revision, err := l.putCatalog(ctx, &c, base.Head.Catalog+1, term)
		if err != nil {
			return 0, err
		}
		ifs = append(ifs, clientv3.Compare(clientv3.ModRevision(l.keys.Catalog(base.Head.Catalog+1)), "=", revision))
	}
	w := writes{keys: l.keys}
	if c.Scores != nil {
		w.scores(base, c.Scores)
	} else {
		w.change(base, &c)
	}
	if c.RequestID != "" {
		ifs = append(ifs, clientv3.Compare(clientv3.CreateRevision(l.keys.Request(c.RequestID)), "=", 0))
		lease, err := l.requestLease(ctx, &c)
		if err != nil {
			return 0, err
		}
		w.put(l.keys.Request(c.RequestID), &configv1.StoredRequest{Sequence: base.Head.Sequence + 1}, clientv3.WithLease(lease))
	}
	if err := w.fit(); err != nil {
		return 0, err
	}
	got, err := l.client.Txn(ctx).If(ifs...).Then(w.ops...).Commit()
	if err != nil {
		return 0, outcome(err)
	}
	if !got.Succeeded {
		return 0, l.why(ctx, &c, term)
	}
	l.signal()
	return got.Header.GetRevision(), nil
}

// base returns the view the change was decided against, or why the change cannot be made.
func (l *Ledger) base(ctx context.Context, c *monitor.Change, term int64) (*monitor.View, error) {
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known != nil && known.Revision == c.Base {
		return known, nil
	}
	view, err := l.Read(ctx)
	if err != nil {
		return nil, err
	}
	if view.Revision != c.Base {
		return nil, l.why(ctx, c, term)
	}
	return view, nil
}

// why tells for what reason a transaction's compares fail. A request that was made before is that, whatever else happened.
func (l *Ledger) why(ctx context.Context, c *monitor.Change, term int64) error {
	ops := []clientv3.Op{clientv3.OpGet(l.keys.Leader(), clientv3.WithKeysOnly())}
	if c.RequestID != "" {
		ops = append(ops, clientv3.OpGet(l.keys.Request(c.RequestID), clientv3.WithKeysOnly()))
	}
	got, err := l.client.Txn(ctx).Then(ops...).Commit()
	if err != nil { // nothing was written, and the caller reads again after a conflict
		return fmt.Errorf("%w: decided at %d (and %w)", monitor.ErrConflict, c.Base, err)
	}
	if c.RequestID != "" && len(got.Responses[1].GetResponseRange().GetKvs()) > 0 {
		return fmt.Errorf("%w: %s", monitor.ErrDuplicateRequest, c.RequestID)
	}
	leader := got.Responses[0].GetResponseRange().GetKvs()
	if c.Fenced && (term == 0 || len(leader) == 0 || leader[0].GetCreateRevision() != term) {
		return fmt.Errorf("%w: %s", monitor.ErrNotLeader, l.options.Replica)
	}
	return fmt.Errorf("%w: decided at %d", monitor.ErrConflict, c.Base)
}

// putCatalog writes a catalogue that head does not name yet and returns the revision of its key. The compare keeps a writer
// that is behind from replacing a catalogue in force; the transaction that follows compares the revision.
func (l *Ledger) putCatalog(ctx context.Context, c *monitor.Change, number uint64, term int64) (int64, error) {
	m, err := catalogMessage(number, c.Catalog)
	if err != nil {
		return 0, err
	}
	value, err := marshal(m)
	if err != nil {
		return 0, err
	}
	got, err := l.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(l.keys.Head()), "=", c.Base)).
		Then(clientv3.OpPut(l.keys.Catalog(number), value)).
		Commit()
	if err != nil {
		return 0, outcome(err)
	}
	if !got.Succeeded {
		return 0, l.why(ctx, c, term)
	}
	return got.Header.GetRevision(), nil
}

// requestLease returns a lease that outlives the retention of request ids.
func (l *Ledger) requestLease(ctx context.Context, c *monitor.Change) (clientv3.LeaseID, error) {
	l.mu.Lock()
	lease := l.lease
	l.mu.Unlock()
	if age := c.Entry.At - lease.granted; lease.id != 0 && age >= 0 && age < lease.granted.Add(leasePeriod)-lease.granted {
		return lease.id, nil
	}
	granted, err := l.client.Grant(ctx, int64((monitor.RequestRetention+leasePeriod)/time.Second))
	if err != nil {
		return 0, fmt.Errorf("etcd ledger: lease for a request id: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = requestLease{id: granted.ID, granted: c.Entry.At}
	return granted.ID, nil
}

// writes collects the operations of one transaction.
type writes struct {
	keys  statepb.Keys
	ops   []clientv3.Op
	bytes int
	err   error
}

func (w *writes) put(key string, m proto.Message, options ...clientv3.OpOption) string {
	value, err := marshal(m)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return ""
	}
	w.ops = append(w.ops, clientv3.OpPut(key, value, options...))
	w.bytes += len(key) + len(value)
	return value
}

// change writes everything but the request id.
func (w *writes) change(base *monitor.View, c *monitor.Change) {
	for _, s := range c.States {
		w.put(w.keys.State(s.Scope), statepb.FromState(s))
	}
	for _, i := range c.Incidents {
		w.put(w.keys.Incident(i.ID), statepb.FromIncident(i))
	}
	for _, id := range monitor.ExpiredIncidents(base.Incidents, c) {
		w.ops = append(w.ops, clientv3.OpDelete(w.keys.Incident(id)))
	}
	head := base.Head
	entry := head.Next(c.Entry)
	entry.RequestID, entry.Catalog = c.RequestID, 0
	if c.Catalog != nil {
		head.Catalog++
		entry.Catalog = head.Catalog
		w.put(w.keys.CatalogInfo(head.Catalog), revisionMessage(c.Revision(entry.Catalog, entry.Sequence)))
		if head.Catalog > monitor.KeptCatalogs {
			old := head.Catalog - monitor.KeptCatalogs
			w.ops = append(w.ops, clientv3.OpDelete(w.keys.Catalog(old)), clientv3.OpDelete(w.keys.CatalogInfo(old)))
		}
	}
	value := w.put(w.keys.Journal(entry.Sequence), entryMessage(entry))
	head.Sequence, head.Hash = entry.Sequence, monitor.ChainHash([]byte(value))
	w.put(w.keys.Head(), headMessage(head))
}

// scores writes scores, and head as it is: the table gets a new revision, the journal no entry.
func (w *writes) scores(base *monitor.View, scores []byte) {
	w.ops = append(w.ops, clientv3.OpPut(w.keys.Scores(), string(scores)))
	w.bytes += len(scores)
	w.put(w.keys.Head(), headMessage(base.Head))
}

func (w *writes) fit() error {
	if w.err != nil {
		return w.err
	}
	if len(w.ops) > maxOps || w.bytes > maxBytes {
		return fmt.Errorf("etcd ledger: %w: %d operations of %d bytes, want at most %d of %d", monitor.ErrTooLarge, len(w.ops), w.bytes, maxOps, maxBytes)
	}
	return nil
}

// outcome sorts the errors of a write: those with which etcd refused it, and all others, after which it may have happened.
func outcome(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("etcd ledger: %w: %w", monitor.ErrTooLarge, err)
	case errors.Is(err, rpctypes.ErrNoSpace), errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("etcd ledger: refused: %w", err)
	}
	refusals := []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition}
	if slices.Contains(refusals, status.Code(err)) {
		return fmt.Errorf("etcd ledger: refused: %w", err)
	}
	return fmt.Errorf("etcd ledger: %w: %w", monitor.ErrUnknownOutcome, err)
}
