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

// KnownFeatures are the feature bits that this version decides by.
const KnownFeatures = FeatureRetired | FeatureStrategies | FeatureMaxAttempts

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
	return bits
}
