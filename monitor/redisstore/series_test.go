package redisstore

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/seriestest"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestSeries(t *testing.T) {
	seriestest.Run(t, func(t *testing.T) monitor.Series {
		t.Helper()
		return openStore(t, Options{}).Series(monitor.SeriesRetention{})
	})
}

// The layout is a promise to people and tools who read it with redis-cli.
func TestSeriesLayout(t *testing.T) {
	s := openStore(t, Options{}).Series(monitor.SeriesRetention{})
	env, item, at := s.o.Environment, seriestest.Item(), seriestest.Start
	second := strconv.FormatInt(at, 10)
	if err := s.Write(t.Context(), &monitor.SecondCounts{Second: at, Items: []monitor.ItemCounts{seriestest.Counts(item, 5, 2)}}); err != nil {
		t.Fatal(err)
	}
	c := shared.admin
	if got := c.SMembers(t.Context(), env+":items").Val(); !slices.Equal(got, []string{item.String()}) {
		t.Errorf("items %q", got)
	}
	prefix := "{" + env + ":" + item.String() + "}:"
	if got := c.ZRangeWithScores(t.Context(), prefix+"seconds", 0, -1).Val(); len(got) != 1 || got[0].Member != second || got[0].Score != float64(at) {
		t.Errorf("seconds %v", got)
	}
	want := map[string]string{
		"success": "5", "fail": "3", "answered": "8", "bad": "2.5", "latency_ms": "7000", "latencies": "7",
		"outcome:SUCCEEDED": "5", "outcome:CHANNEL_FAILED": "2", "outcome:UNMAPPED": "1", "outcome:PENDING": "-2",
		"sent:normal": "7", "sent:probe": "1", "sent:ramp": "3", "reason:E_BANK: no answer": "3", "reason:OTHER": "1",
	}
	if got := c.HGetAll(t.Context(), prefix+second).Val(); !maps.Equal(got, want) {
		t.Errorf("the second is\n%v, want\n%v", got, want)
	}
	for key, most := range map[string]float64{prefix + "seconds": 600, prefix + second: 600} {
		if ttl := c.TTL(t.Context(), key).Val().Seconds(); ttl < most-30 || ttl > most {
			t.Errorf("%s lives for %.0f s more, want about %.0f", key, ttl, most)
		}
	}
}

func TestSeriesAreCleaned(t *testing.T) {
	s := openStore(t, Options{}).Series(monitor.SeriesRetention{Seconds: 120, Minutes: 300})
	start := seriestest.Start
	gone, stays := statemachine.ChannelScope("gone"), statemachine.ChannelScope("stays")
	write := func(second int64, items ...statemachine.Scope) {
		t.Helper()
		sum := &monitor.SecondCounts{Second: second}
		for _, item := range items {
			sum.Items = append(sum.Items, seriestest.Counts(item, 1, 0))
		}
		if err := s.Write(t.Context(), sum); err != nil {
			t.Fatal(err)
		}
	}
	items := func() []string {
		return slices.Sorted(slices.Values(shared.admin.SMembers(t.Context(), s.o.Environment+":items").Val()))
	}
	write(start, gone, stays)
	for i := int64(1); i < 240; i++ {
		write(start+i, stays)
	}
	if got := items(); len(got) != 2 {
		t.Errorf("items %q: the minute of one that went quiet is kept", got)
	}
	if n := shared.admin.ZCard(t.Context(), s.prefix("gone")+"seconds").Val(); n != 0 {
		t.Errorf("%d seconds are left of an item that is quiet for longer than they are kept", n)
	}
	if n := shared.admin.ZCard(t.Context(), s.prefix("stays")+"seconds").Val(); n != 120 {
		t.Errorf("%d seconds are kept, want 120", n)
	}
	for i := int64(240); i < 480; i++ {
		write(start+i, stays)
	}
	if got := items(); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("items %q, want the one that anything is kept of", got)
	}
}

func TestSeriesMinuteIsRolledUpByTheNextLeader(t *testing.T) {
	store := openStore(t, Options{})
	first, next := store.Series(monitor.SeriesRetention{}), store.Series(monitor.SeriesRetention{})
	write := func(s *Series, second int64) {
		t.Helper()
		sum := &monitor.SecondCounts{Second: second, Items: []monitor.ItemCounts{seriestest.Counts(seriestest.Item(), 1, 1)}}
		if err := s.Write(t.Context(), sum); err != nil {
			t.Fatal(err)
		}
	}
	start := seriestest.Start
	for i := range int64(40) {
		write(first, start+i)
	}
	for i := int64(40); i < 60; i++ {
		write(next, start+i)
	}
	for i := int64(200); i < 260; i++ { // nobody led for a while
		write(next, start+i)
	}
	points, err := next.Query(t.Context(), seriestest.Item(), start, start+60, monitor.MinuteStep)
	if err != nil || len(points) != 1 || points[0].Success != 60 || points[0].Bad != 90 {
		t.Errorf("the minute is %+v, %v; want all sixty seconds in it", points, err)
	}
}
