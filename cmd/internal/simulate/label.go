package simulate

import (
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// label is one labelled fault of the scenario, over all entries with that label.
type label struct {
	name     string
	entries  []*Truth
	from, to time.Duration
	cells    []bool // ways it hits, by cell
	never    bool   // it must not be cut: down everywhere, or ours
	last     time.Duration

	detected  time.Duration // -1 = not
	recovered time.Duration // -1 = not
	settled   bool          // the end of the fault was seen
	held      bool          // then, or by a right cut after it, traffic was kept off
	attempts  uint64
	evidence  []float64 // log-likelihood ratio of each affected payment, for the clairvoyant
	daily     float64   // payments a day that prefer these ways
	samples   int       // affected payments before the first right cut
	moved     int       // affected payments moved after it
	saved     int       // of these, would have failed
	disabled  []bool    // ways under a scope that was disabled rightly, by cell
	early     int       // attempts that failed on them
}

// newLabels collects the labels of a scenario, in the order they appear.
func newLabels(p *Prepared) []*label {
	var out []*label
	for i := range p.Scenario.Truth {
		t := &p.Scenario.Truth[i]
		if t.Incident == "" {
			continue
		}
		at := slices.IndexFunc(out, func(l *label) bool { return l.name == t.Incident })
		if at < 0 {
			at = len(out)
			out = append(out, &label{
				name: t.Incident, from: t.From, to: t.To, cells: make([]bool, len(p.cells)), disabled: make([]bool, len(p.cells)),
				detected: -1, recovered: -1,
			})
		}
		l := out[at]
		l.entries = append(l.entries, t)
		l.from, l.to = min(l.from, t.From), max(l.to, t.To)
		sel := t.Selector
		l.never = l.never || sel.Channel == "" && sel.Domain == "" || sel.Gateway != 0 || sel.Replica != 0
		for i := range p.cells {
			l.cells[i] = l.cells[i] || sel.matchesCell(&p.Scenario.Traffic[p.cells[i].stream], &p.cells[i])
		}
	}
	for _, l := range out {
		l.setDaily(p)
	}
	return out
}

// active reports whether the fault lasts.
func (l *label) active(at time.Duration) bool { return at >= l.from && at < l.to }

// lasts is active, for judging: until the results of the attempts that met the fault are in and their second is closed.
func (l *label) lasts(at time.Duration) bool {
	const closing = 2 * time.Second
	return at >= l.from && (at < l.to || at <= l.last+closing)
}

// covers reports whether all of a scope's traffic lies in the label, and whether any does.
func (l *label) covers(cells []cell, s statemachine.Scope) (inside, touches bool) {
	inside = true
	for i := range cells {
		if !slices.Contains(cells[i].scopes, s) {
			continue
		}
		if l.cells[i] {
			touches = true
		} else {
			inside = false
		}
	}
	return inside && touches, touches
}

// reportDue notes when the result of an attempt comes in.
func (j *judge) reportDue(way *cell, started, due time.Duration) {
	for _, l := range j.live(started) {
		if l.cells[way.id] {
			l.last = max(l.last, due)
		}
	}
}
