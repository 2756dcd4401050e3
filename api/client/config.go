package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Defaults of Config.
const (
	DefaultTimeout    = 500 * time.Millisecond
	DefaultReserve    = 5 * time.Millisecond
	DefaultStartWait  = 2 * time.Second
	DefaultStaleAfter = 30 * time.Second
	DefaultStaleLimit = 5 * time.Minute
	DefaultProbeEvery = 30 * time.Second
	DefaultEtcdAfter  = 5 * time.Second
	DefaultEtcdEvery  = 30 * time.Second
)

// maxTimeout bounds every duration of a Config: a longer one is a mistake in its unit.
const maxTimeout = 24 * time.Hour

// ErrConfig is wrapped by everything New finds wrong with a Config.
var ErrConfig = errors.New("invalid client configuration")

// SnapshotSource is a step of the ladder below the replicas and the file, see package etcdfallback. It is asked when no
// replica has confirmed the snapshot for EtcdAfter, never by Route itself.
type SnapshotSource interface {
	// Snapshot returns the newest snapshot it can find. An older one than the client holds does no harm: it is refused.
	Snapshot(ctx context.Context, environment string) (*configv1.Snapshot, error)
}

// Config says how a client works. Environment is required, and one of Target, File, Etcd and Static; the rest has defaults.
type Config struct {
	Target      string // gRPC target of the replicas, e.g. dns:///sluice.internal:7070; empty = there are none
	Environment string // name of the deployment; snapshots of another one are refused
	Mode        Mode

	Token       string            // bearer token; empty = none
	TLS         *tls.Config       // nil = plain text
	DialOptions []grpc.DialOption // further ones

	Timeout time.Duration // most an RPC of Route may take, also within a longer deadline; 0 = DefaultTimeout
	Reserve time.Duration // part of the deadline kept for the answer of the ladder; 0 = DefaultReserve

	// StartWait is how long New waits for a first snapshot where the file gave none; 0 = DefaultStartWait, below 0 = not at all.
	StartWait time.Duration

	File   string             // where the snapshot is kept over restarts, one for each process; empty = nowhere
	Etcd   SnapshotSource     // asked when no replica is there; nil = nobody
	Static *configv1.Snapshot // of last resort, e.g. embedded in the program; see ReadStatic. nil = none

	StaleAfter time.Duration // unconfirmed for longer = STALE; 0 = DefaultStaleAfter
	// StaleLimit is how old the snapshot may get before the client helps itself: it demotes channels whose results it saw
	// fail, and probes what automation had closed. 0 = DefaultStaleLimit, below 0 = never.
	StaleLimit time.Duration
	ProbeEvery time.Duration // beyond StaleLimit: between probes of one closed scope; 0 = DefaultProbeEvery
	EtcdAfter  time.Duration // without a replica: when etcd is asked first; 0 = DefaultEtcdAfter
	EtcdEvery  time.Duration // and how often then; 0 = DefaultEtcdEvery

	Metrics Metrics      // told of every answer and every change of source; nil = nobody
	Trace   Trace        // called around Route and Next; nil = not
	Logger  *slog.Logger // nil = nothing is logged

	now func() time.Time // of tests
}

// Trace is called when an operation ("Route", "Next", "Report") begins, and what it returns when it ends, with its reply where
// it has one. It is where tracing hooks in.
type Trace func(ctx context.Context, operation string) (context.Context, func(reply *sluicev1.RouteResponse, err error))

// complete fills in what was left out and reports everything that is wrong.
func (c *Config) complete() error {
	problems := append(c.checkParts(), c.checkTimes()...)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	return errors.Join(problems...)
}

// wrong is a problem of one field.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}

// checkParts looks at all but the durations.
func (c *Config) checkParts() (problems []error) {
	if !statemachine.ValidName(c.Environment) {
		problems = append(problems, wrong("Environment %q: want 1 to 64 letters, digits, '.', '_' or '-', as the replicas were given", c.Environment))
	}
	if c.Target == "" && c.File == "" && c.Etcd == nil && c.Static == nil {
		problems = append(problems, wrong("Target: want the address of the replicas, or a File, Etcd or Static to decide by without them"))
	}
	if c.Mode != RPCFirst && c.Mode != LocalFirst {
		problems = append(problems, wrong("Mode %d: want RPCFirst or LocalFirst", c.Mode))
	}
	if c.File != "" {
		if err := checkPlace(c.File); err != nil {
			problems = append(problems, wrong("File %s: %w", c.File, err))
		}
	}
	if c.Static != nil {
		if err := routing.CheckSnapshot(c.Static, c.Environment); err != nil {
			problems = append(problems, wrong("Static: %w", err))
		}
	}
	return problems
}

// checkTimes looks at the durations and fills in those that were left out.
func (c *Config) checkTimes() (problems []error) {
	for _, d := range []struct {
		name  string
		value *time.Duration
		left  time.Duration
		never bool // below 0 has a meaning
	}{
		{"Timeout", &c.Timeout, DefaultTimeout, false},
		{"Reserve", &c.Reserve, DefaultReserve, false},
		{"StartWait", &c.StartWait, DefaultStartWait, true},
		{"StaleAfter", &c.StaleAfter, DefaultStaleAfter, false},
		{"StaleLimit", &c.StaleLimit, DefaultStaleLimit, true},
		{"ProbeEvery", &c.ProbeEvery, DefaultProbeEvery, false},
		{"EtcdAfter", &c.EtcdAfter, DefaultEtcdAfter, false},
		{"EtcdEvery", &c.EtcdEvery, DefaultEtcdEvery, false},
	} {
		switch {
		case *d.value == 0:
			*d.value = d.left
		case *d.value < 0 && !d.never, *d.value > maxTimeout:
			problems = append(problems, wrong("%s %v: want more than 0 and at most %v", d.name, *d.value, maxTimeout))
		}
	}
	if c.StaleLimit > 0 && c.StaleLimit < c.StaleAfter {
		problems = append(problems, wrong("StaleLimit %v: want at least StaleAfter, %v", c.StaleLimit, c.StaleAfter))
	}
	if c.ProbeEvery < time.Second {
		problems = append(problems, wrong("ProbeEvery %v: want at least 1s", c.ProbeEvery))
	}
	return problems
}

// checkPlace reports why no snapshot can be kept under a name.
func checkPlace(file string) error {
	dir := filepath.Dir(file)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("its directory cannot be used: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	}
	if at, err := os.Stat(file); err == nil && at.IsDir() {
		return errors.New("it is a directory: want the name of a file")
	}
	return nil
}
