package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// slowExchange is one replica's way to a shared exchange, on which its own rows may come late and others' may not be seen yet.
type slowExchange struct {
	*monitor.MemoryExchange

	late   bool
	hidden string // replica whose rows this one does not see yet
}

func (x *slowExchange) Publish(ctx context.Context, r *monitor.Row) error {
	if x.late {
		return errDown
	}
	return x.MemoryExchange.Publish(ctx, r)
}

func (x *slowExchange) Read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	rows, err := x.MemoryExchange.Read(ctx, second)
	return slices.DeleteFunc(rows, func(r *monitor.Row) bool { return r.Replica == x.hidden }), err
}

// trio is three replicas that share ledger and exchange, ticked twice a second in virtual time.
type trio struct {
	t       *testing.T
	now     time.Time
	ledgers []*monitor.MemoryLedger
	ways    []*slowExchange
	nodes   []*Node
	figures []*kept
	seen    []map[int64][]byte // by replica: the pipeline's checkpoint after each second observed
	sealed  []map[int64]int64  // by replica: results told while leading
	paid    int
}

func newTrio(t *testing.T, catalog string) *trio {
	t.Helper()
	c := &trio{t: t, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	shared := monitor.NewMemoryExchange()
	for i := range 3 {
		ledger := monitor.NewMemoryLedger("r1")
		if i > 0 {
			ledger = c.ledgers[0].Peer(fmt.Sprintf("r%d", i+1))
		}
		c.ledgers, c.ways = append(c.ledgers, ledger), append(c.ways, &slowExchange{MemoryExchange: shared})
		c.figures, c.nodes = append(c.figures, nil), append(c.nodes, nil)
		c.seen, c.sealed = append(c.seen, map[int64][]byte{}), append(c.sealed, map[int64]int64{})
	}
	c.ledgers[0].Lead()
	for i := range 3 {
		c.boot(i, catalog)
	}
	return c
}

func (c *trio) boot(i int, catalog string) {
	c.t.Helper()
	c.figures[i] = &kept{}
	c.nodes[i] = New(Config{
		Replica: fmt.Sprintf("r%d", i+1), Boot: uint64(c.now.UnixNano()), Ledger: c.ledgers[i], Exchange: c.ways[i], Grace: 500 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), Budget: -1, Figures: c.figures[i],
		OnSealed: func(s *monitor.SecondCounts) {
			n := int64(0)
			for k := range s.Items {
				if s.Items[k].Item == statemachine.ChannelScope("first") {
					for _, x := range s.Items[k].Totals {
						n += int64(x)
					}
				}
			}
			c.sealed[i][s.Second] = n
		},
	})
	catalogue := catalogOf(c.t, catalog)
	if i > 0 {
		catalogue = nil
	}
	if err := c.nodes[i].Start(c.t.Context(), catalogue, c.now); err != nil {
		c.t.Fatal(err)
	}
}

// seconds lets n seconds pass; each replica is paid per second with a code, and may be dead.
func (c *trio) seconds(n, each int, code string) {
	c.t.Helper()
	for range n {
		for _, node := range c.nodes {
			if node == nil {
				continue
			}
			b := &bench{t: c.t, node: node, now: c.now, n: c.paid}
			for range each {
				b.pay("ICBC", code)
				b.pay("CMB", "00")
			}
			c.paid = b.n
		}
		for _, half := range []time.Duration{0, 500 * time.Millisecond} {
			at := c.now.Add(time.Second + half)
			for i, node := range c.nodes {
				if node != nil {
					_ = node.Tick(c.t.Context(), at) // a row that is late is an error of its replica
					c.seen[i][node.pipeline.Observed()] = node.pipeline.Checkpoint()
				}
			}
		}
		c.now = c.now.Add(time.Second)
	}
}

// agree checks that all pipelines were the same after every second that two of them stopped at, and how many seconds those were.
func (c *trio) agree(least int) {
	c.t.Helper()
	compared := 0
	for second, want := range c.seen[0] {
		for i := 1; i < len(c.seen); i++ {
			got, ok := c.seen[i][second]
			if !ok {
				continue
			}
			compared++
			if !bytes.Equal(got, want) {
				c.t.Errorf("after second %d r%d knows something else than r1", second, i+1)
			}
		}
	}
	if compared < least {
		c.t.Errorf("compared %d seconds, want %d at least", compared, least)
	}
}

// The leader judges half a second after the end of a second, the others a second later.
func TestGraceIsHalfASecond(t *testing.T) {
	c := newTrio(t, shop)
	c.seconds(3, 1, "00") // the last tick was half a second after the end of now-1
	if got, want := c.nodes[0].pipeline.Observed(), c.now.Unix()-1; got != want {
		t.Errorf("the leader has judged second %d, want %d", got, want)
	}
	if got, want := c.nodes[1].pipeline.Observed(), c.now.Unix()-2; got != want {
		t.Errorf("a follower has judged second %d, want %d", got, want)
	}
	if err := c.nodes[0].Tick(t.Context(), c.now.Add(1499*time.Millisecond)); err != nil || c.nodes[0].pipeline.Observed() != c.now.Unix()-1 {
		t.Errorf("judged before the grace was over (%v)", err)
	}
}

// A row that some do not see in time is in nobody's sum, or in everybody's.
func TestEveryReplicaSumsTheSameRows(t *testing.T) {
	c := newTrio(t, strings.Replace(shop, "  windows: {", "  automation: OBSERVE # a cut would move payments\n  windows: {", 1))
	c.seconds(3, 2, "00")
	c.ways[0].hidden = "r3" // the leader does not see it, the others do
	c.seconds(1, 2, "91")
	c.ways[0].hidden = ""
	c.seconds(3, 2, "00")
	c.ways[1].hidden = "r3" // the leader sees it, another does not yet
	c.seconds(1, 2, "91")
	c.ways[1].hidden = ""
	c.seconds(3, 2, "00")
	c.ways[2].late = true // published after the grace
	c.seconds(1, 2, "91")
	c.ways[2].late = false
	c.seconds(5, 2, "00")
	c.agree(25)
	if late := c.figures[2].late; late != 2 {
		t.Errorf("%d rows of r3 told as late, want two", late)
	}
	if c.figures[0].late+c.figures[1].late != 0 {
		t.Error("rows of others told as late")
	}
	c.seconds(3, 0, "")
	total := int64(0)
	for _, n := range c.sealed[0] {
		total += n
	}
	if want := int64(c.paid); total != want {
		t.Errorf("totals of %d results, want all %d: late ones as well", total, want)
	}
}

// A late row is evidence of nothing: failures that came too late cut nothing, in no replica.
func TestLateRowsCutNothing(t *testing.T) {
	c := newTrio(t, windowsShop)
	c.seconds(2, 1, "00")
	c.ways[2].late = true
	for range 20 {
		(&bench{t: t, node: c.nodes[2], now: c.now, n: 1000 + c.paid}).pay("ICBC", "91")
		c.paid++
	}
	c.seconds(1, 0, "")
	c.ways[2].late = false
	c.seconds(5, 1, "00")
	for _, s := range c.nodes[0].Sight().View.States {
		if s.Phase != statemachine.Healthy {
			t.Errorf("%s is %v by a row that came too late", s.Scope, s.Phase)
		}
	}
	if c.figures[2].late == 0 {
		t.Error("the row was not late: this test tests nothing")
	}
}

// A change of leader in the middle leaves no second out and none twice; what was half seen under the old leader cuts under the new.
func TestChangeOfLeaderKeepsWhatWasSeen(t *testing.T) {
	c := newTrio(t, strings.Replace(windowsShop, "min_samples: 10", "min_samples: 14", 1))
	c.seconds(5, 0, "")
	c.seconds(1, 1, "91") // three failures
	c.ways[0].hidden = "r2"
	c.seconds(1, 1, "91") // two in the sum of the old leader, which it names
	c.ways[0].hidden = ""
	c.seconds(1, 0, "")
	c.ledgers[0].Resign()
	c.nodes[0] = nil // and it is gone
	c.seconds(1, 0, "")
	c.ledgers[1].Lead()
	c.seconds(3, 0, "")
	c.seen[0], c.seen[1], c.seen[2] = c.seen[1], c.seen[2], c.seen[0]
	c.agree(8)
	cut := func() bool { // however soon it is probed
		return slices.ContainsFunc(c.nodes[2].Sight().View.States, func(s monitor.VersionedState) bool { return s.Phase != statemachine.Healthy })
	}
	if cut() {
		t.Fatal("five failures are enough: this test tests nothing")
	}
	c.seconds(1, 3, "91") // nine, with them fourteen
	c.seconds(2, 0, "")
	if !cut() {
		t.Error("what was seen under the old leader was forgotten by the new one")
	}
	if a, b := c.nodes[1].pipeline.Observed(), c.nodes[2].pipeline.Observed(); a != c.now.Unix()-1 || b != a-1 {
		t.Errorf("judged up to %d and %d, want %d and %d", a, b, c.now.Unix()-1, c.now.Unix()-2)
	}
}

// TestInvariant05_RestartedReplicaUsesNoTokenTwice: a probe token that was used before a restart is in the leader's rows after
// it, and yields no second probe; the next one does.
func TestInvariant05_RestartedReplicaUsesNoTokenTwice(t *testing.T) {
	c := newTrio(t, shop)
	c.seconds(3, 1, "00")
	scope, err := statemachine.ParseScope(icbcOnFirst)
	if err != nil {
		t.Fatal(err)
	}
	token := monitor.Grant{Scope: scope, Generation: 7, Replica: "r3", Tokens: 1, Until: c.now.Unix() + 60}
	table := func() *routing.Table {
		st := statemachine.State{Scope: scope, Phase: statemachine.Probing, Generation: 7, Since: statemachine.At(c.now)}
		return c.nodes[2].plan.Table(routing.Revision{Revision: 1}, []statemachine.State{st}, nil)
	}
	probes := func() (n int) {
		for range 30 { // payers who can be served elsewhere: the best of probes
			c.nodes[2].Router().Swap(table())
			if (&bench{t: t, node: c.nodes[2], now: c.now, n: c.paid}).pay("ICBC", "00") == "first" {
				n++
			}
			c.paid++
		}
		return n
	}
	row := func(g monitor.Grant) []*monitor.Row {
		return []*monitor.Row{{Replica: "r1", Leader: 1, Grants: []monitor.Grant{g}, Counts: monitor.SecondCounts{Second: c.now.Unix()}}}
	}
	fleet := c.nodes[2].fleet(c.now)
	c.nodes[2].grant(row(token), c.now.Unix(), fleet, nil)
	if n := probes(); n != 1 {
		t.Fatalf("%d probes by the first token, want 1", n)
	}
	c.boot(2, shop)
	for range 3 {
		c.nodes[2].grant(row(token), c.now.Unix()-1, fleet, nil)
		if n := probes(); n != 0 {
			t.Fatalf("%d probes after the restart by a token that was used before it", n)
		}
		c.now = c.now.Add(time.Second)
	}
	token.Tokens = 2
	c.nodes[2].grant(row(token), c.now.Unix(), fleet, nil)
	if n := probes(); n != 1 {
		t.Errorf("%d probes by the next token, want 1", n)
	}
}

// Without any leader the others wait, and then judge by themselves; a replica that comes back goes on where the others are.
func TestNobodyLeadsAndSomeoneComesBack(t *testing.T) {
	c := newTrio(t, shop)
	c.seconds(70, 1, "00") // a checkpoint was stored
	c.nodes[2] = nil
	c.seconds(5, 1, "00")
	c.boot(2, shop)
	c.seconds(5, 1, "00")
	if c.nodes[2].pipeline.Observed() != c.nodes[1].pipeline.Observed() {
		t.Error("the replica that came back is not where the others are")
	}
	c.ledgers[0].Resign()
	c.seconds(adoptWait-5, 1, "00")
	waits := c.nodes[1].pipeline.Observed()
	c.seconds(10, 1, "00")
	if got := c.nodes[1].pipeline.Observed(); waits > c.now.Unix()-adoptWait || got != c.now.Unix()-1-adoptWait {
		t.Errorf("judged up to %d s and then %d s ago, want to have waited %d s", c.now.Unix()-waits, c.now.Unix()-got, adoptWait)
	}
	c.seen = c.seen[:2]
	c.agree(80)
}
