package routing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// schedule compiles a channel's windows; nil = always open.
func (k *compiler) schedule(path string, src *configv1.Windows) *schedule {
	if src == nil || len(src.GetOpen())+len(src.GetHolidays())+len(src.GetMaintenance()) == 0 && src.GetTimeZone() == "" {
		return nil
	}
	zone, err := time.LoadLocation(src.GetTimeZone())
	if err != nil || src.GetTimeZone() == "Local" {
		k.addf(path+".time_zone", "an IANA time zone, e.g. Asia/Shanghai", "there is no time zone %q", src.GetTimeZone())
		zone = time.UTC
	}
	s := &schedule{zone: zone, holidays: map[int64]struct{}{}}
	for j, o := range src.GetOpen() {
		k.hours(fmt.Sprintf("%s.open[%d]", path, j), o, s)
	}
	for j, day := range src.GetHolidays() {
		at := fmt.Sprintf("%s.holidays[%d]", path, j)
		date, err := time.Parse(time.DateOnly, day)
		if err != nil {
			k.addf(at, "a date, e.g. 2026-10-01", "there is no date %q", day)
			continue
		}
		local := floorDiv(date.Unix(), daySeconds)
		if s.holiday(local) {
			k.addf(at, "each date once", "%s is named twice", day)
		}
		s.holidays[local] = struct{}{}
	}
	for j, m := range src.GetMaintenance() {
		at := fmt.Sprintf("%s.maintenance[%d]", path, j)
		if m.GetFrom() == nil || m.GetTo() == nil || !m.GetTo().AsTime().After(m.GetFrom().AsTime()) {
			k.add(at, "has no length", "from and to, with to after from")
			continue
		}
		s.maintenance = append(s.maintenance, interval{m.GetFrom().GetSeconds(), m.GetTo().GetSeconds()})
	}
	slices.SortFunc(s.maintenance, func(a, b interval) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	return s
}

// drain says how long before a closing no attempt begins: the channel's result time, unless its windows say otherwise.
func (k *compiler) drain(path string, src *configv1.Channel) int64 {
	d := src.GetResultTime()
	if own := src.GetWindows().GetDrain(); own != nil {
		if d = own; own.AsDuration() < 0 || own.AsDuration() > daySeconds*time.Second {
			k.addf(path+".windows.drain", "0s to 24h", "%s is out of range", own.AsDuration())
		}
	}
	return int64((d.AsDuration() + time.Second - 1) / time.Second)
}

func (k *compiler) hours(path string, o *configv1.OpenHours, s *schedule) {
	h := openHours{days: 0x7f}
	if len(o.GetDays()) > 0 {
		h.days = 0
	}
	for j, d := range o.GetDays() {
		if d <= 0 || d > configv1.DayOfWeek_DAY_OF_WEEK_SUNDAY {
			k.addf(fmt.Sprintf("%s.days[%d]", path, j), "MONDAY to SUNDAY", "%s is no day", d)
			continue
		}
		h.days |= 1 << (d % 7) // Sunday is 7 there, 0 in package time
	}
	var okFrom, okTo bool
	if h.from, okFrom = clock(o.GetFrom()); !okFrom || h.from == daySeconds {
		k.addf(path+".from", "HH:MM", "%q is no time of day", o.GetFrom())
	}
	if h.to, okTo = clock(o.GetTo()); !okTo {
		k.addf(path+".to", "HH:MM, up to 24:00", "%q is no time of day", o.GetTo())
	}
	s.hours = append(s.hours, h)
}

// clock reads HH:MM, 24:00 included, as seconds since midnight.
func clock(text string) (int64, bool) {
	if text == "24:00" {
		return daySeconds, true
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, false
	}
	return int64(t.Hour())*3600 + int64(t.Minute())*60, true
}
