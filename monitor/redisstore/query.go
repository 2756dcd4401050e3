package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// queryChunk is how many points are read in one operation.
const queryChunk = 500

// Query implements monitor.Series.
func (s *Series) Query(ctx context.Context, item statemachine.Scope, from, to, step int64) ([]monitor.SeriesPoint, error) {
	if err := monitor.CheckSeriesQuery(item, from, to, step); err != nil {
		return nil, err
	}
	points, err := s.query(ctx, item, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("query series of %s: %w", item, err)
	}
	return points, nil
}

func (s *Series) query(ctx context.Context, item statemachine.Scope, from, to, step int64) ([]monitor.SeriesPoint, error) {
	prefix := s.prefix(item.String())
	index, part := "seconds", ""
	if step == monitor.MinuteStep {
		index, part = "minutes", "minute:"
	}
	var times []string
	err := s.do(ctx, func(ctx context.Context) error {
		var err error
		times, err = s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: prefix + index, Start: from, Stop: "(" + strconv.FormatInt(to, 10), ByScore: true, Count: monitor.MaxSeriesPoints,
		}).Result()
		return err
	})
	var out []monitor.SeriesPoint
	for len(times) > 0 && err == nil {
		n := min(queryChunk, len(times))
		cmds := make([]*redis.MapStringStringCmd, n)
		err = s.pipeline(ctx, func(ctx context.Context, p redis.Pipeliner) {
			for i, at := range times[:n] {
				cmds[i] = p.HGetAll(ctx, prefix+part+at)
			}
		})
		if err == nil {
			out, err = appendPoints(out, times[:n], cmds)
		}
		times = times[n:]
	}
	return out, err
}

// appendPoints appends what was read. A point that expired in the meantime is left out.
func appendPoints(out []monitor.SeriesPoint, times []string, cmds []*redis.MapStringStringCmd) ([]monitor.SeriesPoint, error) {
	for i, c := range cmds {
		fields, err := c.Result()
		if err != nil {
			return nil, err
		}
		at, err := strconv.ParseInt(times[i], 10, 64)
		if err != nil || len(fields) == 0 {
			continue
		}
		out = append(out, parsePoint(at, fields))
	}
	return out, nil
}

// parsePoint reads the fields of a point. What it does not know, or cannot read, it leaves out: the layout is open to
// other writers.
func parsePoint(at int64, fields map[string]string) monitor.SeriesPoint {
	p := monitor.SeriesPoint{At: at}
	number := func(field string) uint64 {
		n, _ := strconv.ParseUint(fields[field], 10, 64) // 0 if there is none
		return n
	}
	half := func(field string) float64 {
		n, _ := strconv.ParseFloat(fields[field], 64)
		return n
	}
	p.Success, p.Fail = number(fieldSuccess), number(fieldFail)
	p.Answered, p.Bad = half(fieldAnswered), half(fieldBad)
	p.LatencyMillis, p.Latencies = number(fieldLatency), number(fieldLatencies)
	for o := range statemachine.NumOutcomes {
		p.Outcomes[o], _ = strconv.ParseInt(fields[outcomePrefix+o.String()], 10, 64)
	}
	for k := range statemachine.NumLaneKinds {
		p.Sent[k] = number(sentPrefix + k.String())
	}
	for field := range fields {
		if reason, ok := strings.CutPrefix(field, reasonPrefix); ok {
			p.Reasons = append(p.Reasons, statemachine.ReasonCount{Reason: reason, N: number(field)})
		}
	}
	p.Reasons = monitor.TopReasons(p.Reasons)
	return p
}
