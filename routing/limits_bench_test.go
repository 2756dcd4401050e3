package routing

import (
	"strconv"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// BenchmarkRouteLimits shows what limits cost where none is reached: lanes of ten candidates, and every channel with
// payments per second, with concurrent payments too, with a pool and a merchant limit beside, and with a hard quota.
func BenchmarkRouteLimits(b *testing.B) {
	for _, x := range []struct {
		name string
		edit func(c *configv1.Catalog)
	}{
		{"none", func(*configv1.Catalog) {}},
		{"rate", capacities(1_000_000, 0, "")},
		{"rate,concurrent", capacities(1_000_000, 10_000_000, "")},
		{"rate,concurrent,pool,merchant", func(c *configv1.Catalog) {
			capacities(1_000_000, 10_000_000, "p")(c)
			c.Pools = []*configv1.Pool{{Id: "p", PaymentsPerSecond: 1_000_000, Concurrent: 10_000_000}}
			c.MerchantLimits = []*configv1.MerchantLimit{{Merchant: "m-1", PaymentsPerSecond: 1_000_000}}
		}},
		{"quota", func(c *configv1.Catalog) {
			for i, ch := range c.GetChannels() {
				c.Quotas = append(c.Quotas, &configv1.Quota{
					Id: "q-" + strconv.Itoa(i), Members: []*configv1.QuotaMember{{Channel: ch.GetId()}},
					Period: configv1.QuotaPeriod_QUOTA_PERIOD_DAY, Amount: 1 << 50, Currency: "CNY",
				})
			}
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := bigCatalog(100, 1, 10)
			x.edit(c)
			p := mustPlan(b, c)
			requests := bigRequests(p, 1<<12)
			r := NewRouter()
			r.Swap(p.Table(Revision{1, 7}, nil, nil))
			var d Decision
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				second := noon + int64(i>>20) // the demand of a million a second
				if err := r.Route(&requests[i&(1<<12-1)], second, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func capacities(perSecond, concurrent uint32, pool string) func(*configv1.Catalog) {
	return func(c *configv1.Catalog) {
		for _, ch := range c.GetChannels() {
			ch.Capacity = &configv1.Capacity{PaymentsPerSecond: perSecond, Concurrent: concurrent, Pool: pool}
		}
	}
}
