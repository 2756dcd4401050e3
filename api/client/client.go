package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

const (
	tick = time.Second
	// etcdHead is how long replicas alone are waited for at the start, where there is no snapshot at all.
	etcdHead = 250 * time.Millisecond
)

// serviceConfig spreads calls over all replicas. Nothing is retried or hedged by the transport: the ladder is the retry.
const serviceConfig = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// Client asks for routes. It is safe for concurrent use.
type Client struct {
	cfg    Config
	conn   *grpc.ClientConn              // nil = there are no replicas
	stub   sluicev1.RoutingServiceClient // nil = there are no replicas
	mem    *memory
	static *routing.Router // nil = there is no order of last resort
	file   *snapshotFile   // nil = none is kept

	memory    *routing.Memory // of attempts that forbid another one
	breaker   breaker
	results   results
	own       own
	solo      solo
	decided   outbox
	stats     counters
	scratches sync.Pool // *scratch

	ctx    context.Context //nolint:containedctx // of the client's goroutines, ended by Close
	stop   context.CancelFunc
	work   sync.WaitGroup
	woken  chan struct{}
	asking atomic.Bool // etcd is being asked
	began  time.Time
	asked  atomic.Int64 // when etcd was last asked, Unix nanoseconds

	mu      sync.Mutex
	told    State // newest that Metrics was told
	closed  bool
	closers []func() // run by Close before all else, newest first
}

// New returns a client. It loads the file, begins to watch the replicas, and waits at most StartWait for a first snapshot where
// the file gave none; without any it is usable all the same. The error wraps ErrConfig, or says that ctx ended. Close the
// client after use.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, mem: newMemory(cfg.Environment), woken: make(chan struct{}, 1), began: cfg.now()}
	c.memory = routing.NewMemory(routing.MemoryOptions{})
	c.results.items = map[int32]*minute{}
	c.scratches.New = func() any { return &scratch{} }
	if cfg.File != "" {
		c.file = &snapshotFile{path: cfg.File}
	}
	if cfg.Static != nil {
		table, err := newStatic(cfg.Static, cfg.Environment)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		c.static = routing.NewRouter()
		c.static.Swap(table)
	}
	if err := c.dial(); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.load()
	c.begin()
	if err := c.first(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if cfg.Mode == LocalFirst {
		if err := c.carryDecisions(); err != nil { //nolint:contextcheck // the client's goroutines live until Close
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// dial prepares the connection; nothing is sent yet.
func (c *Client) dial() error {
	if c.cfg.Target == "" {
		return nil
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport(c.cfg.TLS)),
		grpc.WithDefaultServiceConfig(serviceConfig), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		// Replicas take pings every 20 s and no oftener.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
	}
	if c.cfg.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer{c.cfg.Token}))
	}
	conn, err := grpc.NewClient(c.cfg.Target, append(options, c.cfg.DialOptions...)...)
	if err != nil {
		return fmt.Errorf("%w: Target %q: %w", ErrConfig, c.cfg.Target, err)
	}
	c.conn, c.stub = conn, sluicev1.NewRoutingServiceClient(conn)
	return nil
}

func transport(config *tls.Config) credentials.TransportCredentials {
	if config == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(config)
}

// bearer sends the token with every call.
type bearer struct{ token string }

// GetRequestMetadata returns the header of the token.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity is false: replicas on a loopback address speak plain text.
func (bearer) RequireTransportSecurity() bool { return false }

// begin starts the client's goroutines.
func (c *Client) begin() {
	if c.stub != nil {
		c.work.Go(c.watch)
	}
	if c.file != nil {
		c.work.Go(c.keep)
	}
	c.work.Go(c.run)
}

// first waits for a first snapshot. That there is none is no error: the ladder's last steps, or a later replica, may help.
func (c *Client) first(ctx context.Context) error {
	if c.mem.sight().table != nil || c.cfg.StartWait < 0 || c.stub == nil && c.cfg.Etcd == nil {
		return nil
	}
	head := time.NewTimer(etcdHead)
	defer head.Stop()
	if c.stub == nil {
		c.askEtcdNow() //nolint:contextcheck // as above
	}
	limit := time.NewTimer(c.cfg.StartWait)
	defer limit.Stop()
	for {
		select {
		case <-c.mem.ready:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for a first snapshot: %w", context.Cause(ctx))
		case <-head.C:
			c.askEtcdNow() //nolint:contextcheck // as above
		case <-limit.C:
			return nil
		}
	}
}

// run does once a second what needs doing.
func (c *Client) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		now := c.now()
		c.decided.fill(c.mem.router.Drain(now.Unix()-1), c.mem.sight().stamp.Epoch)
		if c.static != nil {
			c.static.Drain(now.Unix() - 1) // which frees what is held too long
		}
		c.lookForEtcd(now)
		s := c.mem.sight()
		switch {
		case s.table == nil:
		case c.cfg.StaleLimit > 0 && s.age(now) > c.cfg.StaleLimit:
			c.help(s, now.Unix())
		case s.alone != nil:
			c.rejoin(s)
		}
		c.moved()
	}
}

// lookForEtcd asks etcd where no replica has confirmed the snapshot for long.
func (c *Client) lookForEtcd(now time.Time) {
	s := c.mem.sight()
	since := c.began
	if s.table != nil && s.source == SourceFresh {
		since = s.confirmed.Add(c.cfg.StaleAfter)
	}
	asked := time.Unix(0, c.asked.Load())
	if now.Sub(since) < c.cfg.EtcdAfter || now.Sub(asked) < c.cfg.EtcdEvery {
		return
	}
	c.askEtcdNow()
}

func (c *Client) askEtcdNow() {
	c.asked.Store(c.now().UnixNano())
	c.askEtcd()
}

// State returns what the client decides by now.
func (c *Client) State() State {
	now, s := c.now(), c.mem.sight()
	if s.table == nil {
		if c.static == nil {
			return State{}
		}
		r := c.static.Table().Revision()
		return State{Source: SourceStatic, Age: max(0, now.Sub(c.cfg.Static.GetWriteTime().AsTime())), Epoch: r.Epoch, Revision: r.Revision}
	}
	return State{
		Source: s.is(now, c.cfg.StaleAfter), Age: s.age(now), Epoch: s.stamp.Epoch, Revision: s.stamp.Revision.Revision, Alone: s.alone != nil,
	}
}

// moved tells Metrics where the table comes from, if that has changed.
func (c *Client) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := c.told, c.State()
	if from.Source == to.Source && from.Alone == to.Alone {
		return
	}
	c.told = to
	if c.cfg.Metrics != nil {
		c.cfg.Metrics.Moved(from, to)
	}
}

// Stats returns the client's counters.
func (c *Client) Stats() Stats { return c.stats.stats() }

// Close ends everything the client began, its reporters first, and writes the file if it is behind. It returns when all has
// ended. Calls after it are answered from memory.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	closers := c.closers
	c.mu.Unlock()
	for i := range closers {
		closers[len(closers)-1-i]()
	}
	c.stop()
	var err error
	if c.conn != nil {
		if err = c.conn.Close(); err != nil {
			err = fmt.Errorf("close the connection: %w", err)
		}
	}
	c.work.Wait()
	return err
}

// onClose registers what Close does before it ends the client: reporters deliver what they hold.
func (c *Client) onClose(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closers = append(c.closers, do)
}

// now is the client's clock.
func (c *Client) now() time.Time { return c.cfg.now() }
