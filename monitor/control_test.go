package monitor_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/statemachine"
)

// bench is a control over a faulty memory ledger, with a fleet whose channels c00… all carry the same instrument.
type bench struct {
	t       *testing.T
	memory  *monitor.MemoryLedger
	ledger  *ledgertest.Faulty
	control *monitor.Control
	fleet   *statemachine.Fleet
	now     time.Time
}

var quickpay = statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}

func channel(n int) string                  { return fmt.Sprintf("c%02d", n) }
func onChannel(n int) statemachine.Scope    { return statemachine.InstrumentScope(channel(n), quickpay) }
func wholeChannel(n int) statemachine.Scope { return statemachine.ChannelScope(channel(n)) }

func newBench(t *testing.T, channels int) *bench {
	t.Helper()
	memory := monitor.NewMemoryLedger("r1")
	memory.Lead()
	ledger := ledgertest.NewFaulty(memory)
	lane := statemachine.LaneMembers{
		Lane:   statemachine.Lane{Entity: "e", Business: statemachine.Collect, Instrument: quickpay},
		Demand: 10,
	}
	policy := statemachine.DefaultPolicy()
	policy.MinWeightLeft = 0
	policy.CoolDown, policy.CoolDownMax = 10*time.Second, 10*time.Minute // longer than the tests of one change
	fleet := &statemachine.Fleet{Default: policy, Channels: map[string]statemachine.ChannelFacts{}}
	for n := range channels {
		lane.Members = append(lane.Members, statemachine.Member{Channel: channel(n), Account: "a", Weight: 1 / float64(channels)})
		fleet.Channels[channel(n)] = statemachine.ChannelFacts{Domains: []string{"net"}, Instruments: []statemachine.Instrument{quickpay}}
	}
	fleet.Lanes = []statemachine.LaneMembers{lane}
	return &bench{
		t: t, memory: memory, ledger: ledger, control: monitor.NewControl(ledger, "r1"), fleet: fleet,
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
}

// failing is a verdict whose budget is not held back.
func failing(s statemachine.Scope) monitor.Input {
	evidence := statemachine.Evidence{
		Detector: "windows", Rule: "rate", Scope: s, Answered: 40, Bad: 40, Rate: 1, Lower: 0.95, Threshold: 0.5, MinSamples: 20,
		Reasons: []statemachine.ReasonCount{{Reason: "E91", N: 40}}, Explanation: "40 of 40 failed",
	}
	return monitor.Input{Scope: s, Event: statemachine.Verdict{Kind: statemachine.Failing, Scope: s, Evidence: evidence}}
}

func (b *bench) submit(inputs ...monitor.Input) monitor.Result {
	b.t.Helper()
	r, err := b.control.Submit(b.t.Context(), inputs, b.fleet, b.now)
	if err != nil {
		b.t.Fatalf("submit: %v", err)
	}
	return r
}

func (b *bench) order(action statemachine.Action, d time.Duration, scopes ...statemachine.Scope) monitor.OrderRequest {
	return monitor.OrderRequest{
		Scopes: scopes,
		Order:  statemachine.Order{Action: action, Author: "ann", Reason: "the bank phoned", For: d, PerSecond: 10, Routers: 1},
	}
}

func (b *bench) give(q monitor.OrderRequest) (monitor.Result, error) {
	b.t.Helper()
	return b.control.Order(b.t.Context(), q, b.fleet, b.now)
}

func (b *bench) mustGive(q monitor.OrderRequest) monitor.Result {
	b.t.Helper()
	r, err := b.give(q)
	if err != nil {
		b.t.Fatalf("order %s: %v", q.Order.Action, err)
	}
	return r
}

func (b *bench) view() *monitor.View {
	b.t.Helper()
	v, err := b.memory.Read(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bench) state(s statemachine.Scope) monitor.VersionedState {
	b.t.Helper()
	for _, st := range b.view().States {
		if st.Scope == s {
			return st
		}
	}
	return monitor.VersionedState{State: statemachine.NewState(s)}
}

func (b *bench) journal() []monitor.JournalEntry {
	b.t.Helper()
	entries, err := b.memory.Journal(b.t.Context(), 0, 10000)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries
}

// walk drives a scope on by good evidence until it is in a phase.
func (b *bench) walk(s statemachine.Scope, phase statemachine.Phase) {
	b.t.Helper()
	for range 100 {
		st := b.state(s)
		if st.Phase == phase {
			return
		}
		b.now = b.now.Add(10 * time.Second)
		b.submit(b.step(s, statemachine.Passed))
	}
	b.t.Fatalf("%s never became %s: %+v", s, phase, b.state(s))
}

// step is evidence of the running step.
func (b *bench) step(s statemachine.Scope, j statemachine.Judgement) monitor.Input {
	b.t.Helper()
	st := b.state(s)
	e := statemachine.StepEvidence{
		Generation: st.Generation, Step: st.Step, Judgement: j, Answered: 20, WouldBe: 100, Sent: 20, Settled: 20, PerSecond: 10, Routers: 1,
	}
	if j == statemachine.Failed {
		e.Bad = 20
	}
	return monitor.Input{Scope: s, Event: e}
}

func TestSubmitCuts(t *testing.T) {
	b := newBench(t, 3)
	s := onChannel(0)
	base := b.view().Revision
	r := b.submit(failing(s))
	if !r.Leads || r.Revision <= base || r.Sequence != 1 || len(r.Moves) != 1 || len(r.Incidents) != 1 || len(r.Alerts) == 0 {
		t.Fatalf("got %+v", r)
	}
	st := b.state(s)
	if st.Phase != statemachine.Disabled || st.After != base {
		t.Errorf("got %s after %d; want DISABLED after %d, the revision it was decided against", st.Phase, st.After, base)
	}
	if v := b.control.View(); v.Revision != r.Revision {
		t.Errorf("the control's view is of %d, the change made %d", v.Revision, r.Revision)
	}
	e := b.journal()[0]
	if e.Author != "automation/r1" || e.Cause != statemachine.Automation || e.Reason == "" || e.At != statemachine.At(b.now) {
		t.Errorf("entry: %+v", e)
	}
}

func TestSubmitBringsBack(t *testing.T) {
	b := newBench(t, 3)
	s := onChannel(0)
	b.submit(failing(s))
	b.walk(s, statemachine.Probing)
	b.walk(s, statemachine.Ramping)
	first := b.state(s)
	b.walk(s, statemachine.Healthy)
	if got := b.state(s); got.After <= first.After || got.Incident != "" {
		t.Errorf("back: %+v", got)
	}
	v := b.view()
	if len(v.Incidents) != 1 || v.Incidents[0].Closed == 0 || v.Incidents[0].Evidence.Answered != 40 {
		t.Errorf("incidents: %+v", v.Incidents)
	}
	if err := b.memory.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nothing happens, nothing is written: not for a healthy fleet, nor each second for a closed scope or a refused cut.
func TestSubmitWritesOnlyChanges(t *testing.T) {
	b := newBench(t, 2)
	b.submit()
	b.submit(failing(onChannel(0)))
	b.submit(failing(onChannel(1))) // refused: the last one
	before, _ := b.ledger.Commits()
	for range 5 {
		b.now = b.now.Add(time.Second)
		b.submit(failing(onChannel(0)), failing(onChannel(1)))
	}
	if after, _ := b.ledger.Commits(); after != before || len(b.journal()) != 2 {
		t.Errorf("%d commits and %d entries for two changes", after, len(b.journal()))
	}
	incidents := b.view().Incidents
	if i := slices.IndexFunc(incidents, func(i statemachine.Incident) bool { return i.Kind == statemachine.Refused }); i < 0 {
		t.Errorf("no REFUSED incident among %+v", incidents)
	}
}

func TestOnlyTheLeaderSubmits(t *testing.T) {
	b := newBench(t, 3)
	b.memory.Resign()
	if r := b.submit(failing(onChannel(0))); r.Leads || r.Revision != 0 || r.Carried != 0 {
		t.Errorf("a follower did %+v", r)
	}
	b.memory.Lead()
	b.submit()
	b.memory.Peer("r2").Lead()
	<-b.memory.Changed() // deposed, and has not heard of it
	if _, err := b.control.Submit(t.Context(), []monitor.Input{failing(onChannel(0))}, b.fleet, b.now); !errors.Is(err, monitor.ErrNotLeader) {
		t.Errorf("got %v", err)
	}
	if len(b.journal()) != 0 {
		t.Error("something was written")
	}
}

// A proposal that meets trouble is tried again by the calls that follow, five times at most.
func TestSubmitCarriesOver(t *testing.T) {
	tests := map[string]struct {
		fault   ledgertest.Fault
		times   int
		dropped bool
	}{
		"conflicts":     {ledgertest.Conflict, 4, false},
		"lost":          {ledgertest.Lost, 4, false},
		"too large":     {ledgertest.TooLarge, 2, false},
		"for ever":      {ledgertest.Conflict, 5, true},
		"lost for ever": {ledgertest.Lost, 5, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 3)
			for range test.times {
				b.ledger.Plan(test.fault)
			}
			in := []monitor.Input{failing(onChannel(0))}
			var dropped []monitor.Input
			for range test.times {
				r, err := b.control.Submit(t.Context(), in, b.fleet, b.now)
				if err == nil {
					t.Fatal("a failed attempt was not reported")
				}
				in, dropped = nil, r.Dropped
				b.now = b.now.Add(time.Second)
			}
			if (len(dropped) == 1) != test.dropped {
				t.Errorf("dropped %+v", dropped)
			}
			b.submit()
			if cut := b.state(onChannel(0)).Phase == statemachine.Disabled; cut == test.dropped {
				t.Errorf("cut: %v", cut)
			}
			if _, left := b.ledger.Commits(); left != 0 {
				t.Errorf("%d faults never fired", left)
			}
		})
	}
}

// An unanswered change that was made is found, reported by the next call and not made again; so is one that is made late.
func TestSubmitUnknownOutcome(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{"made": ledgertest.Unanswered, "made late": ledgertest.Late} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 3)
			b.ledger.Plan(fault)
			if _, err := b.control.Submit(t.Context(), []monitor.Input{failing(onChannel(0))}, b.fleet, b.now); !errors.Is(err, monitor.ErrUnknownOutcome) {
				t.Fatalf("got %v", err)
			}
			reported := 0
			for range 3 {
				b.now = b.now.Add(time.Second)
				r, err := b.control.Submit(t.Context(), nil, b.fleet, b.now)
				if err != nil && !errors.Is(err, monitor.ErrConflict) {
					t.Fatal(err)
				}
				reported += len(r.Moves)
			}
			if n := len(b.journal()); n != 1 || reported != 1 {
				t.Errorf("%d entries, %d moves reported; want one cut, made once and told once", n, reported)
			}
			if c := b.control.Counters(); c.Settled != 1 || c.Unknown != 1 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

func TestSubmitSplitsLargeBatches(t *testing.T) {
	b := newBench(t, 62)
	var inputs []monitor.Input
	for n := range 60 {
		inputs = append(inputs, failing(wholeChannel(n)))
	}
	var counts []int
	for range 4 {
		r := b.submit(inputs...)
		counts = append(counts, len(r.Moves))
		inputs = nil
		b.now = b.now.Add(time.Second)
	}
	if !slices.Equal(counts, []int{25, 25, 10, 0}) {
		t.Errorf("moved %v scopes, want 25, 25, 10, 0", counts)
	}
	first := b.journal()[0].Moves
	if !slices.IsSortedFunc(first, func(a, b monitor.Move) int { return a.After.Scope.Compare(b.After.Scope) }) {
		t.Error("the moves of one change are not sorted by scope")
	}
}

// A transaction that does not fit is made smaller, and the next ones are tried in full again.
func TestSubmitMakesTooLargeBatchesSmaller(t *testing.T) {
	b := newBench(t, 62)
	var inputs []monitor.Input
	for n := range 60 {
		inputs = append(inputs, failing(wholeChannel(n)))
	}
	b.ledger.Plan(ledgertest.TooLarge)
	if _, err := b.control.Submit(t.Context(), inputs, b.fleet, b.now); !errors.Is(err, monitor.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	if small, full := len(b.submit().Moves), len(b.submit().Moves); small != 12 || full != 25 {
		t.Errorf("moved %d, then %d scopes; want 12, then 25", small, full)
	}
}

// Common mode and single reporter are said by localisation; the control does not ask a guard that would allow the cut.
func TestARulingThatRefusesStands(t *testing.T) {
	b := newBench(t, 3)
	in := failing(onChannel(0))
	v, _ := in.Event.(statemachine.Verdict)
	v.Ruling = statemachine.Ruling{Answer: statemachine.Refuse, Guard: statemachine.GuardCommonMode, Reason: "everything fails"}
	in.Event = v
	r := b.submit(in)
	if len(r.Rulings) != 0 || b.state(onChannel(0)).Phase != statemachine.Healthy || len(r.Incidents) != 1 || r.Incidents[0].Kind != statemachine.Refused {
		t.Errorf("got %+v", r)
	}
}

// A new leader knows the cuts of the last minute: the states remember them.
func TestBudgetSurvivesAChangeOfLeader(t *testing.T) {
	b := newBench(t, 8)
	weak := func(n int) monitor.Input {
		in := failing(wholeChannel(n))
		v, _ := in.Event.(statemachine.Verdict)
		v.Evidence.Lower = 0.6
		in.Event = v
		return in
	}
	b.submit(weak(0))
	peer := b.memory.Peer("r2")
	peer.Lead()
	b.control = monitor.NewControl(peer, "r2")
	r := b.submit(weak(1), weak(2))
	if b.state(wholeChannel(1)).Phase != statemachine.Disabled || b.state(wholeChannel(2)).Phase != statemachine.Healthy {
		t.Errorf("two channel-wide cuts a minute are allowed, got rulings %+v", r.Rulings)
	}
	b.now = b.now.Add(61 * time.Second)
	b.submit(weak(2))
	if b.state(wholeChannel(2)).Phase != statemachine.Disabled {
		t.Error("a minute later the budget is still used up")
	}
}

func TestViewIsReadAgainAfterTenSeconds(t *testing.T) {
	b := newBench(t, 3)
	b.submit()
	peer := monitor.NewControl(b.memory.Peer("r2"), "r2")
	if _, err := peer.Order(t.Context(), b.order(statemachine.ActionOff, time.Hour, wholeChannel(0)), b.fleet, b.now); err != nil {
		t.Fatal(err)
	}
	<-b.memory.Changed() // the hint is lost
	b.submit()
	if n := len(b.control.View().States); n != 0 {
		t.Fatalf("the view holds %d states before the next full read", n)
	}
	b.now = b.now.Add(10 * time.Second)
	b.submit()
	if n := len(b.control.View().States); n != 1 {
		t.Errorf("the view holds %d states", n)
	}
}

// While the ledger cannot be read, nothing is lost and the last view stays.
func TestSubmitWithoutLedger(t *testing.T) {
	b := newBench(t, 3)
	b.submit()
	b.ledger.FailReads(errors.New("no quorum"))
	b.now = b.now.Add(11 * time.Second)
	for range 3 {
		r, err := b.control.Submit(t.Context(), []monitor.Input{failing(onChannel(0))}, b.fleet, b.now)
		if err == nil || r.Carried != 1 || b.control.View() == nil {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	b.ledger.FailReads(nil)
	if r := b.submit(); len(r.Moves) != 1 {
		t.Errorf("got %+v", r)
	}
}
