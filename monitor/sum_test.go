package monitor_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/exchangetest"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestMemoryExchange(t *testing.T) {
	exchangetest.Run(t, func(*testing.T) monitor.Exchange { return monitor.NewMemoryExchange() })
}

func TestMemoryExchangeForgets(t *testing.T) {
	x := monitor.NewMemoryExchange()
	for _, second := range []int64{exchangetest.Start, exchangetest.Start + 900, exchangetest.Start - 5} {
		if err := x.Publish(t.Context(), exchangetest.Row("a", second, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, second := range []int64{exchangetest.Start, exchangetest.Start - 5} {
		if rows, _ := x.Read(t.Context(), second); len(rows) != 0 {
			t.Errorf("second %d is still kept after 15 minutes", second)
		}
	}
}

func TestSumAddsRowsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		var rows []*monitor.Row
		bad, routers := uint32(0), uint32(0)
		for _, name := range names[:rapid.IntRange(1, 4).Draw(t, "rows")] {
			r := exchangetest.Row(name, exchangetest.Start, rapid.Uint32Range(0, 50).Draw(t, "bad"))
			r.Counts.Revision = rapid.Int64Range(0, 3).Draw(t, "revision")
			r.Counts.Items[0].Item.Channel = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "channel")
			rows = append(rows, r)
			bad += r.Counts.Items[0].Evidence[statemachine.KindNormal].Bad
			routers += r.Counts.Gates[0].Routers
		}
		sum := monitor.Sum(rows)
		if other := monitor.Sum(rapid.Permutation(rows).Draw(t, "order")); !reflect.DeepEqual(sum, other) {
			t.Fatalf("the sum depends on the order:\n%+v\n%+v", sum, other)
		}
		if !slices.IsSortedFunc(sum.Items, func(a, b monitor.ItemCounts) int { return a.Item.Compare(b.Item) }) {
			t.Fatalf("items are not sorted")
		}
		got := uint32(0)
		for _, i := range sum.Items {
			got += i.Evidence[statemachine.KindNormal].Bad
		}
		if got != bad || len(sum.Gates) != 1 || sum.Gates[0].Routers != routers || sum.Lanes[0].Decisions != 11*uint32(len(rows)) {
			t.Fatalf("bad %d want %d, gates %+v, lanes %+v", got, bad, sum.Gates, sum.Lanes)
		}
		for _, r := range rows {
			if r.Counts.Revision != 0 && (sum.Revision == 0 || sum.Revision > r.Counts.Revision) {
				t.Fatalf("revision %d is not the lowest (%d)", sum.Revision, r.Counts.Revision)
			}
		}
	})
}

func TestSumOfNothing(t *testing.T) {
	if s := monitor.Sum(nil); !reflect.DeepEqual(s, monitor.SecondCounts{}) {
		t.Errorf("the sum of no rows is %+v", s)
	}
}

func FuzzParseRow(f *testing.F) {
	whole := exchangetest.Row("replica", exchangetest.Start, 12).Pack(nil)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add((&monitor.Row{}).Pack(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := monitor.ParseRow(b)
		if err != nil {
			if !errors.Is(err, monitor.ErrPacked) {
				t.Fatalf("error %v does not wrap ErrPacked", err)
			}
			return
		}
		again, err := monitor.ParseRow(r.Pack(nil))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("packed again it differs (%v):\n%+v\n%+v", err, r, again)
		}
	})
}

func TestParseRowRefusesEveryPrefix(t *testing.T) {
	whole := exchangetest.Row("replica", exchangetest.Start, 12).Pack(nil)
	for n := range whole {
		if _, err := monitor.ParseRow(whole[:n]); !errors.Is(err, monitor.ErrPacked) {
			t.Fatalf("the first %d bytes of %d were taken: %v", n, len(whole), err)
		}
	}
	if _, err := monitor.ParseRow(append(whole, 0)); !errors.Is(err, monitor.ErrPacked) {
		t.Errorf("bytes left over were taken: %v", err)
	}
}
