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
	routing  sluicev1.RoutingServiceClient
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
	for range maxAttempts {
		res, err := c.attempt(ctx, q, s, r)
		switch {
		case err != nil:
			c.count(err)
			return
		case !res.failed:
			return
		}
		c.tally.rerouted.Add(1)
	}
	c.tally.failed.Add(1)
}

// attempt asks for a channel, waits for what the bank says, reports it, and notes it for the next attempt.
func (c *cashiers) attempt(ctx context.Context, q *sluicev1.RouteRequest, s *stream, r *rand.Rand) (result, error) {
	asked, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	reply, err := c.routing.Route(asked, q)
	if err != nil {
		return result{}, err
	}
	to := reply.GetChannels()[0]
	res := c.banks.attempt(r, time.Since(c.start), to.GetChannel(), s)
	if !wait(ctx, res.latency) {
		return result{}, context.Cause(ctx)
	}
	p := q.GetPayment()
	c.gateways.report(&sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: p.GetPaymentId(), DecisionId: reply.GetDecisionId(),
		Channel: to.GetChannel(), Account: to.GetAccount(), Method: s.method, Bank: s.bank, CardType: s.card,
		BusinessType: s.business, RawCode: res.code, RequestWritten: true, LatencyMs: uint32(res.latency.Milliseconds()), //nolint:gosec // under a minute
		PayerKey: p.GetPayerKey(), Amount: p.GetAmount(), Currency: p.GetCurrency(),
	})
	if res.failed {
		q.Attempts = append(q.Attempts, &sluicev1.PreviousAttempt{
			Channel: to.GetChannel(), Account: to.GetAccount(), AttemptId: to.GetAttemptId(), RawCode: res.code,
		})
		return res, nil
	}
	if res.code == dialectOf(c.banks.tables[to.GetChannel()]).good {
		c.tally.succeeded.Add(1)
	} else {
		c.tally.declined.Add(1)
	}
	return res, nil
}

// count books why a payment got no channel.
func (c *cashiers) count(err error) {
	switch {
	case errors.Is(err, context.Canceled):
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
