package routing

import (
	"math"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// PeriodOf returns the period of a quota that a second lies in: from inclusive, to exclusive, Unix seconds. Periods begin at
// local midnight, whatever clocks do in that night; that of a balance never ends, and before it nothing counts.
func (q *Quota) PeriodOf(second int64) (from, to int64) {
	now := time.Unix(second, 0).In(q.Zone)
	y, m, d := now.Date()
	switch q.Period {
	case configv1.QuotaPeriod_QUOTA_PERIOD_DAY:
		return midnight(y, m, d, q.Zone), midnight(y, m, d+1, q.Zone)
	case configv1.QuotaPeriod_QUOTA_PERIOD_WEEK:
		monday := d - (int(now.Weekday())+6)%7
		return midnight(y, m, monday, q.Zone), midnight(y, m, monday+7, q.Zone)
	case configv1.QuotaPeriod_QUOTA_PERIOD_MONTH:
		return midnight(y, m, 1, q.Zone), midnight(y, m+1, 1, q.Zone)
	case configv1.QuotaPeriod_QUOTA_PERIOD_BALANCE, configv1.QuotaPeriod_QUOTA_PERIOD_UNSPECIFIED:
	}
	if second < q.Since {
		return math.MinInt64, q.Since
	}
	return q.Since, math.MaxInt64
}

// midnight is the first second of a local day, also where the clock skips midnight or shows it twice.
func midnight(y int, m time.Month, d int, zone *time.Location) int64 {
	at := time.Date(y, m, d, 0, 0, 0, 0, zone)
	from, to := at.ZoneBounds()
	switch before := at.Add(-time.Second); {
	case at.Hour() >= 12: // the clock goes from before midnight to after it: the day begins with the change
		return to.Unix()
	case at.Hour() > 0:
		return from.Unix()
	case before.Day() == at.Day(): // the clock went back to midnight: the day began before
		return at.Unix() - int64(before.Hour()*3600+before.Minute()*60+before.Second()+1)
	}
	return at.Unix()
}

// quotaBegins is when the next of an account's hard quotas begins anew, 0 = not known: a balance is topped up by people.
func (p *Plan) quotaBegins(account int32, second int64) int64 {
	first := int64(0)
	if account < 0 {
		return 0
	}
	for _, at := range p.limits.of[account] {
		b := &p.limits.bounds[at]
		if b.quota == 0 {
			continue
		}
		q := &p.limits.quotas[b.quota-1]
		if _, to := q.PeriodOf(second); q.Period != configv1.QuotaPeriod_QUOTA_PERIOD_BALANCE && (first == 0 || to < first) {
			first = to
		}
	}
	return first
}
