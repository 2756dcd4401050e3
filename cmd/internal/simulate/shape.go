package simulate

import (
	"math"
	"time"
)

// at returns the factor of the stream's rate, t after the start.
func (s Shape) at(t time.Duration, start time.Time, run time.Duration) float64 {
	switch s.Kind {
	case ShapeDiurnal:
		day := start.Sub(start.Truncate(24*time.Hour)) + t - s.Peak
		return 1 + s.Amplitude*math.Cos(2*math.Pi*day.Hours()/24)
	case ShapeBursts:
		if t%s.Every >= s.Every-s.Length {
			return s.Factor
		}
	case ShapeRamp:
		return 1 + (s.Factor-1)*t.Seconds()/run.Seconds()
	case ShapeWindow:
		if t < s.From || t >= s.To {
			return 0
		}
	case ShapeConstant:
	}
	return 1
}

// most is an upper bound of at.
func (s Shape) most() float64 {
	switch s.Kind {
	case ShapeDiurnal:
		return 1 + s.Amplitude
	case ShapeBursts, ShapeRamp:
		return max(1, s.Factor)
	case ShapeConstant, ShapeWindow:
	}
	return 1
}
