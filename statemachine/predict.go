package statemachine

import (
	"cmp"
	"slices"
)

// Shift is where a part of a scope's traffic would go.
type Shift struct {
	Channel   string  // empty: nowhere, those payments would find no usable channel
	Share     Share   // of the scope's traffic; the shifts of one prediction add up to FullShare
	PerSecond float64 // payments/s, by the last minute's demand
}

// PredictShift tells an operator where the traffic of a scope would go if it were closed now: in each lane to the usable
// survivors by their weights (and ramp shares), where they have none to the first in rank. Lanes count by their demand, equally
// if there is none. The largest part comes first, equal parts by name. Nil if the scope carries nothing.
func PredictShift(f *Fleet, s Scope) []Shift {
	lanes := placesOf(f, opennessOf(f), s)
	demand := 0.0
	for i := range lanes {
		demand += lanes[i].lane.Demand * lanes[i].carried()
	}
	byChannel := map[string]float64{}
	total := 0.0
	for i := range lanes {
		p := &lanes[i]
		amount := p.lane.Demand * p.carried()
		if demand <= 0 {
			amount = 1
		}
		total += amount
		p.spread(amount, byChannel)
	}
	if total <= 0 {
		return nil
	}
	out := make([]Shift, 0, len(byChannel))
	for channel, amount := range byChannel {
		sh := Shift{Channel: channel, Share: ShareOf(amount / total)}
		if demand > 0 {
			sh.PerSecond = amount
		}
		out = append(out, sh)
	}
	slices.SortFunc(out, func(a, b Shift) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Channel, b.Channel))
	})
	sum := Share(0)
	for _, sh := range out[1:] {
		sum += sh.Share
	}
	out[0].Share = FullShare - min(sum, FullShare) // rounding goes to the largest
	return out
}

// spread adds an amount of the lane's displaced traffic to the channels that would take it.
func (p *places) spread(amount float64, to map[string]float64) {
	if p.rest.flow <= 0 {
		to[p.firstSurvivor()] += amount
		return
	}
	for _, m := range p.members {
		if !m.covered && m.part > 0 && m.flow > 0 {
			to[m.member.Channel] += amount * m.flow * m.part / p.rest.flow
		}
	}
}

// firstSurvivor is the best-ranked member left, empty if there is none.
func (p *places) firstSurvivor() string {
	for _, m := range p.members {
		if !m.covered && m.part > 0 {
			return m.member.Channel
		}
	}
	return ""
}
