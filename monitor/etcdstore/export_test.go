package etcdstore

import (
	"context"
	"time"
)

// WatchEvery is Watch with another interval of the watchdog.
func (l *Ledger) WatchEvery(ctx context.Context, interval time.Duration) { l.watch(ctx, interval) }
