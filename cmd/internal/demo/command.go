package demo

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// NewCommand returns `sluice dev`.
func NewCommand() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Show everything on this machine: server, simulated cashiers and banks, one breakdown",
		Long: "Run a replica with the sample catalogue, simulated cashiers and gateways, and banks that behave as published\n" +
			"figures say. After a minute one bank on one channel breaks; the terminal tells what Sluice does about it. The\n" +
			"server is a process of its own: kill it, and the cashiers go on routing and say from where. It comes back after 30 s.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Out, o.Log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return Run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", serve.DefaultListen, "gRPC address")
	f.StringVar(&o.HTTP, "http", serve.DefaultHTTP, "address of /metrics, /healthz and /readyz")
	f.StringVar(&o.DataDir, "data-dir", "", "directory of the store (default: a temporary one, removed at the end)")
	f.BoolVar(&o.LocalFirst, "local-first", false, "cashiers decide by themselves also while the server answers")
	f.Float64Var(&o.Rate, "rate", 60, "payments a second")
	cmd.AddCommand(newServerCommand())
	return cmd
}
