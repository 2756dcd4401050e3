package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/node"
	"github.com/sluice-pay/sluice/monitor"
)

// leaseSeconds is how long the others wait before one of them takes a dead leader's place.
const leaseSeconds = 5

// shareGrace is how long a closed second waits for the rows of other replicas, as in production.
const shareGrace = 500 * time.Millisecond

// cluster is the replicas of a run: production nodes on the in-memory twins of ledger and exchange, which faults can break.
type cluster struct {
	p        *Prepared
	to       sink
	members  []*member
	told     uint64 // newest journal entry given to the sink: every replica tells each
	exchange *frailExchange
	ledger   *outage
	leader   int // index of the member that leads
	leaving  int64
	killed   map[*Fault]int // member that a leader_killed took
	faulty   bool           // a fault was injected, so errors of a tick are its consequence
}

// member is one replica: it may be dead, and its clock may be wrong.
type member struct {
	*nodeReplica // nil while it is dead

	c      *cluster
	index  int
	ledger *frailLedger
	boot   uint64
	step   time.Duration
}

// production starts the nodes of a run.
func production(ctx context.Context, p *Prepared, to sink) (*fleet, error) {
	would, err := newShadow(p.Catalog)
	if err != nil {
		return nil, err
	}
	c := &cluster{
		p: p, to: to, exchange: &frailExchange{MemoryExchange: monitor.NewMemoryExchange()}, ledger: &outage{},
		killed: map[*Fault]int{},
	}
	fl := &fleet{would: would, fault: c.fault}
	first := monitor.NewMemoryLedger(replicaName(0))
	first.Lead()
	for i := range p.Scenario.Replicas {
		m := &member{c: c, index: i, ledger: &frailLedger{MemoryLedger: first, outage: c.ledger}}
		if i > 0 {
			m.ledger.MemoryLedger = first.Peer(replicaName(i))
		}
		c.members = append(c.members, m)
		fl.replicas = append(fl.replicas, m)
		if err := m.start(ctx, p.Scenario.Start); err != nil {
			return nil, err
		}
	}
	return fl, nil
}

func replicaName(i int) string { return fmt.Sprintf("replica-%d", i+1) }

// start boots a node of this member; what an earlier one had counted is lost.
func (m *member) start(ctx context.Context, now time.Time) error {
	m.boot++
	grace := time.Duration(0)
	if m.c.p.Scenario.Replicas > 1 {
		grace = shareGrace
	}
	ledger, exchange := m.stores()
	var n *node.Node
	n = node.New(node.Config{
		Replica: replicaName(m.index), Boot: m.boot, Ledger: ledger, Exchange: exchange,
		Logger: slog.New(slog.DiscardHandler), Budget: -1, Grace: grace, OnAlert: m.c.to.alert, Without: m.c.p.Without,
		Unscored: len(m.c.p.Catalog.GetStrategies()) == 0,
		OnEntry:  func(e monitor.JournalEntry) { m.c.entry(e, n.Control().View()) },
		OnSealed: func(sum *monitor.SecondCounts) { m.c.sealed(sum, n.Control().View()) },
	})
	catalog := m.c.p.Catalog
	if m.index > 0 || m.boot > 1 {
		catalog = nil // it is in the ledger
	}
	if err := n.Start(ctx, catalog, now); err != nil {
		return fmt.Errorf("start %s: %w", replicaName(m.index), err)
	}
	m.nodeReplica = newNodeReplica(n, m.c.p.Catalog)
	return nil
}

// stores are what a member shares with the others, and what faults can break.
func (m *member) stores() (monitor.Ledger, monitor.Exchange) {
	if m.c.p.alone() {
		return forgetful{m.ledger}, &handover{}
	}
	return m.ledger, m.c.exchange
}

// entry gives each journal entry to the world once.
func (c *cluster) entry(e monitor.JournalEntry, view *monitor.View) {
	if e.Sequence <= c.told {
		return
	}
	c.told = e.Sequence
	c.to.entry(&e)
	if c.p.Recorder != nil {
		c.p.Recorder.Entry(&e, view)
	}
}

// sealed gives each sealed second to the recorder.
func (c *cluster) sealed(sum *monitor.SecondCounts, view *monitor.View) {
	if c.p.Recorder != nil {
		c.p.Recorder.Second(sum, view)
	}
}

// Tick implements replica.
func (m *member) Tick(ctx context.Context, now time.Time) error {
	m.c.elect(now)
	if m.nodeReplica == nil {
		return nil
	}
	err := m.nodeReplica.Tick(ctx, now.Add(m.step))
	if err != nil && m.c.faulty && ctx.Err() == nil {
		return nil // the fault's doing: the node carries on with the next second
	}
	return err
}

// Route implements replica.
func (m *member) Route(q *question, now time.Time, out *answer) error {
	if m.nodeReplica == nil {
		return errUnreachable
	}
	return m.nodeReplica.Route(q, now.Add(m.step), out)
}

// Report implements replica.
func (m *member) Report(r *report, now time.Time) error {
	if m.nodeReplica == nil {
		return errUnreachable
	}
	return m.nodeReplica.Report(r, now.Add(m.step))
}

// Order implements replica.
func (m *member) Order(ctx context.Context, o *command, now time.Time) error {
	if m.nodeReplica == nil {
		return errUnreachable
	}
	return m.nodeReplica.Order(ctx, o, now.Add(m.step))
}

// elect gives a dead leader's place to the first living member once its lease is over.
func (c *cluster) elect(now time.Time) {
	if c.members[c.leader].nodeReplica != nil || c.ledger.on || now.Unix() < c.leaving {
		return
	}
	for i, m := range c.members {
		if m.nodeReplica != nil {
			c.leader = i
			m.ledger.Lead()
			return
		}
	}
}

// fault begins or ends a fault of the control plane.
func (c *cluster) fault(ctx context.Context, f *Fault, begin bool, now time.Time) error {
	c.faulty = true
	switch f.Kind {
	case RedisDown:
		c.exchange.down = begin
	case RedisSlow:
		c.exchange.slow = begin
	case EtcdDown:
		c.ledger.on = begin
	case ClockStep:
		return c.stepClock(f, begin)
	case ReplicaKilled:
		return c.kill(ctx, f.Replica-1, begin, now)
	case LeaderKilled:
		if begin {
			c.killed[f] = c.leader
		}
		return c.kill(ctx, c.killed[f], begin, now)
	}
	return nil
}

func (c *cluster) stepClock(f *Fault, begin bool) error {
	step := f.Step
	if !begin {
		step = -step
	}
	for i, m := range c.members {
		if f.Replica == 0 || f.Replica == i+1 {
			m.step += step
		}
	}
	return nil
}

// kill takes a member down, or boots it anew with a new boot number.
func (c *cluster) kill(ctx context.Context, index int, begin bool, now time.Time) error {
	m := c.members[index]
	if !begin {
		return m.start(ctx, now)
	}
	if m.nodeReplica == nil {
		return nil
	}
	m.nodeReplica = nil
	if c.leader == index {
		m.ledger.Resign()
		c.leaving = now.Unix() + leaseSeconds
	}
	return nil
}
