package etcdstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The watchdog asks for a sign of life every watchInterval and gives the watch up after maxQuiet intervals without one.
const (
	watchInterval = 5 * time.Second
	maxQuiet      = 3
	watchPause    = 500 * time.Millisecond
)

// Watch feeds Changed with the changes of all replicas until ctx ends. A watch is a hint: it may hang or miss something, so it
// is watched itself, rebuilt when it is silent, and Changed is signalled whenever one begins.
func (l *Ledger) Watch(ctx context.Context) { l.watch(ctx, watchInterval) }

func (l *Ledger) watch(ctx context.Context, interval time.Duration) {
	for {
		err := l.watchOnce(ctx, interval)
		if ctx.Err() != nil {
			return
		}
		l.options.Logger.LogAttrs(ctx, slog.LevelWarn, "watch of the head is rebuilt", slog.Any("error", err))
		pause(ctx, watchPause)
	}
}

func (l *Ledger) watchOnce(ctx context.Context, interval time.Duration) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := l.client.Watch(ctx, l.keys.Head(), clientv3.WithCreatedNotify())
	tick := time.NewTicker(interval)
	defer tick.Stop()
	quiet := 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the caller looks at its own
		case got, ok := <-events:
			if !ok {
				return errors.New("the watch ended")
			}
			if err := got.Err(); err != nil {
				return err //nolint:wrapcheck // only logged
			}
			quiet = 0
			if got.Created {
				l.signal() // what happened before is not told
			}
			l.notice(got.Events)
		case <-tick.C:
			if quiet++; quiet > maxQuiet {
				return errors.New("the watch is silent")
			}
			if err := l.askForProgress(ctx, interval); err != nil {
				return err
			}
		}
	}
}

// askForProgress waits no longer than an interval: the client takes no request while it has no connection.
func (l *Ledger) askForProgress(ctx context.Context, interval time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	return l.client.RequestProgress(ctx) //nolint:wrapcheck // only logged
}

// notice signals a change that this replica has not read yet.
func (l *Ledger) notice(events []*clientv3.Event) {
	for _, e := range events {
		if e.GetKv().GetModRevision() > l.read.Load() {
			l.signal()
			return
		}
	}
}
