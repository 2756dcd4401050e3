package serve

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/redisstore"
)

const (
	sharedGrace = 500 * time.Millisecond // a closed second waits so long for the rows of other replicas
	clockEvery  = 10 * time.Second
)

// exchange is where closed seconds are shared: in memory, or in Redis with the other replicas.
type exchange struct {
	rows   monitor.Exchange
	claims monitor.Claims    // nil in memory: nobody else counts
	series monitor.Series    // for people and tools, written by the leader
	grace  time.Duration     // 0 in memory
	redis  *redisstore.Store // nil in memory
	ahead  atomic.Int64      // what Redis' clock is ahead of ours, nanoseconds
}

func openExchange(o *Options, boot uint64) (*exchange, error) {
	if !o.Redis.Used() {
		return &exchange{rows: monitor.NewMemoryExchange(), series: monitor.NewMemorySeries(monitor.SeriesRetention{})}, nil
	}
	options := redisstore.Options{
		Address: config.HostPort(o.Redis.Address), Username: o.Redis.Username, Database: o.Redis.DB,
		Environment: o.Environment, Replica: o.Replica, Boot: boot,
	}
	if o.Redis.PasswordFile != "" {
		password, err := config.ReadSecret(o.Redis.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		options.Password = redisstore.Secret(password)
	}
	if o.Redis.Secure() {
		var err error
		if options.TLS, err = o.Redis.TLS.Load(o.Logger); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	s, err := redisstore.Open(options)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return &exchange{rows: s, claims: s, series: s.Series(monitor.SeriesRetention{}), grace: sharedGrace, redis: s}, nil
}

func (x *exchange) close() error {
	if x.redis == nil {
		return nil
	}
	return x.redis.Close() //nolint:wrapcheck // it names Redis
}

// now is the time by which replicas agree on seconds: that of Redis as far as it is known, else this machine's.
func (x *exchange) now() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }

// follow keeps the clock in step with Redis until ctx ends. While Redis does not tell, or tells a time that cannot be right,
// the last difference stays.
func (x *exchange) follow(ctx context.Context, logger *slog.Logger) {
	if x.redis == nil {
		return
	}
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		ahead, err := x.redis.Offset(ctx)
		switch {
		case err == nil:
			x.ahead.Store(int64(ahead))
		case ctx.Err() == nil:
			logger.Warn("the clock of Redis is not followed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
