package routing

import (
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// How a rate is lowered and raised again, beside what the catalogue says.
const (
	throttleHold  = 5       // seconds after a decrease in which answers are still those of the rate before, beyond the lag
	throttleLeast = 10      // one over it is the part of the rate before that is always admitted
	milli         = 1000    // rates are kept in thousandths of a payment per second
	parts         = 1000000 // per million
)

// throttling is one account that asked for fewer payments, additive increase, multiplicative decrease: integers only, so that
// every replica has the same rate.
type throttling struct {
	rate   uint64 // thousandths of payments per second, 0 = not lowered
	before uint64 // the rate before the first decrease
	hold   int64  // no further decrease before that second
	share  uint64 // of answers that asked for less at the last decrease, 0 = the rate has risen since
	rule   throttleRule
}

// admitted is the rate in whole payments per second, at least one.
func (t *throttling) admitted() uint32 { return u32(max(1, t.rate/milli)) }

// throttle takes the answers of one second.
func (s *Sharing) throttle(p *Plan, o *observed) {
	sums := s.accounts(o)
	for account, sum := range sums {
		if sum.Throttled > 0 && s.throttles[account] == nil {
			s.throttles[account] = &throttling{}
		}
	}
	for account, t := range s.throttles {
		rule, ok := p.throttleOf(account)
		switch {
		case !ok || rule.off:
			delete(s.throttles, account)
		case o.missing:
		default:
			t.rule = rule
			if t.judge(sums[account], s.perSecond(account, o), o.second, s.lag) {
				delete(s.throttles, account)
			}
		}
	}
}

// accounts adds up one second by account and remembers who sent how much.
func (s *Sharing) accounts(o *observed) map[statemachine.Scope]*AccountSecond {
	for account, d := range s.sent {
		if d.roll(o.second); len(d.of) == 0 && s.throttles[account] == nil {
			delete(s.sent, account)
		}
	}
	wanted := len(s.throttles) > 0 || slices.ContainsFunc(o.routers, asksForLess) // mostly nobody asks for the sums
	sums := map[statemachine.Scope]*AccountSecond{}
	for i := range o.routers {
		r := &o.routers[i]
		for _, a := range r.Accounts {
			d := s.sent[a.Account]
			if d == nil {
				fresh := newDemand()
				d = &fresh
				d.roll(o.second)
				s.sent[a.Account] = d
			}
			d.add(r.Router, o.second, max(a.Sent, s.wanted(r, a.Account)))
			if !wanted {
				continue
			}
			sum := sums[a.Account]
			if sum == nil {
				sum = &AccountSecond{Account: a.Account}
				sums[a.Account] = sum
			}
			sum.Sent += a.Sent
			sum.Answered += a.Answered
			sum.Throttled += a.Throttled
		}
	}
	return sums
}

// asksForLess reports whether some account answered that it gets too many.
func asksForLess(r RouterSecond) bool {
	return slices.ContainsFunc(r.Accounts, func(a AccountSecond) bool { return a.Throttled > 0 })
}

// wanted is what of a router's payments wanted to go to an account whose rate is lowered.
func (s *Sharing) wanted(r *RouterSecond, account statemachine.Scope) uint32 {
	if s.throttles[account] == nil {
		return 0
	}
	at, found := slices.BinarySearchFunc(r.Limits, throttleName(account), func(c statemachine.LimitCount, n string) int { return strings.Compare(c.Name, n) })
	if !found {
		return 0
	}
	return r.Limits[at].Asked
}

// perSecond is what wanted to go to an account per second, lately, in thousandths.
func (s *Sharing) perSecond(account statemachine.Scope, o *observed) uint64 {
	d, sum := s.sent[account], uint64(0)
	if d == nil {
		return 0
	}
	for name := range s.routers {
		sum += d.sum(name, o.second)
	}
	return sum * milli / demandSpan
}

// judge lowers or raises the rate, and reports whether it limits nothing any more. wanted is the demand of late, in thousandths
// of payments per second.
func (t *throttling) judge(sum *AccountSecond, wanted uint64, second, lag int64) bool {
	least := uint64(t.rule.floor) * milli
	if sum != nil && sum.Throttled > 0 {
		if second < t.hold {
			return false
		}
		if t.rate == 0 {
			t.before = max(wanted, uint64(sum.Sent)*milli, least)
			t.rate = t.before
		}
		t.hold = second + throttleHold + lag
		t.lower(parts*uint64(sum.Throttled)/uint64(max(sum.Answered, sum.Throttled)), max(least, t.before/throttleLeast))
		return false
	}
	if t.rate == 0 {
		return true
	}
	if second < t.hold {
		return false
	}
	t.share = 0
	t.rate += max(1, t.before*uint64(t.rule.recover)/parts)
	return 4*t.rate >= 5*max(t.before, wanted) // far above demand and the rate before: it limits nothing
}

// lower lowers the rate for a share of answers that asked for less. All of them leave what the rule says; a part of them takes
// off twice that part. Where less than half ask for less and the last decrease did not help, the rate is not what they mind.
func (t *throttling) lower(share, least uint64) {
	if t.share > 0 && share < parts/2 && 5*share > 4*t.share {
		return
	}
	t.share = share
	left := max(parts-min(parts, 2*share), uint64(t.rule.decrease))
	t.rate = max(least, t.rate*left/parts)
}

// throttleOf is the rule of an account's channel.
func (p *Plan) throttleOf(account statemachine.Scope) (throttleRule, bool) {
	c, ok := p.channelOf[account.Channel]
	if !ok || int(c) >= len(p.limits.throttles) {
		return throttleRule{}, false
	}
	if _, ok := p.channels[c].accounts[account.Of]; !ok {
		return throttleRule{}, false
	}
	return p.limits.throttles[c], true
}
