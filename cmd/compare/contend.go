package main

import (
	"context"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"

	"github.com/sluice-pay/sluice/cmd/compare/internal/gate"
	"github.com/sluice-pay/sluice/cmd/compare/internal/rival"
	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

// library returns how a contestant's library is started on a trace, in the bubble of a clock.
func library(c *contestant, clock *virtual.Clock) simulate.Build {
	return func(_ context.Context, p *simulate.Prepared, to simulate.Gates) (simulate.Rival, error) {
		k := newKeyring(p.Scenario, c.keys == perBank)
		r, err := rival.New(*c.maker, k.keys, clock, p.Scenario.Start, func(ch rival.Change) { tell(to, k.scopes[ch.Key], ch) })
		if err != nil {
			return simulate.Rival{}, err
		}
		return simulate.Rival{Replica: &contender{rival: r, keyring: k}}, nil
	}
}

// halved is the share that a throttled scope is said to have: by how much a throttle slows it down, it tells nobody.
const halved = 0.5

// tell puts what a breaker does into the judge's words.
func tell(to simulate.Gates, s statemachine.Scope, ch rival.Change) {
	switch ch.To {
	case gate.Closed:
		to.Open(s)
	case gate.Slowed:
		to.Lower(s, halved, "throttled or on a ramp")
	case gate.Trial:
		to.Try(s)
	case gate.Open:
		to.Close(s, "the breaker opened")
	}
}

// keyring is the keys of a trace and the scopes they stand for.
type keyring struct {
	byBank bool
	keys   []gate.Key
	scopes map[gate.Key]statemachine.Scope
}

// newKeyring lists the keys in the order of the traffic and the catalogue.
func newKeyring(s *simulate.Scenario, byBank bool) *keyring {
	k := &keyring{byBank: byBank, scopes: map[gate.Key]statemachine.Scope{}}
	for i := range s.Traffic {
		in := s.Traffic[i].Instrument
		for _, ch := range s.Catalog.GetChannels() {
			key := k.of(ch.GetId(), in)
			if _, ok := k.scopes[key]; ok {
				continue
			}
			k.keys = append(k.keys, key)
			k.scopes[key] = statemachine.ChannelScope(ch.GetId())
			if byBank {
				k.scopes[key] = statemachine.InstrumentScope(ch.GetId(), in)
			}
		}
	}
	return k
}

func (k *keyring) of(channel string, in statemachine.Instrument) gate.Key {
	if k.byBank {
		return gate.Key{Channel: channel, Bank: in.Bank}
	}
	return gate.Key{Channel: channel}
}

// contender is a service with a library in front of its channels.
type contender struct {
	rival   *rival.Rival
	keyring *keyring
	ways    []gate.Key
}

// Tick implements simulate.Replica.
func (c *contender) Tick(_ context.Context, now time.Time) error {
	c.rival.Tick(now)
	return nil
}

// Route implements simulate.Replica. A service asks its breakers when it sends: for a payment whose payer leaves before,
// it does not.
func (c *contender) Route(q *simulate.Question, now time.Time) (simulate.Answer, error) {
	if q.Abandoned {
		return simulate.Answer{}, nil
	}
	c.ways = c.ways[:0]
	for _, w := range q.Ways {
		c.ways = append(c.ways, c.keyring.of(w.Channel, q.Stream.Instrument))
	}
	choice := c.rival.Route(q.Payment, c.ways, now)
	answer := simulate.Answer{Way: choice.Way, Kind: statemachine.KindNormal}
	if choice.Trial {
		answer.Kind = statemachine.KindProbe
	}
	return answer, nil
}

// Report implements simulate.Replica.
func (c *contender) Report(r *simulate.Report, now time.Time) error {
	c.rival.Report(r.Payment, r.Way.Channel, failed(r.Outcome), now)
	return nil
}

// failed is what a library is told. It is charitable: a payer's refusal, which most services count as an error, and a
// channel's request to slow down are successes.
func failed(o statemachine.Outcome) bool {
	switch o.Health() {
	case statemachine.HealthBad, statemachine.HealthHalf, statemachine.HealthAccountBad:
		return true
	case statemachine.HealthNone, statemachine.HealthGood:
	}
	return false
}
