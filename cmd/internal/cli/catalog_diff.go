package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// errDiffers is the answer of `catalog diff` that is no failure: nothing is printed for it.
var errDiffers = differsError{errors.New("the catalogues differ")}

type differsError struct{ error }

// ExitCode makes it end the process with ExitDiffers.
func (differsError) ExitCode() int { return ExitDiffers }

func (a *app) newCatalogDiff() *cobra.Command {
	return a.client(&cobra.Command{
		Use:   "diff FILE | diff BEFORE AFTER",
		Short: "Tell what a catalogue changes, and what part of the recent traffic would move",
		Long: `Tell what a catalogue file changes against the one in force, which part of the recent real traffic would take
another channel, by bank, and what to know before: nothing is changed. Entries of lists are named by their id.
With two files no server is asked, and nothing is told about traffic. FILE - reads standard input.

The exit code is 0 if both say the same and 5 if they differ.`,
		Example: "  sluice catalog diff catalog.yaml\n  sluice catalog diff before.yaml after.yaml\n  sluice catalog show 7 | sluice catalog diff -",
		Args:    cobra.RangeArgs(1, 2),

		ValidArgsFunction: completeFiles(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkFormat(); err != nil {
				return err
			}
			if len(args) == 2 {
				return a.diffFiles(args[0], args[1])
			}
			return a.diffServer(cmd.Context(), args[0])
		},
	})
}

// diffFiles compares two files.
func (a *app) diffFiles(before, after string) error {
	x, err := a.goodCatalog(before)
	if err != nil {
		return err
	}
	y, err := a.goodCatalog(after)
	if err != nil {
		return err
	}
	d := routing.DiffTables(x.plan.Table(routing.Revision{}, nil, nil), y.plan.Table(routing.Revision{}, nil, nil), nil)
	m := &sluicev1.CatalogDiff{Warnings: d.Warnings}
	for _, c := range d.Changes {
		m.Changes = append(m.Changes, &sluicev1.CatalogChange{Path: c.Path, Before: c.Before, After: c.After})
	}
	return a.showDiff(m, func(v view) string { return v.diffText(m) })
}

// diffServer compares a file with the catalogue in force.
func (a *app) diffServer(ctx context.Context, file string) error {
	read, err := a.goodCatalog(file)
	if err != nil {
		return err
	}
	client, closeConn, err := a.catalogClient()
	if err != nil {
		return err
	}
	defer closeConn()
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	reply, err := client.ApplyCatalog(ctx, &sluicev1.ApplyCatalogRequest{Catalog: read.catalog, Reason: "catalog diff", ValidateOnly: true})
	if err != nil {
		return catalogHelp(err, nil)
	}
	return a.showDiff(reply.GetDiff(), func(v view) string { return v.predictedCatalog(reply) })
}

func (a *app) showDiff(d *sluicev1.CatalogDiff, render func(view) string) error {
	if err := a.show(d, render); err != nil || len(d.GetChanges()) == 0 {
		return err
	}
	return errDiffers
}
