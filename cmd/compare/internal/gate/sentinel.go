package gate

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/alibaba/sentinel-golang/api"
	"github.com/alibaba/sentinel-golang/core/base"
	"github.com/alibaba/sentinel-golang/core/circuitbreaker"
	"github.com/alibaba/sentinel-golang/logging"
)

// Sentinel is sentinel-golang's breaker by error ratio: 40 % of at least 10 in 10 s (ten buckets; its default of one
// bucket would tumble), open for 10 s, five trials.
func Sentinel() Maker {
	return Maker{Name: "sentinel-golang v1.0.4 error ratio, 40 %/10/10 s", New: newSentinel}
}

// sentinelGate asks through the library's entries. Its rules and listeners are global, so every breaker is a resource
// with a name of its own.
type sentinelGate struct {
	registry *registry
	chain    *base.SlotChain
	names    map[Key]string
}

func newSentinel(keys []Key) (Gate, error) {
	g := &sentinelGate{registry: register(), chain: base.NewSlotChain(), names: make(map[Key]string, len(keys))}
	g.chain.AddRuleCheckSlot(circuitbreaker.DefaultSlot)
	g.chain.AddStatSlot(circuitbreaker.DefaultMetricStatSlot)
	for _, k := range keys {
		name := g.registry.add(k)
		g.names[k] = name
		rule := &circuitbreaker.Rule{
			Resource: name, Strategy: circuitbreaker.ErrorRatio, RetryTimeoutMs: 10_000, MinRequestAmount: 10,
			StatIntervalMs: 10_000, StatSlidingWindowBucketCount: 10, Threshold: 0.4, ProbeNum: 5,
		}
		if ok, err := circuitbreaker.LoadRulesOfResource(name, []*circuitbreaker.Rule{rule}); err != nil || !ok {
			return nil, fmt.Errorf("load the rule of %s: %w", name, err)
		}
	}
	return g, nil
}

// Allow implements Gate. An entry cannot end unused: a payment that was never sent counts as a success.
func (g *sentinelGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	entry, refused := api.Entry(g.names[k], api.WithSlotChain(g.chain))
	if refused != nil {
		return nil, false
	}
	return ticket{
		done: func(failed bool) {
			if failed {
				entry.Exit(base.WithError(errFailed))
				return
			}
			entry.Exit()
		},
		void: func() { entry.Exit() },
	}, true
}

// Phase implements Gate.
func (g *sentinelGate) Phase(k Key, _ time.Time) Phase { return g.registry.phase(g.names[k]) }

// Tick implements Gate.
func (*sentinelGate) Tick(time.Time) {}

// registry remembers the phase of every resource, as the library tells its listeners.
type registry struct {
	mu     sync.Mutex
	number uint64
	phases map[string]Phase
}

// register silences the library and hangs the one listener into it.
//
//nolint:gochecknoglobals // the library's own listeners and logger are global
var register = sync.OnceValue(func() *registry {
	r := &registry{phases: map[string]Phase{}}
	_ = logging.ResetGlobalLogger(silent{})
	circuitbreaker.RegisterStateChangeListeners(r)
	return r
})

func (r *registry) add(k Key) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	name := k.Channel + "/" + k.Bank + "#" + strconv.FormatUint(r.number, 10)
	r.phases[name] = Closed
	return name
}

func (r *registry) phase(name string) Phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phases[name]
}

func (r *registry) set(name string, p Phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases[name] = p
}

// OnTransformToClosed implements the library's listener.
func (r *registry) OnTransformToClosed(_ circuitbreaker.State, rule circuitbreaker.Rule) {
	r.set(rule.Resource, Closed)
}

// OnTransformToOpen implements the library's listener.
func (r *registry) OnTransformToOpen(_ circuitbreaker.State, rule circuitbreaker.Rule, _ any) {
	r.set(rule.Resource, Open)
}

// OnTransformToHalfOpen implements the library's listener.
func (r *registry) OnTransformToHalfOpen(_ circuitbreaker.State, rule circuitbreaker.Rule) {
	r.set(rule.Resource, Trial)
}

// silent is a logger that says nothing.
type silent struct{}

// Debug implements the library's logger.
func (silent) Debug(string, ...any) {}

// DebugEnabled implements the library's logger.
func (silent) DebugEnabled() bool { return false }

// Info implements the library's logger.
func (silent) Info(string, ...any) {}

// InfoEnabled implements the library's logger.
func (silent) InfoEnabled() bool { return false }

// Warn implements the library's logger.
func (silent) Warn(string, ...any) {}

// WarnEnabled implements the library's logger.
func (silent) WarnEnabled() bool { return false }

// Error implements the library's logger.
func (silent) Error(error, string, ...any) {}

// ErrorEnabled implements the library's logger.
func (silent) ErrorEnabled() bool { return false }
