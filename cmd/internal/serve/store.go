package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
)

// How an external etcd is talked to: a dead connection is noticed within keepAliveTime + keepAliveTimeout, also while nothing
// is under way, and no call lasts longer than its deadline.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
	dialTimeout      = 5 * time.Second
	maxBackoff       = time.Second     // between attempts to connect; by default it grows to two minutes, and so would an outage
	insistTimeout    = 5 * time.Second // of one attempt to reach a store at start
	insistPause      = 500 * time.Millisecond
)

// store is the etcd that a replica uses: one in the process, or an external one.
type store struct {
	name   string // for messages
	client *clientv3.Client
	failed <-chan error // nil for an external one: it comes back by itself
	close  func() error
}

func openStore(ctx context.Context, o *Options) (*store, error) {
	if !o.Etcd.External() {
		s, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(o.DataDir, "etcd"), Logger: o.Logger, NoSync: o.NoSync})
		if err != nil {
			return nil, fmt.Errorf("start the store: %w", err)
		}
		return &store{name: o.DataDir, client: s.Client(), failed: s.Err(), close: s.Close}, nil
	}
	s := &store{name: "etcd at " + strings.Join(o.Etcd.Endpoints, ", ")}
	err := insist(ctx, o.Logger, func(context.Context) (err error) {
		s.client, err = DialEtcd(o.Etcd, o.Logger)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.close = func() error {
		if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("close the connection to etcd: %w", err)
		}
		return nil
	}
	return s, nil
}

// DialEtcd returns a client of an external etcd. With a user it asks etcd for a token, so that wrong credentials are an error
// here; else nothing is sent yet.
func DialEtcd(e config.Etcd, logger *slog.Logger) (*clientv3.Client, error) {
	c := clientv3.Config{
		Endpoints: e.Endpoints, Username: e.Username, DialTimeout: dialTimeout,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout, PermitWithoutStream: true,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: dialTimeout,
		})},
		Logger: embedded.NewLogger(logger),
	}
	var err error
	if e.Secure() {
		if c.TLS, err = e.TLS.Load(logger); err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
	}
	if e.PasswordFile != "" {
		if c.Password, err = config.ReadSecret(e.PasswordFile); err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", strings.Join(e.Endpoints, ", "), err)
	}
	return client, nil
}

// insist repeats what fails because a store cannot be reached until ctx ends; other errors end it at once.
func insist(ctx context.Context, logger *slog.Logger, try func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, insistTimeout)
		err := try(attempt)
		cancel()
		if err == nil || !unreachable(err) {
			return err
		}
		logger.Warn("the store cannot be reached yet", slog.Any("error", err))
		timer := time.NewTimer(insistPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (`sluice doctor` tells more)", err)
		case <-timer.C:
		}
	}
}

// unreachable reports whether asking again may help.
func unreachable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = e.Code()
	} else if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		code = s.GRPCStatus().Code()
	}
	return slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded}, code)
}
