package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func (a *app) newCatalogApply() *cobra.Command {
	f := &changeFlags{}
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
	f.register(cmd, "change", "another catalogue is in force than the one with this etag")
	return cmd
}

func (a *app) newCatalogRollback() *cobra.Command {
	f := &changeFlags{}
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
	f.register(cmd, "change", "another catalogue is in force than the one with this etag")
	return cmd
}

func (a *app) catalogApply(ctx context.Context, file string, f *changeFlags, connection []string) error {
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
	c := &catalogChange{question: "Put this catalogue in force", command: []string{"sluice", "catalog", "apply", file}}
	c.call = func(ctx context.Context, client sluicev1.CatalogServiceClient, as attempt) (catalogReply, error) {
		return client.ApplyCatalog(ctx, &sluicev1.ApplyCatalogRequest{
			Catalog: read.catalog, Reason: f.reason, Etag: as.etag, RequestId: as.requestID, ValidateOnly: as.validateOnly,
		})
	}
	return a.changeCatalog(ctx, c, f, connection)
}

func (a *app) catalogRollback(ctx context.Context, arg string, f *changeFlags, connection []string) error {
	if err := errors.Join(a.checkFormat(), f.check()); err != nil {
		return err
	}
	revision, err := parseRevision(arg)
	if err != nil {
		return err
	}
	c := &catalogChange{question: fmt.Sprintf("Go back to revision %d", revision), command: []string{"sluice", "catalog", "rollback", arg}}
	c.call = func(ctx context.Context, client sluicev1.CatalogServiceClient, as attempt) (catalogReply, error) {
		return client.RollbackCatalog(ctx, &sluicev1.RollbackCatalogRequest{
			Revision: revision, Reason: f.reason, Etag: as.etag, RequestId: as.requestID, ValidateOnly: as.validateOnly,
		})
	}
	return a.changeCatalog(ctx, c, f, connection)
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

// catalogChange is what the two changes differ in.
type catalogChange struct {
	command  []string // that makes the change, without its flags
	question string
	call     func(ctx context.Context, client sluicev1.CatalogServiceClient, as attempt) (catalogReply, error)
}

// changeCatalog makes a change; connection are the flags for the commands that are shown.
func (a *app) changeCatalog(ctx context.Context, q *catalogChange, f *changeFlags, connection []string) error {
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	c := &changer[catalogReply]{
		app: a, flags: f, moved: "Another catalogue was put in force", predicted: view.predictedCatalog, etagOf: catalogReply.GetEtag,
		call:     func(ctx context.Context, as attempt) (catalogReply, error) { return q.call(ctx, client, as) },
		question: func(view) string { return q.question },
		done: func(v view, reply catalogReply) string {
			return v.changedCatalog(reply, undoCatalog(reply, f.reason, connection))
		},
		help: func(err error) error {
			again := append(append([]string{}, q.command...), "--reason", f.reason)
			if mayBeSentAgain(err) {
				again = append(again, "--request-id", f.requestID)
			}
			return catalogHelp(err, append(again, connection...))
		},
	}
	return c.run(ctx)
}

// undoCatalog is the command that goes back, empty where nothing was changed.
func undoCatalog(r catalogReply, reason string, connection []string) string {
	number := r.GetRevision().GetRevision()
	if r.GetTableRevision() == 0 || number < 2 || !r.GetRevision().GetInForce() {
		return ""
	}
	return shellLine(append([]string{"sluice", "catalog", "rollback", strconv.FormatUint(number-1, 10), "--reason", clipText("undo: " + reason)}, connection...))
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
