package routing

import (
	"fmt"

	"github.com/sluice-pay/sluice/statemachine"
)

// Attribution says where a report counts.
type Attribution struct {
	// Items are indices into Plan.Items: channel, business type, method, account, instrument.
	Items [numPlaces]int32
	// Kinds is the lane kind for each item: that of the strongest state among the applying scopes not wider than the item, so
	// that a child's ramp never feeds its parent's detector while a parent's ramp does feed its healthy children.
	Kinds [numPlaces]statemachine.LaneKind
	// Evidence says that the report is evidence; otherwise it enters totals only.
	Evidence bool
	// Entity is the settlement entity of the account.
	Entity string
}

// Attribute says where a report of an attempt counts. decided is the table revision of its decision, 0 if there was none: it
// is evidence iff decided is greater than After of every scope that applies, or, without a decision, while all of them are
// healthy. Errors wrap ErrUnknownChannel, ErrUnknownAccount, ErrUnknownInstrument or ErrUnknownBusinessType.
func (t *Table) Attribute(channel, account string, b statemachine.BusinessType, i statemachine.Instrument, decided int64) (Attribution, error) {
	p := t.plan
	c, ok := p.channelOf[channel]
	if !ok {
		return Attribution{}, fmt.Errorf("channel: %w %q", ErrUnknownChannel, channel)
	}
	ch := &p.channels[c]
	acc, ok := ch.accounts[account]
	if !ok {
		return Attribution{}, fmt.Errorf("account: %w %s: %q", ErrUnknownAccount, channel, account)
	}
	if b >= statemachine.NumBusinessTypes || ch.business[b] < 0 {
		return Attribution{}, fmt.Errorf("business_type: %w: %s, %s", ErrUnknownBusinessType, channel, b)
	}
	in, ok := p.instruments.find(c, &i)
	if !ok {
		shaped := p.shaped(i)
		if in, ok = p.instruments.find(c, &shaped); !ok {
			return Attribution{}, fmt.Errorf("instrument: %w: %s, %s", ErrUnknownInstrument, channel, i)
		}
	}
	a := Attribution{
		Items:    [numPlaces]int32{ch.item, ch.business[b], in.method, p.accounts[acc].item, in.item},
		Evidence: true,
		Entity:   p.accounts[acc].entity,
	}
	if m := t.known.of(c); len(m) > 0 {
		a.judge(m, decided)
	}
	return a, nil
}

// judge applies the states of a channel's scopes.
func (a *Attribution) judge(known []knownMark, decided int64) {
	for i := range known {
		m := &known[i]
		if m.place != placeDomain && a.Items[m.place] != m.item {
			continue
		}
		if decided == 0 && m.phase != statemachine.Healthy || decided != 0 && decided <= m.after {
			a.Evidence = false
		}
		if m.phase != statemachine.Healthy {
			a.raise(m.place, kindOf(m.phase))
		}
	}
}

// raise gives a kind to every item that the scope at a place is not wider than; a probe is stronger than a ramp.
func (a *Attribution) raise(at place, kind statemachine.LaneKind) {
	for item := range numPlaces {
		if wider(at, item) || a.Kinds[item] == statemachine.KindProbe {
			continue
		}
		a.Kinds[item] = kind
	}
}

// wider reports whether the scope at a place contains that of another place and more.
func wider(at, than place) bool {
	switch at {
	case placeDomain:
		return true
	case placeChannel:
		return than != placeChannel
	case placeMethod:
		return than == placeInstrument
	case placeBusiness, placeAccount, placeInstrument:
	}
	return false
}

// shaped returns an instrument as its method's shape has it: what the method does not know becomes "-".
func (p *Plan) shaped(i statemachine.Instrument) statemachine.Instrument {
	s := p.methods[i.Method]
	if !s.banks || i.Bank == "" {
		i.Bank = statemachine.NoBank
	}
	if !s.cards || i.CardType == "" {
		i.CardType = statemachine.NoBank
	}
	return i
}
