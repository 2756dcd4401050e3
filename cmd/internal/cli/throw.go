package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	// sendTries is how often an order is sent while nobody knows what became of it.
	sendTries = 3
	// askTries is how often a question is asked again because the scope changed under it.
	askTries = 3
)

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// thrower gives one order.
type thrower struct {
	*app

	client     sluicev1.ChannelServiceClient
	request    *sluicev1.SwitchChannelRequest
	connection []string // flags for the commands that are shown
}

// dryRun shows what the order would do.
func (t *thrower) dryRun(ctx context.Context) error {
	reply, err := t.predict(ctx)
	if err != nil {
		return err
	}
	return t.show(reply, func(v view) string {
		return "Only a prediction; nothing was done.\n" + v.predictedText(reply)
	})
}

// predictedText shows the scopes as they would be, and where the traffic would go.
func (v view) predictedText(r *sluicev1.SwitchChannelResponse) string {
	var b strings.Builder
	for _, s := range r.GetScopes() {
		b.WriteString(v.doneLine(s))
	}
	return b.String() + v.predictionText(r)
}

// predict asks what the order would do. It carries no request id: nothing happens that may happen only once.
func (t *thrower) predict(ctx context.Context) (*sluicev1.SwitchChannelResponse, error) {
	request := proto.CloneOf(t.request)
	request.ValidateOnly, request.RequestId = true, ""
	ctx, cancel := t.waiting(ctx)
	defer cancel()
	reply, err := t.client.SwitchChannel(ctx, request)
	if err != nil {
		return nil, t.help(err)
	}
	return reply, nil
}

// ask shows the prediction, asks, and sends the order with the etag of what was shown: if somebody acts meanwhile, the new
// prediction is shown and asked about. With an etag of the operator's own there is one question.
func (t *thrower) ask(ctx context.Context, mayRepeat bool) error {
	answers := bufio.NewReader(t.In)
	for try := 1; ; try++ {
		reply, err := t.predict(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(t.Err, t.view().predictedText(reply))
		if yes, err := t.confirm(ctx, answers, question(t.request, t.view())); err != nil || !yes {
			return errors.Join(errDeclined, err)
		}
		if mayRepeat && len(reply.GetScopes()) == 1 {
			t.request.Etag = reply.GetScopes()[0].GetEtag()
		}
		err = t.send(ctx)
		if !mayRepeat || try == askTries || !isReason(err, sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG) {
			return err
		}
		t.request.Etag = ""
		fmt.Fprintln(t.Err, "The scope changed meanwhile, nothing was done. As it is now:")
	}
}

// confirm asks whether to go on. Anything but y or yes is no; so is the end of the input.
func (a *app) confirm(ctx context.Context, answers *bufio.Reader, question string) (bool, error) {
	fmt.Fprintf(a.Err, "%s? [y/N] ", question)
	type answer struct {
		line string
		err  error
	}
	read := make(chan answer, 1)
	go func() { // The read cannot be interrupted; the process ends instead.
		line, err := answers.ReadString('\n')
		read <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.Err)
		return false, nil
	case got := <-read:
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return false, fmt.Errorf("read the answer: %w", got.err)
		}
		word := strings.ToLower(strings.TrimSpace(got.line))
		return word == "y" || word == "yes", nil
	}
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

// send gives the order and tells what it did. While nobody knows what became of it, it is sent again under the same request
// id, so that it happens once.
func (t *thrower) send(ctx context.Context) error {
	pause := t.backoff
	for try := 1; ; try++ {
		reply, err := t.switchOnce(ctx)
		if err == nil {
			undo := ""
			if reply.GetUndo() != nil {
				undo = commandText(reply.GetUndo(), t.connection)
			}
			return t.show(reply, func(v view) string { return v.doneText(reply, undo) })
		}
		if try == sendTries || !mayBeSentAgain(err) || !rest(ctx, pause) {
			return t.help(err)
		}
		pause *= 2
	}
}

func (t *thrower) switchOnce(ctx context.Context) (*sluicev1.SwitchChannelResponse, error) {
	ctx, cancel := t.waiting(ctx)
	defer cancel()
	return t.client.SwitchChannel(ctx, t.request)
}

// mayBeSentAgain reports whether sending the order again may help: it did not arrive, or nobody knows.
func mayBeSentAgain(err error) bool {
	code := codeOf(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

func isReason(err error, reason sluicev1.ErrorReason) bool {
	s, ok := rpcStatus(err)
	return ok && errorReason(s) == reason
}

// help adds the commands that would set a failed order right.
func (t *thrower) help(err error) error {
	s, ok := rpcStatus(err)
	if !ok {
		return err
	}
	again := proto.CloneOf(t.request)
	again.ValidateOnly = false
	look := "sluice why " + quote(scopeArg(t.request.GetScope()))
	var fix []string
	switch reason := errorReason(s); {
	case reason == sluicev1.ErrorReason_ERROR_REASON_GUARD_REFUSED:
		again.RequestId, again.Etag = "", ""
		fix = t.overrideFix(again, errorInfo(s).GetMetadata()["guard"])
	case reason == sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG:
		again.RequestId, again.Etag = "", ""
		fix = []string{look + "   # see what changed, then", commandText(again, t.connection)}
	case reason == sluicev1.ErrorReason_ERROR_REASON_ORDER_NOT_APPLICABLE:
		fix = []string{look}
	case mayBeSentAgain(err):
		fix = []string{commandText(again, t.connection) + "   # the same request id: it happens once"}
	}
	return helpedError{err, fix}
}

// overrideFix is the command that overrides the guard which refused.
func (t *thrower) overrideFix(again *sluicev1.SwitchChannelRequest, guard string) []string {
	g, err := parseGuards([]string{strings.TrimPrefix(guard, "GUARD_")})
	if err != nil {
		return []string{commandText(again, t.connection) + " --override GUARD   # with the guard's name"}
	}
	again.OverrideGuards = append(again.OverrideGuards, g...)
	return []string{commandText(again, t.connection) + "   # only if you know better"}
}
