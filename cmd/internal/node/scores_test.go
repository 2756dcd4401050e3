package node

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// scoreOf returns the score of an item in the table in force.
func scoreOf(n *Node, item string) (routing.Score, bool) {
	sc := n.Router().Table().Scores()
	if sc == nil {
		return routing.Score{}, false
	}
	i := slices.IndexFunc(sc.Scores, func(s routing.Score) bool { return s.Item.String() == item })
	if i < 0 {
		return routing.Score{}, false
	}
	return sc.Scores[i], true
}

// The leader publishes what it learned; it ranks payments without a journal entry, and no more often than every five seconds.
func TestScoresComeIntoForce(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	entries := b.node.Control().View().Head.Sequence
	var published []int64
	for range 120 {
		before := b.node.Router().Table().Scores()
		for range 3 {
			b.pay("CMB", "00")
		}
		b.seconds(1)
		if now := b.node.Router().Table().Scores(); now != before {
			published = append(published, now.Second)
		}
	}
	s, ok := scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT")
	if !ok || s.SuccessRate.Fraction() < 0.95 || s.Samples < 100 || s.Feedback != 10_000 || s.Headroom != statemachine.FullShare {
		t.Errorf("after 360 successes: %+v", s)
	}
	if _, ok := scoreOf(b.node, "second/instrument=QUICKPAY:CMB:DEBIT"); ok {
		t.Error("an instrument without results has a score")
	}
	for i := 1; i < len(published); i++ {
		if published[i] < published[i-1]+5 {
			t.Errorf("published at %d and %d: want five seconds between", published[i-1], published[i])
		}
	}
	if n := len(published); n < 3 || n > 24 {
		t.Errorf("%d publications in two minutes", n)
	}
	if now := b.node.Control().View().Head.Sequence; now != entries {
		t.Errorf("scores made %d journal entries", now-entries)
	}
}

// Without results nothing is published once the last failures are forgotten.
func TestScoresRest(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 60 {
		b.pay("CMB", "00")
		b.seconds(1)
	}
	b.seconds(60)
	last := b.node.Router().Table().Revision()
	b.seconds(60)
	if now := b.node.Router().Table().Revision(); now != last {
		t.Errorf("a minute without results changed the table from %+v to %+v", last, now)
	}
}

// A snapshot carries the scores, and its table decides by them.
func TestScoresAreInTheSnapshot(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 12 {
		b.pay("CMB", "00")
		b.seconds(1)
	}
	table := b.node.Router().Table()
	again, err := routing.OpenSnapshot(routing.NewSnapshot(table, "test", b.now), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if table.Scores() == nil || !slices.Equal(again.Scores().Scores, table.Scores().Scores) || again.Scores().Second != table.Scores().Second {
		t.Errorf("the snapshot has %+v, the table %+v", again.Scores(), table.Scores())
	}
}

// A new life begins with the published scores, and does not count twice what went into them.
func TestScoresOutliveARestart(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for i := range 60 {
		for range 5 {
			b.pay("CMB", map[bool]string{true: "91", false: "00"}[i%20 == 0])
		}
		b.seconds(1)
	}
	before, ok := scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT")
	if !ok {
		t.Fatal("nothing was published")
	}
	b.boot()
	b.start(nil)
	after, ok := scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT")
	if !ok || after != before {
		t.Errorf("after a restart: %+v, before: %+v", after, before)
	}
	for range 10 {
		for range 5 {
			b.pay("CMB", "00")
		}
		b.seconds(1)
	}
	after, _ = scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT")
	if d := after.SuccessRate.Fraction() - before.SuccessRate.Fraction(); d < -0.005 || d > 0.03 {
		t.Errorf("ten seconds after a restart the rate went from %s to %s", before.SuccessRate, after.SuccessRate)
	}
	if after.Samples < before.Samples || after.Samples > before.Samples+100 {
		t.Errorf("ten seconds after a restart %d samples, %d before", after.Samples, before.Samples)
	}
}

// While its scope is cut, a channel keeps the score it had before the incident.
func TestScoresAreAsBeforeTheIncident(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 90 {
		for range 3 {
			b.pay("ICBC", "00")
			b.pay("CMB", "00")
		}
		b.seconds(1)
	}
	before, _ := scoreOf(b.node, icbcOnFirst)
	for i := 0; i < 30 && b.state(icbcOnFirst).Phase == statemachine.Healthy; i++ {
		for range 3 {
			b.pay("ICBC", "91")
			b.pay("CMB", "00")
		}
		b.seconds(1)
	}
	if b.state(icbcOnFirst).Phase != statemachine.Disabled {
		t.Fatal("it was not cut")
	}
	for range 6 {
		b.pay("CMB", "00")
		b.seconds(1)
	}
	during, ok := scoreOf(b.node, icbcOnFirst)
	if !ok || !during.Frozen || during.Feedback != 10_000 {
		t.Errorf("while it is cut: %+v", during)
	}
	if d := during.SuccessRate.Fraction() - before.SuccessRate.Fraction(); d < -0.01 || d > 0.01 {
		t.Errorf("the rate went from %s to %s", before.SuccessRate, during.SuccessRate)
	}
	if cmb, _ := scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT"); cmb.Frozen {
		t.Error("another bank's score is frozen")
	}
}

// A replica that does not lead publishes nothing, ranks by the leader's scores, and goes on from there when it comes to lead.
func TestScoresPassToTheNextLeader(t *testing.T) {
	c := newTrio(t, shop)
	c.seconds(20, 1, "00")
	for i, n := range c.nodes {
		if n.Router().Table().Scores() == nil {
			t.Fatalf("replica %d has no scores", i+1)
		}
	}
	count := func(i int) uint64 { return c.nodes[i].Control().Counters().Scores }
	if count(0) == 0 || count(1)+count(2) != 0 {
		t.Errorf("published by the replicas: %d, %d, %d: want the leader alone", count(0), count(1), count(2))
	}
	c.ledgers[0].Resign()
	c.ledgers[1].Lead()
	was := count(0)
	before := c.nodes[2].Router().Table().Scores()
	one, _ := c.nodes[1].scorer.Scores(monitor.Around{Fleet: c.nodes[1].fleet(c.now), Feedback: c.nodes[1].feedback.of}, nil)
	two, _ := c.nodes[2].scorer.Scores(monitor.Around{Fleet: c.nodes[2].fleet(c.now), Feedback: c.nodes[2].feedback.of}, nil)
	if len(one) == 0 || !slices.Equal(one, two) {
		t.Errorf("two replicas that do not lead have learned %+v and %+v", one, two)
	}
	c.seconds(60, 3, "00")
	if count(0) != was || count(1) == 0 {
		t.Errorf("after the lead passed on: %d by the old leader, %d by the new", count(0)-was, count(1))
	}
	after := c.nodes[2].Router().Table().Scores()
	if after.Second <= before.Second {
		t.Errorf("scores of second %d stayed in force", before.Second)
	}
}

// A publication that fails leaves the scores before in force, and costs nothing else: the next comes five seconds later.
func TestScoresThatCannotBePublishedComeLater(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	b.faulty.Plan(ledgertest.Lost, ledgertest.Conflict)
	for range 20 {
		b.pay("CMB", "00")
		for _, err := range b.seconds(1) {
			if err != nil {
				t.Fatalf("Tick: %v", err)
			}
		}
	}
	if _, left := b.faulty.Commits(); left != 0 {
		t.Fatal("the faults did not happen")
	}
	if _, ok := scoreOf(b.node, "first/instrument=QUICKPAY:CMB:DEBIT"); !ok {
		t.Error("no scores twenty seconds later")
	}
	if v, err := b.ledger.Read(t.Context()); err != nil || !bytes.Equal(v.Scores, b.node.Control().View().Scores) {
		t.Error("the node and its ledger disagree")
	}
}

// Scores that cannot be read leave those before in force, and states still come into force.
func TestDamagedScoresKeepNothingElseBack(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 12 {
		b.pay("CMB", "00")
		b.seconds(1)
	}
	good := b.node.Router().Table().Scores()
	bad, err := proto.Marshal(&configv1.Scores{Scores: []*configv1.Score{{SuccessRatePpm: 2_000_000}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, scores := range [][]byte{bad, []byte("no message")} {
		if _, err := b.node.Control().PublishScores(t.Context(), scores, b.now); err != nil {
			t.Fatal(err)
		}
		if err := b.node.Refresh(t.Context(), b.now); err != nil {
			t.Fatalf("refresh: %v", err)
		}
		table := b.node.Router().Table()
		if table.Revision().Revision != b.node.Control().View().Revision || !slices.Equal(table.Scores().Scores, good.Scores) {
			t.Errorf("table %+v with %+v", table.Revision(), table.Scores())
		}
	}
}
