package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// journalPage is how many entries are read at once.
const journalPage = 100

// look puts the table of the newest view in force and tells what happened since the last.
func (n *Node) look(ctx context.Context, now time.Time) error {
	view := n.control.View()
	old := n.sight.Load()
	if old == nil || old.View.Head.Epoch != view.Head.Epoch || old.View.Revision != view.Revision {
		if err := n.swap(view, now); err != nil {
			return err
		}
	} else if at := n.control.Confirmed(); at.After(old.Confirmed) {
		next := *old
		next.View, next.Fleet, next.Confirmed = view, n.fleet(now), at
		n.sight.Store(&next)
	}
	sight := n.sight.Load()
	n.cfg.OnTable(sight.Table, sight.Confirmed, view.Leader)
	return n.tell(ctx, view)
}

// swap compiles the table of a view. Everything that can fail comes first: an error leaves the old table in force.
func (n *Node) swap(view *monitor.View, now time.Time) error {
	if view.Head.Catalog != n.number {
		catalog := &configv1.Catalog{}
		if err := proto.Unmarshal(view.Catalog, catalog); err != nil {
			return fmt.Errorf("catalogue %d: %w", view.Head.Catalog, err)
		}
		plan, err := routing.CompilePlan(catalog, n.plan)
		if err != nil {
			return fmt.Errorf("catalogue %d: %w", view.Head.Catalog, err)
		}
		if err := n.counters.SetItems(plan.Items()); err != nil {
			return fmt.Errorf("catalogue %d: %w", view.Head.Catalog, err)
		}
		n.plan, n.catalog, n.number, n.feedback = plan, catalog, view.Head.Catalog, newFeedbackRules(catalog)
		n.quotas.SetRules(quotaRules(plan))
	}
	n.scores.readScores(view, n.cfg.Logger)
	table := n.plan.Table(routing.Revision{Epoch: view.Head.Epoch, Revision: view.Revision}, view.StateList(), n.scores.scores)
	n.router.Swap(table)
	next := &server.Sight{View: view, Catalog: n.catalog, Fleet: n.fleet(now), Table: table, Confirmed: n.control.Confirmed()}
	if old := n.sight.Load(); old != nil {
		next.BanksDown = old.BanksDown
	}
	n.sight.Store(next)
	return nil
}

// banks puts the banks that are down into the sight, where they have changed: replies tell them.
func (n *Node) banks(now time.Time) {
	old := n.sight.Load()
	down := n.pipeline.BanksDown(now.Unix())
	if slices.Equal(down, old.BanksDown.List()) {
		return
	}
	next := *old
	next.BanksDown = server.NewBanksDown(down)
	n.sight.Store(&next)
}

// fleet is the world as the guards see it now: the plan's lanes with demand, load, states and recent cuts.
func (n *Node) fleet(now time.Time) *statemachine.Fleet {
	view := n.control.View()
	f := n.plan.Fleet()
	if n.statesOf != view || n.states == nil { // nobody writes into a fleet's states
		n.states, n.statesOf = view.StatesByScope(), view
	}
	f.States = n.states
	f.Recent = monitor.RecentCuts(view, now)
	n.pipeline.Demand().Fill(&f)
	n.cfg.Without.Fleet(&f)
	return &f
}

// tell gives every journal entry since the last to OnEntry, in order.
func (n *Node) tell(ctx context.Context, view *monitor.View) error {
	for n.told < view.Head.Sequence {
		entries, err := n.cfg.Ledger.Journal(ctx, n.told, journalPage)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if len(entries) == 0 {
			return nil
		}
		for _, e := range entries {
			n.cfg.OnEntry(e)
			n.told = e.Sequence
		}
	}
	return nil
}
