package main

import (
	"fmt"
	"regexp"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"

	"github.com/sluice-pay/sluice/cmd/compare/internal/gate"
)

// kind is what a contestant is.
type kind uint8

const (
	kindDefault kind = iota // Sluice as it comes
	kindSluice              // Sluice with other settings
	kindLibrary
	kindWindow // the fixed window, which the targets list apart
	kindOracle
)

// What a contestant keeps a breaker for.
const (
	perScope   = "scopes"
	perChannel = "channel"
	perBank    = "channel × bank"
)

// contestant is one policy of the comparison.
type contestant struct {
	kind   kind
	name   string
	keys   string
	policy *configv1.Policy // of Sluice
	maker  *gate.Maker      // of everybody else
}

// id names a contestant in results.
func (c *contestant) id() string { return c.name + ", " + c.keys }

// roster lists every contestant, in the order of the table.
func roster() []contestant {
	out := []contestant{
		{kind: kindDefault, name: "Sluice, sequential", keys: perScope, policy: detector(configv1.Detector_DETECTOR_SEQUENTIAL)},
		{kind: kindSluice, name: "Sluice, windows", keys: perScope, policy: detector(configv1.Detector_DETECTOR_WINDOWS)},
	}
	for _, m := range []gate.Maker{
		gate.Gobreaker(), gate.GobreakerTuned(), gate.Failsafe(), gate.FailsafeThrottler(), gate.Sentinel(), gate.GoZero(), gate.Aegis(),
		gate.Envoy(),
	} {
		out = append(out, both(kindLibrary, m)...)
	}
	out = append(out, both(kindWindow, gate.FixedWindow())...)
	return append(out, contestant{kind: kindOracle, name: "oracle", keys: perScope})
}

func both(k kind, m gate.Maker) []contestant {
	return []contestant{{kind: k, name: m.Name, keys: perChannel, maker: &m}, {kind: k, name: m.Name, keys: perBank, maker: &m}}
}

func detector(d configv1.Detector) *configv1.Policy { return &configv1.Policy{Detector: d} }

// pick returns the contestants whose id a pattern matches.
func pick(pattern string) ([]contestant, error) {
	re, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("--policies: %w", err)
	}
	var out []contestant
	for _, c := range roster() {
		if re.MatchString(c.id()) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--policies: no policy matches %q", pattern)
	}
	return out, nil
}
