package cli

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// throw gives an order.
func (a *app) throw(ctx context.Context, order *sluicev1.SwitchChannelRequest, f *changeFlags, connection []string) error {
	client, closeConn, err := a.channelClient()
	if err != nil {
		return err
	}
	defer closeConn()
	request := func(as attempt) *sluicev1.SwitchChannelRequest {
		m := proto.CloneOf(order)
		m.Etag, m.RequestId, m.ValidateOnly = as.etag, as.requestID, as.validateOnly
		return m
	}
	c := &changer[*sluicev1.SwitchChannelResponse]{
		app: a, flags: f, moved: "The scope changed", predicted: view.predictedText,
		call: func(ctx context.Context, as attempt) (*sluicev1.SwitchChannelResponse, error) {
			return client.SwitchChannel(ctx, request(as))
		},
		question: func(v view) string { return question(order, v) },
		done: func(v view, reply *sluicev1.SwitchChannelResponse) string {
			undo := ""
			if reply.GetUndo() != nil {
				undo = commandText(reply.GetUndo(), connection)
			}
			return v.doneText(reply, undo)
		},
		etagOf: func(reply *sluicev1.SwitchChannelResponse) string {
			if len(reply.GetScopes()) != 1 {
				return ""
			}
			return reply.GetScopes()[0].GetEtag()
		},
		help: func(err error) error {
			return orderHelp(err, request(attempt{etag: f.etag, requestID: f.requestID}), connection)
		},
	}
	return c.run(ctx)
}

// predictedText shows the scopes as they would be, and where the traffic would go.
func (v view) predictedText(r *sluicev1.SwitchChannelResponse) string {
	var b strings.Builder
	for _, s := range r.GetScopes() {
		b.WriteString(v.doneLine(s))
	}
	return b.String() + v.predictionText(r)
}

// question is the order in words.
func question(r *sluicev1.SwitchChannelRequest, v view) string {
	var b strings.Builder
	b.WriteString(map[sluicev1.Action]string{
		sluicev1.Action_ACTION_UNSPECIFIED: "Change",
		sluicev1.Action_ACTION_OFF:         "Switch off",
		sluicev1.Action_ACTION_ON:          "Open through the ramp",
		sluicev1.Action_ACTION_ON_NOW:      "Open fully at once",
		sluicev1.Action_ACTION_HOLD:        "Hold",
		sluicev1.Action_ACTION_RELEASE:     "Release",
		sluicev1.Action_ACTION_SUSPEND:     "Suspend without an end",
		sluicev1.Action_ACTION_LIFT:        "Lift the suspension of",
	}[r.GetAction()] + " " + scopeArg(r.GetScope()))
	switch {
	case r.GetExpireAfter() != nil:
		b.WriteString(" for " + span(r.GetExpireAfter().AsDuration()))
	case r.GetExpireTime() != nil:
		b.WriteString(" until " + v.ahead(r.GetExpireTime()))
	}
	for _, g := range r.GetOverrideGuards() {
		b.WriteString(", overriding " + strings.TrimPrefix(g.String(), "GUARD_"))
	}
	return b.String()
}

// orderHelp adds the commands that would set a failed order right; again is the order as it was given, connection the flags for
// the commands that are shown.
func orderHelp(err error, again *sluicev1.SwitchChannelRequest, connection []string) error {
	s, ok := rpcStatus(err)
	if !ok {
		return err
	}
	look := "sluice why " + quote(scopeArg(again.GetScope()))
	var fix []string
	switch reason := errorReason(s); {
	case reason == sluicev1.ErrorReason_ERROR_REASON_GUARD_REFUSED:
		again.RequestId, again.Etag = "", ""
		fix = overrideFix(again, errorInfo(s).GetMetadata()["guard"], connection)
	case reason == sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG:
		again.RequestId, again.Etag = "", ""
		fix = []string{look + "   # see what changed, then", commandText(again, connection)}
	case reason == sluicev1.ErrorReason_ERROR_REASON_ORDER_NOT_APPLICABLE:
		fix = []string{look}
	case mayBeSentAgain(err):
		fix = []string{commandText(again, connection) + "   # the same request id: it happens once"}
	}
	return helpedError{err, fix}
}

// overrideFix is the command that overrides the guard which refused.
func overrideFix(again *sluicev1.SwitchChannelRequest, guard string, connection []string) []string {
	g, err := parseGuards([]string{strings.TrimPrefix(guard, "GUARD_")})
	if err != nil {
		return []string{commandText(again, connection) + " --override GUARD   # with the guard's name"}
	}
	again.OverrideGuards = append(again.OverrideGuards, g...)
	return []string{commandText(again, connection) + "   # only if you know better"}
}
