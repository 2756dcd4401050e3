package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// catalogFlags are the flags of the commands that change the catalogue.
type catalogFlags struct {
	reason, etag, requestID string
	yes, dryRun             bool
}

func (f *catalogFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.reason, "reason", "", "why, for those who read it at night (required)")
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	s.BoolVar(&f.dryRun, "dry-run", false, "only show what would happen")
	s.StringVar(&f.etag, "etag", "", "refuse if another catalogue is in force than the one with this etag")
	s.StringVar(&f.requestID, "request-id", "", "makes the change happen once, however often it is sent (default: a new one)")
}

// check refuses what the server would.
func (f *catalogFlags) check() error {
	f.reason = strings.TrimSpace(f.reason)
	if n := len(f.reason); n < 3 || n > 500 {
		return usagef("--reason: want 3 to 500 bytes, for those who read it at night")
	}
	if f.requestID == "" {
		f.requestID = rand.Text()
	}
	return nil
}

func (a *app) newCatalogApply() *cobra.Command {
	f := &catalogFlags{}
	cmd := a.client(&cobra.Command{
		Use:   "apply FILE --reason TEXT",
		Short: "Put a catalogue in force on the running replicas",
		Long: `Put a catalogue in force, whole or not at all: every replica routes by it as soon as it has seen it, without a restart.
What it changes is shown first, and a question asked unless --yes; the catalogue is applied only if the one that was
compared with is still in force. The command that goes back is printed last. FILE - reads standard input.`,
		Example: "  sluice catalog apply catalog.yaml --reason 'cheaper rates on alipay'",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: completeFiles(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.catalogApply(cmd.Context(), args[0], f, given(cmd))
		},
	})
	f.register(cmd)
	return cmd
}

func (a *app) newCatalogRollback() *cobra.Command {
	f := &catalogFlags{}
	cmd := a.client(&cobra.Command{
		Use:   "rollback REVISION --reason TEXT",
		Short: "Put an earlier catalogue in force again, as a new revision",
		Long: `Put the catalogue of an earlier revision in force again, as a new revision. What it changes is shown first, and a
question asked unless --yes. The last 50 revisions are kept; sluice catalog history lists them.`,
		Example: "  sluice catalog rollback 7 --reason 'more declines than before'",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: a.completeRevisions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.catalogRollback(cmd.Context(), args[0], f, given(cmd))
		},
	})
	f.register(cmd)
	return cmd
}

func (a *app) catalogApply(ctx context.Context, file string, f *catalogFlags, connection []string) error {
	if err := errors.Join(a.checkFormat(), f.check()); err != nil {
		return err
	}
	if file == "-" && !f.yes && !f.dryRun {
		return usagef("the catalogue comes from standard input, so nobody can be asked: add --yes or --dry-run")
	}
	read, err := a.goodCatalog(file)
	if err != nil {
		return err
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	c := &catalogChanger{app: a, flags: f, connection: connection, command: []string{"sluice", "catalog", "apply", file}}
	c.question = "Put this catalogue in force"
	c.call = func(ctx context.Context, ask bool, requestID string) (catalogReply, error) {
		return client.ApplyCatalog(ctx, &sluicev1.ApplyCatalogRequest{
			Catalog: read.catalog, Reason: f.reason, Etag: f.etag, RequestId: requestID, ValidateOnly: ask,
		})
	}
	return c.run(ctx)
}

func (a *app) catalogRollback(ctx context.Context, arg string, f *catalogFlags, connection []string) error {
	if err := errors.Join(a.checkFormat(), f.check()); err != nil {
		return err
	}
	revision, err := parseRevision(arg)
	if err != nil {
		return err
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	c := &catalogChanger{app: a, flags: f, connection: connection, command: []string{"sluice", "catalog", "rollback", arg}}
	c.question = fmt.Sprintf("Go back to revision %d", revision)
	c.call = func(ctx context.Context, ask bool, requestID string) (catalogReply, error) {
		return client.RollbackCatalog(ctx, &sluicev1.RollbackCatalogRequest{
			Revision: revision, Reason: f.reason, Etag: f.etag, RequestId: requestID, ValidateOnly: ask,
		})
	}
	return c.run(ctx)
}

// catalogReply is what both changes answer.
type catalogReply interface {
	proto.Message
	GetRevision() *sluicev1.CatalogRevision
	GetDiff() *sluicev1.CatalogDiff
	GetEtag() string
	GetTableRevision() int64
	GetJournalSequence() uint64
}

// catalogChanger makes one change: predict, ask, send, tell.
type catalogChanger struct {
	*app

	flags      *catalogFlags
	connection []string // flags for the commands that are shown
	command    []string // that makes the change, without its flags
	question   string
	call       func(ctx context.Context, ask bool, requestID string) (catalogReply, error)
}

func (c *catalogChanger) run(ctx context.Context) error {
	switch {
	case c.flags.dryRun:
		reply, err := c.predict(ctx)
		if err != nil {
			return err
		}
		return c.show(reply, func(v view) string { return "Only a prediction; nothing was done.\n" + v.predictedCatalog(reply) })
	case c.flags.yes:
		return c.send(ctx)
	case !c.interactive(c.In):
		return usagef("nobody can be asked here: add --yes, or --dry-run to see what would happen")
	}
	return c.ask(ctx, c.flags.etag == "")
}

// predict asks what would happen. It carries no request id: nothing happens that may happen only once.
func (c *catalogChanger) predict(ctx context.Context) (catalogReply, error) {
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	reply, err := c.call(ctx, true, "")
	if err != nil {
		return nil, c.help(err)
	}
	return reply, nil
}

// ask shows what would happen, asks, and makes the change against what was shown: if somebody changes the catalogue meanwhile, what
// would happen now is shown and asked about. With an etag of the caller's own there is one question.
func (c *catalogChanger) ask(ctx context.Context, mayRepeat bool) error {
	answers := bufio.NewReader(c.In)
	for try := 1; ; try++ {
		reply, err := c.predict(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(c.Err, c.view().predictedCatalog(reply))
		if yes, err := c.confirm(ctx, answers, c.question); err != nil || !yes {
			return errors.Join(errDeclined, err)
		}
		if mayRepeat {
			c.flags.etag = reply.GetEtag()
		}
		err = c.send(ctx)
		if !mayRepeat || try == askTries || !isReason(err, sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG) {
			return err
		}
		c.flags.etag = ""
		fmt.Fprintln(c.Err, "Another catalogue was put in force meanwhile, nothing was done. As it is now:")
	}
}

// send makes the change. While nobody knows what became of it, it is sent again under the same request id, so that it happens once.
func (c *catalogChanger) send(ctx context.Context) error {
	pause := c.backoff
	for try := 1; ; try++ {
		reply, err := c.once(ctx)
		if err == nil {
			return c.show(reply, func(v view) string { return v.changedCatalog(reply, c.undo(reply)) })
		}
		if try == sendTries || !mayBeSentAgain(err) || !rest(ctx, pause) {
			return c.help(err)
		}
		pause *= 2
	}
}

func (c *catalogChanger) once(ctx context.Context) (catalogReply, error) {
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	return c.call(ctx, false, c.flags.requestID)
}

// undo is the command that goes back, empty where nothing was changed.
func (c *catalogChanger) undo(r catalogReply) string {
	number := r.GetRevision().GetRevision()
	if r.GetTableRevision() == 0 || number < 2 || !r.GetRevision().GetInForce() {
		return ""
	}
	return shellLine(append([]string{"sluice", "catalog", "rollback", strconv.FormatUint(number-1, 10), "--reason", clipText("undo: " + c.flags.reason)}, c.connection...))
}

// clipText keeps a reason within its bounds.
func clipText(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func shellLine(words []string) string {
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// help adds the commands that would set a failed change right.
func (c *catalogChanger) help(err error) error {
	again := append(append([]string{}, c.command...), "--reason", c.flags.reason)
	if mayBeSentAgain(err) {
		again = append(again, "--request-id", c.flags.requestID)
	}
	return catalogHelp(err, append(again, c.connection...))
}

// catalogHelp tells what sets a refused catalogue right; again is the command that was tried, nil if it changes nothing.
func catalogHelp(err error, again []string) error {
	s, ok := rpcStatus(err)
	if !ok {
		return err
	}
	var fix []string
	switch reason := errorReason(s); {
	case reason == sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG:
		fix = []string{"sluice catalog history   # see what changed, then", shellLine(again)}
	case reason == sluicev1.ErrorReason_ERROR_REASON_ORDER_STRANDED:
		for scope := range strings.FieldsSeq(errorInfo(s).GetMetadata()["scopes"]) {
			fix = append(fix, "sluice release "+quote(scope)+" --reason TEXT   # or keep it in the catalogue")
		}
	case s.Code() == codes.ResourceExhausted && errorInfo(s) == nil && strings.Contains(s.Message(), "larger than max"):
		fix = []string{"a server takes no catalogue of more than 4 MiB in one request: take out what no route needs"}
	case again != nil && mayBeSentAgain(err):
		fix = []string{shellLine(again) + "   # the same request id: it happens once"}
	}
	return helpedError{err, fix}
}

// predictedCatalog tells what would change.
func (v view) predictedCatalog(r catalogReply) string {
	return "Against revision " + clean(r.GetEtag()) + ", in force.\n" + v.diffText(r.GetDiff()) + v.trafficText(r.GetDiff())
}

// changedCatalog tells what a change did and, last, the command that goes back.
func (v view) changedCatalog(r catalogReply, undo string) string {
	var b strings.Builder
	b.WriteString(v.diffText(r.GetDiff()))
	if r.GetTableRevision() == 0 {
		return b.String()
	}
	b.WriteString(v.trafficText(r.GetDiff()))
	fmt.Fprintf(&b, "Revision %d is in force: table revision %d, journal entry %d.\n", r.GetRevision().GetRevision(), r.GetTableRevision(), r.GetJournalSequence())
	if !r.GetRevision().GetInForce() {
		return strings.Replace(b.String(), "is in force:", "was put in force:", 1)
	}
	if undo != "" {
		b.WriteString("To undo it:\n  " + undo + "\n")
	}
	return b.String()
}
