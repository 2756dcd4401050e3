package monitor

import (
	"fmt"
	"strconv"
	"testing"
)

// BenchmarkDeclines observes seconds in which every item has answers; the figure is per item of the second.
func BenchmarkDeclines(b *testing.B) {
	for _, size := range []int{9, 1000} {
		var traffic []paying
		for i := range size {
			traffic = append(traffic, paying{fmt.Sprintf("c%03d", i/20), fmt.Sprintf("B%02d", i%20), "a1", 5, 0.06})
		}
		w, d, f := newDeclineWorld(1, traffic), NewDeclines(), declineFleet(traffic)
		second := int64(firstSecond)
		sum := w.second(second)
		for range 600 { // learned
			second++
			sum.Second = second
			d.Observe(sum, f)
		}
		b.Run(strconv.Itoa(len(sum.Items)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				second++
				sum.Second = second
				d.Observe(sum, f)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sum.Items)), "ns/item")
		})
	}
}
