package gate

import (
	"github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"
)

// GoZero is go-zero's breaker, which has no settings: 10 s in 40 buckets, K from 1.5 to 1.1, at least one a second.
func GoZero() Maker {
	return Maker{Name: "go-zero v1.10.3", New: func([]Key) (Gate, error) {
		Silence()
		return newThrottler(func() throttle {
			b := breaker.NewBreaker(breaker.WithName("channel"))
			return throttle{allow: func() (func(bool), func()) {
				promise, err := b.Allow()
				if err != nil {
					return nil, nil
				}
				return func(failed bool) {
					if failed {
						promise.Reject("failed")
						return
					}
					promise.Accept()
				}, nil
			}}
		}), nil
	}}
}

// Silence stops go-zero from logging its own usage every minute, and every refusal.
func Silence() {
	logx.Disable()
	stat.SetReporter(nil)
}
