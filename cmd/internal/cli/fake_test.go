package cli

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// fake is a server whose answers a test sets.
type fake struct {
	sluicev1.UnimplementedChannelServiceServer
	sluicev1.UnimplementedIncidentServiceServer
	sluicev1.UnimplementedRoutingServiceServer

	mu       sync.Mutex
	list     *sluicev1.ListChannelsResponse
	channels map[string]*sluicev1.GetChannelResponse
	incident *sluicev1.GetIncidentResponse
	explain  *sluicev1.ExplainRouteResponse
	series   []*sluicev1.SeriesPoint
	queries  []*sluicev1.QuerySeriesRequest
	hang     bool // ListChannels never answers
	orders   []*sluicev1.SwitchChannelRequest
	tokens   []string
	watches  []*sluicev1.WatchChannelsRequest
	throw    func(n int, r *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error)
	watch    func(n int, stream grpc.ServerStreamingServer[sluicev1.WatchChannelsResponse]) error
}

// QuerySeries answers in two pages.
func (f *fake) QuerySeries(_ context.Context, r *sluicev1.QuerySeriesRequest) (*sluicev1.QuerySeriesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, proto.CloneOf(r))
	if r.GetScope().GetName() == "nowhere" {
		return nil, refusal(codes.NotFound, "UNKNOWN_CHANNEL", "the catalogue has no channel nowhere", nil)
	}
	half := len(f.series) / 2
	if r.GetPageToken() == "" && half > 0 {
		return &sluicev1.QuerySeriesResponse{Points: f.series[:half], NextPageToken: "second"}, nil
	}
	return &sluicev1.QuerySeriesResponse{Points: f.series[half:]}, nil
}

func (f *fake) ListChannels(ctx context.Context, r *sluicev1.ListChannelsRequest) (*sluicev1.ListChannelsResponse, error) {
	if f.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		f.tokens = append(f.tokens, strings.Join(md.Get("authorization"), ","))
	}
	reply := proto.CloneOf(f.list)
	// Two pages, so that every test sees that all are read.
	half := len(reply.GetChannels()) / 2
	if r.GetPageToken() == "" && half > 0 {
		reply.Channels, reply.NextPageToken = reply.GetChannels()[:half], "second"
	} else {
		reply.Channels, reply.FailureDomains = reply.GetChannels()[half:], nil
	}
	return reply, nil
}

func (f *fake) GetChannel(_ context.Context, r *sluicev1.GetChannelRequest) (*sluicev1.GetChannelResponse, error) {
	if reply := f.channels[r.GetChannel()]; reply != nil {
		return reply, nil
	}
	return nil, refusal(codes.NotFound, "UNKNOWN_CHANNEL", "no channel "+r.GetChannel(), nil)
}

func (f *fake) GetIncident(_ context.Context, r *sluicev1.GetIncidentRequest) (*sluicev1.GetIncidentResponse, error) {
	if r.GetIncidentId() == f.incident.GetIncident().GetIncident().GetId() {
		return f.incident, nil
	}
	return nil, refusal(codes.NotFound, "UNKNOWN_INCIDENT", "no incident "+r.GetIncidentId(), nil)
}

func (f *fake) ListIncidents(context.Context, *sluicev1.ListIncidentsRequest) (*sluicev1.ListIncidentsResponse, error) {
	return &sluicev1.ListIncidentsResponse{Incidents: []*sluicev1.IncidentSummary{f.incident.GetIncident()}}, nil
}

func (f *fake) ExplainRoute(_ context.Context, r *sluicev1.ExplainRouteRequest) (*sluicev1.ExplainRouteResponse, error) {
	if r.GetDecisionId() == f.explain.GetDecision().GetDecisionId() && r.GetDecisionId() != "" {
		return f.explain, nil
	}
	if id := r.GetPaymentId(); id != "" && id == f.explain.GetRequest().GetPayment().GetPaymentId() {
		return f.explain, nil
	}
	return nil, refusal(codes.NotFound, "UNKNOWN_DECISION", "no such decision; replica r1 keeps some", nil)
}

func (f *fake) SwitchChannel(_ context.Context, r *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) {
	f.mu.Lock()
	f.orders = append(f.orders, proto.CloneOf(r))
	n := len(f.orders)
	f.mu.Unlock()
	return f.throw(n, r)
}

func (f *fake) WatchChannels(r *sluicev1.WatchChannelsRequest, stream grpc.ServerStreamingServer[sluicev1.WatchChannelsResponse]) error {
	f.mu.Lock()
	f.watches = append(f.watches, r)
	n := len(f.watches)
	f.mu.Unlock()
	return f.watch(n, stream)
}

// refusal is an error as the server gives it.
func refusal(code codes.Code, word, message string, meta map[string]string) error {
	s, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: word, Domain: errorDomain, Metadata: meta})
	if err != nil {
		return err
	}
	return s.Err()
}

// result is what a run of the command line left behind.
type result struct {
	code     int
	out, err string
}

// start serves the fake and returns an app that reaches it; its output is kept unless a test redirects it.
func start(t *testing.T, f *fake) *app {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer()
	sluicev1.RegisterChannelServiceServer(s, f)
	sluicev1.RegisterIncidentServiceServer(s, f)
	sluicev1.RegisterRoutingServiceServer(s, f)
	go s.Serve(listener)
	t.Cleanup(s.Stop)
	return &app{
		Options: Options{In: strings.NewReader(""), Env: env(nil), Version: "test"},
		clock:   func() time.Time { return night }, zone: zone, backoff: time.Millisecond,
		interactive: func(any) bool { return false },
		dialing: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		})},
	}
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// do runs one command line to its end.
func (a *app) do(t *testing.T, args ...string) result {
	t.Helper()
	var out, complaints bytes.Buffer
	a.Args, a.Out, a.Err = args, &out, &complaints
	code := a.run(t.Context())
	return result{code, out.String(), complaints.String()}
}
