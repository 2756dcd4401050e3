package simulate

import (
	"io"
	"testing"
	"time"
)

// BenchmarkDay is a simulated day at 30 payments/s through the production node; the goal is 30 s on two cores.
func BenchmarkDay(b *testing.B) {
	for b.Loop() {
		p := prepared(b, oneBank, func(s *Scenario) {
			s.Duration = 24 * time.Hour
			for i := range s.Traffic {
				s.Traffic[i].Rate = 10
			}
		})
		sum, err := Run(b.Context(), p, io.Discard, production)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sum.Payments), "payments/op")
	}
}
