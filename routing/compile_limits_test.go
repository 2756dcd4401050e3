package routing

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// TestCompileLimitsReportsProblems: each mistake is told by its field, all at once.
func TestCompileLimitsReportsProblems(t *testing.T) {
	good := func() *configv1.Quota {
		return &configv1.Quota{
			Id: "q", Members: []*configv1.QuotaMember{{Channel: "a"}, {Channel: "b", Account: "main"}},
			Period: configv1.QuotaPeriod_QUOTA_PERIOD_DAY, Count: 5,
		}
	}
	quota := func(edit func(*configv1.Quota)) func(*configv1.Catalog) {
		return func(c *configv1.Catalog) {
			q := good()
			edit(q)
			c.Quotas = []*configv1.Quota{q}
		}
	}
	for name, x := range map[string]struct {
		edit func(*configv1.Catalog)
		want []string
	}{
		"nothing":        {quota(func(*configv1.Quota) {}), nil},
		"no size":        {quota(func(q *configv1.Quota) { q.Count = 0 }), []string{"quotas[0]"}},
		"two sizes":      {quota(func(q *configv1.Quota) { q.Amount, q.Currency = 5, "CNY" }), []string{"quotas[0]"}},
		"no currency":    {quota(func(q *configv1.Quota) { q.Count, q.Amount = 0, 5 }), []string{"quotas[0]"}},
		"bad currency":   {quota(func(q *configv1.Quota) { q.Count, q.Amount, q.Currency = 0, 5, "cny" }), []string{"quotas[0].currency"}},
		"no period":      {quota(func(q *configv1.Quota) { q.Period = 0 }), []string{"quotas[0].period"}},
		"no such zone":   {quota(func(q *configv1.Quota) { q.TimeZone = "Mars/Olympus" }), []string{"quotas[0].time_zone"}},
		"no members":     {quota(func(q *configv1.Quota) { q.Members = nil }), []string{"quotas[0].members"}},
		"no such member": {quota(func(q *configv1.Quota) { q.Members[0].Channel, q.Members[1].Account = "x", "x" }), []string{"quotas[0].members[0].channel", "quotas[0].members[1].account"}},
		"since a day":    {quota(func(q *configv1.Quota) { q.Since = timestamppb.New(time.Unix(noon, 0)) }), []string{"quotas[0].since"}},
		"no since":       {quota(func(q *configv1.Quota) { q.Period = configv1.QuotaPeriod_QUOTA_PERIOD_BALANCE }), []string{"quotas[0].since"}},
		"queries":        {quota(func(q *configv1.Quota) { q.BusinessTypes = []configv1.BusinessType{query, collect, collect} }), []string{"quotas[0].business_types[0]", "quotas[0].business_types[2]"}},
		"twice":          {func(c *configv1.Catalog) { c.Quotas = []*configv1.Quota{good(), good()} }, []string{"quotas[1].id"}},
		"merchants": {func(c *configv1.Catalog) {
			c.MerchantLimits = []*configv1.MerchantLimit{{Merchant: "m", PaymentsPerSecond: 1}, {Merchant: "m", PaymentsPerSecond: 1}, {Merchant: "n"}}
		}, []string{"merchant_limits[1].merchant", "merchant_limits[2].payments_per_second"}},
		"throttle": {func(c *configv1.Catalog) {
			c.Channels[1].Throttle = &configv1.Throttle{DecreasePpm: 99, RecoverPpm: 1, Floor: 1 << 20}
		}, []string{"channels[1].throttle.decrease_ppm", "channels[1].throttle.floor", "channels[1].throttle.recover_ppm"}},
		"times": {func(c *configv1.Catalog) {
			c.Pools = []*configv1.Pool{{Id: "p", Concurrent: 1, SlotTime: durationpb.New(time.Hour)}}
			c.Channels[0].Capacity = &configv1.Capacity{Concurrent: 1, SlotTime: durationpb.New(time.Millisecond)}
			c.Channels[1].Windows = &configv1.Windows{Holidays: []string{"2026-03-02"}, Drain: durationpb.New(48 * time.Hour)}
		}, []string{"channels[0].capacity.slot_time", "channels[1].windows.drain", "pools[0].slot_time"}},
	} {
		c := newCatalog(newChannel("a"), newChannel("b"))
		x.edit(c)
		_, err := CompilePlan(c, nil)
		var got []string
		for _, p := range Problems(err) {
			got = append(got, p.Path)
		}
		slices.Sort(got)
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: problems at %v, want %v", name, got, x.want)
		}
	}
}

// TestLimitsSurviveACatalogue: what is under way stays counted when a catalogue changes a limit, and what is new begins at zero.
func TestLimitsSurviveACatalogue(t *testing.T) {
	r := NewRouter()
	with := func(concurrent uint32) *Table {
		return mustTable(t, newCatalog(newChannel("a", limited(0, concurrent, "")), newChannel("b")))
	}
	var d Decision
	on := func() (n int) {
		for range 10 {
			if err := r.Route(newRequest(), noon, &d); err == nil && d.Candidates[0].Channel == "a" {
				n++
			}
		}
		return n
	}
	r.Swap(with(4))
	for _, x := range []struct {
		concurrent uint32
		want       int
	}{{4, 4}, {6, 2}, {5, 0}, {7, 1}} {
		r.Swap(with(x.concurrent))
		if got := on(); got != x.want {
			t.Errorf("%d at once: %d more admitted, want %d", x.concurrent, got, x.want)
		}
	}
}
