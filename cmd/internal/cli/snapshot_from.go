package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

const (
	fromServer = "server"
	fromEtcd   = "etcd"
	fromHelp   = `  --from server   (the default) the server at --address
  --from etcd     the members named by --etcd-endpoints, $SLUICE_ETCD_ENDPOINTS or --config, the first that has a whole one
  --from FILE     a file that pull or a client wrote; a file called etcd or server is ./etcd, ./server`
)

// etcdFlags are the settings of the servers' configuration that reading from their etcd needs.
func etcdFlags() []string {
	return []string{
		"config", "environment", "etcd-endpoints", "etcd-tls-ca", "etcd-tls-cert", "etcd-tls-key", "etcd-tls-server-name", "etcd-username", "etcd-password-file",
	}
}

// snapshotFrom says where a snapshot is read from.
type snapshotFrom struct {
	from     string
	settings *pflag.FlagSet
	member   string // the only endpoint to ask; empty = all of the settings
}

// gotSnapshot is a snapshot and where it came from.
type gotSnapshot struct {
	snapshot *configv1.Snapshot
	from     string
	passed   error // what was passed over on the way
}

func (f *snapshotFrom) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", fromServer, "server, etcd or a `FILE`")
	f.settings = pflag.NewFlagSet("settings", pflag.ContinueOnError)
	config.AddFlags(f.settings)
	for _, name := range etcdFlags() {
		flag := f.settings.Lookup(name)
		if name == "environment" {
			flag.DefValue, flag.Usage = "", "environment that the snapshot must be of; of etcd, the one to read (default \"default\"),\nelse whatever it says"
		}
		cmd.Flags().AddFlag(flag)
	}
}

// name is the source for people.
func (f *snapshotFrom) name(a *app) string {
	switch f.from {
	case fromServer:
		return "server " + a.target()
	case fromEtcd:
		return strings.TrimSpace("etcd " + f.member)
	}
	return f.from
}

// each lists the sources to verify one by one: the members of etcd, or the one source.
func (f *snapshotFrom) each(a *app) ([]*snapshotFrom, error) {
	if f.from != fromEtcd {
		return []*snapshotFrom{f}, nil
	}
	loaded, err := f.load(a)
	if err != nil {
		return nil, err
	}
	var out []*snapshotFrom
	for _, endpoint := range loaded.Etcd.Endpoints {
		one := *f
		one.member = endpoint
		out = append(out, &one)
	}
	return out, nil
}

// read reads and verifies the snapshot.
func (f *snapshotFrom) read(ctx context.Context, a *app) (*gotSnapshot, *routing.Table, error) {
	var got *gotSnapshot
	var err error
	switch f.from {
	case fromServer:
		got, err = f.ofServer(ctx, a)
	case fromEtcd:
		got, err = f.ofEtcd(ctx, a)
	default:
		got, err = f.ofFile()
	}
	if err != nil {
		return nil, nil, err
	}
	environment := f.wanted(a)
	if environment == "" {
		environment = got.snapshot.GetEnvironment()
	}
	table, err := routing.OpenSnapshot(got.snapshot, environment, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", got.from, err)
	}
	return got, table, nil
}

// wanted is the environment asked for, empty if none was.
func (f *snapshotFrom) wanted(a *app) string {
	if flag := f.settings.Lookup("environment"); flag.Changed {
		return flag.Value.String()
	}
	return a.Env("SLUICE_ENVIRONMENT")
}

func (f *snapshotFrom) ofServer(ctx context.Context, a *app) (*gotSnapshot, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	reply, err := sluicev1.NewRoutingServiceClient(conn).GetSnapshot(ctx, &sluicev1.GetSnapshotRequest{})
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &gotSnapshot{snapshot: reply.GetSnapshot(), from: f.name(a)}, nil
}

func (f *snapshotFrom) ofFile() (*gotSnapshot, error) {
	s, err := readSnapshot(f.from)
	if err != nil {
		return nil, err
	}
	return &gotSnapshot{snapshot: s, from: f.from}, nil
}

func readSnapshot(file string) (*configv1.Snapshot, error) {
	data, err := os.ReadFile(file) //nolint:gosec // The file is named by the one who runs the command.
	if err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	s, err := routing.DecodeSnapshot(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// load reads the settings of the servers that say how etcd is reached.
func (f *snapshotFrom) load(a *app) (*config.Loaded, error) {
	var environ []string
	for _, name := range etcdFlags() {
		variable := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		environ = append(environ, variable+"="+a.Env(variable))
	}
	loaded, err := config.Load(config.Sources{Environ: environ, Flags: f.settings})
	if err != nil {
		return nil, usageError{err}
	}
	if !loaded.Etcd.External() {
		return nil, usagef("--from etcd: name its members in --etcd-endpoints, $SLUICE_ETCD_ENDPOINTS or --config")
	}
	return loaded, nil
}

func (f *snapshotFrom) ofEtcd(ctx context.Context, a *app) (*gotSnapshot, error) {
	if a.conn.timeout <= 0 {
		return nil, usagef("--timeout %s: want more than 0", a.conn.timeout)
	}
	loaded, err := f.load(a)
	if err != nil {
		return nil, err
	}
	e := &loaded.Etcd
	c := clientv3.Config{Endpoints: e.Endpoints, Username: e.Username, Logger: embedded.NewLogger(nil)}
	if f.member != "" {
		c.Endpoints = []string{f.member}
	}
	if e.Secure() {
		if c.TLS, err = e.TLS.Load(nil); err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
	}
	if e.PasswordFile != "" {
		if c.Password, err = config.ReadSecret(e.PasswordFile); err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
	}
	found, err := etcdstore.ReadAny(ctx, c, loaded.Environment, a.conn.timeout)
	if err != nil {
		return nil, etcdFailure(err)
	}
	return &gotSnapshot{snapshot: found.Snapshot, from: "etcd " + found.Endpoint + ", slot " + found.Slot, passed: found.Passed}, nil
}

// etcdError is what kept a snapshot from being read from etcd. It hides the status that etcd's client gave it, which is not one
// of the server's.
type etcdError struct {
	text string
	code int
}

func (e etcdError) Error() string { return e.text }
func (e etcdError) ExitCode() int { return e.code }

// etcdFailure tells members that hold nothing good from members that cannot be reached.
func etcdFailure(err error) error {
	out := etcdError{"etcd: " + err.Error(), ExitUnreachable}
	for _, held := range []error{etcdstore.ErrNoSnapshot, routing.ErrSnapshotDamaged, routing.ErrSnapshotForeign, routing.ErrSnapshotFeatures} {
		if errors.Is(err, held) {
			out.code = ExitFailed
		}
	}
	if errors.Is(err, etcdstore.ErrNoSnapshot) {
		return helpedError{out, []string{"is --environment right? It is part of every key", "the leading server writes it: is one running?"}}
	}
	return out
}
