package routing

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// closesAt closes at a second for an hour of maintenance, and drains so long before.
func closesAt(second int64, drain time.Duration) func(*configv1.Channel) {
	return func(c *configv1.Channel) {
		c.Windows = &configv1.Windows{Maintenance: []*configv1.Maintenance{{
			From: &timestamppb.Timestamp{Seconds: second}, To: &timestamppb.Timestamp{Seconds: second + 3600},
		}}}
		if drain >= 0 {
			c.Windows.Drain = durationpb.New(drain)
		}
	}
}

// TestChannelsDrainBeforeTheyClose: no attempt begins whose result would come after the closing, the decision is not valid
// longer, queries go on until it closes, and the answer says when attempts begin again.
func TestChannelsDrainBeforeTheyClose(t *testing.T) {
	const closing = noon + 1000
	table := mustTable(t, newCatalog(newChannel("a", closesAt(closing, 30*time.Second)), newChannel("b")))
	var d Decision
	for at, want := range map[int64]DropReason{
		closing - 31: DropNone, closing - 30: DropDraining, closing - 1: DropDraining, closing: DropMaintenance,
		closing + 3599: DropMaintenance, closing + 3600: DropNone,
	} {
		if err := Decide(table, newRequest(), at, Admission{Lifted: -1}, &d); err != nil {
			t.Fatal(err)
		}
		got := DropNone
		if len(d.Dropped) > 0 {
			got = d.Dropped[0].Drop
		}
		if got != want {
			t.Errorf("%d s from the closing: dropped as %s, want %s", at-closing, got, want)
		}
		if want == DropDraining && table.until(&d.Dropped[0], at) != closing+3600 {
			t.Errorf("%d s from the closing: again at %d, want the end of the maintenance", at-closing, table.until(&d.Dropped[0], at))
		}
	}
	_ = Decide(table, newRequest(), closing-35, Admission{Lifted: -1}, &d)
	if want := int64(closing-30) * 1000; d.ValidUntil != want {
		t.Errorf("valid until %d, want the begin of the drain %d", d.ValidUntil, want)
	}
	q := newRequest(func(q *Request) {
		q.Business, q.Original = statemachine.Query, Original{Channel: "a", Account: "main"}
	})
	if err := Decide(table, q, closing-10, Admission{Lifted: -1}, &d); err != nil || d.ValidUntil != closing*1000 {
		t.Errorf("a query while it drains: %v, valid until %d", err, d.ValidUntil)
	}
	q.Business = statemachine.Refund
	if err := Decide(table, q, closing-10, Admission{Lifted: -1}, &d); err == nil || d.Dropped[0].Drop != DropDraining {
		t.Errorf("a refund while it drains: %v, %+v", err, d.Dropped)
	}
}

// TestDrainDefault is the result time where it is declared, and can be turned off.
func TestDrainDefault(t *testing.T) {
	slow := func(c *configv1.Channel) { c.ResultTime = durationpb.New(20 * time.Second) }
	for name, x := range map[string]struct {
		edits    []func(*configv1.Channel)
		drain    int64
		features uint64
	}{
		"declared":     {[]func(*configv1.Channel){closesAt(noon, -1), slow}, 20, FeatureDrain},
		"not declared": {[]func(*configv1.Channel){closesAt(noon, -1)}, 0, 0},
		"turned off":   {[]func(*configv1.Channel){closesAt(noon, 0), slow}, 0, 0},
		"own":          {[]func(*configv1.Channel){closesAt(noon, time.Minute), slow}, 60, FeatureDrain},
		"always open":  {[]func(*configv1.Channel){slow}, -1, 0},
	} {
		c := newCatalog(newChannel("a", x.edits...))
		p := mustPlan(t, c)
		got := int64(-1)
		if s := p.channels[0].schedule; s != nil {
			got = s.drain
		}
		if got != x.drain || features(c) != x.features {
			t.Errorf("%s: drain %d, features %#x, want %d and %#x", name, got, features(c), x.drain, x.features)
		}
	}
}

// TestDrainIsTheClosingSeenEarlier: for any windows and drain, attempts begin exactly in those open seconds that have no closed
// one within the drain after them.
func TestDrainIsTheClosingSeenEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &configv1.Windows{TimeZone: rapid.SampledFrom([]string{"Europe/Berlin", "Asia/Shanghai", "America/New_York"}).Draw(t, "zone")}
		for range rapid.IntRange(1, 3).Draw(t, "openings") {
			clock := func(name string) string {
				return time.Unix(int64(rapid.IntRange(0, 95).Draw(t, name))*900, 0).UTC().Format("15:04")
			}
			w.Open = append(w.Open, &configv1.OpenHours{From: clock("from"), To: clock("to")})
		}
		k := &compiler{}
		s := k.schedule("windows", w)
		s.drain = rapid.Int64Range(0, 7200).Draw(t, "drain")
		second := rapid.Int64Range(1_774_000_000, 1_775_500_000).Draw(t, "second") // about the change of clocks in Berlin
		want := s.compute(second).drop
		for at := second; want == DropNone && at <= second+s.drain && s.drain > 0; at += 60 {
			if s.compute(at).drop != DropNone {
				want = DropDraining
			}
		}
		if s.drain > 0 && want == DropNone && s.compute(second+s.drain).drop != DropNone {
			want = DropDraining
		}
		if got := s.begins(second); got != want {
			t.Fatalf("second %d, drain %d of %v: %s, want %s", second, s.drain, w, got, want)
		}
	})
}

// TestQuotaPeriods begin at local midnight, also on days that are 23 or 25 hours long and where midnight does not exist.
func TestQuotaPeriods(t *testing.T) {
	at := func(zone, clock string) int64 {
		z, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		when, err := time.ParseInLocation("2006-01-02 15:04:05", clock, z)
		if err != nil {
			t.Fatal(err)
		}
		return when.Unix()
	}
	const day, week, month = configv1.QuotaPeriod_QUOTA_PERIOD_DAY, configv1.QuotaPeriod_QUOTA_PERIOD_WEEK, configv1.QuotaPeriod_QUOTA_PERIOD_MONTH
	for _, x := range []struct {
		zone, now, from string
		period          configv1.QuotaPeriod
		hours           int64
	}{
		{"Asia/Shanghai", "2026-03-02 12:00:00", "2026-03-02 00:00:00", day, 24},
		{"Asia/Shanghai", "2026-03-02 00:00:00", "2026-03-02 00:00:00", day, 24},
		{"Asia/Shanghai", "2026-03-01 23:59:59", "2026-03-01 00:00:00", day, 24},
		{"Europe/Berlin", "2026-03-29 12:00:00", "2026-03-29 00:00:00", day, 23},
		{"Europe/Berlin", "2026-10-25 12:00:00", "2026-10-25 00:00:00", day, 25},
		{"Europe/Berlin", "2026-03-29 12:00:00", "2026-03-23 00:00:00", week, 167},
		{"Europe/Berlin", "2026-10-25 23:00:00", "2026-10-01 00:00:00", month, 31*24 + 1},
		{"Asia/Shanghai", "2026-12-31 23:59:59", "2026-12-01 00:00:00", month, 31 * 24},
		{"Asia/Beirut", "2026-03-29 12:00:00", "2026-03-29 01:00:00", day, 23}, // midnight is skipped
		{"Asia/Beirut", "2026-03-28 12:00:00", "2026-03-28 00:00:00", day, 24},
		{"America/Havana", "2026-11-01 12:00:00", "2026-11-01 00:00:00", day, 25}, // 01:00 becomes 00:00
	} {
		z, _ := time.LoadLocation(x.zone)
		q := Quota{Period: x.period, Zone: z}
		from, to := q.PeriodOf(at(x.zone, x.now))
		if want := at(x.zone, x.from); from != want || to-from != x.hours*3600 {
			t.Errorf("%s %s: from %s for %d s, want %s for %d h", x.zone, x.now, time.Unix(from, 0).In(z), to-from, x.from, x.hours)
		}
	}
}

// TestQuotaPeriodsTileTime: every second lies in its period, and the period's first and last second say the same.
func TestQuotaPeriodsTileTime(t *testing.T) {
	zones := []string{"Europe/Berlin", "Asia/Shanghai", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		z, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		q := Quota{Period: configv1.QuotaPeriod(rapid.Int32Range(1, 3).Draw(t, "period")), Zone: z}
		second := rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "second")
		from, to := q.PeriodOf(second)
		if second < from || second >= to {
			t.Fatalf("%d is not in its period %d to %d", second, from, to)
		}
		for _, at := range []int64{from, to - 1} {
			if f, u := q.PeriodOf(at); f != from || u != to {
				t.Fatalf("second %d of the period %d to %d says %d to %d", at, from, to, f, u)
			}
		}
		if f, _ := q.PeriodOf(to); f != to {
			t.Fatalf("after %d comes a period from %d", to, f)
		}
	})
}

// TestReopening names channels shortly before their maintenance ends, not those that stay closed.
func TestReopening(t *testing.T) {
	closed := newChannel("c", closesAt(noon, 0), func(c *configv1.Channel) {
		c.Windows.Holidays, c.Windows.TimeZone = []string{"2026-03-02"}, "Asia/Shanghai"
	})
	p := mustPlan(t, newCatalog(newChannel("a", closesAt(noon, 0)), newChannel("b"), closed))
	for at, want := range map[int64]int{noon - 1: 0, noon: 0, noon + 3589: 0, noon + 3590: 1, noon + 3599: 1, noon + 3600: 0} {
		if got := p.Reopening(at, 10); len(got) != want || want == 1 && got[0] != "a" {
			t.Errorf("%d s into the maintenance: %v, want %d", at-noon, got, want)
		}
	}
	if got := p.Closed(noon + 5); len(got) != 2 {
		t.Errorf("closed in maintenance: %v", got)
	}
}
