package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// fakeNode is a replica that follows a script: states change at given seconds, payments go to the first open way in the
// order of a hash of their id, ramps admit by an account.
type fakeNode struct {
	p       *Prepared
	to      sink
	script  map[int64][]statemachine.State
	state   map[statemachine.Scope]statemachine.State
	would   map[statemachine.Scope]uint64
	sent    map[statemachine.Scope]uint64
	leak    bool // admit everything to a ramp
	reports []report
	orders  []command
	seq     uint64
	n       int
}

func scripted(script map[int64][]statemachine.State, keep **fakeNode) build {
	return func(_ context.Context, p *Prepared, to sink) (*fleet, error) {
		f := &fakeNode{
			p: p, to: to, script: script, state: map[statemachine.Scope]statemachine.State{},
			would: map[statemachine.Scope]uint64{}, sent: map[statemachine.Scope]uint64{},
		}
		if keep != nil {
			if *keep != nil {
				f.leak = (*keep).leak
			}
			*keep = f
		}
		return &fleet{replicas: slices.Repeat([]replica{f}, p.Scenario.Replicas), would: f}, nil
	}
}

func (f *fakeNode) Tick(_ context.Context, now time.Time) error {
	second := now.Unix() - f.p.Scenario.Start.Unix()
	states := f.script[second]
	delete(f.script, second)
	if len(states) == 0 {
		return nil
	}
	f.seq++
	e := &monitor.JournalEntry{Sequence: f.seq, At: statemachine.At(now), Cause: statemachine.Automation}
	for _, st := range states {
		before, ok := f.state[st.Scope]
		if !ok {
			before = statemachine.NewState(st.Scope)
		}
		f.state[st.Scope] = st
		f.would[st.Scope], f.sent[st.Scope] = 0, 0
		e.Moves = append(e.Moves, monitor.Move{Before: before, After: st, Reason: "script"})
	}
	f.to.entry(e)
	return nil
}

func (f *fakeNode) ranked(q *question) []*cell {
	stream := slices.IndexFunc(f.p.Scenario.Traffic, func(s Stream) bool { return s.at == q.stream.at })
	ways := f.p.ways[stream]
	var out []*cell
	for i := range ways {
		c := &f.p.cells[ways[(i+int(hash32(q.payment)))%len(ways)]]
		if !slices.ContainsFunc(q.attempts, func(t tried) bool { return t.channel == c.channel }) {
			out = append(out, c)
		}
	}
	return out
}

func (f *fakeNode) Prefer(q *question, _ time.Time, out *answer) error {
	out.offers = out.offers[:0]
	for _, c := range f.ranked(q) {
		out.offers = append(out.offers, offer{channel: c.channel, account: c.account})
	}
	return nil
}

func (f *fakeNode) Route(q *question, _ time.Time, out *answer) error {
	f.n++
	out.decision, out.offers = fmt.Sprintf("d%d", f.n), out.offers[:0]
	for _, c := range f.ranked(q) {
		if kind, ok := f.admit(c); ok {
			out.offers = append(out.offers, offer{channel: c.channel, account: c.account, attempt: out.decision + "/0", kind: kind})
			return nil
		}
	}
	return errRefused
}

func (f *fakeNode) admit(c *cell) (statemachine.LaneKind, bool) {
	kind := statemachine.KindNormal
	for _, s := range c.scopes {
		st, ok := f.state[s]
		if !ok {
			continue
		}
		phase, share := st.Effective()
		switch phase {
		case statemachine.Healthy:
			continue
		case statemachine.Disabled, statemachine.Probing:
			return kind, false
		case statemachine.Ramping:
		}
		f.would[s]++
		if !f.leak && float64(f.sent[s]+1) > share.Fraction()*float64(f.would[s]) {
			return kind, false
		}
		f.sent[s]++
		kind = statemachine.KindRamp
	}
	return kind, true
}

func (f *fakeNode) Report(r *report, _ time.Time) error {
	f.reports = append(f.reports, *r)
	return nil
}

func (f *fakeNode) Order(_ context.Context, o *command, _ time.Time) error {
	f.orders = append(f.orders, *o)
	if o.action == statemachine.ActionSuspend {
		return fmt.Errorf("%s is the last one", o.scopes[0])
	}
	return nil
}

func moved(s statemachine.Scope, p statemachine.Phase, share float64, generation uint64) statemachine.State {
	st := statemachine.NewState(s)
	st.Phase, st.Share, st.Generation, st.Incident, st.Kind = p, statemachine.ShareOf(share), generation, "i1", statemachine.Cut
	return st
}
