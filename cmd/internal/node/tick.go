package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	tickBudget = 500 * time.Millisecond // of the stores, in one Tick
	catchUp    = 900                    // seconds that a late Tick looks back: the exchange keeps no more
)

// Tick closes the seconds that are over, publishes them, judges those that are sealed, commits what follows (if this
// replica leads) and puts the newest table in force. Errors of one room do not keep the others from working; what could
// not be committed is carried over to the next Tick.
func (n *Node) Tick(ctx context.Context, now time.Time) error {
	if s := now.Unix(); s > n.Second() {
		n.SetSecond(s)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, cancel := n.budget(ctx)
	defer cancel()
	fleet := n.fleet(now)
	errs := []error{n.publish(ctx, now.Unix()-1)}
	inputs, err := n.judge(ctx, now, fleet)
	n.takeShares(now)
	inputs = append(inputs, n.reopening(now, fleet)...)
	result, submitErr := n.control.Submit(ctx, inputs, fleet, now)
	n.warn(&result)
	errs = append(errs, err, submitErr, n.look(ctx, now))
	if result.Revision == 0 && submitErr == nil {
		n.publishScores(ctx, now)
	}
	n.banks(now)
	n.checkpoint(ctx, now)
	return errors.Join(errs...)
}

// budget bounds what the stores may take of one Tick. In virtual time there is none: a loaded machine must not change a run.
func (n *Node) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case n.cfg.Budget < 0:
		return ctx, func() {}
	case n.cfg.Budget > 0:
		return context.WithTimeout(ctx, n.cfg.Budget)
	}
	return context.WithTimeout(ctx, tickBudget)
}

// publish closes every second up to last and publishes its row.
func (n *Node) publish(ctx context.Context, last int64) error {
	if last <= n.closed {
		return nil
	}
	drained := n.router.Drain(last)
	n.counters.AddRouter(last, drained.Lanes, drained.Gates, drained.Sent)
	n.cfg.Figures.AddRouter(drained.Sent)
	n.overshot(drained.Gates)
	closed := n.counters.Close(last)
	var rows []*monitor.Row
	for s := max(n.closed+1, last-catchUp); s <= last; s++ {
		row := &monitor.Row{Replica: n.cfg.Replica, Boot: n.cfg.Boot, Counts: secondOf(closed, s)}
		if view := n.control.View(); view.Leader != 0 {
			row.Leader, row.Grants, row.Sealed = view.Leader, n.grants, n.sealing.lists
		}
		if s == last {
			row.Limits = drained.Limits
		}
		n.sealing.keep(row)
		rows = append(rows, row)
	}
	err := n.publisher.Publish(ctx, rows, last+1)
	n.closed = last
	n.published.Store(n.publisher.Published(last))
	n.late(last + 1)
	for _, c := range n.counters.Contradictions() {
		n.raise(c.Alert())
	}
	return err //nolint:wrapcheck // it names the second
}

// secondOf returns the counts of a second, empty if nothing was counted in it.
func secondOf(closed []monitor.SecondCounts, second int64) monitor.SecondCounts {
	i, found := slices.BinarySearchFunc(closed, second, func(c monitor.SecondCounts, s int64) int { return int(c.Second - s) })
	if !found {
		return monitor.SecondCounts{Second: second}
	}
	return closed[i]
}

// judge sums every second whose grace is over by the rows that make it up, and lets the pipeline judge it. A second whose
// rows cannot be read, or have been lost, is left out: no signal is no evidence, neither of failure nor of health.
func (n *Node) judge(ctx context.Context, now time.Time, fleet *statemachine.Fleet) ([]monitor.Input, error) {
	last, newest := now.Add(-n.cfg.Grace).Unix()-1, now.Unix()-1
	var inputs []monitor.Input
	var errs []error
	look := lookout{exchange: n.cfg.Exchange}
	for s := max(n.sealed+1, last-catchUp); s <= last; s++ {
		rows, err := n.rows(ctx, &look, s, newest)
		if errors.Is(err, errWaiting) {
			break
		}
		n.sealed = s
		if err == nil && len(rows) == 0 { // before this life, when nobody was there
			continue
		}
		n.signal(s, err == nil)
		if err != nil {
			n.sharing.Miss(s, n.quotas.Used())
			errs = append(errs, fmt.Errorf("read second %d: %w", s, err))
			continue
		}
		inputs = append(inputs, n.observe(s, rows, fleet)...)
	}
	return inputs, errors.Join(errs...)
}

// observe lets the pipeline judge one sealed second.
func (n *Node) observe(s int64, rows []*monitor.Row, fleet *statemachine.Fleet) []monitor.Input {
	found := n.see(s, rows, fleet, n.control.View().Leader != 0)
	n.steps = map[statemachine.Scope]statemachine.StepEvidence{}
	for _, e := range found.Steps {
		n.steps[e.Scope] = e.StepEvidence
	}
	for _, a := range found.Alerts {
		n.raise(a)
	}
	n.grant(rows, s, fleet, found.Steps)
	return found.Inputs()
}

// see brings the sum of a second into minute, pipeline, scores and, if tell is set, series.
func (n *Node) see(s int64, rows []*monitor.Row, fleet *statemachine.Fleet, tell bool) monitor.Findings {
	sum := monitor.Sum(rows)
	sum.Second = s
	n.minute.add(&sum)
	if tell {
		n.cfg.OnSealed(&sum)
	}
	n.pipeline.Interrupt(n.sealing.missing(s, rows))
	n.shareOut(s, rows, &sum)
	learnable := n.learnable(&sum)
	found := n.pipeline.Observe(learnable, fleet)
	if !n.cfg.Unscored {
		n.scorer.Observe(learnable, fleet, found.CommonMode)
	}
	return found
}

// grant hands this replica's probe tokens to its router: the leader's own, else those in the leader's row. Those in a row from
// before this life, and in the first row of it, may have been used by the life before: they count as lapsed.
func (n *Node) grant(rows []*monitor.Row, second int64, fleet *statemachine.Fleet, steps []monitor.ScopeEvidence) {
	n.grants = n.pipeline.Grant(rows, n.cfg.Replica, fleet, second, steps)
	grants := n.grants
	lapsed := false
	if n.control.View().Leader != 0 {
		n.granted = true
	} else {
		grants = nil
		newest := int64(0)
		for _, r := range rows {
			if r.Leader > newest {
				newest, grants = r.Leader, r.Grants
			}
		}
		lapsed = second < n.sealing.begun || !n.granted
		n.granted = n.granted || newest != 0
	}
	for _, g := range grants {
		if g.Replica == n.cfg.Replica {
			if lapsed {
				g.Until = second - 1
			}
			n.router.Grant(routing.Grant{Scope: g.Scope, Generation: g.Generation, Tokens: g.Tokens, From: second, Until: g.Until, Lift: g.Lift})
		}
	}
}

// The invariants that a running replica can see broken, by their numbers.
const (
	cutsWithEvidence = 4
	rampsInShare     = 5
	reportsBalanced  = 8
)

// gateTotal is what was counted at a scope's gate since its step began.
type gateTotal struct {
	generation    uint64
	step          uint32
	wouldBe, sent uint64
}

// overshot checks that no ramp was sent more than its share of what came by in its step.
func (n *Node) overshot(gates []statemachine.GateCount) {
	table := n.router.Table()
	for _, g := range gates {
		t := n.gates[g.Scope]
		if t.generation != g.Generation || t.step != g.Step {
			t = gateTotal{generation: g.Generation, step: g.Step}
		}
		t.wouldBe, t.sent = t.wouldBe+uint64(g.WouldBe), t.sent+uint64(g.Sent)
		n.gates[g.Scope] = t
		st := table.State(g.Scope)
		phase, share := st.Effective()
		if phase == statemachine.Ramping && st.Generation == t.generation && st.Step == t.step && float64(t.sent) > share.Fraction()*float64(t.wouldBe) {
			n.cfg.Figures.Violation(rampsInShare)
			n.cfg.Logger.Error("a ramp was sent more than its share", slog.String("scope", g.Scope.String()))
		}
	}
}

// blindSeconds is how many seconds without a signal are told.
const blindSeconds = 5

// signal tells people when the evidence has been gone for a while, and when it is back: meanwhile automation does nothing.
func (n *Node) signal(second int64, seen bool) {
	alert := statemachine.Alert{At: time.Unix(second, 0).UTC()}
	switch {
	case !seen:
		if n.blind++; n.blind != blindSeconds {
			return
		}
		alert.Kind, alert.Severity = "NO_SIGNAL", statemachine.Critical
		alert.Message = "the exchange has shown no evidence for five seconds: automation pauses, routing goes on; look at Redis"
	default:
		told := n.blind >= blindSeconds
		if n.blind = 0; !told {
			return
		}
		alert.Kind, alert.Severity, alert.Message = "SIGNAL_BACK", statemachine.Info, "the exchange shows evidence again: automation goes on"
	}
	n.raise(alert)
}

// warn counts and logs what a person should know of a Submit.
func (n *Node) warn(r *monitor.Result) {
	for _, ruling := range r.Rulings {
		n.cfg.Figures.Ruling(ruling.Ruling)
	}
	if !n.counters.Books().Balanced() {
		n.cfg.Figures.Violation(reportsBalanced)
	}
	for _, in := range r.Dropped {
		n.cfg.Logger.Error("a change was given up after five attempts", slog.String("scope", in.Scope.String()))
	}
	for _, s := range r.Unfounded {
		n.cfg.Figures.Violation(cutsWithEvidence)
		n.cfg.Logger.Error("a cut without evidence was withheld", slog.String("scope", s.String()))
	}
}

// raise tells people something that belongs to no change of state. Every replica sees the same; the leader speaks.
func (n *Node) raise(a statemachine.Alert) {
	if n.control.View().Leader == 0 {
		return
	}
	n.cfg.Logger.Warn("alert", slog.String("kind", a.Kind), slog.String("scope", a.Scope.String()), slog.String("message", a.Message))
	n.cfg.OnAlert(a)
}
