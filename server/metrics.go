package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/codes"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	numCodes      = int(codes.Unauthenticated) + 1
	numInvariants = 18
	numRefusals   = int(routing.AttemptsExhausted) + 1
)

// Metrics are the figures of one replica, in a registry of their own. Every label value is known beforehand or bounded by the
// catalogue; what callers send never becomes a label.
type Metrics struct {
	replicaFigures

	registry   *prometheus.Registry
	rpc        *prometheus.HistogramVec
	answers    *prometheus.CounterVec
	refusals   [numRefusals]prometheus.Counter
	attempts   [3]prometheus.Counter // refused for a previous attempt
	rulings    *prometheus.CounterVec
	violations [numInvariants]prometheus.Counter
	moves      *prometheus.CounterVec
	incidents  *prometheus.CounterVec
	dropped    prometheus.Counter // slow watchers
	shed       prometheus.Counter
	inFlight   atomic.Int64

	mu        sync.Mutex
	decisions map[string]*[statemachine.NumLaneKinds]uint64 // by channel
}

// NewMetrics returns metrics that are not yet tied to a server.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		replicaFigures: newReplicaFigures(),
		decisions:      map[string]*[statemachine.NumLaneKinds]uint64{},
		rpc: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_rpc_duration_seconds", Help: "Time of an RPC in the server, by method.",
			Buckets: []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5},
		}, []string{"method"}),
		answers:   counters("sluice_rpc_total", "RPCs by method and status code.", "method", "code"),
		rulings:   counters("sluice_guard_rulings_total", "Rulings of the guards other than allow, by guard and answer.", "guard", "answer"),
		moves:     counters("sluice_transitions_total", "Changes of an effective phase, by the phase reached and who moved it.", "to", "cause"),
		incidents: counters("sluice_incidents_total", "Incidents opened, by what automation did.", "kind"),
		dropped:   prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_watchers_dropped_total", Help: "Watches ended because their reader was too slow."}),
		shed:      prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_rpc_shed_total", Help: "RPCs refused because too many were under way."}),
	}
	m.resolve()
	m.register(m.registry)
	m.registry.MustRegister(m.rpc, m.answers, m.rulings, m.moves, m.incidents, m.dropped, m.shed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// resolve makes the children whose labels are known, so that they show from the start and cost no look-up.
func (m *Metrics) resolve() {
	refusals := counters("sluice_route_refusals_total", "Routes refused, by reason.", "reason")
	for r := routing.RefusalNone + 1; int(r) < numRefusals; r++ {
		m.refusals[r] = refusals.WithLabelValues(r.String())
	}
	for i, reason := range [...]string{"ALREADY_PAID", "AMBIGUOUS_PREVIOUS_ATTEMPT", "FINAL_PREVIOUS_ATTEMPT"} {
		m.attempts[i] = refusals.WithLabelValues(reason)
	}
	violations := counters("sluice_invariant_violations_total", "Violations of the invariants found in operation; anything but 0 is a fault of Sluice.", "invariant")
	for i := range m.violations {
		m.violations[i] = violations.WithLabelValues(fmt.Sprintf("%02d", i+1))
	}
	for _, g := range guards() {
		for _, a := range []statemachine.Answer{statemachine.Lower, statemachine.Refuse} {
			m.rulings.WithLabelValues(g, a.String())
		}
	}
	for k := statemachine.Cut; k <= statemachine.Refused; k++ {
		m.incidents.WithLabelValues(k.String())
	}
	m.registry.MustRegister(refusals, violations)
}

func guards() []string {
	return []string{
		statemachine.GuardLastUsable, statemachine.GuardCapacity, statemachine.GuardBudget, statemachine.GuardCommonMode, statemachine.GuardSingleReporter,
	}
}

// Registry is where further collectors may be registered; label values must be bounded.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// AddRouter counts the decisions a router gave out, as drained each second.
func (m *Metrics) AddRouter(sent []statemachine.SentCount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range sent {
		if s.Item.Kind != statemachine.ScopeChannel || s.Kind >= statemachine.NumLaneKinds {
			continue
		}
		at := m.decisions[s.Item.Channel]
		if at == nil {
			at = new([statemachine.NumLaneKinds]uint64)
			m.decisions[s.Item.Channel] = at
		}
		at[s.Kind] += uint64(s.N)
	}
}

// Ruling counts a ruling of a guard; an unknown guard and ALLOW are not counted.
func (m *Metrics) Ruling(r statemachine.Ruling) {
	for _, g := range guards() {
		if g == r.Guard && r.Answer != statemachine.Allow {
			m.rulings.WithLabelValues(g, r.Answer.String()).Inc()
		}
	}
}

// Violation counts a violation of an invariant, by its number from 1.
func (m *Metrics) Violation(invariant int) {
	if invariant >= 1 && invariant <= numInvariants {
		m.violations[invariant-1].Inc()
	}
}

// entry counts what a journal entry says.
func (m *Metrics) entry(e *monitor.JournalEntry) {
	for _, move := range e.Moves {
		from, _ := move.Before.Effective()
		to, _ := move.After.Effective()
		if from != to {
			m.moves.WithLabelValues(to.String(), move.Cause.String()).Inc()
		}
	}
	for _, i := range e.Incidents {
		if i.Closed == 0 && i.Opened == e.At && i.Kind != statemachine.KindNone && i.Kind <= statemachine.Refused {
			m.incidents.WithLabelValues(i.Kind.String()).Inc()
		}
	}
}

// method is one RPC with its rule and its resolved metrics.
type method struct {
	rule
	name    string
	seconds prometheus.Observer
	answers [numCodes]prometheus.Counter
}

// methods resolves the metrics of all RPCs.
func (m *Metrics) methods() map[string]*method {
	all := map[string]*method{}
	for name, r := range rules() {
		me := &method{rule: r, name: name, seconds: m.rpc.WithLabelValues(name)}
		for c := range me.answers {
			me.answers[c] = m.answers.WithLabelValues(name, codes.Code(c).String())
		}
		all[name] = me
	}
	return all
}

func (m *method) observe(took time.Duration, code codes.Code) {
	m.seconds.Observe(took.Seconds())
	if int(code) < numCodes {
		m.answers[code].Inc()
	}
}
