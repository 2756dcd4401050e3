package server

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// maxScopeSeries bounds the narrower scopes that are exported while they are not healthy; the first by name are.
const maxScopeSeries = 200

// SeriesBound is the most series of Sluice's own that a catalogue of so many channels can make, whatever is reported: per
// channel its decisions by kind, phase and share; the scopes that are not healthy, a phase and a share each; and what does not
// depend on the catalogue.
func SeriesBound(channels int) int {
	perMethod := 15 + 2 + numCodes // buckets with +Inf, sum and count, codes
	fixed := len(rules())*perMethod + 120
	return fixed + channels*(int(statemachine.NumLaneKinds)+2) + 2*maxScopeSeries
}

// collector reads what changes with every scrape: books, states, table.
type collector struct {
	s *Server

	reports, decisions, phase, share, scopePhase, scopeShare *prometheus.Desc
	revision, age, ready, duplicates, inFlight, hidden       *prometheus.Desc
	ledger, orders                                           *prometheus.Desc
}

func newCollector(s *Server) *collector {
	d := prometheus.NewDesc
	return &collector{
		s:          s,
		reports:    d("sluice_reports_total", "Reports delivered, by what became of them; their sum is the number of deliveries.", []string{"disposition"}, nil),
		decisions:  d("sluice_decisions_total", "Decisions given out, by channel and kind of traffic.", []string{"channel", "kind"}, nil),
		phase:      d("sluice_channel_phase", "Effective phase of a channel as a whole: 0 healthy, 1 disabled, 2 probing, 3 ramping.", []string{"channel"}, nil),
		share:      d("sluice_channel_share", "Effective share of a channel as a whole, 0 to 1.", []string{"channel"}, nil),
		scopePhase: d("sluice_scope_phase", "Effective phase of a narrower scope that is not healthy, as of channels.", []string{"scope"}, nil),
		scopeShare: d("sluice_scope_share", "Effective share of a narrower scope that is not healthy, 0 to 1.", []string{"scope"}, nil),
		revision:   d("sluice_table_revision", "Revision of the table in force.", nil, nil),
		age:        d("sluice_table_age_seconds", "Time since the table in force was last confirmed as current.", nil, nil),
		ready:      d("sluice_ready", "1 when a table is in force and the server is not stopping.", nil, nil),
		duplicates: d("sluice_duplicate_window_seconds", "For how long repeated reports are recognised.", nil, nil),
		inFlight:   d("sluice_rpc_in_flight", "RPCs under way.", nil, nil),
		ledger:     d("sluice_ledger_attempts_total", "Attempts to change the ledger, by how they ended.", []string{"result"}, nil),
		orders:     d("sluice_orders_total", "Operators' orders, by what became of them.", []string{"result"}, nil),
		hidden:     d("sluice_scopes_not_exported", "Scopes that are not healthy and left out for the bound of series.", nil, nil),
	}
}

// Describe sends no descriptor: what is collected depends on the catalogue.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the current figures.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	books := c.s.cfg.Counters.Books()
	for _, b := range [...]struct {
		what monitor.Disposition
		n    uint64
	}{
		{monitor.Applied, books.Applied},
		{monitor.Corrected, books.Corrected},
		{monitor.Duplicate, books.Duplicate},
		{monitor.RejectedIn, books.Rejected},
		{monitor.Late, books.Late},
	} {
		out <- prometheus.MustNewConstMetric(c.reports, prometheus.CounterValue, float64(b.n), b.what.String())
	}
	gauge(c.duplicates, float64(c.s.cfg.Counters.DuplicateWindow(c.s.cfg.Clock.Second())))
	gauge(c.inFlight, float64(c.s.metrics.inFlight.Load()))
	ready := 0.0
	if c.s.Ready() {
		ready = 1
	}
	gauge(c.ready, ready)
	c.control(out)
	sight := c.s.cfg.World.Sight()
	if sight == nil {
		return
	}
	gauge(c.revision, float64(sight.View.Revision))
	gauge(c.age, max(0, c.s.cfg.Now().Sub(sight.Confirmed)).Truncate(time.Millisecond).Seconds())
	c.channels(sight, gauge, out)
	c.scopes(sight, gauge)
}

// control sends what became of changes and orders.
func (c *collector) control(out chan<- prometheus.Metric) {
	if c.s.cfg.Control == nil {
		return
	}
	n := c.s.cfg.Control()
	send := func(d *prometheus.Desc, v uint64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), label)
	}
	send(c.ledger, n.Commits, "committed")
	send(c.ledger, n.Conflicts, "conflict")
	send(c.ledger, n.Unknown, "unknown")
	send(c.ledger, n.NotLeader, "not_leader")
	send(c.ledger, n.Failed, "failed")
	send(c.orders, n.Orders, "carried_out")
	send(c.orders, n.OrdersNo, "refused_by_guard")
	send(c.orders, n.Replays, "repeated")
}

// channels sends what every channel of the catalogue has. Channels the catalogue lost are left out.
func (c *collector) channels(sight *Sight, gauge func(*prometheus.Desc, float64, ...string), out chan<- prometheus.Metric) {
	c.s.metrics.mu.Lock()
	decisions := make(map[string][statemachine.NumLaneKinds]uint64, len(c.s.metrics.decisions))
	for channel, n := range c.s.metrics.decisions {
		decisions[channel] = *n
	}
	c.s.metrics.mu.Unlock()
	for _, ch := range sight.Catalog.GetChannels() {
		phase, share := sight.Fleet.State(statemachine.ChannelScope(ch.GetId())).Effective()
		gauge(c.phase, float64(phase), ch.GetId())
		gauge(c.share, share.Fraction(), ch.GetId())
		for kind, n := range decisions[ch.GetId()] {
			out <- prometheus.MustNewConstMetric(c.decisions, prometheus.CounterValue, float64(n), ch.GetId(), statemachine.LaneKind(kind).String())
		}
	}
}

// scopes sends the narrower scopes and domains that are not healthy.
func (c *collector) scopes(sight *Sight, gauge func(*prometheus.Desc, float64, ...string)) {
	down := make([]statemachine.Scope, 0, len(sight.Fleet.States))
	for _, scope := range slices.SortedFunc(maps.Keys(sight.Fleet.States), statemachine.Scope.Compare) {
		if phase, _ := sight.Fleet.States[scope].Effective(); phase != statemachine.Healthy && scope.Kind != statemachine.ScopeChannel && sight.Table.Plan().Has(scope) {
			down = append(down, scope)
		}
	}
	shown := down[:min(len(down), maxScopeSeries)]
	gauge(c.hidden, float64(len(down)-len(shown)))
	for _, scope := range shown {
		phase, share := sight.Fleet.States[scope].Effective()
		gauge(c.scopePhase, float64(phase), scope.String())
		gauge(c.scopeShare, share.Fraction(), scope.String())
	}
}
