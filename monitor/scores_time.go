package monitor

import "math"

const (
	timeLife     = 1800 // seconds: mean life of a result in the learned result time
	timeQuantile = 0.9
	timeResults  = 20    // results that are enough
	timeKnown    = 30    // results that a restored result time weighs
	timeOpen     = 102.4 // seconds: taken for what is slower than every bucket
)

// resultTimes learns how long until results come back.
type resultTimes struct {
	n  [NumLatencyBuckets]float32
	at int64
}

// add counts the first results of a second, by the latency that was reported, or else by their age since the decision. Those
// of timeouts, which are the slowest, are left out.
func (t *resultTimes) add(second int64, c *ItemCounts) {
	counts := c.Latency
	if c.LatencyMillis == 0 {
		counts = [NumLatencyBuckets]uint32{}
		for b, n := range c.Ages {
			counts[latencyBucket(ageMillis(b))] += n
		}
	}
	takeTimeouts(counts[:], c)
	if counts == [NumLatencyBuckets]uint32{} {
		return
	}
	if d := second - t.at; d > 0 {
		keep := float32(math.Exp(-float64(d) / timeLife))
		for b := range t.n {
			t.n[b] *= keep
		}
		t.at = second
	}
	for b, n := range counts {
		t.n[b] += float32(n)
	}
}

// ageMillis is a time in the middle of an age bucket.
func ageMillis(b int) uint32 {
	if b >= len(AgeBounds) {
		b = len(AgeBounds) - 1
	}
	return uint32(AgeBounds[b])*1000 + 500 //nolint:gosec // bounds are small
}

// millis is the learned 90th percentile, 0 before enough is known. Within a bucket results count as spread evenly.
func (t *resultTimes) millis() uint32 {
	total := float32(0)
	for _, n := range t.n {
		total += n
	}
	if total < timeResults {
		return 0
	}
	seen, want := float32(0), total*timeQuantile
	for b, n := range t.n {
		if seen+n < want || n == 0 {
			seen += n
			continue
		}
		low, high := latencyRange(b)
		return uint32(low + (high-low)*float64((want-seen)/n))
	}
	_, high := latencyRange(len(t.n) - 1)
	return uint32(high)
}

// latencyRange are the bounds of a latency bucket in milliseconds.
func latencyRange(b int) (low, high float64) {
	if b > 0 {
		low = float64(LatencyBounds[b-1])
	}
	if b == len(LatencyBounds) {
		return low, 1000 * timeOpen
	}
	return low, float64(LatencyBounds[b])
}

// restore begins with a result time that was published.
func (t *resultTimes) restore(millis uint32, now int64) {
	if t.at = now; millis > 0 {
		t.n[latencyBucket(millis)] = timeKnown
	}
}
