package monitor

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/sluice-pay/sluice/statemachine"
)

// busySums are seconds in which each of five channels' forty items gets results, one in a hundred of them bad.
func busySums(seconds int) []*SecondCounts {
	var sums []*SecondCounts
	for i := range seconds {
		s := &SecondCounts{Second: t0 + int64(i), Revision: 5, Reporters: 3}
		for c := range 5 {
			channel := fmt.Sprintf("c%d", c+1)
			items := []statemachine.Scope{
				statemachine.ChannelScope(channel), statemachine.BusinessScope(channel, statemachine.Collect), statemachine.MethodScope(channel, "QUICKPAY"),
			}
			for a := range 7 {
				items = append(items, statemachine.AccountScope(channel, fmt.Sprintf("a%d", a)))
			}
			for b := range 30 {
				items = append(items, statemachine.InstrumentScope(channel, bank(fmt.Sprintf("B%02d", b))))
			}
			for k, item := range items {
				n := ItemCounts{Item: item}
				t := &n.Evidence[statemachine.KindNormal]
				t.Outcomes[statemachine.Succeeded] = 5
				if (i*41+k*7+c)%20 == 0 {
					t.Outcomes[statemachine.Succeeded], t.Outcomes[statemachine.ChannelFailed] = 4, 1
					t.Bad, t.BadPayers, t.CodedBad = 1, 1, 1
				}
				n.Sent[statemachine.KindNormal], n.Ages[0] = 5, 5
				s.Items = append(s.Items, n)
			}
		}
		s.Items = mergeItems(s.Items)
		sums = append(sums, s)
	}
	return sums
}

// BenchmarkDetectors measures what an active item costs in a second, per ns/item-second: all detectors, and of them the
// sequential tests of results alone.
func BenchmarkDetectors(b *testing.B) {
	f := sequentialFleet("c1", "c2", "c3", "c4", "c5")
	sums := busySums(64)
	items := float64(len(sums[0].Items))
	b.Run("all", func(b *testing.B) {
		d, second := NewDetectors(), t0
		for b.Loop() {
			sum := sums[second%int64(len(sums))]
			sum.Second = second
			d.Observe(sum, f)
			second++
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/item-second")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("sequential", func(b *testing.B) {
		d := NewDetectors()
		for i := range int64(300) {
			sum := sums[i%int64(len(sums))]
			sum.Second = t0 + i
			d.Observe(sum, f)
		}
		h := d.results.history
		for _, series := range h.touched { // a second without failures: whoever goes on failing is judged at length
			newest := &series.points[len(series.points)-1].tally
			*newest = Tally{}
			newest.Outcomes[statemachine.Succeeded] = 5
		}
		for b.Loop() {
			if h.now++; h.now%60 == 0 {
				h.now++ // learning is measured with all
			}
			d.results.learn(f)
			d.results.judge(f)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/item-second")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("pipeline", func(b *testing.B) {
		p, second := NewPipeline(), t0
		for b.Loop() {
			sum := sums[second%int64(len(sums))]
			sum.Second = second
			p.Observe(sum, f)
			second++
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/item-second")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkStateOfAnItem reports the bytes of one sequential test, and of all that is kept of an item that has had results in
// each of the last five minutes' seconds.
func BenchmarkStateOfAnItem(b *testing.B) {
	f := sequentialFleet("c1", "c2", "c3", "c4", "c5")
	sums := busySums(64)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := NewDetectors()
		for i := range int64(600) {
			sum := sums[i%int64(len(sums))]
			sum.Second = t0 + i
			d.Observe(sum, f)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(d.results.history.order)), "B/item")
		runtime.KeepAlive(d)
	}
	b.ReportMetric(float64(unsafe.Sizeof(track{})), "B/test")
	b.ReportMetric(0, "ns/op")
}

// A sequential test of an item stays small.
func TestStateOfATestIsSmall(t *testing.T) {
	t.Parallel()
	const most = 400
	if size := unsafe.Sizeof(track{}); size > most {
		t.Errorf("a track holds %d bytes, want at most %d", size, most)
	}
}
