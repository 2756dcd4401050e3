package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// Defaults of the addresses and directories.
const (
	DefaultListen  = config.DefaultListen
	DefaultHTTP    = config.DefaultHTTP
	DefaultDataDir = config.DefaultDataDir
	stopGrace      = 10 * time.Second
	startTimeout   = 30 * time.Second
)

// ErrOptions is wrapped by errors about Options.
var ErrOptions = errors.New("invalid options")

// Options say how one replica runs.
type Options struct {
	Environment string             // name of the deployment, part of every storage key
	Replica     string             // name of this replica, stable over restarts
	DataDir     string             // of the embedded etcd
	Etcd        config.Etcd        // an external etcd, if it names endpoints
	Redis       config.Redis       // the exchange with other replicas, if it has an address
	Recording   config.Recording   // of what is seen while this replica leads, if it has a directory
	DecisionLog config.DecisionLog // of a sample of the decisions, if there is one
	Listen      string             // gRPC address
	HTTP        string             // address of metrics and health; empty = none
	AddressFile string             // written with the addresses in force once requests are taken; empty = none
	// Catalog is put in force if the ledger holds another one or none; nil keeps the ledger's.
	Catalog    *configv1.Catalog
	Identities []server.Identity // empty = anybody who reaches the loopback address
	TLS        *tls.Config       // of the gRPC edge; nil = plain text
	Logger     *slog.Logger
	Ready      func(Addresses) // called once requests are taken; nil = nobody asks
	NoSync     bool            // leaves out fsync: for demos, a crash of the machine loses data
}

// Addresses are where a replica listens.
type Addresses struct {
	GRPC string `json:"grpc"`
	HTTP string `json:"http,omitempty"`
}

// complete fills in what was left out and reports everything that is wrong.
func (o *Options) complete() error {
	if o.Environment == "" {
		o.Environment = "default"
	}
	if o.Replica == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "sluice"
		}
		o.Replica = host
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.DataDir == "" {
		o.DataDir = DefaultDataDir
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var problems []error
	for _, f := range []struct{ flag, value string }{{"environment", o.Environment}, {"replica", o.Replica}} {
		if !statemachine.ValidName(f.value) {
			problems = append(problems, fmt.Errorf("%w: --%s %q: want 1 to 64 of letters, digits, '.', '_' or '-'", ErrOptions, f.flag, f.value))
		}
	}
	if len(o.Identities) == 0 && !config.Loopback(o.Listen) {
		problems = append(problems, fmt.Errorf("%w: --listen %s: without --identities only a loopback address is served", ErrOptions, o.Listen))
	}
	return errors.Join(problems...)
}

// FromConfig reads the files that a configuration names.
func FromConfig(l *config.Loaded, logs io.Writer) (Options, error) {
	o := Options{
		Environment: l.Environment, Replica: l.Replica, DataDir: l.DataDir, Etcd: l.Etcd, Redis: l.Redis, Recording: l.Recording, DecisionLog: l.DecisionLog, Listen: l.Listen, HTTP: l.HTTP,
		AddressFile: l.AddressFile, Logger: NewLogger(logs, l.LogLevel),
	}
	for _, w := range l.Warnings {
		o.Logger.Warn("configuration", slog.String("warning", w))
	}
	var err error
	if l.Catalog != "" {
		data, err := os.ReadFile(l.Catalog)
		if err != nil {
			return o, fmt.Errorf("catalogue: %w", err)
		}
		if o.Catalog, _, err = catalogfile.Check(l.Catalog, data); err != nil {
			return o, err //nolint:wrapcheck // its problems name the file
		}
	}
	if l.Identities != "" {
		if o.Identities, err = config.ReadIdentities(l.Identities); err != nil {
			return o, err
		}
	}
	o.TLS, err = l.TLS.Load(o.Logger)
	return o, err
}
