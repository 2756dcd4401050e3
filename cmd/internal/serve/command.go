package serve

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
)

// NewCommand returns `sluice serve`.
func NewCommand() *cobra.Command {
	var o Options
	var catalog, identities, level string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one replica, with its store in the process",
		Long: "Run one replica. States, journal and catalogue are kept in an etcd server inside the process, in --data-dir;\n" +
			"they survive a crash. Without --catalog the catalogue in the store is served.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.load(catalog, identities, level, cmd.ErrOrStderr()); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return Run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&catalog, "catalog", "", "catalogue to put in force at start (YAML)")
	f.StringVar(&identities, "identities", "", "who may call (YAML); without it only a loopback address is served, to anybody")
	f.StringVar(&o.DataDir, "data-dir", DefaultDataDir, "directory of the store")
	f.StringVar(&o.Listen, "listen", DefaultListen, "gRPC address")
	f.StringVar(&o.HTTP, "http", DefaultHTTP, "address of /metrics, /healthz and /readyz; empty = none")
	f.StringVar(&o.Environment, "environment", "default", "name of the deployment, part of every storage key")
	f.StringVar(&o.Replica, "replica", "", "name of this replica, stable over restarts (default: the host's name)")
	f.StringVar(&o.AddressFile, "address-file", "", "file to write the addresses in force to, as JSON")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// load reads the files that flags name.
func (o *Options) load(catalog, identities, level string, logs io.Writer) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("%w: --log-level %q: want debug, info, warn or error", ErrOptions, level)
	}
	o.Logger = NewLogger(logs, l)
	if catalog != "" {
		data, err := os.ReadFile(catalog) //nolint:gosec // the operator names the file
		if err != nil {
			return fmt.Errorf("catalogue: %w", err)
		}
		if o.Catalog, _, err = catalogfile.Check(catalog, data); err != nil {
			return err
		}
	}
	if identities != "" {
		ids, err := readIdentities(identities)
		if err != nil {
			return err
		}
		o.Identities = ids
	}
	return nil
}

// NewLogger returns a JSON logger in which nothing that looks like a card number is shown.
func NewLogger(to io.Writer, level slog.Level) *slog.Logger {
	return slog.New(server.NewRedactingHandler(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level})))
}
