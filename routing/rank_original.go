package routing

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// rankOriginal ranks the one candidate of a REFUND, CANCEL or QUERY: channel and account of its original. Enrolment, limits
// and merchant lists held for the original and are not asked again; a channel tried before is asked again, as there is no
// other.
func (rk *Ranking) rankOriginal() {
	p, r := rk.table.plan, rk.request
	ci, ok := p.channelOf[r.Original.Channel]
	if !ok {
		rk.refusal = UnsupportedOriginal
		return
	}
	ch := &p.channels[ci]
	ai, ok := ch.accounts[r.Original.Account]
	if !ok || p.accounts[ai].entity != r.Entity {
		rk.refusal = UnsupportedOriginal
		return
	}
	c := ranked{channel: ci, account: ai, combo: -1, closing: -1, why: WhyOriginal}
	rk.origin = places{ch.item, ch.business[r.Business], -1, p.accounts[ai].item, -1}
	c.drop = rk.dropOriginal(ch)
	rk.add(&c)
}

func (rk *Ranking) dropOriginal(ch *channel) DropReason {
	p, r := rk.table.plan, rk.request
	if ch.business[r.Business] < 0 {
		return DropBusinessType
	}
	if r.Instrument.Method != "" {
		in, ok := ch.instruments[r.Instrument]
		if !ok {
			in, ok = ch.instruments[p.shaped(r.Instrument)]
		}
		if !ok {
			return DropInstrument
		}
		rk.origin[placeMethod], rk.origin[placeInstrument] = in.method, in.item
	}
	if slices.Contains(r.Exclude, ch.id) {
		return DropExcluded
	}
	switch {
	case ch.schedule == nil:
	case r.Business == statemachine.Query: // it asks for what is there
		return ch.schedule.at(rk.second)
	default:
		return ch.schedule.begins(rk.second)
	}
	return DropNone
}
