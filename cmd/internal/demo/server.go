package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
)

const (
	environment  = "dev"
	tokenName    = "SLUICE_DEV_TOKEN" //nolint:gosec // the name of a variable
	serverWord   = "server"           // `sluice dev server`
	restartAfter = 30 * time.Second
	stopPatience = 15 * time.Second
)

// child is the replica of the demo: a process of its own, so that it can be killed while the cashiers go on. It ends with the
// demo, whose end closes its standard input.
type child struct {
	o     Options
	dir   string
	token string
	tale  *narrator

	cmd   *exec.Cmd
	stdin io.Closer
	ended chan error
	at    serve.Addresses
}

// start starts the process and waits until it takes requests.
func (c *child) start(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	c.cmd = exec.Command(program, "dev", serverWord, "--listen", c.o.Listen, "--http", c.o.HTTP, "--data-dir", c.dir) //nolint:gosec,noctx // ourselves; keep ends it
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), tokenName+"="+c.token), c.o.Log
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	c.stdin, c.ended = in, make(chan error, 1)
	ready := make(chan error, 1)
	go func(cmd *exec.Cmd) {
		line, err := bufio.NewReader(out).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &c.at)
		}
		ready <- err
		_, _ = io.Copy(io.Discard, out)
		c.ended <- cmd.Wait()
	}(c.cmd)
	select {
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), c.stop())
	case err := <-ready:
		if err != nil {
			return fmt.Errorf("the server has not started: %w", errors.Join(err, c.stop()))
		}
	}
	c.o.Listen, c.o.HTTP = c.at.GRPC, c.at.HTTP // where it has to be found again
	return nil
}

// keep starts the process again whenever somebody kills it, until ctx ends; then it ends the process.
func (c *child) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return c.stop()
		case err := <-c.ended:
			c.tale.say("SERVER   is gone (%s); it is started again in %s", ending(err), restartAfter)
		}
		for again := false; !again; {
			if !wait(ctx, restartAfter) {
				return nil
			}
			if err := c.start(ctx); err != nil {
				c.tale.say("SERVER   does not start: %v", err)
				continue
			}
			again = true
		}
		c.tale.say("SERVER   is back, process %d", c.cmd.Process.Pid)
	}
}

func ending(err error) string {
	if err == nil {
		return "stopped"
	}
	return err.Error()
}

// stop ends the process as the end of its input does, or at last by force.
func (c *child) stop() error {
	_ = c.stdin.Close()
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case err := <-c.ended:
		if err != nil {
			return fmt.Errorf("the server ended: %w", err)
		}
		return nil
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		return fmt.Errorf("the server was killed: %w", <-c.ended)
	}
}

// newServerCommand returns `sluice dev server`, which the demo starts for itself.
func newServerCommand() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use: serverWord, Hidden: true, Short: "The replica of the demo", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C reaches the whole terminal: the demo ends first, then this, as the last reports want somebody to take them.
			signal.Ignore(os.Interrupt)
			ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithCancel(ctx)
			go func() {
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
				cancel()
			}()
			o.Out, o.Log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return serveDemo(ctx, o, os.Getenv(tokenName))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", serve.DefaultListen, "gRPC address")
	f.StringVar(&o.HTTP, "http", serve.DefaultHTTP, "address of /metrics, /healthz and /readyz")
	f.StringVar(&o.DataDir, "data-dir", "", "directory of the store")
	return cmd
}

// serveDemo serves the sample catalogue with everything in the process until ctx ends, and writes where it listens.
func serveDemo(ctx context.Context, o Options, token string) error {
	catalog, _, err := catalogfile.Check(CatalogName, CatalogYAML())
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Options{
		Environment: environment, Replica: "dev-1", DataDir: filepath.Join(o.DataDir, "server"), Listen: o.Listen, HTTP: o.HTTP, Catalog: catalog,
		Identities: []server.Identity{{
			Name: "dev", TokenHash: server.HashToken(token),
			Roles: server.Viewer | server.Cashier | server.Gateway | server.Operator | server.Approver,
		}},
		Logger: serve.NewLogger(o.Log, slog.LevelWarn), NoSync: true,
		Ready: func(a serve.Addresses) { _ = json.NewEncoder(o.Out).Encode(a) },
	})
}
