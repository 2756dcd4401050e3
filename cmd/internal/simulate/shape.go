package simulate

import (
	"math"
	"time"
)

// at returns the factor of the stream's rate, t after the start.
func (s Shape) at(t time.Duration, start time.Time, run time.Duration) float64 {
	factor := s.alone(t, start, run)
	for i := range s.Also {
		factor *= s.Also[i].at(t, start, run)
	}
	return factor
}

// alone is the factor without the further shapes.
func (s Shape) alone(t time.Duration, start time.Time, run time.Duration) float64 {
	switch s.Kind {
	case ShapeDay:
		x := Shape{Kind: ShapeDiurnal, Amplitude: s.Amplitude, Peak: s.Peak}.at(t, start, run)
		if t%s.Every >= s.Every-s.Length {
			x *= s.Factor
		}
		return x
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

// begins is when the stream exists first.
func (s Shape) begins() time.Duration {
	var from time.Duration
	if s.Kind == ShapeWindow {
		from = s.From
	}
	for i := range s.Also {
		from = max(from, s.Also[i].begins())
	}
	return from
}

// bound is an upper bound of at near t, cheaper than at and closer than most.
func (s Shape) bound(t time.Duration) float64 {
	if s.Kind == ShapeDay && t%s.Every < s.Every-s.Length {
		return 1 + s.Amplitude
	}
	return s.most()
}

// most is an upper bound of at.
func (s Shape) most() float64 {
	most := 1.0
	switch s.Kind {
	case ShapeDay:
		most = (1 + s.Amplitude) * max(1, s.Factor)
	case ShapeDiurnal:
		most = 1 + s.Amplitude
	case ShapeBursts, ShapeRamp:
		most = max(1, s.Factor)
	case ShapeConstant, ShapeWindow:
	}
	for i := range s.Also {
		most *= s.Also[i].most()
	}
	return most
}

// PerSecond is the stream's payments a second, t after the start of a run of such a length.
func (s *Stream) PerSecond(t time.Duration, start time.Time, run time.Duration) float64 {
	return s.Rate * s.Shape.at(t, start, run)
}
