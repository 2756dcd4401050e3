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

// holds reports whether so much traffic is in the band.
func (b Band) holds(perSecond float64) bool { return b.Least <= perSecond && perSecond < b.Most }

// all reports whether a band holds every traffic.
func (b Band) all() bool { return b.Least == 0 && math.IsInf(b.Most, 1) }

// Within returns the results with those incidents alone whose channel had so much traffic while the fault lasted, and those cuts and
// channel-days of whose ten minutes that holds. It makes each unit's trace again. All other figures stay those of the whole days.
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
			return i < 0 || !b.holds(t.traffic(&t.Events[i]))
		})
		kept.Cuts = slices.DeleteFunc(slices.Clone(r.Cuts), func(c Cut) bool {
			id, _, _ := strings.Cut(c.Scope, "/")
			return !b.holds(partOf(id) * t.block(int(c.T/block.Seconds())))
		})
		days := t.channelDays(b)
		kept.banded = &days
		out = append(out, &kept)
	}
	return out, nil
}

// block is how long traffic is averaged over to say in which band a channel is.
const block = 10 * time.Minute

// channelDays is the time for which channels had the traffic of a band.
func (t *Trace) channelDays(b Band) (days float64) {
	for n := range int(t.Scenario.Duration / block) {
		x := t.block(n)
		for _, c := range channels() {
			if b.holds(partOf(c.id) * x) {
				days += float64(block) / float64(day)
			}
		}
	}
	return days
}

// traffic is the payments a second that prefer an event's channel, the mean of its minutes.
func (t *Trace) traffic(e *Event) float64 { return partOf(e.Channel) * t.mean(e.From, e.To) }

// block is the mean of the payments a second in the nth block of the day.
func (t *Trace) block(n int) float64 {
	from := time.Duration(n) * block
	return t.mean(from, from+block)
}

// mean is that of the minutes' payments a second over all channels.
func (t *Trace) mean(from, to time.Duration) float64 {
	sum, minutes := 0.0, 0.0
	for at := from; at < to; at += time.Minute {
		for i := range t.Scenario.Traffic {
			sum += t.Scenario.Traffic[i].PerSecond(at, t.Scenario.Start, t.Scenario.Duration)
		}
		minutes++
	}
	return sum / minutes
}

// partOf is the part of the payments that prefer a channel.
func partOf(id string) float64 {
	for _, c := range channels() {
		if c.id == id {
			return float64(c.part) / 100
		}
	}
	return 0
}
