package monitor

import "github.com/sluice-pay/sluice/statemachine"

const (
	delayUnknown = 10   // seconds taken for the p99 of the result delay until enough was seen
	delaySamples = 100  // results that are enough
	delayMemory  = 4096 // results after which older ones weigh half
)

// delays learns how long after the decision the results of each channel arrive.
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
		for b, n := range item.Ages {
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

// p99 is the learned 99th percentile of a channel's result delay in whole seconds, rounded up to a bound of AgeBounds.
func (d delays) p99(channel string) int64 {
	h := d[channel]
	if h == nil {
		return delayUnknown
	}
	total := uint64(0)
	for _, n := range h {
		total += uint64(n)
	}
	if total < delaySamples {
		return delayUnknown
	}
	seen := uint64(0)
	for b, bound := range AgeBounds {
		seen += uint64(h[b])
		if 100*seen >= 99*total {
			return int64(bound) + 1 // ages are cut to whole seconds
		}
	}
	return 2 * int64(AgeBounds[len(AgeBounds)-1])
}
