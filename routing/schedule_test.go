package routing

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

func newSchedule(tb testing.TB, w *configv1.Windows) *schedule {
	tb.Helper()
	k := &compiler{}
	s := k.schedule("windows", w)
	if err := k.err(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// wallClock is the rule in words, by package time alone.
func wallClock(w *configv1.Windows, zone *time.Location, second int64) DropReason {
	for _, m := range w.GetMaintenance() {
		if second >= m.GetFrom().GetSeconds() && second < m.GetTo().GetSeconds() {
			return DropMaintenance
		}
	}
	now := time.Unix(second, 0).In(zone)
	if isHoliday(w, now) {
		return DropWindow
	}
	if len(w.GetOpen()) == 0 {
		return DropNone
	}
	clock := now.Format("15:04")
	yesterday := time.Date(now.Year(), now.Month(), now.Day()-1, 12, 0, 0, 0, zone)
	for _, o := range w.GetOpen() {
		over := o.GetTo() <= o.GetFrom()
		today := begins(w, o, now) && clock >= o.GetFrom() && (over || clock < o.GetTo())
		if today || over && clock < o.GetTo() && begins(w, o, yesterday) {
			return DropNone
		}
	}
	return DropWindow
}

func isHoliday(w *configv1.Windows, day time.Time) bool {
	return slices.Contains(w.GetHolidays(), day.Format(time.DateOnly))
}

// begins reports whether an opening begins on a day.
func begins(w *configv1.Windows, o *configv1.OpenHours, day time.Time) bool {
	if isHoliday(w, day) {
		return false
	}
	on := func(d configv1.DayOfWeek) bool { return time.Weekday(d%7) == day.Weekday() }
	return len(o.GetDays()) == 0 || slices.ContainsFunc(o.GetDays(), on)
}

// drawWindows draws windows around a second.
func drawWindows(t *rapid.T, zone *time.Location, base int64) *configv1.Windows {
	w := &configv1.Windows{TimeZone: zone.String()}
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
	return w
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
		w := drawWindows(t, zone, base)
		k := &compiler{}
		s := k.schedule("windows", w)
		for range 50 {
			second := base + rapid.Int64Range(-200_000, 200_000).Draw(t, "second")
			want := wallClock(w, zone, second)
			if got := s.at(second); got != want {
				t.Fatalf("%v at %s: got %s, want %s", w, time.Unix(second, 0).In(zone), got, want)
			}
			checkEdges(t, s, second, want == DropNone)
		}
	})
}

// checkEdges holds the next opening and closing against the seconds around them.
func checkEdges(t *rapid.T, s *schedule, second int64, open bool) {
	if at := s.opens(second); at > 0 && (s.compute(at).drop != DropNone || at > second && s.compute(at-1).drop == DropNone) {
		t.Fatalf("opens at %d, asked at %d", at, second)
	}
	limit := second + 90_000
	if at := s.closes(second, limit); open && at < limit && (s.compute(at).drop == DropNone || s.compute(at-1).drop != DropNone) {
		t.Fatalf("closes at %d, asked at %d", at, second)
	}
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
