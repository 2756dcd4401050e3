// Package seriestest holds the contract that every implementation of monitor.Series must pass.
package seriestest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Start is the second around which the suite writes: the begin of a minute.
const Start = int64(1_700_000_040)

// Run runs the contract suite. open returns an empty series with the default retention for each part.
func Run(t *testing.T, open func(t *testing.T) monitor.Series) {
	t.Helper()
	parts := []struct {
		name string
		run  func(*testing.T, monitor.Series)
	}{
		{"AnUnknownItemHasNoPoints", unknownItem},
		{"ASecondComesBackWhole", comesBack},
		{"WritingAgainReplaces", replaces},
		{"FromIsInclusiveAndToExclusive", bounds},
		{"AMinuteIsTheSumOfItsSeconds", minute},
		{"MostFailuresFirst", mostFailures},
		{"OldSecondsGoMinutesStay", retention},
		{"WrongQuestions", wrongQuestions},
		{"ACancelledCallIsAnError", cancelled},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open(t)) })
	}
}

// Item is the item that the suite counts.
func Item() statemachine.Scope {
	return statemachine.InstrumentScope("unionpay", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"})
}

// Counts returns an item with every field of a point set.
func Counts(item statemachine.Scope, good, bad uint32) monitor.ItemCounts {
	c := monitor.ItemCounts{Item: item, LatencyMillis: 1000 * uint64(good+bad)}
	c.Evidence[statemachine.KindNormal] = monitor.Tally{Bad: bad, BadPayers: bad}
	c.Evidence[statemachine.KindNormal].Outcomes[statemachine.ChannelFailed] = bad
	c.Evidence[statemachine.KindNormal].Outcomes[statemachine.Succeeded] = good
	c.Evidence[statemachine.KindRamp] = monitor.Tally{Half: 1, HalfPayers: 1}
	c.Evidence[statemachine.KindRamp].Outcomes[statemachine.OutcomeUnmapped] = 1
	c.Totals[statemachine.Succeeded] = int32(good)    //nolint:gosec // small
	c.Totals[statemachine.ChannelFailed] = int32(bad) //nolint:gosec // small
	c.Totals[statemachine.OutcomeUnmapped] = 1
	c.Totals[statemachine.Pending] = -2
	c.Latency[3], c.Latency[5] = good, bad
	c.Sent = [statemachine.NumLaneKinds]uint32{7, 1, 3}
	c.Reasons = []statemachine.ReasonCount{{Reason: "E_BANK: no answer", N: 3}, {Reason: "OTHER", N: 1}}
	return c
}

// Point is the point of Counts.
func Point(at int64, good, bad uint64) monitor.SeriesPoint {
	p := monitor.SeriesPoint{
		At: at, Success: good, Fail: bad + 1, Answered: float64(good + bad + 1), Bad: float64(bad) + 0.5,
		Reasons:       []statemachine.ReasonCount{{Reason: "E_BANK: no answer", N: 3}, {Reason: "OTHER", N: 1}},
		LatencyMillis: 1000 * (good + bad), Latencies: good + bad, Sent: [statemachine.NumLaneKinds]uint64{7, 1, 3},
	}
	p.Outcomes[statemachine.Succeeded] = int64(good)    //nolint:gosec // small
	p.Outcomes[statemachine.ChannelFailed] = int64(bad) //nolint:gosec // small
	p.Outcomes[statemachine.OutcomeUnmapped] = 1
	p.Outcomes[statemachine.Pending] = -2
	return p
}

func write(t *testing.T, s monitor.Series, second int64, items ...monitor.ItemCounts) {
	t.Helper()
	if err := s.Write(t.Context(), &monitor.SecondCounts{Second: second, Items: items}); err != nil {
		t.Fatalf("Write(%d): %v", second-Start, err)
	}
}

func query(t *testing.T, s monitor.Series, item statemachine.Scope, from, to, step int64) []monitor.SeriesPoint {
	t.Helper()
	points, err := s.Query(t.Context(), item, from, to, step)
	if err != nil {
		t.Fatalf("Query(%s, %d, %d, %d): %v", item, from-Start, to-Start, step, err)
	}
	return points
}

func expect(t *testing.T, got []monitor.SeriesPoint, want ...monitor.SeriesPoint) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d points %+v, want %d", len(got), got, len(want))
	}
	for i, p := range want {
		if !reflect.DeepEqual(got[i], p) {
			t.Errorf("point %d is\n%+v, want\n%+v", i, got[i], p)
		}
	}
}

func unknownItem(t *testing.T, s monitor.Series) {
	write(t, s, Start, Counts(Item(), 1, 2))
	expect(t, query(t, s, statemachine.ChannelScope("alipay"), Start-10, Start+10, 1))
	expect(t, query(t, s, Item(), Start+1, Start+10, 1))
	write(t, s, Start+1, monitor.ItemCounts{Item: Item()}) // nothing was counted
	expect(t, query(t, s, Item(), Start+1, Start+10, 1))
}

func comesBack(t *testing.T, s monitor.Series) {
	write(t, s, Start, Counts(statemachine.ChannelScope("unionpay"), 9, 0), Counts(Item(), 5, 2))
	write(t, s, Start+2, Counts(Item(), 1, 0))
	expect(t, query(t, s, Item(), Start-100, Start+100, 1), Point(Start, 5, 2), Point(Start+2, 1, 0))
	expect(t, query(t, s, statemachine.ChannelScope("unionpay"), Start-100, Start+100, 1), Point(Start, 9, 0))
}

func replaces(t *testing.T, s monitor.Series) {
	write(t, s, Start, Counts(Item(), 5, 2))
	again := Counts(Item(), 1, 1)
	again.Reasons = again.Reasons[:1]
	write(t, s, Start, again)
	want := Point(Start, 1, 1)
	want.Reasons = want.Reasons[:1]
	expect(t, query(t, s, Item(), Start, Start+1, 1), want)
}

func bounds(t *testing.T, s monitor.Series) {
	for i := range int64(5) {
		write(t, s, Start+i, Counts(Item(), uint32(i), 1))
	}
	expect(t, query(t, s, Item(), Start+1, Start+3, 1), Point(Start+1, 1, 1), Point(Start+2, 2, 1))
	expect(t, query(t, s, Item(), Start+1, Start+1, 1))
}

func minute(t *testing.T, s monitor.Series) {
	quiet := statemachine.ChannelScope("quiet")
	write(t, s, Start+3, Counts(Item(), 4, 1), Counts(quiet, 1, 0))
	write(t, s, Start+59, Counts(Item(), 2, 2))
	write(t, s, Start+60, Counts(Item(), 100, 100))
	for i := range int64(60) { // a minute is rolled up in the course of the next
		write(t, s, Start+61+i, Counts(statemachine.ChannelScope("other"), 1, 0))
	}
	other := Point(Start+59, 2, 2)
	want := Point(Start+3, 4, 1)
	want.Add(&other)
	want.At = Start
	expect(t, query(t, s, Item(), Start, Start+60, 60), want)
	alone := Point(Start, 1, 0)
	expect(t, query(t, s, quiet, Start, Start+60, 60), alone)
}

func mostFailures(t *testing.T, s monitor.Series) {
	const n = monitor.MaxSeriesItems + 10
	items := make([]monitor.ItemCounts, n)
	for i := range items {
		items[i] = monitor.ItemCounts{Item: statemachine.ChannelScope(fmt.Sprintf("c%05d", i))}
		items[i].Totals[statemachine.Succeeded] = 1
		if i >= n-20 {
			items[i].Totals[statemachine.ChannelFailed] = 1
		}
	}
	write(t, s, Start, items...)
	kept := func(i int) int { return len(query(t, s, items[i].Item, Start, Start+1, 1)) }
	if kept(n-1) != 1 || kept(n-20) != 1 {
		t.Error("an item with failures was left out")
	}
	if kept(0) != 1 || kept(n-31) != 1 || kept(n-30) != 0 || kept(n-21) != 0 {
		t.Errorf("without failures the first %d are kept: %d %d %d %d", monitor.MaxSeriesItems-20, kept(0), kept(n-31), kept(n-30), kept(n-21))
	}
}

func retention(t *testing.T, s monitor.Series) {
	write(t, s, Start, Counts(Item(), 4, 1))
	write(t, s, Start+59, Counts(Item(), 4, 1))
	for i := range int64(60) {
		write(t, s, Start+61+i, Counts(statemachine.ChannelScope("other"), 1, 0))
	}
	write(t, s, Start+600, Counts(Item(), 1, 0))
	expect(t, query(t, s, Item(), Start-100, Start+700, 1), Point(Start+59, 4, 1), Point(Start+600, 1, 0))
	if got := query(t, s, Item(), Start, Start+60, 60); len(got) != 1 || got[0].Success != 8 {
		t.Errorf("the minute is %+v, want one point with 8 successes", got)
	}
}

func wrongQuestions(t *testing.T, s monitor.Series) {
	for name, ask := range map[string]func() ([]monitor.SeriesPoint, error){
		"domain": func() ([]monitor.SeriesPoint, error) {
			return s.Query(t.Context(), statemachine.DomainScope("d"), 0, 1, 1)
		},
		"scope":    func() ([]monitor.SeriesPoint, error) { return s.Query(t.Context(), statemachine.Scope{}, 0, 1, 1) },
		"step":     func() ([]monitor.SeriesPoint, error) { return s.Query(t.Context(), Item(), 0, 1, 5) },
		"backward": func() ([]monitor.SeriesPoint, error) { return s.Query(t.Context(), Item(), 2, 1, 1) },
	} {
		if _, err := ask(); !errors.Is(err, monitor.ErrSeries) {
			t.Errorf("%s: %v, want ErrSeries", name, err)
		}
	}
}

func cancelled(t *testing.T, s monitor.Series) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, &monitor.SecondCounts{Second: Start, Items: []monitor.ItemCounts{Counts(Item(), 1, 1)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Write after cancelling: %v, want context.Canceled", err)
	}
	if _, err := s.Query(ctx, Item(), Start, Start+1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Query after cancelling: %v, want context.Canceled", err)
	}
}
