package routing

import (
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// Feature bits of a snapshot. A bit is given out when a catalogue may say something that a reader must understand to decide as
// everybody else does; a reader refuses snapshots with bits it does not know.
const (
	FeatureRetired uint64 = 1 << 0 // a channel is retired: an older reader would go on sending it payments
	// FeatureStrategies: a route ranks by a strategy, which an older reader would rank by priority, split and weight.
	FeatureStrategies  uint64 = 1 << 1
	FeatureMaxAttempts uint64 = 1 << 3 // attempts are limited: an older reader would go on
)

// Of limits and calendar.
const (
	FeatureDrain  uint64 = 1 << 8 // a channel drains before it closes: an older reader would begin attempts
	FeatureLimits uint64 = 1 << 9 // merchants' limits, quotas or throttles: an older reader would know none
)

// KnownFeatures are the feature bits that this version decides by.
const KnownFeatures = FeatureRetired | FeatureStrategies | FeatureMaxAttempts | FeatureDrain | FeatureLimits

// features are the bits that a reader of this catalogue needs.
func features(c *configv1.Catalog) uint64 {
	bits := uint64(0)
	if slices.ContainsFunc(c.GetChannels(), (*configv1.Channel).GetRetired) {
		bits |= FeatureRetired
	}
	if c.GetMaxAttempts() > 0 || slices.ContainsFunc(c.GetRoutes(), func(r *configv1.Route) bool { return r.GetMaxAttempts() > 0 }) {
		bits |= FeatureMaxAttempts
	}
	if slices.ContainsFunc(c.GetRoutes(), func(r *configv1.Route) bool { return r.GetStrategy() != "" }) {
		bits |= FeatureStrategies
	}
	if slices.ContainsFunc(c.GetChannels(), drains) {
		bits |= FeatureDrain
	}
	throttled := func(ch *configv1.Channel) bool { return ch.GetThrottle() != nil }
	if len(c.GetMerchantLimits())+len(c.GetQuotas()) > 0 || slices.ContainsFunc(c.GetChannels(), throttled) {
		bits |= FeatureLimits
	}
	return bits
}

// drains reports whether a channel closes, and begins no attempt some time before.
func drains(c *configv1.Channel) bool {
	w := c.GetWindows()
	if len(w.GetOpen())+len(w.GetHolidays())+len(w.GetMaintenance()) == 0 {
		return false
	}
	if w.GetDrain() != nil {
		return w.GetDrain().AsDuration() > 0
	}
	return c.GetResultTime() != nil
}
