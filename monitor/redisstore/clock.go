package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClock is wrapped by the error of Offset when this machine's clock and that of Redis are too far apart to be
// corrected: people must look at them.
var ErrClock = errors.New("clocks are apart")

const (
	clockSamples = 3
	maxOffset    = time.Minute
)

// Offset returns what must be added to this machine's clock to get that of Redis: the replicas agree on seconds by it.
// Of three samples the one with the shortest way counts; its error is half of that way at most.
func (s *Store) Offset(ctx context.Context) (time.Duration, error) {
	var offset, shortest time.Duration
	err := s.do(ctx, func(ctx context.Context) error {
		for i := range clockSamples {
			sent := time.Now()
			at, err := s.client.Time(ctx).Result()
			if err != nil {
				return err
			}
			way := time.Since(sent)
			if i == 0 || way < shortest {
				offset, shortest = at.Sub(sent.Add(way/2)), way
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the clock of redis: %w", err)
	}
	if offset.Abs() > maxOffset {
		return offset, fmt.Errorf("%w: that of redis is %s ahead of ours", ErrClock, offset.Round(time.Millisecond))
	}
	return offset, nil
}
