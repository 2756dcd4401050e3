package rival

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/compare/internal/gate"
	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

var (
	one  = gate.Key{Channel: "one"}
	two  = gate.Key{Channel: "two"}
	both = []gate.Key{one, two}
)

// rig is a rival with gobreaker's defaults, and what its breakers did.
type rig struct {
	t       *testing.T
	rival   *Rival
	now     time.Time
	changes []Change
	number  int
}

// sent is a payment and where it went.
type sent struct {
	Choice

	payment string
}

func withRival(t *testing.T, m gate.Maker, run func(*rig)) {
	t.Helper()
	err := virtual.NewLab(t).Bubble(func(c *virtual.Clock) error {
		g := &rig{t: t, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		var err error
		g.rival, err = New(m, both, c, g.now, func(ch Change) { g.changes = append(g.changes, ch) })
		if err != nil {
			return err
		}
		run(g)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (g *rig) route() sent {
	g.t.Helper()
	g.number++
	payment := strconv.Itoa(g.number)
	return sent{g.rival.Route(payment, both, g.now), payment}
}

func (g *rig) report(s sent, failed bool) {
	g.t.Helper()
	g.rival.Report(s.payment, both[s.Way].Channel, failed, g.now)
}

func (g *rig) wait(seconds int) {
	g.t.Helper()
	for range seconds {
		g.now = g.now.Add(time.Second)
		g.rival.Tick(g.now)
	}
}

func TestPaymentTakesTheFirstChannelThatLetsItThrough(t *testing.T) {
	withRival(t, gate.Gobreaker(), func(g *rig) {
		for range 6 {
			c := g.route()
			if c.Way != 0 || c.Trial || c.Bypass {
				t.Fatalf("choice %+v while everything is well", c)
			}
			g.report(c, true)
		}
		if c := g.route(); c.Way != 1 {
			t.Errorf("choice %+v past an open breaker", c)
		}
		g.wait(61)
		trial := g.route()
		if trial.Way != 0 || !trial.Trial {
			t.Errorf("choice %+v, want a trial of the first", trial)
		}
		if c := g.route(); c.Way != 1 {
			t.Errorf("choice %+v beside a trial", c)
		}
		g.report(trial, false)
		want := []Change{{one, gate.Closed, gate.Open}, {one, gate.Open, gate.Trial}, {one, gate.Trial, gate.Closed}}
		if !slices.Equal(g.changes, want) {
			t.Errorf("changes %v, want %v", g.changes, want)
		}
	})
}

func TestWithEveryBreakerOpenPaymentsPassBy(t *testing.T) {
	withRival(t, gate.Gobreaker(), func(g *rig) {
		for range 12 {
			g.report(g.route(), true)
		}
		c := g.route()
		if !c.Bypass || c.Way != 0 {
			t.Errorf("choice %+v, want the first channel past its breaker", c)
		}
		g.report(c, true)
		g.wait(61)
		if c := g.route(); c.Bypass {
			t.Errorf("choice %+v after the time of the breakers", c)
		}
	})
}

func TestResultCountsOnce(t *testing.T) {
	withRival(t, gate.Gobreaker(), func(g *rig) {
		c := g.route()
		for range 10 {
			g.report(c, true)
		}
		if len(g.changes) != 0 {
			t.Errorf("one failure, reported ten times, did %v", g.changes)
		}
	})
}

// A payment that never became an attempt must not keep a half-open breaker waiting for ever.
func TestPermitWithoutResultIsGivenBack(t *testing.T) {
	withRival(t, gate.Gobreaker(), func(g *rig) {
		for range 6 {
			g.report(g.route(), true)
		}
		g.wait(61)
		g.route()
		g.wait(119)
		if c := g.route(); c.Way != 1 {
			t.Errorf("choice %+v while a trial is out", c)
		}
		g.wait(2)
		if c := g.route(); c.Way != 0 || !c.Trial {
			t.Errorf("choice %+v, want the next trial", c)
		}
	})
}
