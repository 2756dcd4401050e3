package backtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/node"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// replicaName is that of the one replica of a replay.
const replicaName = "backtest"

// pendingSeconds is how long a probe waits for a recorded result before it is given up.
const pendingSeconds = 60

// Policy is one way to judge the recording.
type Policy struct {
	Name   string
	Policy *configv1.Policy // replaces the catalogue's default policy; nil = the catalogue as it is
}

// errGap says that nothing was recorded of a second.
var errGap = errors.New("nothing was recorded of this second")

// replay is the production node under one policy, fed with recorded seconds.
type replay struct {
	policy   Policy
	node     *node.Node
	number   uint64 // of the recorded catalogue in force
	history  *history
	closures *closures
	accounts map[*closure]*account
	refused  int // incidents that a guard turned down
	probes   map[statemachine.Scope]*probe
	alts     map[statemachine.Scope][]statemachine.Scope
	now      *second
	would    func(statemachine.Scope) bool // whether the recording itself had the scope closed
	grants   []monitor.Grant
	failed   error // of the feed
}

// probe is the running PROBING phase of a scope in the replay.
type probe struct {
	generation uint64
	sent       uint64
	pending    []int64 // seconds in which probes were sent that have no result
}

func newReplay(p Policy, h *history, recordedClosed func(statemachine.Scope) bool) *replay {
	return &replay{
		policy: p, history: h, closures: newClosures(), accounts: map[*closure]*account{}, probes: map[statemachine.Scope]*probe{},
		alts: map[statemachine.Scope][]statemachine.Scope{}, would: recordedClosed,
	}
}

// catalog is the recorded catalogue under the replay's policy. Automation is let act everywhere: a backtest asks what it
// would do.
func (r *replay) catalog(recorded *configv1.Catalog) (*configv1.Catalog, error) {
	c, ok := proto.Clone(recorded).(*configv1.Catalog)
	if !ok {
		return nil, errors.New("clone the catalogue: unexpected type")
	}
	if r.policy.Policy != nil {
		c.DefaultPolicy = r.policy.Policy
	}
	unbind(c.GetDefaultPolicy())
	for _, ch := range c.GetChannels() {
		unbind(ch.GetPolicy())
	}
	return c, nil
}

func unbind(p *configv1.Policy) {
	if p != nil {
		p.Automation = configv1.AutomationLevel_AUTOMATION_LEVEL_FULL
	}
}

// start boots the node just before the first second.
func (r *replay) start(ctx context.Context, recorded *configv1.Catalog, number uint64, first int64) error {
	ledger := monitor.NewMemoryLedger(replicaName)
	ledger.Lead()
	catalog, err := r.catalog(recorded)
	if err != nil {
		return err
	}
	r.node = node.New(node.Config{
		Replica: replicaName, Boot: 1, Ledger: ledger, Exchange: r, Logger: slog.New(slog.DiscardHandler), Budget: -1,
		OnEntry: r.entry, Unscored: true,
	})
	r.number = number
	if err := r.node.Start(ctx, catalog, time.Unix(first, 0).UTC()); err != nil {
		return fmt.Errorf("%s: %w", r.policy.Name, err)
	}
	return nil
}

// change puts another recorded catalogue in force.
func (r *replay) change(ctx context.Context, recorded *configv1.Catalog, number uint64, now time.Time) error {
	catalog, err := r.catalog(recorded)
	if err != nil {
		return err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(catalog)
	if err != nil {
		return fmt.Errorf("catalogue %d: %w", number, err)
	}
	request := monitor.CatalogRequest{Catalog: data, Author: replicaName, Reason: "the recording's next catalogue"}
	if _, err := r.node.Control().ApplyCatalog(ctx, request, now); err != nil {
		return fmt.Errorf("%s: catalogue %d: %w", r.policy.Name, number, err)
	}
	r.number = number
	clear(r.alts)
	if err := r.node.Refresh(ctx, now); err != nil {
		return fmt.Errorf("%s: catalogue %d: %w", r.policy.Name, number, err)
	}
	return nil
}

// tick judges one recorded second.
func (r *replay) tick(ctx context.Context, s *second) error {
	r.now = s
	err := r.node.Tick(ctx, time.Unix(s.at+1, 0).UTC())
	if err = errors.Join(r.failed, beyondGaps(err)); err != nil {
		return fmt.Errorf("%s: second %d: %w", r.policy.Name, s.at, err)
	}
	return nil
}

// beyondGaps is what is left of an error without the seconds of which nothing was recorded.
func beyondGaps(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range joined.Unwrap() {
			rest = append(rest, beyondGaps(e))
		}
		return errors.Join(rest...)
	}
	if errors.Is(err, errGap) {
		return nil
	}
	return err
}

// entry takes what the replayed automation did.
func (r *replay) entry(e monitor.JournalEntry) {
	for i := range e.Moves {
		r.closures.automatic(&e.Moves[i], &e)
	}
	for i := range e.Incidents {
		if in := &e.Incidents[i]; in.Kind == statemachine.Refused && in.Opened == e.At {
			r.refused++
		}
	}
}

// Publish implements monitor.Exchange: the node's own rows hold nothing but the probe tokens it gave out.
func (r *replay) Publish(_ context.Context, row *monitor.Row) error {
	r.grants = row.Grants
	return nil
}

// Read implements monitor.Exchange: the recorded second, less what the replay's gates would not have let through.
func (r *replay) Read(_ context.Context, at int64) ([]*monitor.Row, error) {
	if r.now == nil || at != r.now.at {
		return nil, errGap
	}
	sight := r.node.Sight()
	sum := monitor.SecondCounts{Second: at, Revision: sight.View.Revision, Reporters: r.now.sum.Reporters, Lanes: r.now.sum.Lanes}
	t := thinner{second: at, items: slices.Clone(r.now.items), fleet: sight.Fleet}
	for i := range sight.View.States {
		st := &sight.View.States[i].State
		phase, share := st.Effective()
		if phase == statemachine.Healthy {
			delete(r.probes, st.Scope)
			continue
		}
		g, gate := r.gate(st, phase, share, sight.Fleet)
		t.gates = append(t.gates, g)
		sum.Gates = append(sum.Gates, gate)
		r.book(st.Scope, &g, sight.Fleet)
	}
	t.run()
	sum.Items = t.items
	return []*monitor.Row{{Replica: replicaName, Boot: 1, Counts: sum}}, nil
}

// gate says what a scope that is not healthy lets through in this second.
func (r *replay) gate(st *statemachine.State, phase statemachine.Phase, share statemachine.Share, f *statemachine.Fleet) (gate, monitor.GateSum) {
	recorded, sent := r.now.tally(itemsOf(st.Scope, f))
	g := gate{scope: st.Scope, kind: statemachine.KindRamp}
	would := sent
	if at, ok := r.now.gates[st.Scope]; ok && r.would(st.Scope) { // what was wanted there is known although it was closed
		would = max(would, at.WouldBe)
	}
	d := drawsFor(st.Scope, -r.now.at)
	switch phase {
	case statemachine.Ramping:
		g.results, g.sent = d.part(recorded.Answered(), share.Fraction()), d.part(sent, share.Fraction())
		g.share = share.Fraction()
	case statemachine.Probing:
		g.kind = statemachine.KindProbe
		g.results, g.sent = r.probe(st, recorded.Answered(), sent)
		if n := recorded.Answered(); n > 0 {
			g.share = float64(g.results) / float64(n)
		}
	case statemachine.Disabled, statemachine.Healthy:
	}
	return g, monitor.GateSum{GateCount: statemachine.GateCount{
		Scope: st.Scope, Generation: st.Generation, Step: st.Step, WouldBe: would, Sent: g.sent,
	}, Routers: min(1, would)}
}

// probe spends the tokens that are valid on recorded payments, and finds the results of those sent before.
func (r *replay) probe(st *statemachine.State, answered, sent uint32) (results, took uint32) {
	p := r.probes[st.Scope]
	if p == nil || p.generation != st.Generation {
		p = &probe{generation: st.Generation}
		r.probes[st.Scope] = p
	}
	p.pending = slices.DeleteFunc(p.pending, func(at int64) bool { return at < r.now.at-pendingSeconds })
	results = min(uint32(len(p.pending)), answered) //nolint:gosec // few
	p.pending = p.pending[results:]
	for _, g := range r.grants {
		if g.Scope != st.Scope || g.Generation != st.Generation || g.Until < r.now.at || g.Tokens <= p.sent {
			continue
		}
		took = min(uint32(g.Tokens-p.sent), sent) //nolint:gosec // few
		p.sent += uint64(took)
		for range took {
			p.pending = append(p.pending, r.now.at)
		}
	}
	return results, took
}

// book enters what the gate kept off into the closure that it belongs to.
func (r *replay) book(s statemachine.Scope, g *gate, f *statemachine.Fleet) {
	c := r.closures.open[s]
	if c == nil {
		return
	}
	a := r.accounts[c]
	if a == nil {
		a = &account{}
		r.accounts[c] = a
	}
	recorded, _ := r.now.tally(itemsOf(s, f))
	m := moment{second: r.now.at, off: 1, alts: 1}
	m.answered, m.bad = weighed(&recorded)
	if m.answered == 0 {
		return
	}
	m.off = 1 - float64(g.results)/m.answered
	if _, ok := r.alts[s]; !ok {
		r.alts[s] = alternatives(s, f)
	}
	if rate, ok := r.history.lately(r.alts[s], r.now.at); ok {
		m.alts = rate
	} else if len(r.alts[s]) > 0 {
		m.alts = 0
	}
	a.moments = append(a.moments, m)
}

// settled returns what every closure came to, in order of time.
func (r *replay) settled(last statemachine.Instant) []*account {
	var out []*account
	fleet := r.node.Sight().Fleet
	for _, c := range r.closures.all {
		a := r.accounts[c]
		if a == nil {
			a = &account{}
		}
		a.closure = *c
		a.settle(r.history.outside(itemsOf(c.scope, fleet), closuresOf(r.closures.all, c.scope), last))
		out = append(out, a)
	}
	return out
}

func closuresOf(all []*closure, s statemachine.Scope) []*closure {
	return slices.DeleteFunc(slices.Clone(all), func(c *closure) bool { return c.scope != s })
}
