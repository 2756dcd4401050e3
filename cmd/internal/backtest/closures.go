package backtest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// closure is one time during which a scope was closed or its share lowered, from the first cut until all payments may take it.
type closure struct {
	scope    statemachine.Scope
	kind     statemachine.IncidentKind // CUT or DEGRADED; none for people's
	from, to statemachine.Instant      // to 0 = it lasts
	author   string
	reason   string
	relapses int // closed again before it was fully open
}

// end is when the closure ended, the given instant while it lasts.
func (c *closure) end(last statemachine.Instant) statemachine.Instant {
	if c.to == 0 {
		return last
	}
	return c.to
}

// closures follows the moves of a journal: of automation by the phase, of people by OFF and SUSPEND.
type closures struct {
	open map[statemachine.Scope]*closure
	all  []*closure // as they begin
}

func newClosures() *closures { return &closures{open: map[statemachine.Scope]*closure{}} }

// automatic takes one move as automation's doing.
func (c *closures) automatic(m *monitor.Move, e *monitor.JournalEntry) {
	if m.Before.Phase != statemachine.Disabled && m.Before.Phase != statemachine.Healthy && m.After.Phase == statemachine.Disabled {
		if at := c.open[m.After.Scope]; at != nil {
			at.relapses++
		}
	}
	at := c.follow(m, e, lowered(&m.Before), lowered(&m.After))
	if at != nil {
		at.kind, at.reason = m.After.Kind, m.Reason
		if text := explanation(m, e); text != "" {
			at.reason = text
		}
	}
}

// lowered reports whether automation keeps payments off the scope.
func lowered(s *statemachine.State) bool {
	return s.Phase != statemachine.Healthy && (s.Phase != statemachine.Ramping || s.Share < statemachine.FullShare)
}

// manual takes one move as people's doing.
func (c *closures) manual(m *monitor.Move, e *monitor.JournalEntry) {
	off := func(s *statemachine.State) bool { return s.Off.Set() || s.Suspend.Set() }
	if at := c.follow(m, e, off(&m.Before), off(&m.After)); at != nil {
		by := m.After.Off
		if !by.Set() {
			by = m.After.Suspend
		}
		at.author, at.reason = by.Author, by.Reason
	}
}

// follow begins and ends closures, and returns the one that begins.
func (c *closures) follow(m *monitor.Move, e *monitor.JournalEntry, was, is bool) *closure {
	scope := m.After.Scope
	at := c.open[scope]
	switch {
	case is && at == nil && !was:
		at = &closure{scope: scope, from: e.At, author: e.Author}
		c.open[scope] = at
		c.all = append(c.all, at)
		return at
	case !is && at != nil:
		at.to = e.At
		delete(c.open, scope)
	}
	return nil
}

// began takes a state that stood when the recording began.
func (c *closures) began(s *statemachine.State, at statemachine.Instant, is bool, by statemachine.Override, kind statemachine.IncidentKind) {
	if !is || c.open[s.Scope] != nil {
		return
	}
	from := cmp.Or(by.Since, s.Since, at)
	reason := by.Reason
	if reason == "" {
		reason = "closed before the recording began"
	}
	c.open[s.Scope] = &closure{scope: s.Scope, from: from, author: by.Author, reason: reason, kind: kind}
	c.all = append(c.all, c.open[s.Scope])
}

// explanation is the evidence sentence of a move: its own, or that of the incident that the entry opens for its scope.
func explanation(m *monitor.Move, e *monitor.JournalEntry) string {
	if m.Evidence != nil && m.Evidence.Explanation != "" {
		return sentence(m.Evidence)
	}
	for i := range e.Incidents {
		if e.Incidents[i].Scope == m.After.Scope && e.Incidents[i].Evidence.Explanation != "" {
			return sentence(&e.Incidents[i].Evidence)
		}
	}
	return ""
}

// sentence is what evidence says in words, without the scope, which stands beside it.
func sentence(e *statemachine.Evidence) string {
	return strings.TrimPrefix(e.Explanation, e.Scope.String()+": ")
}

// near is how long before or after one another two closures may begin and still be about the same.
const near = 10 * 60 * 1000 // milliseconds

// about returns the closures that are about the same as one of a scope from and to, earliest first.
func about(all []*closure, s statemachine.Scope, from, to statemachine.Instant, f *statemachine.Fleet, last statemachine.Instant) []*closure {
	var out []*closure
	for _, c := range all {
		if related(c.scope, s, f) && c.from <= to+near && c.end(last) >= from-near {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *closure) int {
		return cmp.Or(cmp.Compare(a.from, b.from), a.scope.Compare(b.scope))
	})
	return out
}
