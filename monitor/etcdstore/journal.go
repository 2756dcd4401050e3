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

// journalPage is how many entries one call to etcd reads.
const journalPage = 200

// Journal implements monitor.Ledger. Entries that were exported and removed are left out.
func (l *Ledger) Journal(ctx context.Context, after uint64, limit int) ([]monitor.JournalEntry, error) {
	var out []monitor.JournalEntry
	for len(out) < limit {
		want := min(limit-len(out), journalPage)
		page, err := l.page(ctx, after, want, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < want {
			break
		}
		after = page[len(page)-1].Sequence
	}
	return out, nil
}

// page reads entries after a sequence, of the store as it was at a revision (0 = now).
func (l *Ledger) page(ctx context.Context, after uint64, limit int, revision int64) ([]monitor.JournalEntry, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	first, end := l.keys.Journal(after+1), l.keys.Journal(^uint64(0))
	got, err := l.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithLimit(int64(limit)), clientv3.WithRev(revision))
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: read the journal: %w", err)
	}
	entries := make([]monitor.JournalEntry, 0, len(got.Kvs))
	for _, kv := range got.Kvs {
		e, err := toEntry(kv)
		if err != nil {
			return nil, err
		}
		if l.keys.Journal(e.Sequence) != string(kv.GetKey()) {
			return nil, damaged(kv.GetKey(), fmt.Errorf("%w: it holds entry %d", statepb.ErrMessage, e.Sequence))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Verify implements monitor.Ledger: it reads the whole journal as it is at one revision and recomputes every hash, from the
// entries that were removed (if any) up to head.
func (l *Ledger) Verify(ctx context.Context) error {
	at, head, revision, err := l.ends(ctx)
	if err != nil {
		return err
	}
	for {
		page, err := l.page(ctx, at.Sequence, journalPage, revision)
		if err != nil {
			return err
		}
		to := head
		if len(page) == journalPage { // there may be more
			last := page[len(page)-1]
			to.Sequence, to.Hash = last.Sequence, last.Hash
		}
		if err := monitor.CheckJournal(at, to, page); err != nil {
			return fmt.Errorf("etcd ledger: %w", err)
		}
		if len(page) < journalPage {
			return nil
		}
		at = to
	}
}

// ends returns where the journal begins and ends, and the revision of the store at which that is so.
func (l *Ledger) ends(ctx context.Context) (from, to monitor.Head, revision int64, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).Then(clientv3.OpGet(l.keys.Head()), clientv3.OpGet(l.keys.JournalBase())).Commit()
	if err != nil {
		return from, to, 0, fmt.Errorf("etcd ledger: verify: %w", err)
	}
	heads := got.Responses[0].GetResponseRange().GetKvs()
	if len(heads) == 0 {
		return from, to, 0, damaged([]byte(l.keys.Head()), statepb.ErrMessage)
	}
	if to, err = toHead(heads[0]); err != nil {
		return from, to, 0, err
	}
	if bases := got.Responses[1].GetResponseRange().GetKvs(); len(bases) > 0 {
		from, err = toBase(bases[0])
	}
	return from, to, got.Header.GetRevision(), err
}

func toBase(kv *mvccpb.KeyValue) (monitor.Head, error) {
	var m configv1.JournalBase
	if err := unmarshal(kv, &m); err != nil {
		return monitor.Head{}, err
	}
	h := monitor.Head{Sequence: m.GetSequence()}
	if err := toHash(m.GetHash(), &h.Hash); err != nil {
		return monitor.Head{}, damaged(kv.GetKey(), err)
	}
	return h, nil
}

// Trim removes the entries up to and including a sequence, after they were exported, and keeps the hash of the last one, from
// which Verify goes on. The newest entry always stays. Only the leader may (monitor.ErrNotLeader).
func (l *Ledger) Trim(ctx context.Context, through uint64) error {
	from, head, revision, err := l.ends(ctx)
	if err != nil {
		return err
	}
	through = min(through, max(head.Sequence, 1)-1)
	if through <= from.Sequence {
		return nil
	}
	last, err := l.page(ctx, through-1, 1, revision)
	if err != nil {
		return err
	}
	if len(last) != 1 || last[0].Sequence != through {
		return damaged([]byte(l.keys.Journal(through)), statepb.ErrMessage)
	}
	value, err := marshal(&configv1.JournalBase{Sequence: through, Hash: last[0].Hash[:]})
	if err != nil {
		return err
	}
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Txn(ctx).If(
		clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), "=", l.leading.Load()),
		clientv3.Compare(clientv3.CreateRevision(l.keys.Leader()), ">", 0),
		clientv3.Compare(clientv3.ModRevision(l.keys.JournalBase()), "<", revision+1),
	).Then(
		clientv3.OpPut(l.keys.JournalBase(), value),
		clientv3.OpDelete(l.keys.Journal(0), clientv3.WithRange(l.keys.Journal(through+1))),
	).Commit()
	if err != nil {
		return outcome(err)
	}
	if !got.Succeeded {
		return fmt.Errorf("%w: %s", monitor.ErrNotLeader, l.options.Replica)
	}
	return nil
}
