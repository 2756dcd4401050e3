package monitor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-pay/sluice/statemachine"
)

// maxMemoryPoints bounds a MemorySeries: about 400 bytes a point. Past it the oldest seconds go before their time.
const maxMemoryPoints = 1 << 18

// MemorySeries is the Series of a single process: for the embedded mode, simulation and tests. It is safe for concurrent
// use.
type MemorySeries struct {
	mu      sync.Mutex
	keep    SeriesRetention
	seconds points
	minutes points
	newest  int64 // newest second written
	rolled  int64 // newest minute rolled up, its begin
}

// points are the points of all items by time.
type points struct {
	at    map[int64]map[statemachine.Scope]SeriesPoint
	count int
}

// NewMemorySeries returns an empty series.
func NewMemorySeries(keep SeriesRetention) *MemorySeries {
	return &MemorySeries{
		keep:    keep.WithDefaults(),
		seconds: points{at: map[int64]map[statemachine.Scope]SeriesPoint{}},
		minutes: points{at: map[int64]map[statemachine.Scope]SeriesPoint{}},
	}
}

// Write implements Series.
func (m *MemorySeries) Write(ctx context.Context, s *SecondCounts) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write series of second %d: %w", s.Second, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Second <= m.newest-m.keep.Seconds {
		return nil
	}
	written := map[statemachine.Scope]SeriesPoint{}
	for _, c := range SeriesItems(s) {
		p := PointOf(c, s.Second)
		p.Reasons = slices.Clone(p.Reasons)
		written[c.Item] = p
	}
	m.seconds.put(s.Second, written)
	m.newest = max(m.newest, s.Second)
	m.roll(m.newest - m.newest%MinuteStep - MinuteStep)
	m.seconds.expire(m.newest - m.keep.Seconds)
	m.minutes.expire(m.newest - m.keep.Minutes)
	for m.seconds.count+m.minutes.count > maxMemoryPoints && len(m.seconds.at) > 1 {
		m.seconds.put(slices.Min(slices.Collect(maps.Keys(m.seconds.at))), nil)
	}
	return nil
}

// roll rolls every minute up to last up that is kept by the second and not rolled up yet.
func (m *MemorySeries) roll(last int64) {
	from := max(m.rolled+MinuteStep, (m.newest-m.keep.Seconds)/MinuteStep*MinuteStep+MinuteStep)
	for minute := from; minute <= last; minute += MinuteStep {
		sums := map[statemachine.Scope]SeriesPoint{}
		for s := minute; s < minute+MinuteStep; s++ {
			for item, p := range m.seconds.at[s] {
				sum, ok := sums[item]
				if !ok {
					sum.At = minute
				}
				sum.Add(&p)
				sums[item] = sum
			}
		}
		m.minutes.put(minute, sums)
		m.rolled = minute
	}
}

// Query implements Series.
func (m *MemorySeries) Query(ctx context.Context, item statemachine.Scope, from, to, step int64) ([]SeriesPoint, error) {
	if err := CheckSeriesQuery(item, from, to, step); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("query series of %s: %w", item, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := &m.seconds
	if step == MinuteStep {
		all = &m.minutes
	}
	var out []SeriesPoint
	for _, at := range slices.Sorted(maps.Keys(all.at)) {
		if at < from || at >= to || len(out) >= MaxSeriesPoints {
			continue
		}
		if p, ok := all.at[at][item]; ok {
			p.Reasons = slices.Clone(p.Reasons)
			out = append(out, p)
		}
	}
	return out, nil
}

// put replaces what is kept of a time; nothing removes it.
func (p *points) put(at int64, items map[statemachine.Scope]SeriesPoint) {
	p.count += len(items) - len(p.at[at])
	if len(items) == 0 {
		delete(p.at, at)
		return
	}
	p.at[at] = items
}

// expire removes everything up to a time.
func (p *points) expire(upTo int64) {
	for at := range p.at {
		if at <= upTo {
			p.put(at, nil)
		}
	}
}
