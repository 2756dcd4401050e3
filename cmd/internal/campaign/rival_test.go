package campaign

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"
)

// chooser is a policy of one function.
type chooser struct {
	choose  func(*simulate.Question) int
	reports int
}

func (*chooser) Tick(context.Context, time.Time) error { return nil }

func (c *chooser) Route(q *simulate.Question, _ time.Time) (simulate.Answer, error) {
	return simulate.Answer{Way: c.choose(q)}, nil
}

func (c *chooser) Report(r *simulate.Report, _ time.Time) error {
	if r.Outcome != statemachine.OutcomeUnspecified && r.Gateway > 0 {
		c.reports++
	}
	return nil
}

func judged(t *testing.T, derive statemachine.ScopeKind, c *chooser) *Result {
	t.Helper()
	trace := short(t, "medium", 5)
	r, err := trace.Run(t.Context(), Options{Policy: "rival", Build: func(context.Context, *simulate.Prepared, simulate.Gates) (simulate.Rival, error) {
		return simulate.Rival{Replica: c, Derive: derive}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// short is a trace of three hours.
func short(t *testing.T, class string, seed uint64) *Trace {
	t.Helper()
	c, err := ClassOf(class)
	if err != nil {
		t.Fatal(err)
	}
	trace, err := newTrace(Unit{Class: class, Seed: seed}, c, 3*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

func preferred(*simulate.Question) int { return 0 }

func oracle(q *simulate.Question) int {
	for i := range q.Ways {
		if !q.Unwell(i) {
			return i
		}
	}
	return 0
}

func TestOracleHasNoExcessAndDetectsEverything(t *testing.T) {
	t.Parallel()
	c := &chooser{choose: oracle}
	r := judged(t, statemachine.ScopeChannel, c)
	if r.Excess != 0 {
		t.Errorf("excess %d, want 0: it is the oracle itself", r.Excess)
	}
	if r.MovedHealthy != 0 {
		t.Errorf("%d healthy payments moved", r.MovedHealthy)
	}
	if uint64(c.reports) < r.Attempts*99/100 {
		t.Errorf("%d reports of %d attempts", c.reports, r.Attempts)
	}
	for _, in := range r.Incidents {
		if in.Detectable && in.DetectedIn == nil && in.Kind != "bank" && in.Kind != "account" { // these are no whole channels
			t.Errorf("%s not detected", in.Label)
		}
		if in.EarlyFailed != 0 {
			t.Errorf("%s: %d failed early", in.Label, in.EarlyFailed)
		}
	}
}

func TestStayingSavesNothing(t *testing.T) {
	t.Parallel()
	r := judged(t, statemachine.ScopeChannel, &chooser{choose: preferred})
	if len(r.Cuts) != 0 || r.MovedHealthy != 0 || r.Excess <= 0 {
		t.Errorf("%d cuts, %d moved, excess %d", len(r.Cuts), r.MovedHealthy, r.Excess)
	}
	for _, in := range r.Incidents {
		if in.DetectedIn != nil || in.Moved != 0 {
			t.Errorf("%s: %+v", in.Label, in)
		}
	}
}

func TestMovingTheHealthyIsCounted(t *testing.T) {
	t.Parallel()
	r := judged(t, statemachine.ScopeChannel, &chooser{choose: func(q *simulate.Question) int { return min(1, len(q.Ways)-1) }})
	if r.MovedHealthy < r.Payments*9/10 {
		t.Errorf("%d of %d moved", r.MovedHealthy, r.Payments)
	}
	if len(r.Cuts) != len(channels()) { // each channel closes once and never opens
		t.Errorf("%d cuts, want %d", len(r.Cuts), len(channels()))
	}
}

// A policy that decides otherwise changes nothing of what the payments are: as many, of the same preference and fate.
func TestRivalsMeetTheSamePayments(t *testing.T) {
	t.Parallel()
	a := judged(t, statemachine.ScopeChannel, &chooser{choose: preferred})
	b := judged(t, statemachine.ScopeChannel, &chooser{choose: oracle})
	if a.Payments != b.Payments || len(a.Incidents) != len(b.Incidents) {
		t.Fatalf("%d and %d payments", a.Payments, b.Payments)
	}
	for i := range a.Incidents {
		x, y := a.Incidents[i], b.Incidents[i]
		if x.Affected != y.Affected || x.Crossing != y.Crossing || x.Detectable != y.Detectable {
			t.Errorf("%s: %+v and %+v", x.Label, x, y)
		}
	}
}
