package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// errSkipped says that no replica was asked: none answered lately, or the deadline leaves no time for one.
var errSkipped = errors.New("no replica was asked")

// remote asks a replica for a route; see ask.
func (c *Client) remote(ctx context.Context, m *sluicev1.RouteRequest, rest time.Duration) (reply *sluicev1.RouteResponse, err error) {
	err = c.ask(ctx, rest, func(ctx context.Context) error {
		reply, err = c.stub.Route(ctx, m)
		return err //nolint:wrapcheck // a status
	})
	return reply, err
}

// ask calls a replica, and notes whether one answers. rest is the part of the deadline that must be left; 0 where nothing could
// be done with it.
func (c *Client) ask(ctx context.Context, rest time.Duration, call func(context.Context) error) error {
	budget := c.cfg.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		budget = min(budget, deadline.Sub(c.now())-rest)
	}
	if budget <= 0 || rest > 0 && !c.breaker.lets(c.now()) {
		return errSkipped
	}
	asked, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	err := call(asked)
	switch {
	case err == nil || !falls(err):
		c.breaker.answered()
	case ctx.Err() == nil:
		c.breaker.failed(c.now())
	}
	return err
}

// falls reports whether an error of a replica says nothing about the payment, so that the ladder answers instead. Refusals that
// are decisions, and requests that are wrong, are answers.
func falls(err error) bool {
	if errors.Is(err, errSkipped) {
		return true
	}
	st := status.Convert(err)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			return fallsFor(info.GetReason())
		}
	}
	switch st.Code() { //nolint:exhaustive // the others are answers
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Internal, codes.Unknown,
		codes.Unimplemented, codes.Unauthenticated, codes.Aborted, codes.DataLoss:
		return true
	}
	return false
}

// fallsFor says it for the reasons of google.rpc.ErrorInfo: those that are about the replica, not about the payment.
func fallsFor(reason string) bool {
	switch sluicev1.ErrorReason(sluicev1.ErrorReason_value["ERROR_REASON_"+reason]) { //nolint:exhaustive // the others are about the payment
	case sluicev1.ErrorReason_ERROR_REASON_NO_TABLE, sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		sluicev1.ErrorReason_ERROR_REASON_INTERNAL, sluicev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED,
		sluicev1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, sluicev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
		sluicev1.ErrorReason_ERROR_REASON_SNAPSHOT_BEHIND, sluicev1.ErrorReason_ERROR_REASON_SERIES_UNAVAILABLE,
		sluicev1.ErrorReason_ERROR_REASON_NOT_BUILT_YET:
		return true
	}
	return false
}

// outdated reports whether a replica answered from an older table than the client holds: it is not gone back to. A refusal for
// want of a channel counts as well; what a previous attempt forbids is forbidden whoever says it.
func (c *Client) outdated(reply *sluicev1.RouteResponse, err error) bool {
	s := c.mem.sight()
	if s.table == nil {
		return false
	}
	if err == nil {
		id, wrong := routing.ParseDecisionID(reply.GetDecisionId())
		return wrong == nil && s.stamp.Newer(routing.Revision{Epoch: id.Epoch, Revision: id.Revision})
	}
	if status.Code(err) != codes.Unavailable {
		return false
	}
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*sluicev1.RouteRefusal); ok {
			return r.GetTableRevision() > 0 && r.GetTableRevision() < s.stamp.Revision.Revision
		}
	}
	return false
}

const (
	breakAfter = 3           // calls in a row without an answer
	breakFor   = time.Second // until one call tries again
)

// breaker stops asking replicas that do not answer: a frozen one costs one call a second its time, not every call.
type breaker struct {
	missed atomic.Int64
	until  atomic.Int64 // Unix nanoseconds of the next try, once missed is enough
}

// lets reports whether a call may ask. While broken it lets one call through each second.
func (b *breaker) lets(now time.Time) bool {
	if b.missed.Load() < breakAfter {
		return true
	}
	until := b.until.Load()
	return now.UnixNano() >= until && b.until.CompareAndSwap(until, now.Add(breakFor).UnixNano())
}

// answered closes the breaker.
func (b *breaker) answered() {
	if b.missed.Load() != 0 {
		b.missed.Store(0)
	}
}

// failed notes a call without an answer.
func (b *breaker) failed(now time.Time) {
	if b.missed.Add(1) == breakAfter {
		b.until.Store(now.Add(breakFor).UnixNano())
	}
}
