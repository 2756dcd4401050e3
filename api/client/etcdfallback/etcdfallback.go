// Package etcdfallback is the etcd step of the SDK's ladder: the snapshot that the leader keeps in etcd, read from whichever
// member answers. It stands apart so that the SDK itself imports no etcd.
//
//	source, err := etcdfallback.New(etcdfallback.Config{Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"}})
//	…
//	c, err := client.New(ctx, client.Config{Target: target, Environment: "prod", Etcd: source})
package etcdfallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("invalid etcd fallback")

// maxMessage bounds what a member may send.
const maxMessage = 64 << 20

// Config says where etcd is.
type Config struct {
	Endpoints []string      // of all members; each is asked alone
	TLS       *tls.Config   // nil = plain text
	Username  string        // empty = none
	Password  string        // of Username
	Timeout   time.Duration // of one member; 0 = etcdstore.DefaultTimeout
}

// Source reads the snapshot from etcd. It keeps no connection: it is needed seldom, and then everything may be broken.
type Source struct {
	config  clientv3.Config
	timeout time.Duration
}

var _ client.SnapshotSource = (*Source)(nil)

// New returns a source. Nothing is connected yet. Errors wrap ErrConfig.
func New(cfg Config) (*Source, error) {
	switch {
	case len(cfg.Endpoints) == 0:
		return nil, fmt.Errorf("%w: Endpoints: want the addresses of all members", ErrConfig)
	case slices.Contains(cfg.Endpoints, ""):
		return nil, fmt.Errorf("%w: Endpoints: one is empty", ErrConfig)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("%w: Timeout %v: want more than 0", ErrConfig, cfg.Timeout)
	case cfg.Username == "" && cfg.Password != "":
		return nil, fmt.Errorf("%w: Username: want one beside the Password", ErrConfig)
	}
	return &Source{timeout: cfg.Timeout, config: clientv3.Config{
		Endpoints: slices.Clone(cfg.Endpoints), TLS: cfg.TLS, Username: cfg.Username, Password: cfg.Password,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		Logger:      zap.NewNop(), // the client logs what goes wrong
		DialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage))},
	}}, nil
}

// Snapshot asks every member in turn, beginning with a random one, with reads that need neither a leader nor a majority, until
// one has a whole snapshot. It may be older than what another member has: the client refuses to go back.
func (s *Source) Snapshot(ctx context.Context, environment string) (*configv1.Snapshot, error) {
	config := s.config
	config.Endpoints = slices.Clone(s.config.Endpoints)
	rand.Shuffle(len(config.Endpoints), func(i, j int) { //nolint:gosec // no secret
		config.Endpoints[i], config.Endpoints[j] = config.Endpoints[j], config.Endpoints[i]
	})
	found, err := etcdstore.ReadAny(ctx, config, environment, s.timeout)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := routing.CheckSnapshot(found.Snapshot, environment); err != nil {
		return nil, fmt.Errorf("etcd: %s: %w", found.Endpoint, err)
	}
	return found.Snapshot, nil
}
