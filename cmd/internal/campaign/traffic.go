package campaign

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Band is a range of traffic, in payments a second that prefer a channel: from Least to Most.
type Band struct{ Least, Most float64 }

// ParseBand reads a range such as `5-`, `0.1-1.5` or `-2`. Empty text is every traffic.
func ParseBand(text string) (Band, error) {
	b := Band{Most: math.Inf(1)}
	if text == "" {
		return b, nil
	}
	low, high, ok := strings.Cut(text, "-")
	for word, to := range map[*float64]string{&b.Least: low, &b.Most: high} {
		if to == "" {
			continue
		}
		x, err := strconv.ParseFloat(to, 64)
		ok = ok && err == nil && x >= 0
		*word = x
	}
	if !ok || !(b.Least < b.Most) {
		return Band{}, fmt.Errorf("%w: --traffic %q: want payments a second, such as 5- or 0.1-1.5", ErrFlag, text)
	}
	return b, nil
}

// all reports whether a band holds every traffic.
func (b Band) all() bool { return b.Least == 0 && math.IsInf(b.Most, 1) }

// Within returns the results with those incidents alone whose channel had so much traffic while the fault lasted. It makes each
// unit's trace again. Cuts and traps stay.
func Within(results []*Result, b Band) ([]*Result, error) {
	if b.all() {
		return results, nil
	}
	var out []*Result
	for _, r := range results {
		t, err := Scenario(r.Unit)
		if err != nil {
			return nil, err
		}
		kept := *r
		kept.Incidents = slices.DeleteFunc(slices.Clone(r.Incidents), func(in Incident) bool {
			i := slices.IndexFunc(t.Events, func(e Event) bool { return e.Label == in.Label })
			if i < 0 {
				return true
			}
			x := t.traffic(&t.Events[i])
			return x < b.Least || x >= b.Most
		})
		out = append(out, &kept)
	}
	return out, nil
}

// traffic is the payments a second that prefer an event's channel, the mean of its minutes.
func (t *Trace) traffic(e *Event) float64 {
	sum, minutes := 0.0, 0.0
	for at := e.From; at < e.To; at += time.Minute {
		for i := range t.Scenario.Traffic {
			sum += t.Scenario.Traffic[i].PerSecond(at, t.Scenario.Start, t.Scenario.Duration)
		}
		minutes++
	}
	for _, c := range channels() {
		if c.id == e.Channel {
			return float64(c.part) / 100 * sum / minutes
		}
	}
	return 0
}
