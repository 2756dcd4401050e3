package server

import (
	"cmp"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// maxLaneShifts bounds the lanes of a predicted shift; those with the most traffic are told.
const maxLaneShifts = 100

func expireAfter(d time.Duration) *sluicev1.SwitchChannelRequest_ExpireAfter {
	return &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(d)}
}

// states looks a state up: in one of two sets of changed states, else in the fleet.
type states struct {
	fleet   *statemachine.Fleet
	changed map[statemachine.Scope]statemachine.State
}

func (s states) of(scope statemachine.Scope) statemachine.State {
	if st, ok := s.changed[scope]; ok {
		return st
	}
	return s.fleet.State(scope)
}

// open is the part of its would-be payments that a member takes: the least share of the scopes that apply.
func (s states) open(m *statemachine.Member, l statemachine.Lane, buf []statemachine.Scope) float64 {
	part := 1.0
	for _, scope := range m.Scopes(l, buf) {
		phase, share := s.of(scope).Effective()
		if phase == statemachine.Disabled || phase == statemachine.Probing {
			return 0
		}
		part = min(part, share.Fraction())
	}
	return part
}

// openings are the openings of all members of a lane.
func (s states) openings(l *statemachine.LaneMembers) []float64 {
	open := make([]float64, len(l.Members))
	buf := make([]statemachine.Scope, 0, 16)
	for i := range l.Members {
		open[i] = s.open(&l.Members[i], l.Lane, buf[:0])
	}
	return open
}

// prediction gathers what a change of states does to the lanes it touches.
type prediction struct {
	fleet    *statemachine.Fleet
	ways     *ways
	demand   float64
	moved    float64
	channels map[string]*shifted
	loads    map[int]float64 // payments/s that a pool gains
	lanes    []*sluicev1.LaneShift
}

// shifted is what one channel had and gets, in payments/s.
type shifted struct {
	before, after float64
	pools         map[int]bool
}

// predict says where traffic goes when the states before become those after.
func predict(f *statemachine.Fleet, catalog *configv1.Catalog, before, after map[statemachine.Scope]statemachine.State) *sluicev1.PredictedShift {
	p := &prediction{fleet: f, ways: newWays(catalog), channels: map[string]*shifted{}, loads: map[int]float64{}}
	was, will := states{f, before}, states{f, after}
	buf := make([]statemachine.Scope, 0, 16)
	for i := range f.Lanes {
		l := &f.Lanes[i]
		touches := slices.ContainsFunc(l.Members, func(m statemachine.Member) bool {
			return slices.ContainsFunc(m.Scopes(l.Lane, buf[:0]), func(s statemachine.Scope) bool { _, ok := after[s]; return ok })
		})
		if touches {
			p.lane(l, was.openings(l), will.openings(l))
		}
	}
	return p.message()
}

// lane adds what happens to one lane, given how far its members are open before and after.
func (p *prediction) lane(l *statemachine.LaneMembers, wasOpen, willOpen []float64) {
	groups := p.ways.groups(l)
	before, after := spread(groups, wasOpen), spread(groups, willOpen)
	shift := &sluicev1.LaneShift{Lane: l.Lane.String(), PaymentsPerSecond: l.Demand}
	var gained, lost float64
	for i := range l.Members {
		m := &l.Members[i]
		if wasOpen[i] > 0 {
			shift.UsableBefore = append(shift.UsableBefore, m.Channel)
		}
		if willOpen[i] > 0 {
			shift.UsableAfter = append(shift.UsableAfter, m.Channel)
		}
		gained += max(0, after[i]-before[i])
		lost += max(0, before[i]-after[i])
		p.member(m, before[i]*l.Demand, after[i]*l.Demand)
	}
	shift.UsableBefore, shift.UsableAfter = slices.Compact(shift.GetUsableBefore()), slices.Compact(shift.GetUsableAfter())
	p.moved += max(gained, lost) * l.Demand
	p.demand += l.Demand
	p.lanes = append(p.lanes, shift)
}

func (p *prediction) member(m *statemachine.Member, before, after float64) {
	c := p.channels[m.Channel]
	if c == nil {
		c = &shifted{pools: map[int]bool{}}
		p.channels[m.Channel] = c
	}
	c.before += before
	c.after += after
	for _, pool := range m.Pools {
		c.pools[pool] = true
		p.loads[pool] += after - before
	}
}

func (p *prediction) message() *sluicev1.PredictedShift {
	m := &sluicev1.PredictedShift{PaymentsPerSecond: p.moved}
	ppm := func(x float64) uint32 {
		if p.demand <= 0 {
			return 0
		}
		return uint32(math.Round(min(1, x/p.demand) * 1e6))
	}
	for id, c := range p.channels {
		if before, after := ppm(c.before), ppm(c.after); before != after {
			m.Channels = append(m.Channels, &sluicev1.ChannelShift{Channel: id, BeforePpm: before, AfterPpm: after, LoadAfterPpm: p.load(c)})
		}
	}
	change := func(c *sluicev1.ChannelShift) int {
		return max(int(c.GetBeforePpm()), int(c.GetAfterPpm())) - min(int(c.GetBeforePpm()), int(c.GetAfterPpm()))
	}
	slices.SortFunc(m.GetChannels(), func(a, b *sluicev1.ChannelShift) int {
		return cmp.Or(cmp.Compare(change(b), change(a)), cmp.Compare(a.GetChannel(), b.GetChannel()))
	})
	slices.SortFunc(p.lanes, func(a, b *sluicev1.LaneShift) int {
		return cmp.Or(cmp.Compare(b.GetPaymentsPerSecond(), a.GetPaymentsPerSecond()), cmp.Compare(a.GetLane(), b.GetLane()))
	})
	m.Lanes = p.lanes[:min(len(p.lanes), maxLaneShifts)]
	return m
}

// load is the fullest of a channel's pools after the shift, in ppm; 0 where no capacity is declared.
func (p *prediction) load(c *shifted) uint32 {
	var most float64
	for pool := range c.pools {
		if declared := p.fleet.Pools[pool]; declared.PerSecond > 0 {
			most = max(most, (declared.Load+p.loads[pool])/declared.PerSecond)
		}
	}
	return uint32(min(most*1e6, math.MaxUint32))
}
