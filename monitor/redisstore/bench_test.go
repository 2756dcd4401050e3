package redisstore

import (
	"fmt"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// busySecond returns the row of a second with so many active items.
func busySecond(second int64, items int) *monitor.Row {
	r := &monitor.Row{Replica: "r1", Boot: 1, Counts: monitor.SecondCounts{Second: second, Revision: 1234}}
	for i := range items {
		channel := fmt.Sprintf("channel-%03d", i/50)
		bank := statemachine.Instrument{Method: "QUICKPAY", Bank: fmt.Sprintf("BANK%02d", i%50), CardType: "DEBIT"}
		c := monitor.ItemCounts{Item: statemachine.InstrumentScope(channel, bank), LatencyMillis: 400}
		c.Evidence[0].Outcomes[statemachine.Succeeded] = 1
		c.Totals[statemachine.Succeeded], c.Latency[3], c.Ages[1], c.Sent[0] = 1, 1, 1, 1
		if i%10 == 0 {
			c.Evidence[0].Outcomes[statemachine.ChannelFailed], c.Evidence[0].Bad, c.Evidence[0].BadPayers = 1, 1, 1
			c.Totals[statemachine.ChannelFailed] = 1
			c.Reasons = []statemachine.ReasonCount{{Reason: "E_BANK", N: 1}}
		}
		r.Counts.Items = append(r.Counts.Items, c)
	}
	return r
}

func busyClaims(second int64, n int) []monitor.Claim {
	claims := make([]monitor.Claim, n)
	for i := range claims {
		claims[i] = monitor.Claim{
			Attempt: uint64(second)<<20 + uint64(i), Stage: monitor.StageResult, Outcome: statemachine.Succeeded,
		}
	}
	return claims
}

// BenchmarkSecond is what a replica pays for a second with 10,000 active items and 10,000 reports.
func BenchmarkSecond(b *testing.B) {
	s := openStore(b, Options{})
	row, second := busySecond(0, 10_000), int64(1_700_000_000)
	b.Run("claims", func(b *testing.B) {
		for b.Loop() {
			second++
			claim(b, s, second)
		}
	})
	b.Run("publish", func(b *testing.B) {
		for b.Loop() {
			second++
			publish(b, s, row, second)
		}
		b.ReportMetric(float64(len(row.Pack(nil)))/10_000, "B/item")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if rows, err := s.Read(b.Context(), second); err != nil || len(rows) != 1 {
				b.Fatal(len(rows), err)
			}
		}
	})
	b.Run("claims-and-publish", func(b *testing.B) {
		for b.Loop() {
			second++
			claim(b, s, second)
			publish(b, s, row, second)
		}
	})
	series := s.Series(monitor.SeriesRetention{})
	b.Run("series-2000-items", func(b *testing.B) {
		for b.Loop() {
			second++
			row.Counts.Second = second
			if err := series.Write(b.Context(), &row.Counts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func claim(b *testing.B, s *Store, second int64) {
	b.Helper()
	answers, err := s.Claim(b.Context(), second, second+1, busyClaims(second, 10_000))
	if err != nil || answers[9_999].Verdict != monitor.Won {
		b.Fatal(err, answers[9_999])
	}
}

func publish(b *testing.B, s *Store, row *monitor.Row, second int64) {
	b.Helper()
	row.Counts.Second = second
	if err := s.Publish(b.Context(), row); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMemory measures what Redis keeps: bytes per item and second of a series, per claim, per item of a row.
func BenchmarkMemory(b *testing.B) {
	s := openStore(b, Options{})
	c := redisServer(b).admin
	used := func() int64 {
		var n int64
		_, err := fmt.Sscanf(c.Info(b.Context(), "memory").Val(), "# Memory\r\nused_memory:%d", &n)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	series := s.Series(monitor.SeriesRetention{})
	const seconds, items = 50, 1000
	for b.Loop() {
		c.FlushAll(b.Context())
		before := used()
		for i := range int64(seconds) {
			row := busySecond(1_700_000_040+i, items)
			if err := series.Write(b.Context(), &row.Counts); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(used()-before)/(seconds*items), "B/item-second")
		one := busySecond(1_700_000_040, 1).Counts.Items[0].Item.String()
		hash := c.MemoryUsage(b.Context(), series.prefix(one)+"1700000040").Val()
		index := c.MemoryUsage(b.Context(), series.prefix(one)+"seconds").Val()
		b.ReportMetric(float64(hash)+float64(index)/seconds, "B-by-MEMORY-USAGE")
		before = used()
		claim(b, s, 1_700_000_040)
		b.ReportMetric(float64(used()-before)/10_000, "B/claim")
	}
}
