package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A pace works in slices of time; short ones where there is enough to count in them.
const (
	paceSlice    = 100 * time.Millisecond // of a rate
	paceLearning = 500 * time.Millisecond // of a replica that is late: what piles up meanwhile is no flood
	paceLongest  = time.Second
	paceEnough   = 64      // requests that make a slice
	paceCells    = 1 << 10 // of each of the two rows in which merchants are counted
	paceLeast    = 2       // requests in a slice that a merchant always has
	paceRecovers = 1.25    // growth of what is let through, a slice, once it is not pressed any more
	paceUsual    = 4       // times the middle merchant: who asks less is never to blame for a late replica,
	paceSmall    = 50      // nor who asks less than this in a slice
	paceLasting  = 2       // slices that it has to be late for: one is a hiccup
	paceYields   = 0.8     // what is let through, by what came, after a slice that was pressed
)

// pace shares what a caller's rate, or the replica, can take between merchants while it is not enough for all: no merchant gets
// more than a bound, and the bound is the greatest at which all together get no more than there is room for (max-min
// fairness). Whoever asks for less than the bound is not refused. While nothing presses it counts nothing, and costs a load. Its
// memory is fixed: merchants are counted in a sketch (count-min, Cormode and Muthukrishnan 2005), where one that shares both
// its cells with busier ones counts as more than it is.
type pace struct {
	length int64   // ns of a slice
	room   float64 // requests of a slice there is room for; 0 = learned

	awake   atomic.Bool
	pressed atomic.Bool // in the running slice
	slice   atomic.Int64
	most    atomic.Int64 // requests of one merchant in the running slice; 0 = no bound
	rows    [2][paceCells]atomic.Uint32

	mu      sync.Mutex // of what follows
	learned float64    // room, where it is learned; 0 = there is enough
	inARow  int        // slices that were pressed
	sorted  []uint32
}

// newPace returns the pace of a caller with a rate; below or at 0 the room is learned from when it presses.
func newPace(perSecond float64) *pace {
	p := &pace{length: int64(paceLearning)}
	if perSecond > 0 {
		length := min(max(paceSlice, time.Duration(paceEnough/perSecond*float64(time.Second))), paceLongest)
		p.length, p.room = int64(length), perSecond*length.Seconds()
	}
	return p
}

// take counts a request of a merchant and reports whether it is let through. pressed says that there may not be enough for all.
func (p *pace) take(merchant func() uint64, now time.Time, pressed bool) bool {
	if !pressed && !p.awake.Load() {
		return true
	}
	p.turn(now.UnixNano() / p.length)
	if pressed && !p.pressed.Load() {
		p.pressed.Store(true)
		p.awake.Store(true)
	}
	key := merchant()
	n := min(p.rows[0][key%paceCells].Add(1), p.rows[1][key>>32%paceCells].Add(1))
	most := p.most.Load()
	return most == 0 || int64(n) <= most
}

// turn begins a new slice if it is time: the one that ended tells the bound.
func (p *pace) turn(slice int64) {
	before := p.slice.Load()
	if slice <= before || !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if before = p.slice.Load(); slice <= before {
		return
	}
	p.sorted = p.sorted[:0]
	for i := range p.rows[0] {
		if n := p.rows[0][i].Swap(0); n > 0 {
			p.sorted = append(p.sorted, n)
		}
		p.rows[1][i].Store(0)
	}
	pressed := p.pressed.Swap(false)
	if slice > before+1 {
		p.sorted, p.learned, p.inARow, pressed = p.sorted[:0], 0, 0, false
	}
	slices.Sort(p.sorted)
	most := p.bound(pressed)
	p.most.Store(most)
	p.awake.Store(pressed || most > 0)
	p.slice.Store(slice)
}

// bound is the bound of the next slice, by what came in this one.
func (p *pace) bound(pressed bool) int64 {
	if len(p.sorted) < 2 { // nobody to share with
		p.learned = 0
		return 0
	}
	came := 0.0
	for _, n := range p.sorted {
		came += float64(n)
	}
	if p.room > 0 {
		if came <= p.room {
			return 0
		}
		return max(level(p.sorted, p.room), paceLeast)
	}
	usual := max(paceUsual*p.sorted[(len(p.sorted)-1)/2], paceSmall)
	least := 0.0
	for _, n := range p.sorted {
		least += float64(min(n, usual))
	}
	if p.inARow++; !pressed {
		p.inARow = 0
	}
	switch {
	case pressed && p.inARow < paceLasting:
	case pressed && p.learned == 0:
		p.learned = max(came*paceYields, least)
	case pressed:
		p.learned = max(min(p.learned, came)*paceYields, least)
	default:
		p.learned *= paceRecovers
	}
	if came <= p.learned && !pressed {
		p.learned = 0
	}
	if p.learned == 0 {
		return 0
	}
	return max(level(p.sorted, p.learned), int64(usual), paceLeast)
}

// level is the greatest bound at which counts, sorted and each cut off at it, sum up to no more than room.
func level(sorted []uint32, room float64) int64 {
	for i, n := range sorted {
		rest := float64(len(sorted) - i)
		if float64(n)*rest > room {
			return int64(room / rest)
		}
		room -= float64(n)
	}
	return 0
}
