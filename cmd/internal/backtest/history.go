package backtest

import "github.com/sluice-pay/sluice/statemachine"

const (
	spanSeconds   = 300 // of a span, over which baselines are summed up
	recentSeconds = 60  // over which the failure rate of the alternatives is taken
)

// count is results and how many of them were bad.
type count struct{ answered, bad float64 }

func (c *count) add(answered, bad float64) { c.answered, c.bad = c.answered+answered, c.bad+bad }

// rate is the failure rate, and whether there is any.
func (c *count) rate() (float64, bool) {
	if c.answered == 0 {
		return 0, false
	}
	return c.bad / c.answered, true
}

// history is what every item did over the whole recording, as recorded: all replays share it.
type history struct {
	first int64 // second
	items map[statemachine.Scope]*track
}

// track is one item's.
type track struct {
	spans  []count // from the first second of the recording on
	all    count
	recent [recentSeconds]count
	at     [recentSeconds]int64
}

func newHistory() *history { return &history{items: map[statemachine.Scope]*track{}} }

// add takes one second.
func (h *history) add(s *second) {
	if h.first == 0 {
		h.first = s.at
	}
	span := int((s.at - h.first) / spanSeconds)
	for i := range s.items {
		answered, bad := weighed(&s.items[i].Evidence[statemachine.KindNormal])
		if answered == 0 {
			continue
		}
		t := h.items[s.items[i].Item]
		if t == nil {
			t = &track{}
			h.items[s.items[i].Item] = t
		}
		for len(t.spans) <= span {
			t.spans = append(t.spans, count{})
		}
		t.spans[span].add(answered, bad)
		t.all.add(answered, bad)
		t.recent[s.at%recentSeconds], t.at[s.at%recentSeconds] = count{answered, bad}, s.at
	}
}

// lately is the failure rate of some items over the last minute, over everything seen where that shows nothing, and whether
// anything is known.
func (h *history) lately(items []statemachine.Scope, now int64) (float64, bool) {
	var last, all count
	for _, item := range items {
		t := h.items[item]
		if t == nil {
			continue
		}
		all.add(t.all.answered, t.all.bad)
		for i, at := range t.at {
			if at > now-recentSeconds && at <= now {
				last.add(t.recent[i].answered, t.recent[i].bad)
			}
		}
	}
	if r, ok := last.rate(); ok {
		return r, true
	}
	return all.rate()
}

// outside is what some items did in the spans that none of the closures touches.
func (h *history) outside(items []statemachine.Scope, closed []*closure, last statemachine.Instant) count {
	var out count
	for _, item := range items {
		t := h.items[item]
		if t == nil {
			continue
		}
		for i, c := range t.spans {
			from := h.first + int64(i)*spanSeconds
			if !touched(from, from+spanSeconds, closed, last) {
				out.add(c.answered, c.bad)
			}
		}
	}
	return out
}

// touched reports whether a closure, with a minute before it, falls into the seconds from and to.
func touched(from, to int64, closed []*closure, last statemachine.Instant) bool {
	for _, c := range closed {
		if int64(c.from)/1000-recentSeconds < to && int64(c.end(last))/1000 >= from {
			return true
		}
	}
	return false
}
