package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	seriesChunk = 250 // items in one operation
	rollSeconds = 50  // of a minute, in which the minute before it is rolled up
)

// writeScript replaces a second of an item. KEYS: the item's seconds, the second. ARGV: second, time to live, the
// newest second that is kept no more, then fields and values.
const writeScript = `
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1`

// rollScript adds the kept seconds of an item up by the minute and returns how many seconds and minutes it has. KEYS: the
// item's seconds, its minutes. ARGV: first part of the item's keys, first and last minute, the newest second and the
// newest minute that are kept no more, time to live of a minute.
const rollScript = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
local minutes = {}
for _, second in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[3] + 59)) do
  local minute = string.format('%.0f', second - second % 60)
  local sums = minutes[minute] or {}
  minutes[minute] = sums
  local fields = redis.call('HGETALL', ARGV[1] .. second)
  for i = 1, #fields, 2 do sums[fields[i]] = (sums[fields[i]] or 0) + (tonumber(fields[i + 1]) or 0) end
end
for minute, sums in pairs(minutes) do
  local key = ARGV[1] .. 'minute:' .. minute
  redis.call('DEL', key)
  for field, n in pairs(sums) do redis.call('HSET', key, field, string.format(n % 1 == 0 and '%.0f' or '%.1f', n)) end
  redis.call('EXPIRE', key, ARGV[6])
  redis.call('ZADD', KEYS[2], minute, minute)
  redis.call('EXPIRE', KEYS[2], ARGV[6])
end
return redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2])`

// Series is the published layout for people and tools, written by the leader. It is safe for concurrent use.
type Series struct {
	*Store
	keep  monitor.SeriesRetention
	write *redis.Script
	roll  *redis.Script

	mu     sync.Mutex
	minute int64    // begin of the running minute, 0 = nothing was written yet
	first  int64    // first minute to roll up
	queue  []string // items whose last minute is not rolled up yet
}

var _ monitor.Series = (*Series)(nil)

// Series returns the series of the store's environment.
func (s *Store) Series(keep monitor.SeriesRetention) *Series {
	return &Series{Store: s, keep: keep.WithDefaults(), write: redis.NewScript(writeScript), roll: redis.NewScript(rollScript)}
}

// Write implements monitor.Series. A minute is rolled up, and what is too old cleaned away, in the course of the next
// minute. After an error some items may have been written; writing the second again is harmless.
func (s *Series) Write(ctx context.Context, sum *monitor.SecondCounts) error {
	if err := s.writeSecond(ctx, sum); err != nil {
		return fmt.Errorf("write series of second %d: %w", sum.Second, err)
	}
	if err := s.rollUp(ctx, sum.Second); err != nil {
		return fmt.Errorf("roll series up in second %d: %w", sum.Second, err)
	}
	return nil
}

func (s *Series) writeSecond(ctx context.Context, sum *monitor.SecondCounts) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	items := monitor.SeriesItems(sum)
	for len(items) > 0 {
		n := min(seriesChunk, len(items))
		names := make([]any, n)
		calls := make([]scriptCall, n)
		for i, item := range items[:n] {
			name := item.Item.String()
			names[i] = name
			calls[i] = s.secondCall(name, monitor.PointOf(item, sum.Second))
		}
		err := s.do(ctx, func(ctx context.Context) error { return s.client.SAdd(ctx, s.o.Environment+":items", names...).Err() })
		if err != nil {
			return err
		}
		cmds, err := s.scripts(ctx, s.write, calls)
		if err != nil {
			return err
		}
		for _, c := range cmds {
			if c.Err() != nil {
				return c.Err()
			}
		}
		items = items[n:]
	}
	return nil
}

// prefix is the first part of an item's keys. The braces are a hash tag: all of them live in one slot.
func (s *Series) prefix(item string) string { return "{" + s.o.Environment + ":" + item + "}:" }

func (s *Series) secondCall(item string, p monitor.SeriesPoint) scriptCall {
	prefix := s.prefix(item)
	second := strconv.FormatInt(p.At, 10)
	return scriptCall{
		keys: []string{prefix + "seconds", prefix + second},
		args: appendFields([]any{second, s.keep.Seconds, p.At - s.keep.Seconds}, &p),
	}
}

// The fields of a point, beside one for each outcome, kind of traffic and reason. They are the published layout.
const (
	fieldSuccess   = "success"
	fieldFail      = "fail"
	fieldAnswered  = "answered"
	fieldBad       = "bad"
	fieldLatency   = "latency_ms"
	fieldLatencies = "latencies"
	outcomePrefix  = "outcome:"
	sentPrefix     = "sent:"
	reasonPrefix   = "reason:"
)

// appendFields appends fields and values. Success and fail are always there, the others unless they are 0.
func appendFields(args []any, p *monitor.SeriesPoint) []any {
	args = append(args, fieldSuccess, p.Success, fieldFail, p.Fail)
	number := func(field string, n uint64) {
		if n != 0 {
			args = append(args, field, n)
		}
	}
	half := func(field string, n float64) {
		if n != 0 {
			args = append(args, field, strconv.FormatFloat(n, 'f', -1, 64))
		}
	}
	half(fieldAnswered, p.Answered)
	half(fieldBad, p.Bad)
	number(fieldLatency, p.LatencyMillis)
	number(fieldLatencies, p.Latencies)
	for o, n := range p.Outcomes {
		if n != 0 {
			args = append(args, outcomePrefix+statemachine.Outcome(o).String(), n)
		}
	}
	for k, n := range p.Sent {
		number(sentPrefix+statemachine.LaneKind(k).String(), n)
	}
	for _, r := range p.Reasons {
		number(reasonPrefix+r.Reason, r.N)
	}
	return args
}

// rollUp rolls a part of the items up, so that all are done before the minute ends.
func (s *Series) rollUp(ctx context.Context, second int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	minute := second - second%monitor.MinuteStep
	if minute > s.minute {
		items, err := s.items(ctx)
		if err != nil {
			return err
		}
		s.first = minute - monitor.MinuteStep
		if s.minute != s.first || len(s.queue) > 0 { // another replica led, or not all was done: whatever is kept whole
			s.first = (second-s.keep.Seconds)/monitor.MinuteStep*monitor.MinuteStep + monitor.MinuteStep
		}
		s.minute, s.queue = minute, items
	}
	left := max(1, rollSeconds-(second-minute))
	n := (len(s.queue) + int(left) - 1) / int(left)
	for n > 0 {
		part := min(n, seriesChunk)
		if err := s.rollItems(ctx, s.queue[:part], second); err != nil {
			return err
		}
		s.queue, n = s.queue[part:], n-part
	}
	return nil
}

// items returns all items that anything is kept of.
func (s *Series) items(ctx context.Context) ([]string, error) {
	var items []string
	err := s.do(ctx, func(ctx context.Context) error {
		var err error
		items, err = s.client.SMembers(ctx, s.o.Environment+":items").Result()
		return err
	})
	return items, err
}

func (s *Series) rollItems(ctx context.Context, items []string, second int64) error {
	calls := make([]scriptCall, len(items))
	for i, item := range items {
		prefix := s.prefix(item)
		calls[i] = scriptCall{
			keys: []string{prefix + "seconds", prefix + "minutes"},
			args: []any{prefix, s.first, s.minute - monitor.MinuteStep, second - s.keep.Seconds, second - s.keep.Minutes, s.keep.Minutes},
		}
	}
	cmds, err := s.scripts(ctx, s.roll, calls)
	if err != nil {
		return err
	}
	var gone []any
	for i, c := range cmds {
		left, err := c.Int64()
		if err != nil {
			return err
		}
		if left == 0 {
			gone = append(gone, items[i])
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.do(ctx, func(ctx context.Context) error { return s.client.SRem(ctx, s.o.Environment+":items", gone...).Err() })
}
