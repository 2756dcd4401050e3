package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// unary is the one interceptor of unary RPCs: it knows the RPC by its exact name, sheds load, tells who calls, keeps the
// deadline, recovers, renders errors, measures, and logs only what was slow or went wrong.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	m := s.methods[info.FullMethod]
	if m == nil {
		return nil, denied("no such method: " + info.FullMethod).GRPCStatus().Err()
	}
	start := s.cfg.Now()
	under := s.metrics.inFlight.Add(1)
	defer func() {
		s.metrics.inFlight.Add(-1)
		if p := recover(); p != nil {
			resp, err = nil, s.recovered(ctx, m, p)
		}
		s.finish(ctx, m, s.cfg.Now().Sub(start), err)
	}()
	if under > int64(s.cfg.MaxInFlight) && !m.public {
		s.metrics.shed.Inc()
		return nil, overloaded().GRPCStatus().Err()
	}
	ctx, err = s.admit(ctx, m, req, start)
	if err != nil {
		return nil, s.toStatus(ctx, m.name, err)
	}
	if m.hot {
		held, err := s.fair.enter(req, under)
		if err != nil {
			return nil, s.toStatus(ctx, m.name, err)
		}
		defer held.leave()
	}
	if m.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.deadline)
		defer cancel()
	}
	resp, err = handler(ctx, req)
	if err != nil {
		return nil, s.rendered(ctx, m, err)
	}
	return resp, nil
}

// admit checks who calls and, but for hot RPCs, what is asked.
func (s *Server) admit(ctx context.Context, m *method, req any, now time.Time) (context.Context, error) {
	if m.public {
		return ctx, nil
	}
	id, err := s.auth.caller(ctx)
	if err != nil {
		return ctx, err
	}
	if !id.may(m.roles) {
		return ctx, denied(id.Name + " needs one of the roles " + m.roles.String() + " for " + m.name)
	}
	if route, ok := req.(*sluicev1.RouteRequest); ok {
		if err := s.fair.rate(route, id.limits, now); err != nil {
			return ctx, err
		}
	}
	if wait := id.limits.rate.take(now); wait > 0 {
		s.refused.rate.Inc()
		return ctx, tooFast(wait)
	}
	if m.name == sluicev1.RoutingService_Route_FullMethodName {
		return ctx, nil // Route does not ask who calls
	}
	ctx = withCaller(ctx, id)
	if m.hot {
		return ctx, nil
	}
	if msg, ok := req.(proto.Message); ok {
		return ctx, s.checkMessage(msg)
	}
	return ctx, nil
}

// rendered turns a handler's error into a status. Statuses of grpc's own services pass.
func (s *Server) rendered(ctx context.Context, m *method, err error) error {
	if m.public {
		return err
	}
	return s.toStatus(ctx, m.name, err)
}

// recovered turns a panic into a logged internal error.
func (s *Server) recovered(ctx context.Context, m *method, p any) error {
	s.log.LogAttrs(ctx, slog.LevelError, "panic in a handler", slog.String("method", m.name),
		slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	return internalFault().GRPCStatus().Err()
}

// finish measures an RPC and logs it if it was slow or failed for a reason of ours.
func (s *Server) finish(ctx context.Context, m *method, took time.Duration, err error) {
	code := codes.OK
	if err != nil {
		code = status.Code(err)
	}
	m.observe(took, code)
	switch {
	case code == codes.Internal || code == codes.Unknown || code == codes.DataLoss:
		s.log.LogAttrs(ctx, slog.LevelError, "rpc failed", slog.String("method", m.name), slog.String("code", code.String()), slog.Duration("took", took))
	case took > s.cfg.SlowRPC && !m.lasting && (m.hot || m.deadline > 0): // streams are meant to last
		s.log.LogAttrs(ctx, slog.LevelWarn, "rpc slow", slog.String("method", m.name), slog.String("code", code.String()), slog.Duration("took", took))
	}
}

func overloaded() *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED,
		message: "this replica sheds load; ask again later, or another replica", retry: 100 * time.Millisecond,
	}
}

// stream is the interceptor of streams.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	m := s.methods[info.FullMethod]
	if m == nil {
		return denied("no such method: " + info.FullMethod).GRPCStatus().Err()
	}
	start := s.cfg.Now()
	defer func() {
		if p := recover(); p != nil {
			err = s.recovered(ss.Context(), m, p)
		}
		s.finish(ss.Context(), m, s.cfg.Now().Sub(start), err)
	}()
	ctx, err := s.admit(ss.Context(), m, nil, start)
	if err != nil {
		return s.toStatus(ctx, m.name, err)
	}
	limits := s.public
	if !m.public {
		limits = callerOf(ctx).limits
	}
	if !limits.open() {
		s.refused.streams.Inc()
		return tooManyStreams(limits.maxStreams).GRPCStatus().Err()
	}
	defer limits.close()
	if m.public {
		return handler(srv, ss)
	}
	check := s.checkMessage
	if m.hot {
		check = func(proto.Message) error { return nil } // by hand
	}
	err = handler(srv, &checkedStream{ServerStream: ss, ctx: ctx, check: check})
	if _, ok := status.FromError(err); err == nil || ok && m.roles == allRoles {
		return err
	}
	return s.toStatus(ctx, m.name, err)
}

// checkedStream carries the caller and checks every message that comes in.
type checkedStream struct {
	grpc.ServerStream
	ctx   context.Context //nolint:containedctx // a stream is its context
	check func(proto.Message) error
}

// Context returns the context with the caller.
func (c *checkedStream) Context() context.Context { return c.ctx }

// RecvMsg checks the message that came.
func (c *checkedStream) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if msg, ok := m.(proto.Message); ok {
		return c.check(msg)
	}
	return nil
}
