// Package etcdstore keeps the ledger in etcd: one transaction a change, a journal chained by hash, a leader elected by lease.
//
// Keys lie under /sluice/<environment>/ as package statepb names them; values are messages of sluice.config.v1. The head is
// what every change compares and rewrites; the revision of its key is the table revision. Nothing here relies on the
// election for safety: a leader that does not know that it was replaced loses the compare of the leader key.
package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Defaults of Options.
const (
	DefaultTimeout   = 500 * time.Millisecond
	DefaultLeaderTTL = 5 * time.Second
)

// Options of a Ledger.
type Options struct {
	Environment string        // 1 to 64 of letters, digits, '.', '_' or '-'
	Replica     string        // name of this replica, different from those of the others
	Boot        uint64        // greater at every start of the replica, e.g. its start in Unix nanoseconds
	Timeout     time.Duration // of one call to etcd; 0 = DefaultTimeout
	LeaderTTL   time.Duration // lease of the leader key, whole seconds; 0 = DefaultLeaderTTL
	Logger      *slog.Logger  // nil discards
}

// Ledger is the Ledger in etcd. Reading and committing need no goroutine; Watch and Lead are loops that the owner runs.
type Ledger struct {
	client  *clientv3.Client
	keys    statepb.Keys
	options Options
	changed chan struct{}

	leading atomic.Int64 // CreateRevision of our leader key, 0 = not leading
	read    atomic.Int64 // newest head revision returned by Read

	mu      sync.Mutex
	known   *monitor.View // what the last Read returned, for the next Commit
	catalog stored        // the catalogue last read; numbers are never reused
	lease   requestLease
}

// stored is a catalogue and its number.
type stored struct {
	number  uint64
	catalog []byte
}

// requestLease is the lease that request ids are stored with; one serves for an hour.
type requestLease struct {
	id      clientv3.LeaseID
	granted statemachine.Instant
}

// Open returns the ledger of an environment. The first one to open it creates its head, of epoch 1.
func Open(ctx context.Context, client *clientv3.Client, o Options) (*Ledger, error) {
	keys, err := statepb.NewKeys(o.Environment)
	if err != nil {
		return nil, fmt.Errorf("etcd ledger: %w", err)
	}
	if o.Replica == "" {
		return nil, errors.New("etcd ledger: the replica has no name")
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.LeaderTTL < time.Second {
		o.LeaderTTL = DefaultLeaderTTL
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{client: client, keys: keys, options: o, changed: make(chan struct{}, 1)}
	return l, l.bootstrap(ctx)
}

func (l *Ledger) bootstrap(ctx context.Context) error {
	head, err := marshal(headMessage(monitor.Head{Epoch: 1}))
	if err != nil {
		return err
	}
	// Where there are entries or states, a missing head is damage and no first start: Read says so.
	none := func(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", 0) }
	_, err = l.client.Txn(ctx).
		If(none(l.keys.Head()), none(l.keys.JournalBase()), none(l.keys.Journals()).WithPrefix(), none(l.keys.States()).WithPrefix()).
		Then(clientv3.OpPut(l.keys.Head(), head)).
		Commit()
	if err != nil {
		return fmt.Errorf("etcd ledger: create head: %w", err)
	}
	return nil
}

// Changed implements monitor.Ledger. It is fed by this replica's own commits and, while Watch runs, by everybody's.
func (l *Ledger) Changed() <-chan struct{} { return l.changed }

func (l *Ledger) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// deadline gives every call to etcd an end.
func (l *Ledger) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.options.Timeout)
}

// Request implements monitor.Ledger.
func (l *Ledger) Request(ctx context.Context, id string) (uint64, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	got, err := l.client.Get(ctx, l.keys.Request(id))
	if err != nil {
		return 0, fmt.Errorf("etcd ledger: look up request %q: %w", id, err)
	}
	if len(got.Kvs) == 0 {
		return 0, nil
	}
	var m configv1.StoredRequest
	if err := unmarshal(got.Kvs[0], &m); err != nil {
		return 0, err
	}
	return m.GetSequence(), nil
}

func marshal(m proto.Message) (string, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("etcd ledger: encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return string(b), nil
}
