package server

import (
	"context"
	"strconv"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// SwitchChannel gives an operator's order for a scope.
func (c *channelService) SwitchChannel(ctx context.Context, m *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) {
	caller := callerOf(ctx)
	if m.GetAction() == sluicev1.Action_ACTION_LIFT && !caller.may(Approver) {
		return nil, denied(caller.Name + " needs the role approver to lift what compliance suspended")
	}
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	scopes, err := scopesOf(m.GetScope(), v.Sight)
	if err != nil {
		return nil, err
	}
	q, err := v.order(m, scopes, caller.Name)
	if err != nil {
		return nil, err
	}
	result, err := c.s.cfg.Orders.Order(ctx, q, v.now)
	if err != nil {
		return nil, v.orderError(err, m, scopes)
	}
	return v.ordered(m, q, scopes, &result), nil
}

// order turns the message into the request of package monitor.
func (v *viewer) order(m *sluicev1.SwitchChannelRequest, scopes []statemachine.Scope, author string) (monitor.OrderRequest, error) {
	q := monitor.OrderRequest{
		Scopes: scopes, RequestID: m.GetRequestId(), ValidateOnly: m.GetValidateOnly(),
		Order: statemachine.Order{Action: actionOf(m.GetAction()), Author: author, Reason: m.GetReason()},
	}
	switch e := m.GetExpiry().(type) {
	case *sluicev1.SwitchChannelRequest_ExpireAfter:
		q.Order.For = e.ExpireAfter.AsDuration()
	case *sluicev1.SwitchChannelRequest_ExpireTime:
		if !e.ExpireTime.IsValid() || !e.ExpireTime.AsTime().After(v.now) {
			return q, invalid("expire_time", "a time in the future")
		}
		q.Order.For = e.ExpireTime.AsTime().Sub(v.now)
	}
	for _, g := range m.GetOverrideGuards() {
		q.Overrides = append(q.Overrides, guardWord(g))
	}
	if m.GetEtag() != "" {
		modified, err := strconv.ParseInt(m.GetEtag(), 10, 64)
		if err != nil || modified < 0 {
			return q, invalid("etag", "the etag of the scope as it was read, or nothing")
		}
		if q.Etag = modified; modified == 0 {
			q.Etag = monitor.Unwritten
		}
	}
	return q, nil
}

func guardWord(g sluicev1.Guard) string {
	switch g {
	case sluicev1.Guard_GUARD_LAST_USABLE:
		return statemachine.GuardLastUsable
	case sluicev1.Guard_GUARD_CAPACITY:
		return statemachine.GuardCapacity
	case sluicev1.Guard_GUARD_CUT_BUDGET:
		return statemachine.GuardBudget
	case sluicev1.Guard_GUARD_COMMON_MODE:
		return statemachine.GuardCommonMode
	case sluicev1.Guard_GUARD_SINGLE_REPORTER:
		return statemachine.GuardSingleReporter
	case sluicev1.Guard_GUARD_UNSPECIFIED:
	}
	return ""
}

// orderError adds the current etag to a stale one, for information only.
func (v *viewer) orderError(err error, m *sluicev1.SwitchChannelRequest, scopes []statemachine.Scope) error {
	if f := asFault(err); f != nil && f.reason == sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG {
		return staleEtag(m.GetEtag(), etag(v.newest(scopes)))
	}
	return err
}

// newest is the revision that last wrote one of the scopes.
func (v *viewer) newest(scopes []statemachine.Scope) int64 {
	var newest int64
	for _, s := range scopes {
		newest = max(newest, v.modified[s])
	}
	return newest
}

// ordered renders what an order did, or would do.
func (v *viewer) ordered(m *sluicev1.SwitchChannelRequest, q monitor.OrderRequest, scopes []statemachine.Scope, r *monitor.Result) *sluicev1.SwitchChannelResponse {
	reply := &sluicev1.SwitchChannelResponse{TableRevision: r.Revision, JournalSequence: r.Sequence}
	before := make(map[statemachine.Scope]statemachine.State, len(scopes))
	after := make(map[statemachine.Scope]statemachine.State, len(scopes))
	modified := make(map[statemachine.Scope]int64, len(scopes))
	for _, s := range scopes {
		before[s], after[s], modified[s] = v.Fleet.State(s), v.Fleet.State(s), v.modified[s]
	}
	for i := range r.Moves {
		s := r.Moves[i].After.Scope
		before[s], after[s] = r.Moves[i].Before, r.Moves[i].After
		if r.Revision != 0 {
			modified[s] = r.Revision
		}
	}
	var newest int64
	for _, s := range scopes {
		reply.Scopes = append(reply.Scopes, v.state(after[s], modified[s]))
		newest = max(newest, modified[s])
	}
	reply.Shift = predict(v.Fleet, v.Catalog, before, after)
	reply.Warnings = v.warnings(q, scopes, r)
	if len(r.Moves) > 0 {
		reply.Undo = undo(m, before[scopes[0]], v.now)
	}
	if reply.GetUndo() != nil && !m.GetValidateOnly() {
		reply.Undo.Etag = etag(newest)
	}
	return reply
}

// warnings tells what else the operator should know.
func (v *viewer) warnings(q monitor.OrderRequest, scopes []statemachine.Scope, r *monitor.Result) []string {
	var out []string
	switch {
	case r.Replayed:
		out = append(out, "this request was carried out before; this is what it did then")
	case len(r.Moves) == 0:
		out = append(out, "nothing changes: it is as ordered already")
	}
	for _, s := range r.Shadowed {
		phase, _ := v.Fleet.State(s).Effective()
		out = append(out, s.String()+" is "+phase.String()+" and wins: payments do not come through until it opens as well")
	}
	if len(q.Overrides) == 0 || q.Order.Action != statemachine.ActionOff && q.Order.Action != statemachine.ActionSuspend {
		return out
	}
	for _, s := range scopes {
		p := statemachine.Proposal{Scope: s, Cause: statemachine.Operator}
		if ruling := statemachine.Guard(v.Fleet, p, v.now); ruling.Answer != statemachine.Allow {
			out = append(out, ruling.Guard+" was overridden for "+s.String()+": "+ruling.Reason)
		}
	}
	return out
}

// undo returns the order that takes an order back, nil where nothing does exactly that.
func undo(m *sluicev1.SwitchChannelRequest, before statemachine.State, now time.Time) *sluicev1.SwitchChannelRequest {
	u := &sluicev1.SwitchChannelRequest{Scope: m.GetScope(), Reason: clipReason("undo: " + m.GetReason())}
	switch m.GetAction() {
	case sluicev1.Action_ACTION_OFF:
		u.Action = sluicev1.Action_ACTION_RELEASE
	case sluicev1.Action_ACTION_HOLD:
		if before.Off.Set() || before.OnNow.Set() {
			return nil // RELEASE would take that away as well
		}
		u.Action = sluicev1.Action_ACTION_RELEASE
	case sluicev1.Action_ACTION_ON_NOW:
		if !restore(u, before, now) {
			u.Action = sluicev1.Action_ACTION_RELEASE
		}
	case sluicev1.Action_ACTION_ON, sluicev1.Action_ACTION_RELEASE:
		if !restore(u, before, now) {
			return nil
		}
	case sluicev1.Action_ACTION_SUSPEND:
		u.Action = sluicev1.Action_ACTION_LIFT
	case sluicev1.Action_ACTION_LIFT:
		u.Action = sluicev1.Action_ACTION_SUSPEND
	case sluicev1.Action_ACTION_UNSPECIFIED:
		return nil
	}
	return u
}

// restore orders anew what lay over the state before, for the time that was left of it.
func restore(u *sluicev1.SwitchChannelRequest, before statemachine.State, now time.Time) bool {
	was, action := before.Off, sluicev1.Action_ACTION_OFF
	switch {
	case before.Off.Set():
	case before.OnNow.Set():
		was, action = before.OnNow, sluicev1.Action_ACTION_ON_NOW
	case before.Hold.Set():
		was, action = before.Hold, sluicev1.Action_ACTION_HOLD
	default:
		return false
	}
	u.Action, u.Reason = action, clipReason(was.Reason)
	if was.Until != 0 {
		left := was.Until.Sub(statemachine.At(now)).Round(time.Second)
		u.Expiry = expireAfter(max(left, time.Second))
	}
	return true
}

// clipReason keeps a reason within its bounds, on a border of characters.
func clipReason(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut]
}
