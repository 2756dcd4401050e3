package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// Every RPC that is served has a rule, and every rule is of an RPC that is served: nothing is open by omission.
func TestEveryMethodHasARule(t *testing.T) {
	s := newStand(t, nil)
	served := map[string]bool{}
	for service, info := range s.server.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			served["/"+service+"/"+m.Name] = true
		}
	}
	all := rules()
	for m := range served {
		if r, ok := all[m]; !ok || r.roles == 0 && !r.public {
			t.Errorf("%s has no rule", m)
		}
	}
	for m := range all {
		if !served[m] {
			t.Errorf("%s has a rule and is not served", m)
		}
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	s := newStand(t, nil)
	calls := map[string]struct {
		call func(context.Context) error
		may  Role
	}{
		"Route": {func(ctx context.Context) error { _, err := s.routing().Route(ctx, payment("p1")); return err }, Cashier | Operator},
		"ReportResults": {func(ctx context.Context) error {
			_, err := s.routing().ReportResults(ctx, &sluicev1.ReportResultsRequest{})
			return err
		}, Gateway},
		"ListChannels": {func(ctx context.Context) error {
			_, err := s.channels().ListChannels(ctx, &sluicev1.ListChannelsRequest{})
			return err
		}, Viewer | Operator | Approver | Owner},
		"SwitchChannel": {func(ctx context.Context) error {
			_, err := s.channels().SwitchChannel(ctx, &sluicev1.SwitchChannelRequest{})
			return err
		}, Operator | Approver},
		"WatchChannels": {func(ctx context.Context) error {
			stream, err := s.channels().WatchChannels(ctx, &sluicev1.WatchChannelsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}, Viewer | Operator | Approver | Owner},
	}
	for name, test := range calls {
		for r := Viewer; r <= Owner; r <<= 1 {
			err := test.call(as(t, r))
			if denied := status.Code(err) == codes.PermissionDenied; denied == (test.may&r != 0) {
				t.Errorf("%s as %s: %v", name, r, err)
			}
		}
		wantError(t, test.call(t.Context()), codes.Unauthenticated, "UNAUTHENTICATED")
		wantError(t, test.call(withToken(t, "guess")), codes.Unauthenticated, "UNAUTHENTICATED")
		wantError(t, test.call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic viewer")), codes.Unauthenticated, "UNAUTHENTICATED")
		wantError(t, test.call(metadata.AppendToOutgoingContext(as(t, Viewer), "authorization", "Bearer operator")), codes.Unauthenticated, "UNAUTHENTICATED")
	}
	if r, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health without a token: %v, %v", r, err)
	}
}

// A path that is not exactly that of an RPC never reaches a handler.
func TestPathTricks(t *testing.T) {
	s := newStand(t, nil)
	for _, path := range []string{
		"sluice.v1.ChannelService/SwitchChannel", "//sluice.v1.ChannelService/SwitchChannel", "/sluice.v1.ChannelService//SwitchChannel",
		"/sluice.v1.ChannelService/SwitchChannel/", "/sluice.v1.channelservice/SwitchChannel", "/sluice.v1.ChannelService/switchchannel",
		"/sluice.v1.ChannelService/%53witchChannel", "/./sluice.v1.ChannelService/SwitchChannel", "/sluice.v1.ChannelService/SwitchChannel?x",
	} {
		err := s.conn.Invoke(withToken(t, "viewer"), path, &emptypb.Empty{}, &emptypb.Empty{})
		if c := status.Code(err); c != codes.Unimplemented && c != codes.PermissionDenied && c != codes.Internal {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b := s.control.Counters(); b.Orders+b.OrdersNo != 0 {
		t.Errorf("an order came through: %+v", b)
	}
	// The interceptor refuses by itself what it does not know, should the transport ever let it through.
	_, err := s.server.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "sluice.v1.ChannelService/SwitchChannel"}, nil)
	wantError(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}

// LIFT needs an approver, and the caller is the author of what he orders.
func TestSuspendAndLift(t *testing.T) {
	s := newStand(t, nil)
	order := func(a sluicev1.Action) *sluicev1.SwitchChannelRequest {
		return &sluicev1.SwitchChannelRequest{Action: a, Scope: &sluicev1.Scope{Channel: "alpha"}, Reason: "contract ended"}
	}
	reply, err := s.channels().SwitchChannel(as(t, Operator), order(sluicev1.Action_ACTION_SUSPEND))
	if err != nil || reply.GetScopes()[0].GetState().GetSuspend().GetAuthor() != "operator" || reply.GetUndo().GetAction() != sluicev1.Action_ACTION_LIFT {
		t.Fatalf("suspend: %v, %v", reply, err)
	}
	_, err = s.channels().SwitchChannel(as(t, Operator), order(sluicev1.Action_ACTION_LIFT))
	wantError(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	_, err = s.channels().SwitchChannel(as(t, Operator), order(sluicev1.Action_ACTION_ON))
	wantError(t, err, codes.FailedPrecondition, "ORDER_NOT_APPLICABLE")
	if reply, err = s.channels().SwitchChannel(as(t, Approver), order(sluicev1.Action_ACTION_LIFT)); err != nil || s.Sight().Fleet.State(statemachine.ChannelScope("alpha")).Phase != statemachine.Probing {
		t.Errorf("lift: %v, %v", reply, err)
	}
}

func TestIdentitiesAreChecked(t *testing.T) {
	good := Identity{Name: "a", TokenHash: HashToken("t"), Roles: Viewer}
	bad := map[string][]Identity{
		"none":       {},
		"no name":    {{TokenHash: HashToken("t"), Roles: Viewer}},
		"no role":    {{Name: "a", TokenHash: HashToken("t")}},
		"no token":   {{Name: "a", Roles: Viewer}},
		"empty":      {{Name: "a", TokenHash: HashToken(""), Roles: Viewer}},
		"same name":  {good, {Name: "a", TokenHash: HashToken("u"), Roles: Viewer}},
		"same token": {good, {Name: "b", TokenHash: HashToken("t"), Roles: Viewer}},
	}
	for name, ids := range bad {
		if _, err := newAuthenticator(ids, false); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for r := Viewer; r <= Owner; r <<= 1 {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	if _, err := ParseRole("root"); !errors.Is(err, ErrIdentity) {
		t.Errorf("root: %v", err)
	}
	if _, err := New(Config{Logger: slog.New(slog.DiscardHandler)}, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("empty config: %v", err)
	}
}

// Only where the configuration allows it does a caller without a token come in; a wrong token never does.
func TestAnonymousOnlyWhereAllowed(t *testing.T) {
	s := newStand(t, func(c *Config) { c.AllowAnonymous = true })
	if _, err := s.routing().Route(t.Context(), payment("p1")); err != nil {
		t.Error(err)
	}
	_, err := s.routing().Route(withToken(t, "guess"), payment("p1"))
	wantError(t, err, codes.Unauthenticated, "UNAUTHENTICATED")
}
