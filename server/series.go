package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// SeriesReader answers what was counted over time; monitor.Series is one.
type SeriesReader interface {
	Query(ctx context.Context, item statemachine.Scope, from, to, step int64) ([]monitor.SeriesPoint, error)
}

const (
	pointsPerPage = 600
	seriesReach   = 600 // seconds before now that a series without a start begins at
)

// QuerySeries returns what was counted of a scope over time. A selector that means several scopes, a bank with its cards, gets
// their sum.
func (c *channelService) QuerySeries(ctx context.Context, m *sluicev1.QuerySeriesRequest) (*sluicev1.QuerySeriesResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	scopes, err := scopesOf(m.GetScope(), v.Sight)
	if err != nil {
		return nil, err
	}
	if scopes[0].Kind == statemachine.ScopeDomain {
		return nil, invalid("scope.failure_domain", "a channel or a part of one: a failure domain has no series of its own, ask for its channels")
	}
	q, err := seriesSpan(m, v.now)
	if err != nil {
		return nil, err
	}
	filters := filtersOf(m)
	if err := q.resume(filters, m.GetPageToken()); err != nil {
		return nil, err
	}
	points, last, err := c.points(ctx, scopes, q)
	if err != nil {
		return nil, err
	}
	size := pointsPerPage
	if m.GetPageSize() > 0 {
		size = int(m.GetPageSize())
	}
	reply := &sluicev1.QuerySeriesResponse{}
	next := last
	if len(points) > size {
		points, next = points[:size], points[size].At
	}
	for i := range points {
		reply.Points = append(reply.Points, pointMessage(&points[i]))
	}
	if next < q.to {
		reply.NextPageToken = pageToken(filters, strconv.FormatInt(next, 10)+" "+strconv.FormatInt(q.to, 10))
	}
	return reply, nil
}

// span is the part of time that is asked for, by the begins of its points, in [from, to).
type span struct{ from, to, step int64 }

// seriesSpan checks the times of a request and fills in what it leaves out.
func seriesSpan(m *sluicev1.QuerySeriesRequest, now time.Time) (span, error) {
	q := span{from: now.Unix() - seriesReach, to: now.Unix() + 1, step: monitor.SecondStep}
	for _, t := range []struct {
		field string
		given *timestamppb.Timestamp
		into  *int64
	}{{"end_time", m.GetEndTime(), &q.to}, {"start_time", m.GetStartTime(), &q.from}} {
		if t.given == nil {
			continue
		}
		if err := t.given.CheckValid(); err != nil {
			return q, invalid(t.field, "a time of the years 1 to 9999")
		}
		*t.into = t.given.GetSeconds()
		if t.given.GetNanos() > 0 { // the first full second that is not before it
			*t.into++
		}
	}
	if m.GetStartTime() == nil && m.GetEndTime() != nil {
		q.from = q.to - seriesReach
	}
	if m.GetStartTime() != nil && m.GetEndTime() == nil && q.from >= q.to {
		return q, invalid("start_time", "a time before now")
	}
	if q.from >= q.to {
		return q, invalid("end_time", "a time after start_time")
	}
	if m.GetStep() != nil { // the proto's rule leaves a second and a minute
		q.step = m.GetStep().GetSeconds()
	}
	return q, nil
}

// resume moves the begin to where the page before ended; the end is that of the first page, so that paging ends.
func (q *span) resume(filters, token string) error {
	key, err := pageKey(filters, token)
	if err != nil || key == "" {
		return err
	}
	from, to, _ := strings.Cut(key, " ")
	next, err := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	if errors.Join(err, err2) != nil || next >= end {
		return invalid("page_token", "next_page_token of the page before, with the same filters")
	}
	q.from, q.to = next, end
	return nil
}

// points sums the points of all scopes up, oldest first, and tells up to when the sum is complete: a query answers a bounded
// number of points.
func (c *channelService) points(ctx context.Context, scopes []statemachine.Scope, q span) ([]monitor.SeriesPoint, int64, error) {
	if c.s.cfg.Series == nil {
		return nil, 0, notBuilt("a series, on this replica,")
	}
	sums := map[int64]*monitor.SeriesPoint{}
	complete := q.to
	for _, s := range scopes {
		part, err := c.s.cfg.Series.Query(ctx, s, q.from, q.to, q.step)
		if err != nil {
			return nil, 0, c.seriesFault(ctx, s, err)
		}
		if n := len(part); n >= monitor.MaxSeriesPoints {
			complete = min(complete, part[n-1].At+q.step)
		}
		for i := range part {
			sum := sums[part[i].At]
			if sum == nil {
				sums[part[i].At] = &part[i]
				continue
			}
			sum.Add(&part[i])
		}
	}
	points := make([]monitor.SeriesPoint, 0, len(sums))
	for at, p := range sums {
		if at < complete {
			points = append(points, *p)
		}
	}
	slices.SortFunc(points, func(a, b monitor.SeriesPoint) int { return int(a.At - b.At) })
	return points, complete, nil
}

// seriesFault hides a store's words from the caller and keeps them in the log.
func (c *channelService) seriesFault(ctx context.Context, s statemachine.Scope, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // becomes a status
	}
	c.s.cfg.Logger.Warn("a series could not be read", slog.String("scope", s.String()), slog.Any("error", err))
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_SERIES_UNAVAILABLE,
		message: "the series cannot be read now; decisions do not depend on it", retry: time.Second,
	}
}

func pointMessage(p *monitor.SeriesPoint) *sluicev1.SeriesPoint {
	m := &sluicev1.SeriesPoint{
		Time: &timestamppb.Timestamp{Seconds: p.At}, Answered: p.Answered, Bad: p.Bad, LatencySumMs: p.LatencyMillis, LatencyCount: p.Latencies,
		SentNormal: p.Sent[statemachine.KindNormal], SentProbe: p.Sent[statemachine.KindProbe], SentRamp: p.Sent[statemachine.KindRamp],
	}
	for o, n := range p.Outcomes {
		if n > 0 { // a correction may have taken more away than came in this second
			m.Outcomes = append(m.Outcomes, &configv1.OutcomeCount{Outcome: configv1.Outcome(o), Count: uint64(n)})
		}
	}
	for _, r := range p.Reasons {
		m.Reasons = append(m.Reasons, &configv1.ReasonCount{Reason: r.Reason, Count: r.N})
	}
	return m
}
