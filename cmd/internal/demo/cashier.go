package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	maxAttempts  = 3
	routeTimeout = 2 * time.Second
	payersOfEach = 20_000 // distinct payers behind a stream
)

// tally is what the demo's cashiers and gateways have seen so far.
type tally struct {
	payments, succeeded, declined, failed, refused, rerouted, unanswered atomic.Int64
}

// cashiers asks for a channel for every payment of the traffic, has it attempted, and asks again after a failure.
type cashiers struct {
	sdk      *client.Client
	traffic  *traffic
	banks    *banks
	gateways *gateways
	tally    *tally
	start    time.Time
	seed     uint64
}

// run starts payments as a Poisson process of rate a second until ctx ends, and waits for those under way.
func (c *cashiers) run(ctx context.Context, rate float64) {
	var under sync.WaitGroup
	defer under.Wait()
	r := rand.New(rand.NewPCG(c.seed, 1)) //nolint:gosec // a simulation must be repeatable
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
		s, own := c.traffic.draw(r), rand.New(rand.NewPCG(c.seed, n+1)) //nolint:gosec // as above
		under.Go(func() { c.pay(ctx, n, s, own) })
	}
}

// pay takes one payment to its end.
func (c *cashiers) pay(ctx context.Context, n uint64, s *stream, r *rand.Rand) {
	c.tally.payments.Add(1)
	payer := r.Uint64N(payersOfEach) + 1
	q := &sluicev1.RouteRequest{MaxChannels: 1, Payment: &sluicev1.Payment{
		PaymentId: fmt.Sprintf("demo-%x-%d", c.start.Unix(), n), Merchant: pick(r, s.merchants), SettlementEntity: s.entity,
		BusinessType: s.business, Method: s.method, Bank: s.bank, CardType: s.card,
		Amount: s.low + r.Int64N(s.high-s.low), Currency: s.currency, UserTier: "STANDARD", PayerKey: payer,
	}}
	reply, err := c.route(ctx, q)
	for range maxAttempts {
		if err != nil {
			c.count(err)
			return
		}
		res, ok := c.attempt(ctx, q, reply, s, r)
		if !ok || !res.failed {
			return
		}
		c.tally.rerouted.Add(1)
		reply, err = c.next(ctx, q, reply, res)
	}
	c.tally.failed.Add(1)
}

func (c *cashiers) route(ctx context.Context, q *sluicev1.RouteRequest) (*sluicev1.RouteResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	return c.sdk.Route(ctx, q) //nolint:wrapcheck // a status
}

func (c *cashiers) next(ctx context.Context, q *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, res result) (*sluicev1.RouteResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	return c.sdk.Next(ctx, q, reply, client.Result{RawCode: res.code}) //nolint:wrapcheck // a status
}

// attempt takes the channel that was given, waits for what the bank says, and has it reported; false when ctx ended first.
func (c *cashiers) attempt(ctx context.Context, q *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, s *stream, r *rand.Rand) (result, bool) {
	to := reply.GetChannels()[0]
	res := c.banks.attempt(r, time.Since(c.start), to.GetChannel(), s)
	if !wait(ctx, res.latency) {
		return result{}, false
	}
	p := q.GetPayment()
	c.gateways.report(ctx, &sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: p.GetPaymentId(), DecisionId: reply.GetDecisionId(),
		Channel: to.GetChannel(), Account: to.GetAccount(), Method: s.method, Bank: s.bank, CardType: s.card,
		BusinessType: s.business, RawCode: res.code, RequestWritten: true, LatencyMs: uint32(res.latency.Milliseconds()), //nolint:gosec // under a minute
		PayerKey: p.GetPayerKey(), Amount: p.GetAmount(), Currency: p.GetCurrency(),
	})
	switch {
	case res.failed:
	case res.code == dialectOf(c.banks.tables[to.GetChannel()]).good:
		c.tally.succeeded.Add(1)
	default:
		c.tally.declined.Add(1)
	}
	return res, true
}

// count books why a payment got no channel.
func (c *cashiers) count(err error) {
	switch {
	case errors.Is(err, context.Canceled), status.Code(err) == codes.Canceled:
	case status.Code(err) == codes.Unavailable && len(status.Convert(err).Details()) > 0, status.Code(err) == codes.FailedPrecondition:
		c.tally.refused.Add(1)
	default:
		c.tally.unanswered.Add(1)
	}
}

// wait waits for d, or returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// codeTables returns the code table of each channel.
func codeTables(c *configv1.Catalog) map[string]string {
	tables := map[string]string{}
	for _, ch := range c.GetChannels() {
		tables[ch.GetId()] = ch.GetCodeTable()
	}
	return tables
}
