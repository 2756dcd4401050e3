// Package embedded runs an etcd server inside the process, for the deployment of one binary: a data directory, a client that
// talks to it without a socket, compaction and a quota set.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// What the server is set to: old revisions go after ten minutes, and the store never takes more than 512 MiB of disk.
const (
	CompactionRetention = 10 * time.Minute
	Quota               = 512 << 20
)

// ErrInUse says that another process has the data directory open.
var ErrInUse = errors.New("the data directory is in use by another process")

// Options say where and how the server runs.
type Options struct {
	// Dir is the data directory; it is created if it is missing.
	Dir string
	// Listen is an address (host:port) at which other processes reach the server without a password; empty = nobody does,
	// and nothing listens. Use a loopback address.
	Listen string
	// Logger gets the server's warnings and errors; nil discards them.
	Logger *slog.Logger
	// NoSync leaves out fsync, for tests: a crash of the machine loses data.
	NoSync bool
}

// Server is a running etcd.
type Server struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	lock   *fileutil.LockedFile
}

// Start starts the server and returns when it takes requests. It fails with ErrInUse if another process has the directory,
// and with the context's error if that ends first.
func Start(ctx context.Context, o Options) (*Server, error) {
	config, err := configure(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: create the data directory: %w", err)
	}
	// etcd itself would wait for the other process for ever.
	lock, err := fileutil.TryLockFile(filepath.Join(o.Dir, "lock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		if errors.Is(err, fileutil.ErrLocked) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, o.Dir)
		}
		return nil, fmt.Errorf("etcd: lock the data directory: %w", err)
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("etcd: start: %w", err), lock.Close())
	}
	s := &Server{etcd: etcd, lock: lock}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.client = v3client.New(etcd.Server)
	return s, nil
}

func configure(o Options) (*embed.Config, error) {
	if o.Dir == "" {
		return nil, errors.New("etcd: no data directory given")
	}
	c := embed.NewConfig()
	c.Name = "sluice"
	c.Dir = filepath.Join(o.Dir, "etcd")
	c.ListenPeerUrls, c.ListenClientUrls = nil, nil // reached through memory
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.AutoCompactionMode = embed.CompactorModePeriodic
	c.AutoCompactionRetention = CompactionRetention.String()
	c.QuotaBackendBytes = Quota
	c.UnsafeNoFsync = o.NoSync
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(NewLogger(o.Logger))
	if o.Listen != "" {
		u := url.URL{Scheme: "http", Host: o.Listen}
		c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{u}, []url.URL{u}
	}
	return c, nil
}

func (s *Server) ready(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return fmt.Errorf("etcd: start: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("etcd: not ready: %w", ctx.Err())
	}
}

// Client is a client of the server that uses no socket. Close closes it.
func (s *Server) Client() *clientv3.Client { return s.client }

// Err is signalled when the server fails while it runs.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Size is the size of the store on disk in bytes; at Quota it refuses to write.
func (s *Server) Size() int64 { return s.etcd.Server.Backend().Size() }

// Close stops the server; what was written is on disk.
func (s *Server) Close() error {
	var err error
	if s.client != nil {
		if err = s.client.Close(); errors.Is(err, context.Canceled) {
			err = nil // that is how it says that it is closed
		}
	}
	s.etcd.Close()
	return errors.Join(err, s.lock.Close())
}
