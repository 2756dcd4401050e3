package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/statemachine"
)

// errBadCatalog ends the command with exit code 1 after its problems were printed.
var errBadCatalog = errors.New("the catalogue has problems")

// newCatalog returns `sluice catalog` with what can be done to a catalogue.
func (a *app) newCatalog() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Check, compare, apply and roll back the catalogue",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.newCatalogValidate(), a.newCatalogDiff(), a.newCatalogApply(), a.newCatalogRollback(), a.newCatalogHistory(), a.newCatalogShow())
	return cmd
}

func (a *app) newCatalogValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a catalogue file; FILE - reads standard input",
		Long: `Check a catalogue file without a server. Every problem is printed to standard error as
file:line:col: field: what is wrong and what would be right, and the exit code is 1.
With -o json or yaml the problems are printed to standard output, each with its place.`,
		Example:           "  sluice catalog validate catalog.yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.validateCatalog(args[0])
		},
	}
	a.formats(cmd)
	return cmd
}

// completeFiles completes that many catalogue files.
func completeFiles(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, noFiles
		}
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
}

// catalogVerdict is what `catalog validate -o json` prints.
type catalogVerdict struct {
	File        string           `json:"file"`
	Good        bool             `json:"good"`
	Problems    []catalogProblem `json:"problems"`
	Channels    int              `json:"channels"`
	Instruments int              `json:"instruments"`
	Lanes       int              `json:"lanes"`
	Items       int              `json:"items"`
}

// catalogProblem is one problem of a file and where it is.
type catalogProblem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (a *app) validateCatalog(file string) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	read, err := a.readCatalog(file)
	problems, bad := errors.AsType[catalogfile.Errors](err)
	if err != nil && (!bad || a.format == formatTable) {
		return a.badCatalog(read.name, err)
	}
	v := catalogVerdict{File: read.name, Good: !bad, Problems: []catalogProblem{}}
	for _, p := range problems {
		v.Problems = append(v.Problems, catalogProblem{p.Line, p.Col, p.Path, p.Message})
	}
	if !bad {
		v.Channels, v.Items, v.Lanes = len(read.catalog.GetChannels()), len(read.plan.Items()), len(read.plan.Fleet().Lanes)
		for _, scope := range read.plan.Items() {
			if scope.Kind == statemachine.ScopeInstrument {
				v.Instruments++
			}
		}
	}
	err = a.showValue(v, func(view) string {
		return fmt.Sprintf("%s: good: %d channels, %d instruments, %d lanes, %d items\n", v.File, v.Channels, v.Instruments, v.Lanes, v.Items)
	})
	if err == nil && bad {
		return fmt.Errorf("%s: %w: %d found", v.File, errBadCatalog, len(problems))
	}
	return err
}

// catalogFile is a catalogue that was read from a file and compiled.
type catalogFile struct {
	name    string
	catalog *configv1.Catalog
	plan    *routing.Plan
}

// readCatalog reads a file as the server would take it. Problems of the catalogue are catalogfile.Errors.
func (a *app) readCatalog(file string) (catalogFile, error) {
	name, data, err := readFile(a.In, file)
	read := catalogFile{name: name}
	if err != nil {
		return read, err
	}
	if read.catalog, read.plan, err = catalogfile.Check(name, data); err != nil {
		return read, err //nolint:wrapcheck // each problem names file and place
	}
	raw, err := proto.Marshal(read.catalog)
	if err != nil {
		return read, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := monitor.PackCatalog(raw); err != nil { // what a server would refuse for its size
		return read, catalogfile.Errors{{File: name, Line: 1, Col: 1, Message: err.Error()}}
	}
	return read, nil
}

// badCatalog prints the problems of a catalogue file and returns what ends the command.
func (a *app) badCatalog(name string, err error) error {
	problems, ok := errors.AsType[catalogfile.Errors](err)
	if !ok {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(a.Err, p.Error())
	}
	return fmt.Errorf("%s: %w: %d found", name, errBadCatalog, len(problems))
}

// goodCatalog reads a file and prints its problems.
func (a *app) goodCatalog(file string) (catalogFile, error) {
	read, err := a.readCatalog(file)
	if err != nil {
		return read, a.badCatalog(read.name, err)
	}
	return read, nil
}

// readFile reads a file named on the command line, or standard input for "-".
func readFile(stdin io.Reader, file string) (name string, data []byte, err error) {
	if file == "-" {
		data, err = io.ReadAll(stdin)
		if err != nil {
			return "stdin", nil, fmt.Errorf("read standard input: %w", err)
		}
		return "stdin", data, nil
	}
	data, err = os.ReadFile(file) //nolint:gosec // The file is named by the one who runs the command.
	if err != nil {
		return file, nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return file, data, nil
}

func (a *app) catalogClient() (sluicev1.CatalogServiceClient, func(), error) {
	conn, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	return sluicev1.NewCatalogServiceClient(conn), func() { _ = conn.Close() }, nil
}
