package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

// errSick ends the command with exit code 1 after the checks were printed.
var errSick = errors.New("checks failed")

// NewCommand returns `sluice doctor`.
func NewCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine what a replica needs: files, certificates, addresses, stores, clocks",
		Long: `Examine what ` + "`sluice serve`" + ` needs under the same file, environment and flags, without changing anything. Each line is ok,
warn or fail, with what to do next. The exit code is 0 when nothing failed, else 1. A replica may be running meanwhile.

` + config.Precedence,
		Example: "  sluice doctor --config sluice.yaml\n  sluice doctor -c sluice.yaml -o json | jq '.checks[] | select(.status != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usage{fmt.Errorf("--output %q: want table or json", format)}
			}
			r := Examine(cmd.Context(), config.Sources{Environ: os.Environ(), Flags: cmd.Flags()}, time.Now())
			if format == "json" {
				if err := r.json(cmd.OutOrStdout()); err != nil {
					return err
				}
			} else {
				r.text(cmd.OutOrStdout())
			}
			if r.Failed > 0 {
				return fmt.Errorf("%d of %d %w", r.Failed, len(r.Checks), errSick)
			}
			return nil
		},
	}
	config.AddFlags(cmd.Flags())
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// usage is a mistake on the command line.
type usage struct{ error }

// ExitCode makes it end the process as wrong usage does.
func (usage) ExitCode() int { return 2 }

// Examine makes all checks; now is what certificates are held against.
func Examine(ctx context.Context, src config.Sources, now time.Time) *Report {
	r := &Report{}
	l, err := config.Load(src)
	if err != nil {
		r.add(badConfig(err)...)
		return r
	}
	r.add(goodConfig(l)...)
	r.add(files(l, now)...)
	r.add(places(ctx, l)...)
	if l.Etcd.External() {
		r.add(examineEtcd(ctx, l, now)...)
	} else {
		r.add(dataDirectory(l)...)
	}
	if l.Redis.Used() {
		r.add(examineRedis(ctx, l, now)...)
	}
	return r
}

func badConfig(err error) []Check {
	const next = "correct it; `sluice config validate FILE` shows a file's problems alone"
	var list []Check
	if problems, ok := errors.AsType[config.Errors](err); ok {
		for _, p := range problems {
			list = append(list, fail("configuration", next, "%v", p))
		}
		return list
	}
	return append(list, fail("configuration", "name a file that can be read with --config", "%v", err))
}

func goodConfig(l *config.Loaded) []Check {
	from := "defaults, environment and flags"
	if l.File != "" {
		from = l.File
	}
	list := []Check{good("configuration", "%s; environment %s, replica %s", from, l.Environment, l.Replica)}
	for _, w := range l.Warnings {
		list = append(list, Check{Name: "configuration", Status: Warn, Detail: w})
	}
	return list
}
