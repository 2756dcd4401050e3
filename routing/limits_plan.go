package routing

import (
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	defaultDecrease = 700_000 // parts per million
	defaultRecover  = 20_000  // parts per million and second

	// quotaHeld is how long, in seconds, a payment without a result is held against a hard quota.
	quotaHeld = maxSlotTime
)

// limitPlan is what a catalogue limits.
type limitPlan struct {
	bounds    []bound
	named     map[string]int32 // bounds by name
	of        [][]int32        // by account: the bounds that apply to it, sorted; nil for most
	merchants map[string]int32
	throttles []throttleRule // by channel
	quotas    []Quota
	quotaOf   map[string]int32
	uses      [][]int32 // by account: the quotas its payments count in; nil without quotas
	held      bool      // some bound has slots
	declared  bool      // some channel says how it is throttled
}

// bound is one limit of live counters.
type bound struct {
	name      string
	perSecond uint32 // payments per second, 0 = not limited
	slots     int64  // units that may be under way, 0 = not limited
	slotTime  int64  // seconds after which a unit without a result is free again
	yields    bool   // of a merchant: what is above it yields to others, instead of being refused
	quota     int32  // index in limitPlan.quotas plus one, 0 = no quota
	currency  string // of a quota of an amount: units are minor units of it; empty = units are payments
	business  uint8  // of a quota: bit per business type that counts
}

// limits reports whether anything is limited.
func (b *bound) limits() bool { return b.perSecond > 0 || b.slots > 0 }

// units is how much of a bound's slots a payment takes, 0 = none.
func (b *bound) units(business statemachine.BusinessType, amount int64, currency string) int64 {
	switch {
	case b.slots == 0 || b.quota > 0 && b.business&(1<<business) == 0:
		return 0
	case b.currency == "":
		return 1
	case b.currency != currency:
		return 0
	}
	return amount
}

func (l *limitPlan) add(b bound) int32 {
	at := i32(len(l.bounds))
	l.bounds = append(l.bounds, b)
	l.named[b.name] = at
	l.held = l.held || b.slots > 0
	return at
}

// throttleRule says how a channel's accounts are sent less.
type throttleRule struct {
	decrease, recover uint32 // parts per million
	floor             uint32 // payments per second
	off               bool
}

// Quota is an amount or number of payments per period.
type Quota struct {
	ID       string
	Items    []statemachine.Scope // channels and accounts whose payments count, sorted
	Units    int64                // limit or minimum: payments, or minor units of Currency
	Currency string               // empty = payments are counted
	Period   configv1.QuotaPeriod
	Zone     *time.Location // whose midnight begins a period
	Since    int64          // of a balance: Unix second in which counting began
	Minimum  bool           // a minimum commitment, else a hard limit

	business uint8
}

// Quotas returns the quotas of the catalogue, in its order. The slice must not be changed.
func (p *Plan) Quotas() []Quota { return p.limits.quotas }

// QuotaUnits returns what an attempt uses of quotas if it succeeds, nil for most.
func (p *Plan) QuotaUnits(channel, account string, business statemachine.BusinessType, amount int64, currency string) []statemachine.QuotaCount {
	l := &p.limits
	if len(l.quotas) == 0 {
		return nil
	}
	c, ok := p.channelOf[channel]
	if !ok {
		return nil
	}
	a, ok := p.channels[c].accounts[account]
	if !ok {
		return nil
	}
	var out []statemachine.QuotaCount
	for _, i := range l.uses[a] {
		q := &l.quotas[i]
		if q.business&(1<<business) == 0 {
			continue
		}
		switch {
		case q.Currency == "":
			out = append(out, statemachine.QuotaCount{ID: q.ID, Units: 1})
		case q.Currency == currency && amount > 0:
			out = append(out, statemachine.QuotaCount{ID: q.ID, Units: amount})
		}
	}
	return out
}

// Held reports whether anything is held until the results of attempts come: whether Settle has anything to do.
func (p *Plan) Held() bool { return p.limits.held }
