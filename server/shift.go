package server

import (
	"cmp"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

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

// spread predicts which part of a lane's payments each member takes. A member on a ramp takes its share of its normal part; the
// rest goes to those that are fully open, by weight, or all of it to the first of them where no weight is left.
func (s states) spread(l *statemachine.LaneMembers) []float64 {
	open, parts := make([]float64, len(l.Members)), make([]float64, len(l.Members))
	var all, full float64 // weights
	first := -1
	buf := make([]statemachine.Scope, 0, 16)
	for i := range l.Members {
		m := &l.Members[i]
		open[i] = s.open(m, l.Lane, buf[:0])
		all += m.Weight
		if open[i] == 1 {
			full += m.Weight
		}
		if open[i] > 0 && (first < 0 || open[first] < 1 && open[i] == 1) {
			first = i
		}
	}
	if first < 0 {
		return parts
	}
	rest := 1.0
	for i := range l.Members {
		if open[i] < 1 && all > 0 {
			parts[i] = open[i] * l.Members[i].Weight / all
			rest -= parts[i]
		}
	}
	if full == 0 {
		parts[first] += rest
		return parts
	}
	for i := range l.Members {
		if open[i] == 1 {
			parts[i] = rest * l.Members[i].Weight / full
		}
	}
	return parts
}

// prediction gathers what a change of states does to the lanes it touches.
type prediction struct {
	fleet    *statemachine.Fleet
	demand   float64
	moved    float64
	channels map[string]*shifted
	loads    map[int]float64 // payments/s that a pool gains
	lanes    []*sluicev1.LaneShift
}

// shifted is what one channel had and gets, in payments/s (or lanes, where no demand is known).
type shifted struct {
	before, after float64
	pools         map[int]bool
}

// predict says where traffic goes when the states before become those after.
func predict(f *statemachine.Fleet, before, after map[statemachine.Scope]statemachine.State) *sluicev1.PredictedShift {
	p := &prediction{fleet: f, channels: map[string]*shifted{}, loads: map[int]float64{}}
	was, will := states{f, before}, states{f, after}
	buf := make([]statemachine.Scope, 0, 16)
	for i := range f.Lanes {
		l := &f.Lanes[i]
		touches := slices.ContainsFunc(l.Members, func(m statemachine.Member) bool {
			return slices.ContainsFunc(m.Scopes(l.Lane, buf[:0]), func(s statemachine.Scope) bool { _, ok := after[s]; return ok })
		})
		if touches {
			p.lane(l, was.spread(l), will.spread(l))
		}
	}
	return p.message()
}

func (p *prediction) lane(l *statemachine.LaneMembers, before, after []float64) {
	shift := &sluicev1.LaneShift{Lane: l.Lane.String(), PaymentsPerSecond: l.Demand}
	for i := range l.Members {
		m := &l.Members[i]
		if before[i] > 0 {
			shift.UsableBefore = append(shift.UsableBefore, m.Channel)
		}
		if after[i] > 0 {
			shift.UsableAfter = append(shift.UsableAfter, m.Channel)
		}
		c := p.channels[m.Channel]
		if c == nil {
			c = &shifted{pools: map[int]bool{}}
			p.channels[m.Channel] = c
		}
		c.before += before[i] * l.Demand
		c.after += after[i] * l.Demand
		p.moved += max(0, before[i]-after[i], after[i]-before[i]) * l.Demand / 2
		for _, pool := range m.Pools {
			c.pools[pool] = true
			p.loads[pool] += (after[i] - before[i]) * l.Demand
		}
	}
	shift.UsableBefore, shift.UsableAfter = slices.Compact(shift.GetUsableBefore()), slices.Compact(shift.GetUsableAfter())
	if len(shift.GetUsableAfter()) == 0 || len(shift.GetUsableBefore()) == 0 { // nothing takes over: what is lost, or comes back, moves whole
		p.moved += l.Demand * math.Abs(sum(before)-sum(after)) / 2
	}
	p.demand += l.Demand
	p.lanes = append(p.lanes, shift)
}

func sum(parts []float64) float64 {
	var s float64
	for _, x := range parts {
		s += x
	}
	return s
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
