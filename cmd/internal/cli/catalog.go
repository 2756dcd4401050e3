package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/statemachine"
)

// errBadCatalog ends the command with exit code 1 after its problems were printed.
var errBadCatalog = errors.New("the catalogue has problems")

// newCatalogCommand returns `sluice catalog` with what can be done to a catalogue file.
func newCatalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Check catalogue files",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newCatalogValidateCommand())
	return cmd
}

func newCatalogValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a catalogue file; FILE - reads standard input",
		Long: `Check a catalogue file without a server. Every problem is printed to standard error as
file:line:col: field: what is wrong and what would be right, and the exit code is 1.`,
		Example: "  sluice catalog validate catalog.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validateCatalog(cmd, args[0])
		},
	}
}

func validateCatalog(cmd *cobra.Command, file string) error {
	name, data, err := readFile(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	catalog, plan, err := catalogfile.Check(name, data)
	if problems, ok := errors.AsType[catalogfile.Errors](err); ok {
		for _, p := range problems {
			fmt.Fprintln(cmd.ErrOrStderr(), p.Error())
		}
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return fmt.Errorf("%s: %w: %d found", name, errBadCatalog, len(problems))
	}
	if err != nil {
		return err
	}
	instruments := 0
	for _, scope := range plan.Items() {
		if scope.Kind == statemachine.ScopeInstrument {
			instruments++
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %d channels, %d instruments, %d lanes, %d items\n",
		name, len(catalog.GetChannels()), instruments, len(plan.Fleet().Lanes), len(plan.Items()))
	return nil
}

// readFile reads a file named on the command line, or standard input for "-".
func readFile(stdin io.Reader, file string) (name string, data []byte, err error) {
	if file == "-" {
		data, err = io.ReadAll(stdin)
		if err != nil {
			return "", nil, fmt.Errorf("read standard input: %w", err)
		}
		return "stdin", data, nil
	}
	data, err = os.ReadFile(file) //nolint:gosec // The file is named by the one who runs the command.
	if err != nil {
		return "", nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return file, data, nil
}
