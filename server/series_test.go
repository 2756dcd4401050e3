package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

var (
	alphaItem  = statemachine.ChannelScope("alpha")
	debitItem  = statemachine.InstrumentScope("alpha", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"})
	creditItem = statemachine.InstrumentScope("alpha", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "CREDIT"})
)

// counted is an item of a second with good and bad results.
func counted(item statemachine.Scope, good, bad uint32) monitor.ItemCounts {
	c := monitor.ItemCounts{Item: item, LatencyMillis: 100 * uint64(good+bad), Reasons: []statemachine.ReasonCount{{Reason: "E91", N: uint64(bad)}}}
	c.Totals[statemachine.Succeeded], c.Totals[statemachine.ChannelFailed] = int32(good), int32(bad)
	e := &c.Evidence[statemachine.KindNormal]
	e.Outcomes[statemachine.Succeeded], e.Outcomes[statemachine.ChannelFailed], e.Bad, e.BadPayers = good, bad, bad, bad
	c.Latency[2] = good + bad
	c.Sent[statemachine.KindNormal] = good + bad
	return c
}

// newSeriesStand has a series of the three minutes before epoch: 9 good and 1 bad a second on alpha, in equal parts by card.
func newSeriesStand(t *testing.T) *stand {
	t.Helper()
	series := monitor.NewMemorySeries(monitor.SeriesRetention{})
	for second := epoch.Unix() - 180; second < epoch.Unix(); second++ {
		sum := &monitor.SecondCounts{Second: second, Items: []monitor.ItemCounts{counted(alphaItem, 9, 1), counted(debitItem, 4, 1), counted(creditItem, 5, 0)}}
		if err := series.Write(t.Context(), sum); err != nil {
			t.Fatal(err)
		}
	}
	return newStand(t, func(c *Config) { c.Series = series })
}

func before(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(epoch.Add(-d)) }

func TestQuerySeries(t *testing.T) {
	s := newSeriesStand(t)
	minute := durationpb.New(time.Minute)
	for _, tc := range []struct {
		name          string
		request       *sluicev1.QuerySeriesRequest
		points        int
		answered, bad float64 // of each
	}{
		{"ten minutes up to now by default", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}}, 180, 10, 1},
		{"from is inclusive, to exclusive", &sluicev1.QuerySeriesRequest{
			Scope: &sluicev1.Scope{Channel: "alpha"}, StartTime: before(10 * time.Second), EndTime: before(7 * time.Second),
		}, 3, 10, 1},
		{"a begin between two seconds leaves the first out", &sluicev1.QuerySeriesRequest{
			Scope: &sluicev1.Scope{Channel: "alpha"}, StartTime: before(9500 * time.Millisecond), EndTime: before(7 * time.Second),
		}, 2, 10, 1},
		{"minutes", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}, Step: minute}, 2, 600, 60},
		{"an instrument by name", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Name: debitItem.String()}, StartTime: before(5 * time.Second)}, 5, 5, 1},
		{"a bank is the sum of its cards", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha", Bank: "ICBC"}, StartTime: before(5 * time.Second)}, 5, 10, 1},
		{"known, but without traffic", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "beta"}}, 0, 0, 0},
		{"the future", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}, StartTime: before(-time.Hour), EndTime: before(-2 * time.Hour)}, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply, err := s.channels().QuerySeries(as(t, Viewer), tc.request)
			if err != nil || len(reply.GetPoints()) != tc.points || reply.GetNextPageToken() != "" {
				t.Fatalf("%d points, token %q, %v: want %d on one page", len(reply.GetPoints()), reply.GetNextPageToken(), err, tc.points)
			}
			for i, p := range reply.GetPoints() {
				if p.GetAnswered() != tc.answered || p.GetBad() != tc.bad || p.GetSentNormal() != uint64(tc.answered) || p.GetLatencyCount() != uint64(tc.answered) {
					t.Fatalf("point %d: %v, want %v answered, %v bad", i, p, tc.answered, tc.bad)
				}
				if i > 0 && p.GetTime().GetSeconds() <= reply.GetPoints()[i-1].GetTime().GetSeconds() {
					t.Fatalf("point %d is not after the one before", i)
				}
				if o := p.GetOutcomes(); len(o) != 2 || o[0].GetOutcome() != configv1.Outcome_OUTCOME_SUCCEEDED || p.GetReasons()[0].GetReason() != "E91" {
					t.Fatalf("point %d: outcomes %v, reasons %v", i, o, p.GetReasons())
				}
			}
		})
	}
}

// Pages follow one another without a gap or a repeated point, and end even though time goes on.
func TestQuerySeries_Pages(t *testing.T) {
	s := newSeriesStand(t)
	request := &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}, PageSize: 50}
	next, pages := epoch.Unix()-180, 0
	for {
		reply, err := s.channels().QuerySeries(as(t, Viewer), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range reply.GetPoints() {
			if p.GetTime().GetSeconds() != next {
				t.Fatalf("page %d: point of %d, want %d", pages, p.GetTime().GetSeconds(), next)
			}
			next++
		}
		pages++
		s.second.Add(1)
		if request.PageToken = reply.GetNextPageToken(); request.GetPageToken() == "" {
			break
		}
	}
	if next != epoch.Unix() || pages != 4 {
		t.Errorf("%d pages up to %d, want 4 up to %d", pages, next, epoch.Unix())
	}
	request.PageSize, request.PageToken = 50, ""
	first, err := s.channels().QuerySeries(as(t, Viewer), request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.channels().QuerySeries(as(t, Viewer), &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "beta"}, PageToken: first.GetNextPageToken()})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
}

func TestQuerySeries_Refused(t *testing.T) {
	s := newSeriesStand(t)
	alpha := &sluicev1.Scope{Channel: "alpha"}
	for _, tc := range []struct {
		name    string
		request *sluicev1.QuerySeriesRequest
		code    codes.Code
		reason  string
		field   string
	}{
		{"no scope", &sluicev1.QuerySeriesRequest{}, codes.InvalidArgument, "INVALID_FIELD", "scope"},
		{"unknown channel", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "nowhere"}}, codes.NotFound, "UNKNOWN_CHANNEL", ""},
		{"unknown account", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha", Account: "a9"}}, codes.NotFound, "UNKNOWN_SCOPE", ""},
		{"a failure domain", &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{FailureDomain: "net"}}, codes.InvalidArgument, "INVALID_FIELD", "scope.failure_domain"},
		{"step of 5 s", &sluicev1.QuerySeriesRequest{Scope: alpha, Step: durationpb.New(5 * time.Second)}, codes.InvalidArgument, "INVALID_FIELD", "step"},
		{"page too large", &sluicev1.QuerySeriesRequest{Scope: alpha, PageSize: 10_001}, codes.InvalidArgument, "INVALID_FIELD", "page_size"},
		{"ends before it begins", &sluicev1.QuerySeriesRequest{Scope: alpha, StartTime: before(time.Minute), EndTime: before(time.Hour)}, codes.InvalidArgument, "INVALID_FIELD", "end_time"},
		{"empty", &sluicev1.QuerySeriesRequest{Scope: alpha, StartTime: before(time.Minute), EndTime: before(time.Minute)}, codes.InvalidArgument, "INVALID_FIELD", "end_time"},
		{"begins tomorrow", &sluicev1.QuerySeriesRequest{Scope: alpha, StartTime: before(-24 * time.Hour)}, codes.InvalidArgument, "INVALID_FIELD", "start_time"},
		{"no time at all", &sluicev1.QuerySeriesRequest{Scope: alpha, StartTime: &timestamppb.Timestamp{Seconds: 1 << 60}}, codes.InvalidArgument, "INVALID_FIELD", "start_time"},
		{"a token of nobody", &sluicev1.QuerySeriesRequest{Scope: alpha, PageToken: "bm9ib2R5"}, codes.InvalidArgument, "INVALID_FIELD", "page_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.channels().QuerySeries(as(t, Viewer), tc.request)
			wantError(t, err, tc.code, tc.reason)
			if !strings.Contains(err.Error(), tc.field) {
				t.Errorf("%v does not name %s", err, tc.field)
			}
		})
	}
	_, err := s.channels().QuerySeries(as(t, Gateway), &sluicev1.QuerySeriesRequest{Scope: alpha})
	wantError(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}

// brokenSeries is a store that does not answer.
type brokenSeries struct{}

func (brokenSeries) Query(context.Context, statemachine.Scope, int64, int64, int64) ([]monitor.SeriesPoint, error) {
	return nil, errors.New("dial tcp 10.1.2.3:6379: i/o timeout")
}

// A store that does not answer is an answer that asking again may help; its words stay in the log.
func TestQuerySeries_StoreDown(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Series = brokenSeries{} })
	_, err := s.channels().QuerySeries(as(t, Viewer), &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}})
	wantError(t, err, codes.Unavailable, "SERIES_UNAVAILABLE")
	if strings.Contains(err.Error(), "10.1.2.3") || !strings.Contains(s.log.String(), "10.1.2.3") {
		t.Errorf("told the caller: %v\nlogged: %s", err, s.log)
	}
}
