package routing

import (
	"sync/atomic"
	"time"
	_ "time/tzdata" // every replica and client knows the same zones
)

const daySeconds = 24 * 60 * 60

// schedule says when a channel operates. Its answers are a pure function of the second; the last span is kept so that asking
// again costs one load.
type schedule struct {
	zone        *time.Location
	hours       []openHours
	holidays    map[int64]struct{} // local days since 1970-01-01
	maintenance []interval         // sorted by begin, in Unix seconds
	drain       int64              // seconds before a closing in which no attempt begins
	last        atomic.Pointer[span]
}

// openHours is one daily opening: minutes since local midnight; to ≤ from closes on the next day.
type openHours struct {
	days     uint8 // bit 0 = Sunday, as time.Weekday
	from, to int64 // seconds since local midnight
}

// interval is [from, to) in Unix seconds.
type interval struct{ from, to int64 }

// span is a stretch of time [from, to) with one answer.
type span struct {
	interval
	drop DropReason // DropNone = open
	shut int64      // of an open span: the next closing, as far as a drain looks
}

// at returns why the channel is closed in a second, DropNone if it is open.
func (s *schedule) at(second int64) DropReason { return s.span(second).drop }

// begins returns why no attempt may begin in a second: the channel is closed, or will be when the result comes.
func (s *schedule) begins(second int64) DropReason {
	sp := s.span(second)
	if sp.drop == DropNone && second >= sp.shut-s.drain {
		return DropDraining
	}
	return sp.drop
}

func (s *schedule) span(second int64) *span {
	if last := s.last.Load(); last != nil && second >= last.from && second < last.to {
		return last
	}
	sp := s.compute(second)
	for sp.shut = sp.to; sp.drop == DropNone && sp.shut < sp.to+s.drain; {
		next := s.compute(sp.shut)
		if next.drop != DropNone {
			break
		}
		sp.shut = next.to
	}
	s.last.Store(sp)
	return sp
}

// reopens returns the first second in which an attempt may begin again, given that none may now; 0 if not within 30 days.
func (s *schedule) reopens(second int64) int64 {
	if sp := s.span(second); sp.drop == DropNone {
		second = sp.shut
	}
	return s.opens(second)
}

// horizon bounds the search for the next opening or closing.
const horizon = 30 * daySeconds

// opens returns the first second from second on in which the channel is open, 0 if there is none within 30 days.
func (s *schedule) opens(second int64) int64 {
	for at := second; at < second+horizon; {
		sp := s.compute(at)
		if sp.drop == DropNone {
			return at
		}
		at = sp.to
	}
	return 0
}

// closes returns the first second after second, and before limit, in which the channel is closed, else limit.
func (s *schedule) closes(second, limit int64) int64 {
	sp := s.span(second)
	for sp.drop == DropNone && sp.to < limit {
		second = sp.to
		sp = s.compute(second)
	}
	if sp.drop != DropNone {
		return second
	}
	return limit
}

// compute finds the answer for a second and how long it surely holds: until the next local midnight, opening, closing, change
// of the zone's offset or edge of a maintenance.
func (s *schedule) compute(second int64) *span {
	now := time.Unix(second, 0).In(s.zone)
	_, offset := now.Zone()
	local := second + int64(offset)
	day := floorDiv(local, daySeconds)
	sp := &span{interval: interval{day*daySeconds - int64(offset), (day+1)*daySeconds - int64(offset)}}
	if begin, end := now.ZoneBounds(); true {
		if !begin.IsZero() {
			sp.clip(begin.Unix(), second)
		}
		if !end.IsZero() {
			sp.clip(end.Unix(), second)
		}
	}
	open := s.openAt(day, local-day*daySeconds)
	for _, h := range s.hours {
		sp.clip(day*daySeconds+h.from-int64(offset), second)
		sp.clip(day*daySeconds+h.to-int64(offset), second)
	}
	if !open {
		sp.drop = DropWindow
	}
	for _, m := range s.maintenance {
		sp.clip(m.from, second)
		sp.clip(m.to, second)
		if second >= m.from && second < m.to {
			sp.drop = DropMaintenance
		}
	}
	return sp
}

// clip narrows the span so that the edge does not lie inside it; second stays inside.
func (sp *span) clip(edge, second int64) {
	switch {
	case edge <= second:
		sp.from = max(sp.from, edge)
	case edge > second:
		sp.to = min(sp.to, edge)
	}
}

// openAt answers by the wall clock: seconds since midnight of a local day. A holiday begins no opening and ends one that runs
// from the day before at midnight.
func (s *schedule) openAt(day, sinceMidnight int64) bool {
	if s.holiday(day) {
		return false
	}
	if len(s.hours) == 0 {
		return true
	}
	for _, h := range s.hours {
		overnight := h.to <= h.from
		if h.on(day) && sinceMidnight >= h.from && (overnight || sinceMidnight < h.to) {
			return true
		}
		if overnight && sinceMidnight < h.to && h.on(day-1) && !s.holiday(day-1) {
			return true
		}
	}
	return false
}

func (s *schedule) holiday(day int64) bool {
	_, ok := s.holidays[day]
	return ok
}

// on reports whether the opening begins on a local day; 1970-01-01 was a Thursday.
func (h openHours) on(day int64) bool {
	weekday := (day%7 + 7 + int64(time.Thursday)) % 7
	return h.days&(1<<weekday) != 0
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
