package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-pay/sluice/monitor"
)

// publishScript stores a row unless its claims were taken over (0) or a newer version of it is there already (2).
// KEYS: the second's rows, what is known of them. ARGV: replica, row, fence, version, time to live of both.
const publishScript = `
if (redis.call('HGET', KEYS[2], 'fence:' .. ARGV[1]) or '0') ~= ARGV[3] then return 0 end
local there = redis.call('HGET', KEYS[2], 'row:' .. ARGV[1])
if there and there > ARGV[4] then return 2 end
redis.call('HSET', KEYS[2], 'row:' .. ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1`

// nextVersion names what is published, in an order that grows with every start and every Publish.
func (s *Store) nextVersion() string {
	return fmt.Sprintf("%016x%016x", s.o.Boot, s.version.Add(1))
}

// Publish implements monitor.Exchange. A row that another replica took claims of is refused with monitor.ErrFenced. After
// ErrUnavailable the row may have been stored; publishing it again is harmless.
func (s *Store) Publish(ctx context.Context, r *monitor.Row) error {
	second := r.Counts.Second
	packed := r.Pack(nil)
	var code int64
	err := s.do(ctx, func(ctx context.Context) error {
		var err error
		code, err = s.publish.Run(ctx, s.client,
			[]string{s.key("second", second), s.key("published", second)},
			r.Replica, packed, s.fence(second), s.nextVersion(), int64(keptSeconds), s.o.ClaimSeconds+keptSeconds,
		).Int64()
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("publish second %d: %w", second, err)
	case code == 0:
		return fmt.Errorf("publish second %d of %s: %w", second, r.Replica, monitor.ErrFenced)
	}
	return nil
}

// Read implements monitor.Exchange. One damaged row is an error: a sum without it would be wrong.
func (s *Store) Read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	var packed map[string]string
	err := s.do(ctx, func(ctx context.Context) error {
		var err error
		packed, err = s.client.HGetAll(ctx, s.key("second", second)).Result()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read second %d: %w", second, err)
	}
	var rows []*monitor.Row
	for _, replica := range slices.Sorted(maps.Keys(packed)) {
		r, err := monitor.ParseRow([]byte(packed[replica]))
		if err == nil && (r.Replica != replica || r.Counts.Second != second) {
			err = fmt.Errorf("%w: it says it is of %s, second %d", monitor.ErrPacked, r.Replica, r.Counts.Second)
		}
		if err != nil {
			return nil, fmt.Errorf("read second %d of %s: %w", second, replica, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// fence returns the fence that was read when the attempts of a second were claimed.
func (s *Store) fence(second int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.fences[second]; ok {
		return f
	}
	return "0"
}

// setFence keeps the fence of a second, for as long as its row may be published.
func (s *Store) setFence(second int64, cmd *redis.StringCmd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fences[second] = "0"
	if cmd.Err() == nil {
		s.fences[second] = cmd.Val()
	}
	if second > s.newest {
		s.newest = second
		maps.DeleteFunc(s.fences, func(at int64, _ string) bool { return at < second-keptSeconds })
	}
}
