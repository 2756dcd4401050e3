package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// Precedence documents where values come from, for the help of commands.
const Precedence = `Every setting can be given in the file, as an environment variable and as a flag; flags outrank variables, these the file,
and the file the defaults. The names follow from each other: etcd.tls.ca, SLUICE_ETCD_TLS_CA, --etcd-tls-ca. Lists are divided
by commas outside the file, and an empty variable counts as not set. Relative paths in the file start at its directory.
Secrets are never values: settings that end in _file name files that hold them.`

// errBad ends the command with exit code 1 after the problems were printed.
var errBad = errors.New("the configuration has problems")

// NewCommand returns `sluice config`.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration of a replica",
		Long:  "Check and show the configuration of a replica.\n\n" + Precedence,
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newValidateCommand(), newShowCommand())
	return cmd
}

func newValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration file; FILE - reads standard input",
		Long: `Check a configuration file alone: neither environment nor flags count, and the files and stores that it names are not
touched (sluice doctor does that). Every problem is printed to standard error as file:line:col: setting: what is wrong and what
would be right, and the exit code is 1.`,
		Example: "  sluice config validate sluice.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fileName, data, err := readFile(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			l, err := Check(fileName, data)
			if problems, ok := errors.AsType[Errors](err); ok {
				for _, p := range problems {
					fmt.Fprintln(cmd.ErrOrStderr(), p.Error())
				}
				return fmt.Errorf("%s: %w: %d found", fileName, errBad, len(problems))
			}
			if err != nil {
				return err
			}
			for _, w := range l.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", fileName, w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", fileName, l.summary())
			return nil
		},
	}
}

func readFile(stdin io.Reader, file string) (fileName string, data []byte, err error) {
	fileName = file
	if file == "-" {
		fileName = "stdin"
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(file) //nolint:gosec // the one who runs the command names the file
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	return fileName, data, nil
}

// summary says in a line what would run.
func (l *Loaded) summary() string {
	parts := []string{"environment " + l.Environment}
	if l.Etcd.External() {
		parts = append(parts, "etcd at "+strings.Join(l.Etcd.Endpoints, ", "))
	} else {
		parts = append(parts, "etcd in the process at "+l.DataDir)
	}
	if l.Redis.Used() {
		parts = append(parts, "Redis at "+l.Redis.Address)
	} else {
		parts = append(parts, "exchange in memory")
	}
	return strings.Join(parts, "; ")
}

func newShowCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the values in force and where each comes from",
		Long: "Show the values that `sluice serve` would run with under the same file, environment and flags, and where each comes from.\n" +
			"Secrets are not shown, only the files that hold them.\n\n" + Precedence,
		Example: "  sluice config show --config sluice.yaml\n  sluice config show -o yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := Load(Sources{Environ: os.Environ(), Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			for _, w := range l.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			return l.show(cmd.OutOrStdout(), format)
		},
	}
	AddFlags(cmd.Flags())
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table, json or yaml")
	return cmd
}

// show writes the values in force.
func (l *Loaded) show(to io.Writer, format string) error {
	switch format {
	case "table":
		w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
		for _, v := range l.Values {
			value := v.Value
			if value == "" {
				value = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, value, v.From)
		}
		return w.Flush() //nolint:wrapcheck // nothing to add
	case "json":
		e := json.NewEncoder(to)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"file": l.File, "settings": l.Values}) //nolint:wrapcheck // nothing to add
	case "yaml":
		data, err := yaml.Marshal(map[string]any{"file": l.File, "settings": l.Values})
		if err != nil {
			return fmt.Errorf("render as YAML: %w", err)
		}
		_, err = to.Write(data)
		return err //nolint:wrapcheck // nothing to add
	}
	return usage{fmt.Errorf("--output %q: want table, json or yaml", format)}
}

// usage is a mistake on the command line.
type usage struct{ error }

// ExitCode makes it end the process as wrong usage does.
func (usage) ExitCode() int { return 2 }
