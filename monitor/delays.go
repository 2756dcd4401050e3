package monitor

import "github.com/sluice-pay/sluice/statemachine"

const (
	delayUnknown = 10   // seconds taken for the p99 of the result delay until enough was seen
	delayAssumed = 2    // seconds taken for the usual result delay until then
	delaySamples = 100  // results that are enough
	delayMemory  = 4096 // results after which older ones weigh half
)

// delays learns how long after the decision the results of each channel arrive. Timeouts tell how long the gateway waits, not
// how long the channel takes: they are left out.
type delays map[string]*[NumAgeBuckets]uint32

func (d delays) observe(sum *SecondCounts) {
	for i := range sum.Items {
		item := &sum.Items[i]
		if item.Item.Kind != statemachine.ScopeChannel || item.Ages == [NumAgeBuckets]uint32{} {
			continue
		}
		h := d[item.Item.Channel]
		if h == nil {
			h = new([NumAgeBuckets]uint32)
			d[item.Item.Channel] = h
		}
		total := uint32(0)
		for b, n := range answeredAges(item) {
			h[b] += n
			total += h[b]
		}
		if total > delayMemory {
			for b := range h {
				h[b] /= 2
			}
		}
	}
}

// answeredAges are the ages of the results of one item and second without those of its timeouts.
func answeredAges(item *ItemCounts) [NumAgeBuckets]uint32 {
	ages := item.Ages
	takeTimeouts(ages[:], item)
	return ages
}

// takeTimeouts takes the timeouts of one item and second, which are the slowest of its results, off buckets of those.
func takeTimeouts(buckets []uint32, item *ItemCounts) {
	timeouts := uint32(max(0, item.Totals[statemachine.TimedOut]))
	for b := len(buckets) - 1; b >= 0 && timeouts > 0; b-- {
		n := min(timeouts, buckets[b])
		buckets[b] -= n
		timeouts -= n
	}
}

// p99 is the learned 99th percentile of a channel's result delay in whole seconds, rounded up to a bound of AgeBounds.
func (d delays) p99(channel string) int64 { return d.quantile(channel, 99, delayUnknown) }

// usual is the learned 90th percentile: a younger attempt without a result is none that is missing.
func (d delays) usual(channel string) int64 { return d.quantile(channel, 90, delayAssumed) }

func (d delays) quantile(channel string, percent uint64, unknown int64) int64 {
	h := d[channel]
	if h == nil {
		return unknown
	}
	total := uint64(0)
	for _, n := range h {
		total += uint64(n)
	}
	if total < delaySamples {
		return unknown
	}
	seen := uint64(0)
	for b, bound := range AgeBounds {
		seen += uint64(h[b])
		if 100*seen >= percent*total {
			return int64(bound) + 1 // ages are cut to whole seconds
		}
	}
	return 2 * int64(AgeBounds[len(AgeBounds)-1])
}

// of is a delay of a scope: of a failure domain, that of its slowest channel.
func (d delays) of(scope statemachine.Scope, f *statemachine.Fleet, delay func(string) int64) int64 {
	if scope.Kind != statemachine.ScopeDomain {
		return delay(scope.Channel)
	}
	longest := int64(1)
	for _, c := range membersOf(scope.Of, f) {
		longest = max(longest, delay(c))
	}
	return longest
}

// silence is after how many seconds an attempt of a scope that hangs counts as failed.
func (d delays) silence(scope statemachine.Scope, f *statemachine.Fleet) int64 {
	return max(seconds(f.Policy(scope.Channel).HangAfterMin), 2*d.of(scope, f, d.p99))
}
