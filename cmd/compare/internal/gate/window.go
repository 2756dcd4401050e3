package gate

import "time"

// FixedWindow is the rule that published designs describe: 30 % failures of at least 20 results in 60 s, where a window
// with fewer results doubles up to 600 s; a minute out, then a ramp by the clock: 10 %, and twice that every 60 s.
func FixedWindow() Maker {
	return Maker{Name: "fixed window 60 s / 30 % / 20, to 600 s", New: func([]Key) (Gate, error) {
		return &windowGate{newPool(func(Key) *window { return &window{share: 1} })}, nil
	}}
}

const (
	windowShortest = 60  // seconds
	windowLongest  = 600 // seconds
	windowLeast    = 20  // results
	windowFailing  = 0.3
	rampFirst      = 0.1
	rampEvery      = time.Minute
	rampFailures   = 2 // a single failure ends no ramp
)

type windowGate struct{ windows pool[*window] }

// window is the last ten minutes of a key, and what it lets through.
type window struct {
	seconds [windowLongest]struct{ total, failed uint32 }
	second  int64 // newest
	share   float64
	stepped time.Time // when the share last changed
	life    uint64    // grows with every cut: results of payments sent before it count no more
	asked   float64   // in this step
	sent    float64   // in this step
	results int       // of this step
	failed  int       // of this step
}

// Allow implements Gate.
func (g *windowGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	w := g.windows.get(k)
	w.asked++
	if w.sent+1 > w.share*w.asked && w.share < 1 {
		return nil, false
	}
	w.sent++
	return windowTicket{w, w.life}, true
}

// Phase implements Gate.
func (g *windowGate) Phase(k Key, _ time.Time) Phase {
	switch share := g.windows.get(k).share; {
	case share >= 1:
		return Closed
	case share > 0:
		return Slowed
	}
	return Open
}

// Tick implements Gate: ramps go by the clock.
func (g *windowGate) Tick(now time.Time) {
	for _, w := range g.windows.of {
		if w.share < 1 && now.Sub(w.stepped) >= rampEvery {
			w.ramp(now)
		}
	}
}

// ramp lets twice as much through, unless what was let through in this step failed.
func (w *window) ramp(now time.Time) {
	if w.failed >= rampFailures && float64(w.failed) >= windowFailing*float64(w.results) {
		w.step(0, now)
		return
	}
	w.step(min(1, max(rampFirst, 2*w.share)), now)
}

func (w *window) step(share float64, now time.Time) {
	w.share, w.stepped = share, now
	w.asked, w.sent, w.results, w.failed = 0, 0, 0, 0
}

type windowTicket struct {
	window *window
	life   uint64
}

// Void implements Ticket.
func (windowTicket) Void(time.Time) {}

// Done implements Ticket.
func (t windowTicket) Done(failed bool, now time.Time) {
	w := t.window
	if t.life != w.life {
		return
	}
	w.forward(now.Unix())
	at := &w.seconds[w.second%windowLongest]
	at.total++
	w.results++
	if failed {
		at.failed++
		w.failed++
	}
	if failed && w.share > 0 && w.failing() {
		w.life++
		clear(w.seconds[:])
		w.step(0, now)
	}
}

// forward empties the seconds that the window leaves.
func (w *window) forward(second int64) {
	for w.second = max(w.second, second-windowLongest); w.second < second; {
		w.second++
		w.seconds[w.second%windowLongest] = struct{ total, failed uint32 }{}
	}
}

// failing judges the shortest window that holds enough results.
func (w *window) failing() bool {
	var total, failed uint32
	for i := range int64(windowLongest) {
		s := &w.seconds[(w.second-i+windowLongest)%windowLongest]
		total += s.total
		failed += s.failed
		if full(i+1) && total >= windowLeast {
			return float64(failed) >= windowFailing*float64(total)
		}
	}
	return false
}

// full tells whether a window of so many seconds is one of those that are judged.
func full(seconds int64) bool {
	for w := int64(windowShortest); w < windowLongest; w *= 2 {
		if seconds == w {
			return true
		}
	}
	return seconds == windowLongest
}
