package routing

import (
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

func newSchedule(t testing.TB, w *configv1.Windows) *schedule {
	t.Helper()
	k := &compiler{}
	s := k.schedule("windows", w)
	if err := k.err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// wallClock is the rule in words, by package time alone.
func wallClock(w *configv1.Windows, zone *time.Location, second int64) DropReason {
	now := time.Unix(second, 0).In(zone)
	for _, m := range w.GetMaintenance() {
		if second >= m.GetFrom().GetSeconds() && second < m.GetTo().GetSeconds() {
			return DropMaintenance
		}
	}
	holiday := func(day time.Time) bool {
		for _, h := range w.GetHolidays() {
			if day.Format(time.DateOnly) == h {
				return true
			}
		}
		return false
	}
	begins := func(o *configv1.OpenHours, day time.Time) bool {
		if holiday(day) {
			return false
		}
		for _, d := range o.GetDays() {
			if time.Weekday(d%7) == day.Weekday() {
				return true
			}
		}
		return len(o.GetDays()) == 0
	}
	if holiday(now) {
		return DropWindow
	}
	if len(w.GetOpen()) == 0 {
		return DropNone
	}
	clock := now.Format("15:04")
	for _, o := range w.GetOpen() {
		over := o.GetTo() <= o.GetFrom()
		if begins(o, now) && clock >= o.GetFrom() && (over || clock < o.GetTo()) {
			return DropNone
		}
		yesterday := time.Date(now.Year(), now.Month(), now.Day()-1, 12, 0, 0, 0, zone)
		if over && clock < o.GetTo() && begins(o, yesterday) {
			return DropNone
		}
	}
	return DropWindow
}

// TestScheduleAgainstWallClock compares random windows with the rule in words, around changes to and from summer time too.
func TestScheduleAgainstWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		base := rapid.SampledFrom([]int64{noon, 1774746000, 1792890000, 1772953200, 1793509200}).Draw(t, "base") // DST changes of 2026
		w := &configv1.Windows{TimeZone: name}
		clock := rapid.SampledFrom([]string{"00:00", "01:30", "02:00", "02:30", "03:00", "09:00", "12:00", "22:30", "23:59"})
		for range rapid.IntRange(0, 2).Draw(t, "openings") {
			o := &configv1.OpenHours{From: clock.Draw(t, "from"), To: rapid.SampledFrom([]string{"00:00", "02:15", "03:00", "12:00", "24:00"}).Draw(t, "to")}
			for d := configv1.DayOfWeek(1); d <= 7; d++ {
				if rapid.IntRange(0, 3).Draw(t, "day") == 0 {
					o.Days = append(o.Days, d)
				}
			}
			w.Open = append(w.Open, o)
		}
		for d := range rapid.IntRange(0, 2).Draw(t, "holidays") {
			w.Holidays = append(w.Holidays, time.Unix(base, 0).In(zone).AddDate(0, 0, d).Format(time.DateOnly))
		}
		if rapid.Bool().Draw(t, "maintenance") {
			from := base + rapid.Int64Range(-90_000, 90_000).Draw(t, "from")
			w.Maintenance = append(w.Maintenance, &configv1.Maintenance{From: &timestamppb.Timestamp{Seconds: from}, To: &timestamppb.Timestamp{Seconds: from + 3600}})
		}
		k := &compiler{}
		s := k.schedule("windows", w)
		for range 50 {
			second := base + rapid.Int64Range(-200_000, 200_000).Draw(t, "second")
			want := wallClock(w, zone, second)
			if got := s.at(second); got != want {
				t.Fatalf("%v at %s: got %s, want %s", w, time.Unix(second, 0).In(zone), got, want)
			}
			if opens := s.opens(second); opens > 0 && (s.compute(opens).drop != DropNone || opens > second && s.compute(opens-1).drop == DropNone) {
				t.Fatalf("%v opens at %s, asked at %d", w, time.Unix(opens, 0).In(zone), second)
			}
			if closes := s.closes(second, second+90_000); want == DropNone && closes < second+90_000 && (s.compute(closes).drop == DropNone || s.compute(closes-1).drop != DropNone) {
				t.Fatalf("%v closes at %s, asked at %d", w, time.Unix(closes, 0).In(zone), second)
			}
		}
	})
}

func TestScheduleThatNeverOpens(t *testing.T) {
	s := newSchedule(t, &configv1.Windows{Open: []*configv1.OpenHours{{From: "09:00", To: "10:00"}}, Holidays: everyDay("2026-03-01", 60)})
	if got := s.opens(noon); got != 0 {
		t.Errorf("opens at %d, want not known", got)
	}
}

func everyDay(from string, n int) []string {
	day, _ := time.Parse(time.DateOnly, from)
	var out []string
	for i := range n {
		out = append(out, day.AddDate(0, 0, i).Format(time.DateOnly))
	}
	return out
}
