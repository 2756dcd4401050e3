package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-pay/sluice/monitor"
)

// keptSeconds is how long rows are kept: windows are rebuilt from them.
const keptSeconds = 900

// Store is the Exchange and the Claims of one replica's life. It is safe for concurrent use.
type Store struct {
	o       Options
	client  *redis.Client
	breaker breaker
	version atomic.Uint64 // of what is published, so that a late write does not replace a newer one
	publish *redis.Script
	take    *redis.Script

	mu     sync.Mutex
	fences map[int64]string // by second: the fence that was read when its attempts were claimed
	newest int64
}

var (
	_ monitor.Exchange = (*Store)(nil)
	_ monitor.Claims   = (*Store)(nil)
)

// Open returns a store. It does not connect: a Redis that is down now may be up later. Its error wraps ErrOptions.
func Open(o Options) (*Store, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	return &Store{
		o: o, client: redis.NewClient(o.client()), fences: map[int64]string{},
		publish: redis.NewScript(publishScript), take: redis.NewScript(takeScript),
	}, nil
}

// Close closes all connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Health returns the state of the breaker and what it counted.
func (s *Store) Health() Health {
	s.breaker.mu.Lock()
	defer s.breaker.mu.Unlock()
	return s.breaker.health
}

// do runs one operation within the budget, if the breaker lets it. run returns the error of the transport or of the
// first reply; one that a server replied is returned as it is.
func (s *Store) do(ctx context.Context, run func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.breaker.enter(time.Now()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	bounded, cancel := context.WithTimeout(ctx, s.o.Budget)
	defer cancel()
	err := run(bounded)
	switch {
	case !broken(err):
		s.breaker.succeed(time.Now())
		return err
	case over(ctx):
		s.breaker.abandon(time.Now())
		return ctx.Err()
	}
	s.breaker.overrun(time.Now(), err)
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// over reports whether the caller gave up. A connection notices a deadline a little earlier than its context does.
func over(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// broken reports whether an error is no answer of Redis.
func broken(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply) // redis.Nil is a redis.Error too
}

// pipeline sends commands in one go and returns an error only of the transport: each command holds its own reply.
func (s *Store) pipeline(ctx context.Context, fill func(context.Context, redis.Pipeliner)) error {
	return s.do(ctx, func(ctx context.Context) error {
		p := s.client.Pipeline()
		fill(ctx, p)
		if p.Len() == 0 {
			return nil
		}
		cmds, err := p.Exec(ctx)
		if broken(err) {
			return err
		}
		if last := cmds[len(cmds)-1].Err(); broken(last) { // the first ones were answered
			return last
		}
		return nil
	})
}

// scripts sends calls of a script in one go, again if Redis did not know it yet. The calls must be idempotent.
func (s *Store) scripts(ctx context.Context, script *redis.Script, calls []scriptCall) ([]*redis.Cmd, error) {
	for again := false; ; again = true {
		cmds := make([]*redis.Cmd, 0, len(calls))
		err := s.pipeline(ctx, func(ctx context.Context, p redis.Pipeliner) {
			for _, c := range calls {
				cmds = append(cmds, p.EvalSha(ctx, script.Hash(), c.keys, c.args...))
			}
		})
		if err != nil || again {
			return cmds, err
		}
		unknown := false
		for _, c := range cmds {
			unknown = unknown || redis.HasErrorPrefix(c.Err(), "NOSCRIPT")
		}
		if !unknown {
			return cmds, nil
		}
		if err := s.do(ctx, func(ctx context.Context) error { return script.Load(ctx, s.client).Err() }); err != nil {
			return nil, err
		}
	}
}

// scriptCall is one call of a script.
type scriptCall struct {
	keys []string
	args []any
}

// key joins the environment and parts.
func (s *Store) key(kind string, n int64) string {
	return s.o.Environment + ":" + kind + ":" + strconv.FormatInt(n, 10)
}
