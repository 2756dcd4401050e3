package server

import (
	"cmp"
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// defaultWeight is the weight of a channel that declares none.
const defaultWeight = 100

// ways are the routes of a catalogue, as far as a prediction needs them.
type ways struct {
	routes  map[wayKey]*configv1.Route
	weights map[string]float64 // by channel
}

type wayKey struct {
	business statemachine.BusinessType
	method   string
}

// newWays picks the route that serves most payments of a business type and method: the first without selectors, else the first.
func newWays(catalog *configv1.Catalog) *ways {
	w := &ways{routes: map[wayKey]*configv1.Route{}, weights: make(map[string]float64, len(catalog.GetChannels()))}
	for _, c := range catalog.GetChannels() {
		w.weights[c.GetId()] = float64(cmp.Or(c.GetWeight(), defaultWeight))
	}
	selects := func(r *configv1.Route) bool { return len(r.GetMerchants())+len(r.GetUserTiers()) > 0 }
	for _, r := range catalog.GetRoutes() {
		key := wayKey{businessOf(r.GetBusinessType()), r.GetMethod()}
		if old := w.routes[key]; old == nil || selects(old) && !selects(r) {
			w.routes[key] = r
		}
	}
	return w
}

// turn is the members of a lane that are dealt payments together, before those of the next turn get any.
type turn []dealt

// dealt is one channel of a turn: its accounts, as indices of the lane's members, the first of which gets the payments.
type dealt struct {
	members []int
	weight  float64
}

// groups lists the turns of a lane: its route's priorities, within one those with a split before those without.
func (w *ways) groups(l *statemachine.LaneMembers) []turn {
	r := w.routes[wayKey{l.Lane.Business, l.Lane.Instrument.Method}]
	members := slices.Clone(r.GetMembers())
	split := map[uint32]bool{}
	for _, m := range members {
		split[m.GetPriority()] = split[m.GetPriority()] || m.GetSplit() > 0
	}
	last := func(m *configv1.RouteMember) bool { return split[m.GetPriority()] && m.GetSplit() == 0 }
	order := func(m *configv1.RouteMember) uint32 {
		if last(m) {
			return 2*m.GetPriority() + 1
		}
		return 2 * m.GetPriority()
	}
	slices.SortStableFunc(members, func(a, b *configv1.RouteMember) int { return cmp.Compare(order(a), order(b)) })
	var turns []turn
	for i, m := range members {
		if i == 0 || order(m) != order(members[i-1]) {
			turns = append(turns, nil)
		}
		d := dealt{weight: w.weights[m.GetChannel()]}
		if m.GetSplit() > 0 {
			d.weight = float64(m.GetSplit())
		}
		for at := range l.Members {
			if l.Members[at].Channel == m.GetChannel() && (m.GetAccount() == "" || m.GetAccount() == l.Members[at].Account) {
				d.members = append(d.members, at)
			}
		}
		turns[len(turns)-1] = append(turns[len(turns)-1], d)
	}
	return turns
}

// open is the part of a channel's payments that one of its accounts takes.
func (d dealt) open(open []float64) float64 {
	rest := 1.0
	for _, m := range d.members {
		rest *= 1 - open[m]
	}
	return 1 - rest
}

// give deals a part of the lane to the channel's accounts in order and returns what none takes.
func (d dealt) give(part float64, open, parts []float64) float64 {
	for _, m := range d.members {
		parts[m] += part * open[m]
		part -= part * open[m]
	}
	return part
}

// spread predicts which part of a lane's payments each member takes, turn after turn. A channel on a ramp takes its share of what
// it would be dealt; the rest goes to those of the turn that are fully open, by weight, else to the next turn. What is left in the
// end is refused.
func spread(turns []turn, open []float64) []float64 {
	parts, rest := make([]float64, len(open)), 1.0
	for _, t := range turns {
		var all, full float64
		for _, d := range t {
			if len(d.members) == 0 {
				continue // the channel does not serve the lane
			}
			all += d.weight
			if d.open(open) == 1 {
				full += d.weight
			}
		}
		begin := rest
		for _, d := range t {
			if d.open(open) < 1 && all > 0 {
				part := begin * d.weight / all
				rest -= part - d.give(part, open, parts)
			}
		}
		if full == 0 {
			continue
		}
		for _, d := range t {
			if d.open(open) == 1 {
				d.give(rest*d.weight/full, open, parts)
			}
		}
		return parts
	}
	return parts
}
