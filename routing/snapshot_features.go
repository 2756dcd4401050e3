package routing

import (
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// Feature bits of a snapshot. A bit is given out when a catalogue may say something that a reader must understand to decide as
// everybody else does; a reader refuses snapshots with bits it does not know.
const (
	FeatureRetired uint64 = 1 << 0 // a channel is retired: an older reader would go on sending it payments
)

// KnownFeatures are the feature bits that this version decides by.
const KnownFeatures = FeatureRetired

// features are the bits that a reader of this catalogue needs.
func features(c *configv1.Catalog) uint64 {
	bits := uint64(0)
	if slices.ContainsFunc(c.GetChannels(), (*configv1.Channel).GetRetired) {
		bits |= FeatureRetired
	}
	return bits
}
