package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	// sendTries is how often a change is sent while nobody knows what became of it.
	sendTries = 3
	// askTries is how often a question is asked again because somebody else made a change meanwhile.
	askTries = 3
)

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// changeFlags are the flags of every command that changes something.
type changeFlags struct {
	reason, etag, requestID string
	yes, dryRun             bool
}

// register adds the flags to a command that makes one change, called what; stale says when the etag refuses it.
func (f *changeFlags) register(cmd *cobra.Command, what, stale string) {
	s := cmd.Flags()
	s.StringVar(&f.reason, "reason", "", "why, for those who read it at night (required)")
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	s.BoolVar(&f.dryRun, "dry-run", false, "only show what would happen")
	s.StringVar(&f.etag, "etag", "", "refuse if "+stale)
	s.StringVar(&f.requestID, "request-id", "", "makes the "+what+" happen once, however often it is sent (default: a new one)")
}

// check refuses what the server would, and chooses a request id where none is given.
func (f *changeFlags) check() error {
	f.reason = strings.TrimSpace(f.reason)
	if n := len(f.reason); n < 3 || n > 500 {
		return usagef("--reason: want 3 to 500 bytes, for those who read it at night")
	}
	if f.requestID == "" {
		f.requestID = rand.Text()
	}
	return nil
}

// attempt is what differs between the requests of one change.
type attempt struct {
	etag, requestID string
	validateOnly    bool
}

// changer makes one change: predict, ask, send, tell. R is the reply, of a prediction too.
type changer[R proto.Message] struct {
	*app

	flags     *changeFlags
	call      func(ctx context.Context, as attempt) (R, error)
	question  func(v view) string
	predicted func(v view, reply R) string
	done      func(v view, reply R) string
	etagOf    func(predicted R) string // of what was shown, empty if it is of several things
	moved     string                   // what happened where the etag is stale
	help      func(err error) error    // adds the commands that would set a failed change right
}

func (c *changer[R]) run(ctx context.Context) error {
	switch {
	case c.flags.dryRun:
		reply, err := c.predict(ctx)
		if err != nil {
			return err
		}
		return c.show(reply, func(v view) string { return "Only a prediction; nothing was done.\n" + c.predicted(v, reply) })
	case c.flags.yes:
		return c.send(ctx)
	case !c.interactive(c.In):
		return usagef("nobody can be asked here: add --yes, or --dry-run to see what would happen")
	}
	return c.ask(ctx, c.flags.etag == "")
}

// predict asks what would happen. It carries no request id: nothing happens that may happen only once.
func (c *changer[R]) predict(ctx context.Context) (R, error) {
	reply, err := c.once(ctx, attempt{etag: c.flags.etag, validateOnly: true})
	if err != nil {
		return reply, c.help(err)
	}
	return reply, nil
}

// ask shows what would happen, asks, and makes the change with the etag of what was shown: if somebody makes another meanwhile,
// what would happen now is shown and asked about. With an etag of the caller's own there is one question.
func (c *changer[R]) ask(ctx context.Context, mayRepeat bool) error {
	answers := bufio.NewReader(c.In)
	for try := 1; ; try++ {
		reply, err := c.predict(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(c.Err, c.predicted(c.view(), reply))
		if yes, err := c.confirm(ctx, answers, c.question(c.view())); err != nil || !yes {
			return errors.Join(errDeclined, err)
		}
		if mayRepeat {
			c.flags.etag = c.etagOf(reply)
		}
		err = c.send(ctx)
		if !mayRepeat || try == askTries || !isReason(err, sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG) {
			return err
		}
		c.flags.etag = ""
		fmt.Fprintln(c.Err, c.moved+" meanwhile, nothing was done. As it is now:")
	}
}

// send makes the change and tells what it did. While nobody knows what became of it, it is sent again under the same request id,
// so that it happens once.
func (c *changer[R]) send(ctx context.Context) error {
	pause := c.backoff
	for try := 1; ; try++ {
		reply, err := c.once(ctx, attempt{etag: c.flags.etag, requestID: c.flags.requestID})
		if err == nil {
			return c.show(reply, func(v view) string { return c.done(v, reply) })
		}
		if try == sendTries || !mayBeSentAgain(err) || !rest(ctx, pause) {
			return c.help(err)
		}
		pause *= 2
	}
}

func (c *changer[R]) once(ctx context.Context, as attempt) (R, error) {
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	return c.call(ctx, as)
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

// mayBeSentAgain reports whether sending it again may help: it did not arrive, or nobody knows.
func mayBeSentAgain(err error) bool {
	code := codeOf(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

func isReason(err error, reason sluicev1.ErrorReason) bool {
	s, ok := rpcStatus(err)
	return ok && errorReason(s) == reason
}
