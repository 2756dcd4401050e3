package gate

import "github.com/go-kratos/aegis/circuitbreaker/sre"

// Aegis is go-kratos/aegis' SRE breaker with its own settings: from 40 % failures of at least 100 in 3 s. Refusals are
// counted as failures, as its interface asks its callers to.
func Aegis() Maker {
	return Maker{Name: "aegis v0.2.0 SRE, default", New: func([]Key) (Gate, error) {
		return newThrottler(func() throttle {
			b := sre.NewBreaker()
			return throttle{allow: func() (func(bool), func()) {
				if b.Allow() != nil {
					b.MarkFailed()
					return nil, nil
				}
				return func(failed bool) {
					if failed {
						b.MarkFailed()
						return
					}
					b.MarkSuccess()
				}, nil
			}}
		}), nil
	}}
}
