// Package realbinary builds the real program and runs one replica of it, for programs that measure it from outside.
package realbinary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// startLimit bounds how long a replica may take to listen.
const startLimit = 30 * time.Second

// ErrStart says that the replica does not take requests.
var ErrStart = errors.New("the replica has not started")

// Replica is a running replica and where it listens.
type Replica struct {
	GRPC, HTTP string
	cmd        *exec.Cmd
}

// Start builds the program into dir and starts `sluice serve` there on free loopback ports, with a catalogue and further
// arguments.
func Start(ctx context.Context, dir, catalog string, args ...string) (*Replica, error) {
	program, file, addresses := filepath.Join(dir, "sluice"), filepath.Join(dir, "catalog.yaml"), filepath.Join(dir, "addresses.json")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/sluice-pay/sluice/cmd/sluice") //nolint:gosec // our own program
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(catalog), 0o600); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	all := append([]string{
		"serve", "--catalog", file, "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--address-file", addresses, "--log-level", "error",
	}, args...)
	r := &Replica{cmd: exec.CommandContext(ctx, program, all...)} //nolint:gosec // built above
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if err := r.listens(ctx, addresses); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// listens waits until the replica has written where it listens.
func (r *Replica) listens(ctx context.Context, addresses string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: no addresses after %v", ErrStart, startLimit)
		case <-poll.C:
		}
		data, err := os.ReadFile(addresses) //nolint:gosec // our own file
		if err != nil {
			continue
		}
		if err := json.Unmarshal(data, r); err != nil {
			return fmt.Errorf("addresses: %w", err)
		}
		return nil
	}
}

// Stop ends the replica and waits for it.
func (r *Replica) Stop() error {
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("the replica ended: %w", err)
	}
	return nil
}
