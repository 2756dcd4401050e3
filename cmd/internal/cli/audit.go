package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// auditFlags select what `sluice audit` lists.
type auditFlags struct {
	since  time.Duration
	author string
	of     string // channel
	most   uint32
}

func (a *app) newAudit() *cobra.Command {
	f := &auditFlags{}
	cmd := a.client(&cobra.Command{
		Use:   "audit",
		Short: "List the journal: who changed what, when and why, newest first",
		Long: `List the journal, newest first: cuts and ramps of automation, orders and notes of people, and changes of the catalogue,
each with its author and reason. Every entry carries the hash of the one before; -o json shows them.`,
		Example: "  sluice audit --since 24h\n  sluice audit --author li --most 20\n  sluice audit --channel alipay -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.audit(cmd.Context(), f)
		},
	})
	s := cmd.Flags()
	s.DurationVar(&f.since, "since", 0, "how far back to begin, e.g. 24h; 0 = as far as the journal is kept")
	s.StringVar(&f.author, "author", "", "only entries of this author")
	s.StringVar(&f.of, "channel", "", "only entries that moved a scope of this channel")
	s.Uint32Var(&f.most, "most", 50, "list at most this `NUMBER`; 0 = all that are kept")
	complete(cmd, "channel", a.completeChannels(true))
	return cmd
}

func (a *app) audit(ctx context.Context, f *auditFlags) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	if f.since < 0 {
		return usagef("--since %s: want 0 or more", f.since)
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	request := &sluicev1.ListAuditEntriesRequest{Author: f.author, Channel: f.of}
	if f.since > 0 {
		request.StartTime = timestamppb.New(a.clock().Add(-f.since))
	}
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	whole, err := listAudit(ctx, sluicev1.NewAuditServiceClient(conn), request, f.most)
	if err != nil {
		return err
	}
	return a.show(whole, func(v view) string { return v.auditText(whole) })
}

// listAudit reads as many as asked for into one reply; 0 = all.
func listAudit(ctx context.Context, client sluicev1.AuditServiceClient, request *sluicev1.ListAuditEntriesRequest, most uint32) (*sluicev1.ListAuditEntriesResponse, error) {
	whole := &sluicev1.ListAuditEntriesResponse{}
	var err error
	whole.NextPageToken, err = readAll(most, func(size uint32, token string) (int, string, error) {
		request.PageSize, request.PageToken = size, token
		page, err := client.ListAuditEntries(ctx, request)
		if err != nil {
			return 0, "", fmt.Errorf("list the journal: %w", err)
		}
		if whole.GetHead() == nil {
			whole.Head = page.GetHead()
		}
		whole.Entries = append(whole.Entries, page.GetEntries()...)
		return len(page.GetEntries()), page.GetNextPageToken(), nil
	})
	return whole, err
}

// auditText renders the journal, an entry a line.
func (v view) auditText(r *sluicev1.ListAuditEntriesResponse) string {
	if len(r.GetEntries()) == 0 {
		return "no entries\n"
	}
	t := table{right: map[int]bool{0: true}}
	t.add("ENTRY", "WHEN", "AUTHOR", "WHAT", "WHY")
	for _, e := range r.GetEntries() {
		entry := e.GetEntry()
		t.add(strconv.FormatUint(entry.GetSequence(), 10), v.clock(entry.GetTime().AsTime()), clean(entry.GetAuthor()), auditDeed(entry), clean(entry.GetReason()))
	}
	var b strings.Builder
	for line := range strings.Lines(t.String()) {
		b.WriteString(cut(strings.TrimSuffix(line, "\n"), max(v.width, defaultWidth)) + "\n")
	}
	return b.String()
}

// auditDeed is what an entry changed, in a few words.
func auditDeed(e *configv1.JournalEntry) string {
	switch {
	case e.GetCatalog() != 0 && e.GetRollbackOf() != 0:
		return fmt.Sprintf("catalogue %d, back to %d", e.GetCatalog(), e.GetRollbackOf())
	case e.GetCatalog() != 0:
		return fmt.Sprintf("catalogue %d", e.GetCatalog())
	case len(e.GetMoves()) == 0 && len(e.GetIncidents()) > 0:
		return "note on " + clean(e.GetIncidents()[0].GetId())
	case len(e.GetMoves()) == 0:
		return "-"
	}
	deed := moveText(e.GetMoves()[0])
	if more := len(e.GetMoves()) - 1; more > 0 {
		deed += fmt.Sprintf(" and %d more", more)
	}
	return deed
}

// moveText is the scope of a move, and how it stood before and after where that changed.
func moveText(m *configv1.Move) string {
	what := people(storedScope(m.GetAfter().GetScope()))
	before, after := phaseText(m.GetBefore()), phaseText(m.GetAfter())
	if before == after {
		return what + ": " + after + ", order changed"
	}
	return what + ": " + before + " → " + after
}

// phaseText is a phase, with the share where that says more.
func phaseText(m *configv1.ScopeState) string {
	s, err := statepb.ToState(m)
	if err != nil {
		return "?"
	}
	phase, share := s.Effective()
	if share == 0 || uint32(share) == fullPPM {
		return phase.String()
	}
	return phase.String() + " " + percent(uint32(share))
}
