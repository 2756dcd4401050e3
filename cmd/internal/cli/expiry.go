package cli

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// defaultExpiry ends an order that must end and was given no end.
const defaultExpiry = 30 * time.Minute

// setExpiry gives the order its end. What must end and was given none ends after defaultExpiry.
func (a *app) setExpiry(r *sluicev1.SwitchChannelRequest, f *switchFlags) error {
	mustEnd := r.GetAction() == sluicev1.Action_ACTION_OFF || r.GetAction() == sluicev1.Action_ACTION_ON_NOW
	given := f.lasting != 0 || f.until != ""
	switch {
	case f.lasting != 0 && f.until != "":
		return usagef("give --for or --until, not both")
	case f.lasting < 0:
		return usagef("--for %s: want more than 0", f.lasting)
	case given && r.GetAction() == sluicev1.Action_ACTION_ON:
		return usagef("on has no end: automation takes over at once. Add --now to open it fully for a time")
	case f.until != "":
		t, err := parseUntil(f.until, a.clock().In(a.zone))
		if err != nil {
			return err
		}
		r.Expiry = &sluicev1.SwitchChannelRequest_ExpireTime{ExpireTime: timestamppb.New(t)}
	case f.lasting > 0:
		r.Expiry = &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(f.lasting)}
	case mustEnd:
		r.Expiry = &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(defaultExpiry)}
	}
	return nil
}

// parseUntil reads a time of day, the next one of the local clock, or a time of RFC 3339.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if !t.After(now) {
			return time.Time{}, usagef("--until %s: that is over", text)
		}
		return t, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, usagef("--until %q: want a time such as 06:00 or 2026-11-23T06:00:00Z", text)
	}
	next := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
	if !next.After(now) {
		next = time.Date(now.Year(), now.Month(), now.Day()+1, t.Hour(), t.Minute(), 0, 0, now.Location())
	}
	return next, nil
}
