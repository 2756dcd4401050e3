package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	defaultSlotTime = 30      // seconds
	maxSlotTime     = 600     // seconds
	defaultResult   = 10      // seconds, of a channel that declares none
	minThrottle     = 100_000 // bounds of a throttle, as in the proto
	maxThrottle     = 950_000
	minRecover      = 1000
	maxRecover      = 500_000
	maxFloor        = 100_000
)

// limits compiles capacities, merchant limits, quotas and throttles. What they refer to is compiled before.
func (k *compiler) limits() {
	l := &k.plan.limits
	l.merchants = map[string]int32{}
	l.quotaOf = map[string]int32{}
	l.named = map[string]int32{}
	l.of = make([][]int32, len(k.plan.accounts))
	pools := map[string]int32{}
	for i, p := range k.c.GetPools() {
		slots := k.slotTime(fmt.Sprintf("pools[%d].slot_time", i), p.GetSlotTime(), defaultSlotTime)
		if b := (bound{name: "pool/" + p.GetId(), perSecond: p.GetPaymentsPerSecond(), slots: int64(p.GetConcurrent()), slotTime: slots}); b.limits() {
			pools[p.GetId()] = l.add(b)
		}
	}
	for i, ch := range k.c.GetChannels() {
		k.channelLimits(fmt.Sprintf("channels[%d]", i), ch, pools)
	}
	k.merchantLimits()
	for i, q := range k.c.GetQuotas() {
		k.quota(fmt.Sprintf("quotas[%d]", i), q)
	}
	for i := range l.of {
		slices.Sort(l.of[i])
		l.of[i] = slices.Compact(l.of[i])
	}
}

// channelLimits compiles the capacities of a channel and its accounts, and its throttle.
func (k *compiler) channelLimits(path string, src *configv1.Channel, pools map[string]int32) {
	usual := min(maxSlotTime, 3*resultSeconds(src))
	c := src.GetCapacity()
	own := k.capacityBound(path+".capacity", "channel/"+src.GetId(), c, usual, pools)
	throttle := k.throttle(path+".throttle", src.GetThrottle())
	index, ok := k.plan.channelOf[src.GetId()]
	for j, a := range src.GetAccounts() {
		at := fmt.Sprintf("%s.accounts[%d].capacity", path, j)
		mine := k.capacityBound(at, "account/"+src.GetId()+"/"+a.GetId(), a.GetCapacity(), usual, pools)
		if !ok {
			continue
		}
		if acc, ok := k.plan.channels[index].accounts[a.GetId()]; ok {
			k.plan.limits.of[acc] = append(k.plan.limits.of[acc], slices.Concat(own, mine)...)
		}
	}
	if ok {
		for len(k.plan.limits.throttles) < len(k.plan.channels) {
			k.plan.limits.throttles = append(k.plan.limits.throttles, throttleRule{})
		}
		k.plan.limits.throttles[index] = throttle
	}
}

// resultSeconds is the channel's result time in whole seconds, rounded up.
func resultSeconds(src *configv1.Channel) int64 {
	if src.GetResultTime() == nil {
		return defaultResult
	}
	return max(1, int64((src.GetResultTime().AsDuration()+time.Second-1)/time.Second))
}

// capacityBound returns the bounds that a capacity declares: its own and its pool's.
func (k *compiler) capacityBound(path, name string, c *configv1.Capacity, usual int64, pools map[string]int32) []int32 {
	var out []int32
	slots := k.slotTime(path+".slot_time", c.GetSlotTime(), usual)
	b := bound{name: name, perSecond: c.GetPaymentsPerSecond(), slots: int64(c.GetConcurrent()), slotTime: slots}
	if b.limits() {
		out = append(out, k.plan.limits.add(b))
	}
	if p, ok := pools[c.GetPool()]; ok {
		out = append(out, p)
	}
	return out
}

func (k *compiler) slotTime(path string, d *durationpb.Duration, usual int64) int64 {
	if d == nil {
		return usual
	}
	if d.AsDuration() < time.Second || d.AsDuration() > maxSlotTime*time.Second {
		k.addf(path, "1s to 10m", "%s is out of range", d.AsDuration())
		return usual
	}
	return int64((d.AsDuration() + time.Second - 1) / time.Second)
}

func (k *compiler) merchantLimits() {
	l := &k.plan.limits
	for i, m := range k.c.GetMerchantLimits() {
		path := fmt.Sprintf("merchant_limits[%d]", i)
		_, twice := l.merchants[m.GetMerchant()]
		if !validID(m.GetMerchant()) || twice {
			k.addf(path+".merchant", "each merchant's id once", "%q is no id or named twice", m.GetMerchant())
			continue
		}
		if m.GetPaymentsPerSecond() == 0 || m.GetPaymentsPerSecond() > 1_000_000 {
			k.add(path+".payments_per_second", "is out of range", "1 to 1,000,000")
		}
		l.merchants[m.GetMerchant()] = l.add(bound{
			name: "merchant/" + m.GetMerchant(), perSecond: m.GetPaymentsPerSecond(),
			yields: m.GetExcess() == configv1.MerchantExcess_MERCHANT_EXCESS_YIELD,
		})
	}
}

func (k *compiler) throttle(path string, src *configv1.Throttle) throttleRule {
	r := throttleRule{
		decrease: cmp.Or(src.GetDecreasePpm(), defaultDecrease), recover: cmp.Or(src.GetRecoverPpm(), defaultRecover),
		floor: cmp.Or(src.GetFloor(), 1), off: src.GetOff(),
	}
	if r.decrease < minThrottle || r.decrease > maxThrottle {
		k.addf(path+".decrease_ppm", "100000 to 950000", "%d is out of range", r.decrease)
	}
	if r.recover < minRecover || r.recover > maxRecover {
		k.addf(path+".recover_ppm", "1000 to 500000", "%d is out of range", r.recover)
	}
	if r.floor > maxFloor {
		k.addf(path+".floor", "1 to 100000", "%d is out of range", r.floor)
	}
	k.plan.limits.declared = k.plan.limits.declared || src != nil
	return r
}

// quota compiles one quota; a hard limit becomes a bound as well.
func (k *compiler) quota(path string, src *configv1.Quota) {
	l := &k.plan.limits
	_, twice := l.quotaOf[src.GetId()]
	if !k.id(path, src.GetId(), twice) {
		return
	}
	q := Quota{
		ID: src.GetId(), Units: src.GetAmount(), Currency: src.GetCurrency(), Zone: time.UTC, Since: src.GetSince().GetSeconds(),
		Period: src.GetPeriod(), Minimum: src.GetKind() == configv1.QuotaKind_QUOTA_KIND_MINIMUM_COMMITMENT,
	}
	if (src.GetAmount() > 0) == (src.GetCount() > 0) || (src.GetAmount() > 0) != (src.GetCurrency() != "") {
		k.add(path, "has no size, or two", "amount with its currency, or count")
	}
	if q.Currency == "" {
		q.Units = src.GetCount()
	} else if !validCurrency(q.Currency) {
		k.addf(path+".currency", "an ISO 4217 code, e.g. CNY", "%q is no currency", q.Currency)
	}
	if q.Units > math.MaxInt64/4 {
		k.add(path, "is out of range", "at most 2^61 units")
	}
	k.quotaTime(path, src, &q)
	q.business = k.quotaBusiness(path, src)
	accounts := k.quotaMembers(path, src, &q)
	l.quotaOf[q.ID] = i32(len(l.quotas))
	l.quotas = append(l.quotas, q)
	if l.uses == nil {
		l.uses = make([][]int32, len(k.plan.accounts))
	}
	for _, a := range accounts {
		l.uses[a] = append(l.uses[a], l.quotaOf[q.ID])
	}
	if !q.Minimum {
		at := l.add(bound{
			name: "quota/" + q.ID, slots: q.Units, slotTime: quotaHeld, quota: i32(len(l.quotas)), currency: q.Currency, business: q.business,
		})
		for _, a := range accounts {
			l.of[a] = append(l.of[a], at)
		}
	}
}

func (k *compiler) quotaTime(path string, src *configv1.Quota, q *Quota) {
	zone, err := time.LoadLocation(src.GetTimeZone())
	if err != nil || src.GetTimeZone() == "Local" {
		k.addf(path+".time_zone", "an IANA time zone, e.g. Asia/Shanghai", "there is no time zone %q", src.GetTimeZone())
	} else {
		q.Zone = zone
	}
	balance := src.GetPeriod() == configv1.QuotaPeriod_QUOTA_PERIOD_BALANCE
	switch {
	case src.GetPeriod() <= 0 || src.GetPeriod() > configv1.QuotaPeriod_QUOTA_PERIOD_BALANCE:
		k.add(path+".period", "is missing", "DAY, WEEK, MONTH or BALANCE")
	case balance && (src.GetSince() == nil || q.Minimum):
		k.add(path+".since", "belongs to BALANCE, a hard limit", "when counting began")
	case !balance && src.GetSince() != nil:
		k.add(path+".since", "belongs to BALANCE alone", "no since")
	}
}

func (k *compiler) quotaBusiness(path string, src *configv1.Quota) uint8 {
	if len(src.GetBusinessTypes()) == 0 {
		return 1<<statemachine.Collect | 1<<statemachine.Payout | 1<<statemachine.Deduct
	}
	mask := uint8(0)
	for j, t := range src.GetBusinessTypes() {
		at := fmt.Sprintf("%s.business_types[%d]", path, j)
		if b, ok := k.business(at, t); ok {
			if b == statemachine.Query || mask&(1<<b) != 0 {
				k.addf(at, "each business type once, QUERY excepted", "%s is not allowed or named twice", b)
			}
			mask |= 1 << b
		}
	}
	return mask
}

// quotaMembers returns the accounts that count and adds the items they belong to.
func (k *compiler) quotaMembers(path string, src *configv1.Quota, q *Quota) []int32 {
	var out []int32
	if len(src.GetMembers()) == 0 {
		k.add(path+".members", "is empty", "at least one channel or account")
	}
	for j, m := range src.GetMembers() {
		at := fmt.Sprintf("%s.members[%d]", path, j)
		c, ok := k.plan.channelOf[m.GetChannel()]
		if !ok {
			k.addf(at+".channel", "the id of a channel", "there is no channel %q", m.GetChannel())
			continue
		}
		if m.GetAccount() == "" {
			q.Items = append(q.Items, statemachine.ChannelScope(m.GetChannel()))
			for _, a := range k.plan.channels[c].accounts {
				out = append(out, a)
			}
			continue
		}
		a, ok := k.plan.channels[c].accounts[m.GetAccount()]
		if !ok {
			k.addf(at+".account", "the id of an account of the channel", "channel %q has no account %q", m.GetChannel(), m.GetAccount())
			continue
		}
		q.Items = append(q.Items, statemachine.AccountScope(m.GetChannel(), m.GetAccount()))
		out = append(out, a)
	}
	slices.SortFunc(q.Items, statemachine.Scope.Compare)
	q.Items = slices.Compact(q.Items)
	slices.Sort(out)
	return slices.Compact(out)
}
