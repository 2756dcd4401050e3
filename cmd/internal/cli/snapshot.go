package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

func (a *app) newSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Show, verify or fetch the snapshot that clients decide by when no server answers",
		Long: `The snapshot is what clients decide by when no server answers: the catalogue without contacts, every state, the
scores, and orders of last resort. It is read from the server, from the etcd that the servers keep it in, or from a file:

` + fromHelp,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(a.newSnapshotShow(), a.newSnapshotVerify(), a.newSnapshotPull())
	return cmd
}

func (a *app) newSnapshotShow() *cobra.Command {
	var from snapshotFrom
	cmd := a.client(&cobra.Command{
		Use:     "show",
		Short:   "Tell what a snapshot holds, how old it is and of which revision",
		Long:    "Tell what a snapshot holds, how old it is and of which revision.\n\n" + fromHelp,
		Example: "  sluice snapshot show\n  sluice snapshot show --from etcd --etcd-endpoints 10.0.0.1:2379,10.0.0.2:2379\n  sluice snapshot show --from /var/lib/cashier/sluice.snapshot",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.checkFormat(); err != nil {
				return err
			}
			got, _, err := from.read(cmd.Context(), a)
			if err != nil {
				return err
			}
			packed, err := routing.EncodeSnapshot(got.snapshot)
			if err != nil {
				return err //nolint:wrapcheck // says it all
			}
			return a.show(got.snapshot, func(v view) string { return v.snapshotText(got, len(packed)) })
		},
	})
	from.register(cmd)
	return cmd
}

func (a *app) newSnapshotVerify() *cobra.Command {
	var from snapshotFrom
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a snapshot is whole, of the right environment, and can be decided by",
		Long: `Check that a snapshot is whole, of the right environment, and can be decided by: its digests, the features it needs,
its states, and its catalogue, which is compiled. Of etcd every member is asked. The exit code is 1 if anything is wrong.

` + fromHelp,
		Example: "  sluice snapshot verify --from etcd --config sluice.yaml\n  sluice snapshot verify --from FILE --environment prod",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verifySnapshots(cmd.Context(), &from)
		},
	}
	a.connection(cmd)
	from.register(cmd)
	return cmd
}

// errBadSnapshot ends the command with exit code 1 after its problems were printed.
var errBadSnapshot = errors.New("not every snapshot is good")

func (a *app) verifySnapshots(ctx context.Context, from *snapshotFrom) error {
	each, err := from.each(a)
	if err != nil {
		return err
	}
	bad := 0
	for _, source := range each {
		got, table, err := source.read(ctx, a)
		if err != nil {
			if len(each) == 1 {
				return err
			}
			bad++
			fmt.Fprintf(a.Err, "bad   %s: %s\n", source.name(a), clean(err.Error()))
			continue
		}
		if err := a.print(a.view().verifiedText(got, table)); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%w: %d of %s failed", errBadSnapshot, bad, plural(len(each), "member"))
	}
	return nil
}

func (a *app) newSnapshotPull() *cobra.Command {
	var from snapshotFrom
	var back bool
	cmd := &cobra.Command{
		Use:   "pull FILE",
		Short: "Write the snapshot to a file that clients can start from",
		Long: `Write the snapshot to a file that clients can start from. It is verified first; the file is replaced at once or not at all,
and carries a checksum. A file that holds a newer snapshot, or one of another environment, is left alone (exit code 3).

` + fromHelp,
		Example: "  sluice snapshot pull /var/lib/cashier/sluice.snapshot",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.pullSnapshot(cmd.Context(), &from, args[0], back)
		},
	}
	a.connection(cmd)
	from.register(cmd)
	cmd.Flags().BoolVar(&back, "back", false, "replace a newer snapshot or one of another environment too")
	return cmd
}

func (a *app) pullSnapshot(ctx context.Context, from *snapshotFrom, file string, back bool) error {
	got, table, err := from.read(ctx, a)
	if err != nil {
		return err
	}
	if !back {
		if err := mayReplace(file, got.snapshot); err != nil {
			return err
		}
	}
	data, err := routing.EncodeSnapshot(got.snapshot)
	if err != nil {
		return err //nolint:wrapcheck // says it all
	}
	if err := writeSnapshot(filepath.Clean(file), data); err != nil {
		return err
	}
	return a.print(a.view().verifiedText(got, table) + fmt.Sprintf("wrote %s, %s\n", file, byteSize(len(data))))
}

// keptError says that a file holds something that must not be replaced.
type keptError struct{ text string }

func (e keptError) Error() string { return e.text }

// ExitCode makes it end the process with ExitRefused.
func (keptError) ExitCode() int { return ExitRefused }

// mayReplace refuses to go back to an older snapshot, or over to another environment. A damaged file may be replaced.
func mayReplace(file string, next *configv1.Snapshot) error {
	held, err := readSnapshot(file)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to lose
	}
	switch now, old := routing.StampOf(next), routing.StampOf(held); {
	case held.GetEnvironment() != next.GetEnvironment():
		return keptError{fmt.Sprintf("%s holds a snapshot of environment %q, this one is of %q: --back replaces it", file, held.GetEnvironment(), next.GetEnvironment())}
	case old.Newer(now.Revision):
		return keptError{fmt.Sprintf("%s holds a newer snapshot, epoch %d, revision %d; this one is of epoch %d, revision %d: --back goes back",
			file, old.Epoch, old.Revision.Revision, now.Epoch, now.Revision.Revision)}
	}
	return nil
}
