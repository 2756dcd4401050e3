package statemachine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// grain is the only step of time in the walk. Every duration of its policy, and the ten minutes of the oscillation rule, are
// multiples, so that states which look alike in grains behave alike.
const grain = 5 * time.Minute

func walkPolicy(level Level) Policy {
	p := DefaultPolicy()
	p.Level = level
	p.CoolDown, p.CoolDownMax = grain, 2*grain
	p.Dwell, p.Probation = grain, grain
	p.FirstShare, p.Factor = ShareOf(0.5), 2
	p.QuietRate = 0.02
	p.OffMax = grain
	return p
}

// node is one state of the walk with what must be remembered of the way to it.
type node struct {
	state   State
	now     time.Time
	entries int  // automatic cuts since an operator last opened the scope, at most two
	reused  bool // an incident of this generation was closed: another one would have its id
}

// key is the node with times in grains relative to now and without what does not matter to Step.
func (n *node) key() node {
	k := *n
	s := &k.state
	for _, i := range []*Instant{
		&s.StepSince, &s.CoolUntil, &s.Probation, &s.Cuts[0], &s.Cuts[1],
		&s.Suspend.Until, &s.Off.Until, &s.OnNow.Until, &s.Hold.Until,
	} {
		if *i != 0 {
			*i = 100 + max(-2, min(2, (*i-At(n.now))/Instant(grain/time.Millisecond)))
		}
	}
	s.StepSince = max(s.StepSince, 99) // beyond a dwell nothing changes
	for _, i := range []*Instant{&s.Since, &s.Suspend.Since, &s.Off.Since, &s.OnNow.Since, &s.Hold.Since} {
		*i = min(*i, 1)
	}
	if s.CoolUntil != 0 {
		s.CoolUntil = max(s.CoolUntil, 100)
	}
	if s.Probation != 0 {
		s.Probation = max(s.Probation, 100)
	}
	s.Relapses, s.FailedProbings = min(s.Relapses, 1), min(s.FailedProbings, 1)
	s.Generation, s.Step = 0, 0
	if s.Incident != "" {
		s.Incident = "open"
	}
	k.now = time.Time{}
	return k
}

// walkEvents is everything that may happen to a state, by name.
func walkEvents(s State, now time.Time) []Event {
	finding := func(rate float64) Evidence {
		return Evidence{Answered: 100, Bad: 100 * rate, Rate: rate, Lower: WilsonLower(100*rate, 100), To: now.Unix()}
	}
	rulings := []Ruling{{}, {Answer: Lower, Guard: GuardCapacity, Share: ShareOf(0.4), Reason: "r"}, {Answer: Refuse, Guard: GuardLastUsable, Reason: "r"}}
	events := []Event{Tick{}, Verdict{}, Verdict{Kind: Recovered, Evidence: finding(0)}}
	for _, r := range rulings {
		events = append(events,
			Verdict{Kind: Failing, Evidence: finding(0.9), Ruling: r},
			Verdict{Kind: MildlyFailing, Evidence: finding(0.25), Ruling: r},
			StepEvidence{Generation: s.Generation, Step: s.Step, Judgement: Failed, Answered: 100, Bad: 90, Ruling: r},
		)
	}
	passed := StepEvidence{Generation: s.Generation, Step: s.Step, Judgement: Passed, Answered: 50, Sent: 50, Settled: 50, PerSecond: 10}
	quiet, unsettled, stale, old, empty := passed, passed, passed, passed, passed
	quiet.PerSecond, unsettled.Settled, stale.Step, old.Generation, empty.Answered = 0, 40, s.Step+1, s.Generation+1, 0
	mild := StepEvidence{Generation: s.Generation, Step: s.Step, Judgement: Failed, Answered: 100, Bad: 25}
	events = append(events, Verdict{Kind: Failing, Evidence: finding(0.3)}, passed, quiet, unsettled, stale, old, empty, mild)
	for a := ActionOff; a <= ActionLift; a++ {
		events = append(events, Order{Action: a, Author: "li", Reason: "r", For: grain, PerSecond: 10})
	}
	return append(events, Order{Action: ActionHold, Author: "li", Reason: "r"})
}

// next takes one step of the walk and checks it.
func (n *node) next(e Event, p Policy, now time.Time, moves map[string]int) (node, error) {
	to, effects := Step(n.state, e, p, now)
	if err := (&watcher{}).see(n.state, e, to, effects, p, now); err != nil {
		return node{}, err
	}
	if move := moveOf(n.state, e, to); move != "" {
		moves[move]++
	}
	m := node{state: to, now: now, entries: n.entries, reused: n.reused && to.Generation == n.state.Generation}
	if err := m.remember(*n, e); err != nil {
		return m, fmt.Errorf("%w\nfrom %+v\nby %+v", err, n.state, e)
	}
	return m, nil
}

// remember carries on what the state itself does not say: ids given out, cuts since an operator opened the scope.
func (n *node) remember(before node, e Event) error {
	from, to := before.state, n.state
	if from.Incident == "" && to.Incident != "" && before.reused {
		return errors.New("01: a second incident with the id of the first")
	}
	if from.Incident != "" && to.Incident == "" && from.Incident == IncidentID(from.Scope, to.Generation) {
		n.reused = true
	}
	if opensByOrder(e) && to != from {
		n.entries = 0
	}
	if to.Phase != Disabled || from.Phase != Healthy && from.Phase != Ramping {
		return nil
	}
	if before.entries == 2 && from.oscillating(At(n.now)) != 0 {
		return errors.New("17: a third automatic cut within ten minutes")
	}
	n.entries = min(n.entries+1, 2)
	return nil
}

// walk visits every state that any sequence of the considered events can reach.
func walk(p Policy, consider func(Event) bool) (nodes []node, moves map[string]int, err error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	start := node{state: NewState(ChannelScope("union")), now: scenarioStart}
	seen := map[node]bool{start.key(): true}
	nodes, moves = []node{start}, map[string]int{}
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		for _, dt := range []time.Duration{0, grain} {
			now := n.now.Add(dt)
			for _, e := range walkEvents(n.state, now) {
				if !consider(e) {
					continue
				}
				m, err := n.next(e, p, now, moves)
				if err != nil {
					return nodes, moves, err
				}
				if _, tick := e.(Tick); m.state == n.state && !tick {
					continue // the tick leads there, too
				}
				if k := m.key(); !seen[k] {
					seen[k] = true
					nodes = append(nodes, m)
				}
			}
		}
	}
	return nodes, moves, nil
}

// people are the orders, with little automation; machines is automation, with the orders that it meets most. The whole product
// of both has a quarter of a million states and shows nothing else.
func people(e Event) bool {
	switch e := e.(type) {
	case Verdict:
		return e.Kind == Failing && e.Ruling.Answer == Allow && e.Evidence.Rate > 0.5
	case StepEvidence:
		return e.Judgement == Passed && e.PerSecond > 0 || e.Judgement == Failed && e.Ruling.Answer == Allow && e.Bad > 50
	case Order:
		return e.Action != ActionHold || e.For > 0
	case Tick:
	}
	return true
}

func machines(e Event) bool {
	o, order := e.(Order)
	return !order || o.Action == ActionOn || o.Action == ActionOnNow || o.Action == ActionRelease || o.Action == ActionHold && o.For == 0
}

type walkResult struct {
	nodes []node
	moves map[string]int
	err   error
}

var bothWalks = sync.OnceValue(func() walkResult {
	nodes, moves, err := walk(walkPolicy(LevelFull), machines)
	if err != nil {
		return walkResult{err: err}
	}
	more, byPeople, err := walk(walkPolicy(LevelFull), people)
	for move, n := range byPeople {
		moves[move] += n
	}
	return walkResult{append(nodes, more...), moves, err}
})

// walked is the union of both walks, done once for all tests.
func walked() ([]node, map[string]int, error) {
	r := bothWalks()
	return r.nodes, r.moves, r.err
}

// TestEveryReachableState walks all reachable states under all events, checks every step against the invariants and compares
// the moves seen with the table in doc.go: no other move happens, and each of them does.
func TestEveryReachableState(t *testing.T) {
	t.Parallel()
	nodes, moves, err := walked()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range slices.Sorted(maps.Keys(documentedMoves())) {
		if moves[row] == 0 {
			t.Errorf("doc.go lists a move that never happens: %s", row)
		}
	}
	t.Logf("%d states, %d kinds of move", len(nodes), len(moves))
}

// TestInvariant16_HealthyScopeNeverStaysOff: from every reachable state, with level full and a channel that answers well, the
// scope is wholly open again after a bounded time. Only people who said so without an end (suspend, hold) keep it.
func TestInvariant16_HealthyScopeNeverStaysOff(t *testing.T) {
	t.Parallel()
	p := walkPolicy(LevelFull)
	nodes, _, err := walked()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if s := n.state; s.Suspend.Set() || s.Hold.Set() && s.Hold.Until == 0 {
			continue
		}
		s, now := n.state, n.now
		for range 20 {
			now = now.Add(grain)
			s, _ = Step(s, Tick{}, p, now)
			s, _ = Step(s, StepEvidence{
				Generation: s.Generation, Step: s.Step, Judgement: Passed, Answered: 50, Sent: 50, Settled: 50, PerSecond: 10,
			}, p, now)
		}
		if phase, share := s.Effective(); phase != Healthy || share != FullShare || s.Phase != Healthy {
			t.Fatalf("still %s %s after %s\nfrom %+v\nto   %+v", phase, share, now.Sub(n.now), n.state, s)
		}
	}
}

// TestLevelsLimitAutomation: with level observe automation takes nothing away from any reachable state, and with level
// off-only it does not begin to probe what it closed unless an OFF above it ended.
func TestLevelsLimitAutomation(t *testing.T) {
	t.Parallel()
	withOff := func(e Event) bool {
		o, order := e.(Order)
		return machines(e) && !order || order && (o.Action == ActionOff || o.Action == ActionRelease)
	}
	for _, level := range []Level{LevelObserve, LevelOffOnly} {
		nodes, moves, err := walk(walkPolicy(level), withOff)
		if err != nil || len(moves) == 0 {
			t.Fatalf("%d moves, %v", len(moves), err)
		}
		for move := range moves {
			byPeople := strings.Contains(move, "order") || strings.Contains(move, "| tick | PROBING")
			if level == LevelObserve && !byPeople && !strings.Contains(move, "evidence passed") {
				t.Errorf("level observe: %s", move)
			}
		}
		for _, n := range nodes {
			staysClosed(t, n, walkPolicy(level))
		}
	}
}

// staysClosed checks that a scope closed by automation alone waits for people.
func staysClosed(t *testing.T, n node, p Policy) {
	t.Helper()
	s := n.state
	if s.Phase != Disabled || s.Held() {
		return
	}
	if next, _ := Step(s, Tick{}, p, n.now.Add(time.Hour)); next.Phase != Disabled {
		t.Fatalf("level %d: a tick an hour later leads from %+v to %s", p.Level, s, next.Phase)
	}
}
