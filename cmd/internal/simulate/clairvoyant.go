package simulate

import (
	"math"
	"slices"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// The clairvoyant's budget: one false alarm in so many days of the key's traffic, which it takes for at least so much;
// and how many affected payments must be to come for an alarm to be of use.
const (
	budgetDays    = 30
	leastPayments = 100
	toCome        = 3
)

// affected adds a payment that would have taken a labelled way to the evidence of the clairvoyant: a CUSUM that knows
// both true rates and the scope, on the outcome the payment would have had. Noise payers never come here.
func (j *judge) affected(p *payment, at time.Duration, first, way *cell) {
	for _, l := range j.live(at) {
		if !l.cells[first.id] {
			continue
		}
		w := where{at: at, gateway: p.gateway, replica: p.replica}
		j.fates.meet(first, w, "", &j.fate)
		bad1 := known(j.fate.bad())
		outcome, _ := j.fate.pick(j.rnd.of(forAttempt, natural(p.stream), p.number<<8).Float64())
		j.fates.meet(first, w, l.name, &j.fate)
		bad0 := known(j.fate.bad())
		if bad0 == bad1 {
			continue // a calm moment of a fault that comes and goes
		}
		if isBad(outcome) {
			l.evidence = append(l.evidence, math.Log(bad1/bad0))
		} else {
			l.evidence = append(l.evidence, math.Log((1-bad1)/(1-bad0)))
		}
		l.follow(way, isBad(outcome))
	}
}

// follow notes what became of an affected payment.
func (l *label) follow(way *cell, bad bool) {
	if l.detected < 0 {
		l.samples++
		return
	}
	if way == nil || !l.cells[way.id] {
		l.moved++
		if bad {
			l.saved++
		}
	}
}

// known keeps a rate away from certainty, which nobody has.
func known(rate float64) float64 { return min(max(rate, 0.001), 0.999) }

// crossing returns after how many affected payments the clairvoyant crosses ln(payments a day · 30 days), 0 = never.
func (l *label) crossing() int {
	threshold := math.Log(max(leastPayments, l.daily) * budgetDays)
	sum := 0.0
	for i, llr := range l.evidence {
		if sum = max(0, sum+llr); sum >= threshold {
			return i + 1
		}
	}
	return 0
}

// setDaily puts the true rate of payments that prefer the label's ways, per day of the run.
func (l *label) setDaily(p *Prepared) {
	days := p.Scenario.Duration.Hours() / 24
	for i := range p.cells {
		if c := &p.cells[i]; l.cells[i] && days > 0 {
			st := &p.Scenario.Traffic[c.stream]
			l.daily += st.Rate * (1 - st.Abandon) * p.part(c) * st.Shape.mean(p.Scenario) * 86400
		}
	}
}

// part is the part of a stream's payments that prefer a way: by the splits of its route, or its weight where it has none.
func (p *Prepared) part(c *cell) float64 {
	st := &p.Scenario.Traffic[c.stream]
	route := p.known.routeOf(st)
	if route == nil {
		return 1
	}
	mine, all := 0.0, 0.0
	first := uint32(math.MaxUint32)
	for _, m := range route.GetMembers() {
		if p.carries(c.stream, m.GetChannel()) {
			first = min(first, m.GetPriority())
		}
	}
	split := slices.ContainsFunc(route.GetMembers(), func(m *configv1.RouteMember) bool { return m.GetSplit() > 0 })
	for _, m := range route.GetMembers() {
		if m.GetPriority() != first || !p.carries(c.stream, m.GetChannel()) {
			continue
		}
		weight := float64(m.GetSplit())
		if !split {
			weight = float64(max(1, p.known.channels[m.GetChannel()].GetWeight()))
		}
		all += weight
		if m.GetChannel() == c.channel {
			mine += weight
		}
	}
	if all == 0 {
		return 0
	}
	return mine / all
}

func (p *Prepared) carries(stream int, channel string) bool {
	return slices.ContainsFunc(p.ways[stream], func(id int) bool { return p.cells[id].channel == channel })
}

// mean is the mean of the shape over the run, from one look a minute.
func (s Shape) mean(of *Scenario) float64 {
	sum, n := 0.0, 0
	for t := time.Duration(0); t < of.Duration; t += time.Minute {
		sum += s.at(t+30*time.Second, of.Start, of.Duration)
		n++
	}
	return sum / float64(max(1, n))
}
