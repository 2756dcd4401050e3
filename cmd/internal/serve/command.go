package serve

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/server"
)

// NewCommand returns `sluice serve`.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one replica, with its store in the process or in an external etcd",
		Long: "Run one replica. States, journal and catalogue are kept in an etcd server inside the process, in --data-dir, or, with\n" +
			"--etcd-endpoints, in an external etcd; they survive a crash. Without --catalog the catalogue in the store is served;\n" +
			"one that was put in force by `sluice catalog apply` or rollback since is not replaced by the file.\n\n" +
			config.Precedence,
		Example:       "  sluice serve --catalog catalog.yaml\n  sluice serve --config sluice.yaml\n  SLUICE_LOG_LEVEL=debug sluice serve -c sluice.yaml --replica node-2",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := config.Load(config.Sources{Environ: os.Environ(), Flags: cmd.Flags()})
			if err != nil {
				return err //nolint:wrapcheck // its problems name their places
			}
			o, err := FromConfig(l, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return Run(ctx, o)
		},
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

// NewLogger returns a JSON logger in which nothing that looks like a card number is shown.
func NewLogger(to io.Writer, level slog.Level) *slog.Logger {
	return slog.New(server.NewRedactingHandler(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level})))
}
