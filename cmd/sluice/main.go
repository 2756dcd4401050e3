// Command sluice is the whole product in one binary: the server, the commands of its operators, and the tools around them.
// `sluice help` lists what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/backtest"
	"github.com/sluice-pay/sluice/cmd/internal/campaign"
	"github.com/sluice-pay/sluice/cmd/internal/cli"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/demo"
	"github.com/sluice-pay/sluice/cmd/internal/doctor"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

// version is stamped by the build.
var version = "unversioned"

func main() { os.Exit(run()) }

// run exists so that deferred calls run before the process ends.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Options{
		Args:     os.Args[1:],
		In:       os.Stdin,
		Out:      os.Stdout,
		Err:      os.Stderr,
		Env:      os.Getenv,
		Version:  version,
		Commands: commands(),
	})
}

// commands are those that are more than a client of the API.
func commands() []*cobra.Command {
	return []*cobra.Command{serve.NewCommand(), config.NewCommand(), doctor.NewCommand(), demo.NewCommand(), simulate.NewCommand(), campaign.NewCommand(), backtest.NewCommand()}
}
