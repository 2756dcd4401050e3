package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// loadSpan is how many seconds demand and load are averaged over: the last minute.
const loadSpan = 60

// rolling holds counts by second of the last minute.
type rolling struct {
	n    [loadSpan]uint32
	at   [loadSpan]int64 // second a place was written in
	last int64
}

// add counts n in a second.
func (r *rolling) add(second int64, n uint32) {
	i := second % loadSpan
	if r.at[i] != second {
		r.at[i], r.n[i] = second, 0
	}
	r.n[i] += n
	r.last = max(r.last, second)
}

// sum is the count of the minute that ends with a second.
func (r *rolling) sum(second int64) (n uint64) {
	for i, at := range r.at {
		if at > second-loadSpan && at <= second {
			n += uint64(r.n[i])
		}
	}
	return n
}

// Demand measures what is asked for and what is carried over the last minute, from the sums of sealed seconds.
type Demand struct {
	first, last int64 // first and newest second
	lanes       map[statemachine.Lane]*rolling
	sent        map[statemachine.Scope]*rolling // by channel and account
	places      map[statemachine.Lane]int       // of lanes in the fleet filled last
}

// NewDemand returns an empty measurement.
func NewDemand() *Demand {
	return &Demand{lanes: map[statemachine.Lane]*rolling{}, sent: map[statemachine.Scope]*rolling{}}
}

// Observe takes the sum of one sealed second.
func (d *Demand) Observe(sum *SecondCounts) {
	if sum.Second <= d.last {
		return
	}
	if d.first == 0 || sum.Second-d.last > loadSpan {
		d.first = sum.Second
	}
	d.last = sum.Second
	for _, l := range sum.Lanes {
		count(d.lanes, l.Lane, sum.Second, l.Decisions+l.Refused)
	}
	for i := range sum.Items {
		item := &sum.Items[i]
		if item.Item.Kind == statemachine.ScopeChannel || item.Item.Kind == statemachine.ScopeAccount {
			n := item.Sent[statemachine.KindNormal] + item.Sent[statemachine.KindProbe] + item.Sent[statemachine.KindRamp]
			if n > 0 {
				count(d.sent, item.Item, sum.Second, n)
			}
		}
	}
	idle(d.lanes, sum.Second)
	idle(d.sent, sum.Second)
}

func count[K comparable](m map[K]*rolling, key K, second int64, n uint32) {
	if n == 0 {
		return
	}
	r := m[key]
	if r == nil {
		r = &rolling{}
		m[key] = r
	}
	r.add(second, n)
}

// idle drops what was silent for a minute.
func idle[K comparable](m map[K]*rolling, second int64) {
	for key, r := range m {
		if second-r.last >= loadSpan {
			delete(m, key)
		}
	}
}

// span is how many seconds the averages are over: a minute, less in the first minute.
func (d *Demand) span() float64 { return float64(max(1, min(loadSpan, d.last-d.first+1))) }

func perSecond[K comparable](d *Demand, m map[K]*rolling, key K) float64 {
	r := m[key]
	if r == nil {
		return 0
	}
	return float64(r.sum(d.last)) / d.span()
}

// Lane is the payments a second asked for in a lane, refused ones included.
func (d *Demand) Lane(l statemachine.Lane) float64 { return perSecond(d, d.lanes, l) }

// Channel is the payments a second that a channel was given.
func (d *Demand) Channel(channel string) float64 {
	return perSecond(d, d.sent, statemachine.ChannelScope(channel))
}

// Account is the payments a second that a merchant account of a channel was given.
func (d *Demand) Account(channel, account string) float64 {
	return perSecond(d, d.sent, statemachine.AccountScope(channel, account))
}

// Fill sets the demand of every lane and the load of every pool of a fleet that is being built. A pool carries what the
// accounts were given that draw from it.
func (d *Demand) Fill(f *statemachine.Fleet) {
	for i := range f.Lanes {
		f.Lanes[i].Demand = 0
	}
	places := d.placesIn(f.Lanes)
	for lane := range d.lanes { // fewer than the fleet has, where there is little traffic
		if i, ok := places[lane]; ok {
			f.Lanes[i].Demand = d.Lane(lane)
		}
	}
	if len(f.Pools) > 0 {
		d.fillPools(f)
	}
}

// placesIn returns the places of lanes in the list of a fleet, kept as long as the list is the same.
func (d *Demand) placesIn(lanes []statemachine.LaneMembers) map[statemachine.Lane]int {
	same := len(d.places) == len(lanes)
	for lane := range d.lanes {
		if i, ok := d.places[lane]; !ok || i >= len(lanes) || lanes[i].Lane != lane {
			same = false
			break
		}
	}
	if !same {
		d.places = make(map[statemachine.Lane]int, len(lanes))
		for i := range lanes {
			d.places[lanes[i].Lane] = i
		}
	}
	return d.places
}

func (d *Demand) fillPools(f *statemachine.Fleet) {
	users := make([][]statemachine.Scope, len(f.Pools))
	for i := range f.Lanes {
		l := &f.Lanes[i]
		for _, m := range l.Members {
			account := statemachine.AccountScope(m.Channel, m.Account)
			for _, p := range m.Pools {
				if p >= 0 && p < len(users) {
					users[p] = append(users[p], account)
				}
			}
		}
	}
	for p := range f.Pools {
		slices.SortFunc(users[p], statemachine.Scope.Compare)
		f.Pools[p].Load = 0
		for _, a := range slices.Compact(users[p]) {
			f.Pools[p].Load += d.Account(a.Channel, a.Of)
		}
	}
}
