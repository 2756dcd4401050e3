package cli

import (
	"strings"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// verb is the command of an action.
func verb(a sluicev1.Action) string {
	switch a {
	case sluicev1.Action_ACTION_OFF:
		return "off"
	case sluicev1.Action_ACTION_ON, sluicev1.Action_ACTION_ON_NOW:
		return "on"
	case sluicev1.Action_ACTION_HOLD:
		return "hold"
	case sluicev1.Action_ACTION_RELEASE:
		return "release"
	case sluicev1.Action_ACTION_SUSPEND:
		return "suspend"
	case sluicev1.Action_ACTION_LIFT:
		return "lift"
	case sluicev1.Action_ACTION_UNSPECIFIED:
	}
	return ""
}

// commandText renders an order as the command that gives it, ready for a shell; connection flags are appended as given.
func commandText(r *sluicev1.SwitchChannelRequest, connection []string) string {
	words := []string{"sluice", verb(r.GetAction()), scopeArg(r.GetScope())}
	if r.GetAction() == sluicev1.Action_ACTION_ON_NOW {
		words = append(words, "--now")
	}
	words = append(words, "--reason", r.GetReason())
	switch {
	case r.GetExpireAfter() != nil:
		words = append(words, "--for", r.GetExpireAfter().AsDuration().String())
	case r.GetExpireTime() != nil:
		words = append(words, "--until", r.GetExpireTime().AsTime().UTC().Format(time.RFC3339Nano))
	}
	for _, g := range r.GetOverrideGuards() {
		words = append(words, "--override", strings.TrimPrefix(g.String(), "GUARD_"))
	}
	if r.GetEtag() != "" {
		words = append(words, "--etag", r.GetEtag())
	}
	if r.GetRequestId() != "" {
		words = append(words, "--request-id", r.GetRequestId())
	}
	words = append(words, connection...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// quote makes a text one word of a POSIX shell. Control characters are left out: nothing on a terminal may be trusted to
// show them.
func quote(s string) string {
	s = clean(s)
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@+%"
	if s != "" && strings.Trim(s, harmless) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
