package client

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// Route decides which channel a payment takes. Its errors are gRPC statuses with the details a replica gives, whoever decided:
// google.rpc.ErrorInfo, and RouteRefusal for refusals. Only channels[0] of the reply may be attempted.
func (c *Client) Route(ctx context.Context, m *sluicev1.RouteRequest) (*sluicev1.RouteResponse, error) {
	return c.traced(ctx, "Route", m)
}

// Result is what an attempt came to, as in PreviousAttempt and Report.
type Result struct {
	Outcome configv1.Outcome // unspecified without a mapped code = in doubt
	RawCode string           // of the channel; a mapped code wins over the outcome
}

// Next notes the result of the attempt on the reply's first channel in the request, whose Attempts it appends to, and asks for
// the following one. It is Route with that attempt: after success (ALREADY_PAID), a final refusal (FINAL_PREVIOUS_ATTEMPT) or
// with an attempt in doubt (AMBIGUOUS_PREVIOUS_ATTEMPT) it gives no other channel.
func (c *Client) Next(ctx context.Context, m *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, result Result) (*sluicev1.RouteResponse, error) {
	if len(reply.GetChannels()) == 0 {
		return nil, invalid("reply", "the answer of Route or Next whose first channel was attempted")
	}
	to := reply.GetChannels()[0]
	m.Attempts = append(m.GetAttempts(), &sluicev1.PreviousAttempt{
		Channel: to.GetChannel(), Account: to.GetAccount(), AttemptId: to.GetAttemptId(), Outcome: result.Outcome, RawCode: result.RawCode,
	})
	c.observe(reportOf(m, to, result))
	return c.traced(ctx, "Next", m)
}

// traced answers, and tells Trace and Metrics of it.
func (c *Client) traced(ctx context.Context, operation string, m *sluicev1.RouteRequest) (reply *sluicev1.RouteResponse, err error) {
	if c.cfg.Trace != nil {
		var done func(*sluicev1.RouteResponse, error)
		ctx, done = c.cfg.Trace(ctx, operation)
		defer func() { done(reply, err) }()
	}
	a := Call{}
	begin := c.now()
	reply, err = c.answer(ctx, m, begin, &a)
	c.count(&a, err)
	if c.cfg.Metrics != nil {
		if err == nil {
			a.Source = reply.GetSource()
		}
		a.Code, a.Took = status.Code(err), c.now().Sub(begin)
		c.cfg.Metrics.Answered(a)
	}
	return reply, err
}

// answer goes down the ladder.
func (c *Client) answer(ctx context.Context, m *sluicev1.RouteRequest, now time.Time, a *Call) (*sluicev1.RouteResponse, error) {
	known := c.mem.sight().table != nil
	if c.stub == nil || c.cfg.Mode == LocalFirst && known {
		return c.alone(m, now, a)
	}
	rest := time.Duration(0)
	if known || c.static != nil {
		rest = c.cfg.Reserve
	}
	reply, err := c.remote(ctx, m, rest)
	switch {
	case err != nil && falls(err):
		if rest == 0 { // nothing to fall to
			return nil, c.unanswered(ctx, err)
		}
		a.Fallen = true
		return c.alone(m, c.now(), a)
	case c.outdated(reply, err):
		c.stats.outdated.Add(1)
		return c.alone(m, c.now(), a)
	}
	if err == nil {
		return c.vetted(m, reply, now, a)
	}
	return reply, err
}

// vetted returns a replica's answer unless the client remembers of the payment what forbids it: a replica that has started
// anew knows no attempts that the caller forgets, the client does.
func (c *Client) vetted(m *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, now time.Time, a *Call) (*sluicev1.RouteResponse, error) {
	t := c.table()
	if t == nil {
		return reply, nil
	}
	w, _ := c.scratches.Get().(*scratch)
	defer c.scratches.Put(w)
	if w.read(m) != nil { // of a later version
		return reply, nil
	}
	err := c.memory.Route(answered{t, reply.GetChannels()[0]}, &w.request, now.Unix(), &w.decision)
	if p, ok := errors.AsType[*routing.PreviousAttemptError](err); ok {
		a.Local = true
		return nil, previous(p, &sluicev1.RouteRefusal{TableRevision: w.decision.Revision.Revision})
	}
	return reply, nil
}

// answered is a Decider that gives what a replica gave, unless a previous attempt forbids it.
type answered struct {
	table *routing.Table
	to    *sluicev1.RankedChannel
}

// Route decides only whether there may be another attempt.
func (r answered) Route(q *routing.Request, second int64, out *routing.Decision) error {
	err := routing.Decide(r.table, q, second, routing.Admission{Lifted: -1}, out)
	if _, ok := errors.AsType[*routing.PreviousAttemptError](err); ok {
		return err //nolint:wrapcheck // as Decide's
	}
	out.Candidates = append(out.Candidates[:0], routing.Candidate{Channel: r.to.GetChannel(), Account: r.to.GetAccount()})
	return nil
}

// alone decides without a replica.
func (c *Client) alone(m *sluicev1.RouteRequest, now time.Time, a *Call) (*sluicev1.RouteResponse, error) {
	a.Local = true
	reply, source, err := c.local(m, now)
	a.Source = source
	return reply, err
}

// unanswered is the error where no replica answered and there is nothing to decide by.
func (c *Client) unanswered(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err() //nolint:wrapcheck // a status
	case errors.Is(err, errSkipped):
		return noTable()
	}
	return err
}

// count counts an answer.
func (c *Client) count(a *Call, err error) {
	if a.Local {
		c.stats.local.Add(1)
	}
	if a.Fallen {
		c.stats.fallen.Add(1)
	}
	switch {
	case err == nil:
		if !a.Local {
			c.stats.remote.Add(1)
		}
	case a.Local && a.Source == SourceNone && status.Code(err) == codes.Unavailable, !a.Local && falls(err):
		c.stats.failed.Add(1)
	default:
		if !a.Local {
			c.stats.remote.Add(1)
		}
		c.stats.refused.Add(1)
	}
}
