// Package exchangetest holds the contract that every implementation of monitor.Exchange must pass.
package exchangetest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Start is the second around which the suite publishes.
const Start = int64(1_700_000_000)

// Run runs the contract suite. open returns an empty exchange for each part.
func Run(t *testing.T, open func(t *testing.T) monitor.Exchange) {
	t.Helper()
	parts := []struct {
		name string
		run  func(*testing.T, monitor.Exchange)
	}{
		{"AnUnknownSecondHasNoRows", unknownSecond},
		{"RowsComeBackWholeAndSortedByReplica", rowsComeBack},
		{"PublishingAgainReplaces", publishAgain},
		{"WhatIsReadIsACopy", readIsACopy},
		{"FifteenMinutesAreKept", fifteenMinutes},
		{"ListsOfRowsComeBackWhole", listsOfRows},
		{"ACancelledCallIsAnError", cancelled},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open(t)) })
	}
}

// Row returns a row with every field set, of a replica and second.
func Row(replica string, second int64, bad uint32) *monitor.Row {
	bank := statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}
	item := monitor.ItemCounts{Item: statemachine.InstrumentScope("unionpay", bank), LatencyMillis: 12345}
	item.Evidence[statemachine.KindNormal] = monitor.Tally{Bad: bad, BadPayers: bad, CodedBad: 1, Reporters: 1<<63 | 1}
	item.Evidence[statemachine.KindNormal].Outcomes[statemachine.ChannelFailed] = bad
	item.Evidence[statemachine.KindRamp].Outcomes[statemachine.Succeeded] = 7
	item.Totals[statemachine.TimedOut] = -3
	item.Totals[statemachine.Succeeded] = 10
	item.Latency[monitor.NumLatencyBuckets-1] = 4
	item.Ages[0] = 5
	item.Sent[statemachine.KindProbe] = 2
	item.Reasons = []statemachine.ReasonCount{{Reason: "E_BANK", N: uint64(bad)}, {Reason: "OTHER", N: 1}}
	scope := statemachine.DomainScope("unionpay-network")
	return &monitor.Row{
		Replica: replica, Boot: 1 << 60, Leader: 42,
		Counts: monitor.SecondCounts{
			Second: second, Revision: 99, Reporters: 1 << 17, Items: []monitor.ItemCounts{item},
			Lanes: []statemachine.LaneCount{{
				Lane: statemachine.Lane{Entity: "e1", Business: statemachine.Collect, Instrument: bank}, Decisions: 11, Refused: 1,
			}},
			Gates: []monitor.GateSum{{
				GateCount: statemachine.GateCount{Scope: scope, Generation: 3, Step: 2, WouldBe: 40, Sent: 8}, Routers: 1,
			}},
			Quotas: []statemachine.QuotaCount{{ID: "daily", Units: -12000}, {ID: "monthly", Units: 1 << 50}},
		},
		Grants: []monitor.Grant{{Scope: scope, Generation: 3, Replica: "r1", Tokens: 5, Until: second + 4, Lift: true}},
		Sealed: []monitor.Sealed{{Second: second - 1, Replicas: []string{"r1", "r2"}}},
		Limits: []statemachine.LimitCount{
			{Name: "account/unionpay/main", Asked: 7, Started: 5, Room: -3, Total: 1 << 40, Ended: []statemachine.EndedCount{{Second: second - 9, Units: 4}}},
			{Name: "channel/unionpay", Asked: 12},
		},
	}
}

func publish(t *testing.T, x monitor.Exchange, rows ...*monitor.Row) {
	t.Helper()
	for _, r := range rows {
		if err := x.Publish(t.Context(), r); err != nil {
			t.Fatalf("Publish(%s, %d): %v", r.Replica, r.Counts.Second, err)
		}
	}
}

func read(t *testing.T, x monitor.Exchange, second int64) []*monitor.Row {
	t.Helper()
	rows, err := x.Read(t.Context(), second)
	if err != nil {
		t.Fatalf("Read(%d): %v", second, err)
	}
	return rows
}

func unknownSecond(t *testing.T, x monitor.Exchange) {
	publish(t, x, Row("a", Start, 1))
	if rows := read(t, x, Start+1); len(rows) != 0 {
		t.Errorf("an unknown second has %d rows, want none", len(rows))
	}
}

func rowsComeBack(t *testing.T, x monitor.Exchange) {
	want := []*monitor.Row{Row("a", Start, 1), Row("b", Start, 2), Row("c", Start, 3)}
	publish(t, x, want[2], want[0], want[1], Row("a", Start+1, 9), &monitor.Row{Replica: "empty", Counts: monitor.SecondCounts{Second: Start + 2}})
	if rows := read(t, x, Start); !reflect.DeepEqual(rows, want) {
		t.Errorf("rows differ\n got %+v\nwant %+v", rows, want)
	}
	rows := read(t, x, Start+2)
	if len(rows) != 1 || rows[0].Replica != "empty" {
		t.Errorf("a second without counts came back as %+v, want one row of the replica that saw nothing", rows)
	}
}

func publishAgain(t *testing.T, x monitor.Exchange) {
	publish(t, x, Row("a", Start, 1), Row("a", Start, 1), Row("a", Start, 5))
	rows := read(t, x, Start)
	if len(rows) != 1 || !reflect.DeepEqual(rows[0], Row("a", Start, 5)) {
		t.Errorf("got %d rows %+v, want the last one published", len(rows), rows)
	}
}

func readIsACopy(t *testing.T, x monitor.Exchange) {
	published := Row("a", Start, 1)
	publish(t, x, published)
	published.Counts.Items[0].LatencyMillis = 1
	read(t, x, Start)[0].Counts.Items[0].Reasons[0].N = 77
	if rows := read(t, x, Start); !reflect.DeepEqual(rows[0], Row("a", Start, 1)) {
		t.Errorf("changing what was published or read changed the exchange: %+v", rows[0])
	}
}

func fifteenMinutes(t *testing.T, x monitor.Exchange) {
	publish(t, x, Row("a", Start, 1), Row("a", Start+899, 2))
	if rows := read(t, x, Start); len(rows) != 1 {
		t.Errorf("a row of 899 seconds ago is gone; windows of fifteen minutes could not be rebuilt")
	}
}

// The leader names the rows of many seconds at once; one that it left out names nobody.
func listsOfRows(t *testing.T, x monitor.Exchange) {
	leader := &monitor.Row{Replica: "a", Boot: 1, Leader: 7, Counts: monitor.SecondCounts{Second: Start}}
	for back := int64(20); back > 0; back-- {
		s := monitor.Sealed{Second: Start - back, Replicas: []string{"a", "b", "a-long-name.of-a_third"}}
		if back%5 == 0 {
			s.Replicas = nil
		}
		leader.Sealed = append(leader.Sealed, s)
	}
	publish(t, x, leader)
	if rows := read(t, x, Start); len(rows) != 1 || !reflect.DeepEqual(rows[0], leader) {
		t.Errorf("got %+v, want %+v", rows, leader)
	}
}

func cancelled(t *testing.T, x monitor.Exchange) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Publish(ctx, Row("a", Start, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish after cancelling: %v, want context.Canceled", err)
	}
	if _, err := x.Read(ctx, Start); !errors.Is(err, context.Canceled) {
		t.Errorf("Read after cancelling: %v, want context.Canceled", err)
	}
}
