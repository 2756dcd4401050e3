package main

import (
	"context"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"
)

// newOracle starts somebody who knows the truth: no payment takes a channel that is unwell while one that is well is
// left, and the scope of a labelled fault is shut from its first second to its last.
func newOracle(_ context.Context, p *simulate.Prepared, to simulate.Gates) (simulate.Rival, error) {
	o := &oracle{start: p.Scenario.Start, to: to}
	for i := range p.Scenario.Truth {
		t := &p.Scenario.Truth[i]
		if t.Incident == "" || t.CommonMode || t.Selector.Channel == "" {
			continue
		}
		o.faults = append(o.faults, fault{truth: t, scope: scopeOf(p.Scenario, &t.Selector)})
	}
	return simulate.Rival{Replica: o}, nil
}

// scopeOf is what a fault of one channel should have shut.
func scopeOf(s *simulate.Scenario, of *simulate.Selector) statemachine.Scope {
	if of.Account != "" {
		return statemachine.AccountScope(of.Channel, of.Account)
	}
	for i := range s.Traffic {
		if in := s.Traffic[i].Instrument; of.Bank != "" && in.Bank == of.Bank {
			return statemachine.InstrumentScope(of.Channel, in)
		}
	}
	return statemachine.ChannelScope(of.Channel)
}

type oracle struct {
	start  time.Time
	to     simulate.Gates
	faults []fault
}

type fault struct {
	truth *simulate.Truth
	scope statemachine.Scope
	lasts bool
}

// Tick implements simulate.Replica.
func (o *oracle) Tick(_ context.Context, now time.Time) error {
	at := now.Sub(o.start)
	for i := range o.faults {
		f := &o.faults[i]
		lasts := at >= f.truth.From && at < f.truth.To
		switch {
		case lasts && !f.lasts:
			o.to.Close(f.scope, "known")
		case f.lasts && !lasts:
			o.to.Open(f.scope)
		}
		f.lasts = lasts
	}
	return nil
}

// Route implements simulate.Replica.
func (*oracle) Route(q *simulate.Question, _ time.Time) (simulate.Answer, error) {
	for i := range q.Ways {
		if !q.Unwell(i) {
			return simulate.Answer{Way: i}, nil
		}
	}
	return simulate.Answer{}, nil
}

// Report implements simulate.Replica.
func (*oracle) Report(*simulate.Report, time.Time) error { return nil }
