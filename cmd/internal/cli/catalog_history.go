package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

func (a *app) newCatalogHistory() *cobra.Command {
	var most uint32
	cmd := a.client(&cobra.Command{
		Use:     "history",
		Short:   "List the revisions of the catalogue that are kept, newest first",
		Long:    "List the revisions of the catalogue that are kept, newest first: who put them in force, when and why. The last 50 are kept.",
		Example: "  sluice catalog history",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.catalogHistory(cmd.Context(), most)
		},
	})
	cmd.Flags().Uint32Var(&most, "most", 0, "list at most this `NUMBER`; 0 = all that are kept")
	return cmd
}

func (a *app) catalogHistory(ctx context.Context, most uint32) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	whole, err := listRevisions(ctx, client, most)
	if err != nil {
		return err
	}
	return a.show(whole, func(v view) string { return v.historyText(whole) })
}

// listRevisions reads as many as asked for into one reply; 0 = all.
func listRevisions(ctx context.Context, client sluicev1.CatalogServiceClient, most uint32) (*sluicev1.ListCatalogRevisionsResponse, error) {
	whole := &sluicev1.ListCatalogRevisionsResponse{}
	var err error
	whole.NextPageToken, err = readAll(most, func(size uint32, token string) (int, string, error) {
		page, err := client.ListCatalogRevisions(ctx, &sluicev1.ListCatalogRevisionsRequest{PageSize: size, PageToken: token})
		if err != nil {
			return 0, "", fmt.Errorf("list the revisions: %w", err)
		}
		whole.Revisions = append(whole.Revisions, page.GetRevisions()...)
		return len(page.GetRevisions()), page.GetNextPageToken(), nil
	})
	return whole, err
}

func (a *app) newCatalogShow() *cobra.Command {
	return a.client(&cobra.Command{
		Use:   "show [REVISION]",
		Short: "Print the catalogue in force, or an earlier one, as a file",
		Long: `Print the catalogue in force, or an earlier revision, as the YAML file that validate, diff and apply read.
Contacts are left out for callers who may not change it.`,
		Example: "  sluice catalog show > catalog.yaml\n  sluice catalog show 7",
		Args:    cobra.MaximumNArgs(1),

		ValidArgsFunction: a.completeRevisions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.catalogShow(cmd.Context(), args)
		},
	})
}

func (a *app) catalogShow(ctx context.Context, args []string) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	request := &sluicev1.GetCatalogRequest{}
	var err error
	if len(args) > 0 {
		if request.Revision, err = parseRevision(args[0]); err != nil {
			return err
		}
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	reply, err := client.GetCatalog(ctx, request)
	if err != nil {
		return fmt.Errorf("get the catalogue: %w", err)
	}
	if a.format != formatTable {
		return a.encode(reply, true)
	}
	file, err := catalogfile.Write(reply.GetCatalog())
	if err != nil {
		return fmt.Errorf("write the catalogue: %w", err)
	}
	r := reply.GetRevision()
	return a.print(fmt.Sprintf("# Revision %d, by %s: %s\n%s", r.GetRevision(), clean(r.GetAuthor()), clean(r.GetReason()), file))
}

func parseRevision(arg string) (uint64, error) {
	n, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || n == 0 {
		return 0, usagef("revision %q: want a number of `sluice catalog history`", arg)
	}
	return n, nil
}

// completeRevisions completes the one REVISION argument.
func (a *app) completeRevisions(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return nil, noFiles
	}
	defer closeConn()
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionDeadline)
	defer cancel()
	all, err := listRevisions(ctx, client, 0)
	if err != nil {
		return nil, noFiles
	}
	var out []string
	for _, r := range all.GetRevisions() {
		out = append(out, fmt.Sprintf("%d\t%s", r.GetRevision(), clean(r.GetVersion()+" "+r.GetReason())))
	}
	return beginningWith(out, typed), noFiles | cobra.ShellCompDirectiveKeepOrder
}
