package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrSeries is wrapped by Series.Query for a question that no series answers.
var ErrSeries = errors.New("invalid series query")

const (
	// MaxSeriesItems is how many items of a second are written, most failures first.
	MaxSeriesItems = 2000
	// SecondStep and MinuteStep are the lengths of a series' points in seconds.
	SecondStep = int64(1)
	// MinuteStep is the length of a rolled-up point.
	MinuteStep = int64(60)
	// MaxSeriesPoints is how many points a Query answers; the oldest come first.
	MaxSeriesPoints = 10_000
)

// Series keep what was counted of each item over time, for people and tools; nothing is decided from them. The leader
// writes, with absolute values: writing a second again replaces it.
type Series interface {
	// Write stores the sum of a second, of at most MaxSeriesItems items, most failures first, and rolls minutes up
	// once they are over. Seconds come in rising order; a gap is allowed.
	Write(context.Context, *SecondCounts) error
	// Query returns the points of an item whose begin is in [from, to), oldest first, at most MaxSeriesPoints; seconds
	// (step 1) or minutes (step 60). A point without traffic is missing, and so is one that is not kept any more.
	Query(ctx context.Context, item statemachine.Scope, from, to, step int64) ([]SeriesPoint, error)
}

// SeriesRetention says how long a series is kept.
type SeriesRetention struct {
	Seconds int64 // points of one second; 600
	Minutes int64 // points of one minute, in seconds; 172800
}

// WithDefaults fills in what is not set; seconds are kept for two minutes at least, so that a minute can be rolled up.
func (r SeriesRetention) WithDefaults() SeriesRetention {
	if r.Seconds <= 0 {
		r.Seconds = 600
	}
	if r.Minutes <= 0 {
		r.Minutes = 48 * 3600
	}
	r.Seconds = max(r.Seconds, 2*MinuteStep)
	r.Minutes = max(r.Minutes, r.Seconds)
	return r
}

// SeriesPoint is what was counted of an item in one second or minute.
type SeriesPoint struct {
	At            int64                             // begin, Unix seconds
	Success       uint64                            // results that say the channel answered
	Fail          uint64                            // bad results, half-weight ones too
	Outcomes      [statemachine.NumOutcomes]int64   // results by outcome; corrections may make one negative
	Answered      float64                           // results in evidence with a meaning for health
	Bad           float64                           // bad ones among them by distinct payer, half-weight ones as a half
	Reasons       []statemachine.ReasonCount        // top causes of bad results, most frequent first, at most MaxReasons
	LatencyMillis uint64                            // sum
	Latencies     uint64                            // number in the sum
	Sent          [statemachine.NumLaneKinds]uint64 // decisions given out
}

// PointOf returns the point of an item in a second.
func PointOf(c *ItemCounts, second int64) SeriesPoint {
	p := SeriesPoint{At: second, LatencyMillis: c.LatencyMillis, Reasons: c.Reasons}
	var good, bad int64
	for o, n := range c.Totals {
		p.Outcomes[o] = int64(n)
		health := statemachine.Outcome(o).Health()
		switch {
		case health == statemachine.HealthGood:
			good += int64(n)
		case health > statemachine.HealthGood && counts(health, c.Item.Kind):
			bad += int64(n)
		}
	}
	p.Success, p.Fail = uint64(max(0, good)), uint64(max(0, bad))
	for _, n := range c.Latency {
		p.Latencies += uint64(n)
	}
	for k := range c.Evidence {
		e := &c.Evidence[k]
		p.Answered += float64(e.Answered())
		p.Bad += float64(e.BadPayers) + float64(e.HalfPayers)/2
		p.Sent[k] = uint64(c.Sent[k])
	}
	return p
}

// Add adds q to p. The begin stays.
func (p *SeriesPoint) Add(q *SeriesPoint) {
	p.Success += q.Success
	p.Fail += q.Fail
	for o := range p.Outcomes {
		p.Outcomes[o] += q.Outcomes[o]
	}
	p.Answered += q.Answered
	p.Bad += q.Bad
	p.Reasons = mergeReasons(p.Reasons, q.Reasons)
	p.LatencyMillis += q.LatencyMillis
	p.Latencies += q.Latencies
	for k := range p.Sent {
		p.Sent[k] += q.Sent[k]
	}
}

// SeriesItems returns the items of a second that a series takes: at most MaxSeriesItems, most failures first.
func SeriesItems(s *SecondCounts) []*ItemCounts {
	type ranked struct {
		item *ItemCounts
		fail uint64
	}
	all := make([]ranked, 0, len(s.Items))
	for i := range s.Items {
		if c := &s.Items[i]; !c.empty() {
			all = append(all, ranked{c, PointOf(c, s.Second).Fail})
		}
	}
	if len(all) > MaxSeriesItems {
		slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(b.fail, a.fail) }) // items are sorted
		all = all[:MaxSeriesItems]
	}
	out := make([]*ItemCounts, len(all))
	for i := range all {
		out[i] = all[i].item
	}
	return out
}

// TopReasons sorts causes by frequency, then name, and keeps the first MaxReasons.
func TopReasons(all []statemachine.ReasonCount) []statemachine.ReasonCount {
	if len(all) == 0 {
		return nil
	}
	return topReasons(all)
}

// CheckSeriesQuery reports whether a series can be asked that. Its error wraps ErrSeries.
func CheckSeriesQuery(item statemachine.Scope, from, to, step int64) error {
	switch {
	case item.Kind == statemachine.ScopeDomain:
		return fmt.Errorf("%w: %s is a failure domain: ask for its channels", ErrSeries, item)
	case item.Validate() != nil:
		return fmt.Errorf("%w: %w", ErrSeries, item.Validate())
	case step != SecondStep && step != MinuteStep:
		return fmt.Errorf("%w: step %d: want 1 or 60 seconds", ErrSeries, step)
	case from > to:
		return fmt.Errorf("%w: from %d is after to %d", ErrSeries, from, to)
	}
	return nil
}
