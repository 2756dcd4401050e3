package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// asked is what is known about a scope that was asked for.
type asked struct {
	reply     proto.Message // what the server said of it, for -o json
	statuses  []*sluicev1.ScopeStatus
	wider     []*sluicev1.ScopeStatus // that apply to it too and are not healthy
	incidents []*sluicev1.GetIncidentResponse
	policy    string
}

// whyScope tells how a scope is doing and, where an incident is open, its story.
func (a *app) whyScope(ctx context.Context, conn grpc.ClientConnInterface, scope *sluicev1.Scope) error {
	client := sluicev1.NewChannelServiceClient(conn)
	found, err := a.askScope(ctx, client, scope)
	if err != nil {
		return err
	}
	incidents := sluicev1.NewIncidentServiceClient(conn)
	for _, s := range found.statuses {
		id := s.GetState().GetIncident()
		if id == "" {
			continue
		}
		reply, err := incidents.GetIncident(ctx, &sluicev1.GetIncidentRequest{IncidentId: id})
		switch codeOf(err) { //nolint:exhaustive // The rest has failed.
		case codes.OK:
			found.incidents = append(found.incidents, reply)
		case codes.NotFound, codes.Unimplemented: // its story is not kept; how it is doing is known
		default:
			return fmt.Errorf("incident %s: %w", id, err)
		}
	}
	return a.show(found.reply, func(v view) string { return v.askedText(found) })
}

func (a *app) askScope(ctx context.Context, client sluicev1.ChannelServiceClient, scope *sluicev1.Scope) (*asked, error) {
	domains, err := a.listChannels(ctx, client, &sluicev1.ListChannelsRequest{NotHealthyOnly: true})
	if err != nil {
		return nil, err
	}
	s := scopeOf(scope)
	if s.Kind == statemachine.ScopeDomain {
		i := slices.IndexFunc(domains.GetFailureDomains(), func(d *sluicev1.ScopeStatus) bool { return sameScope(scope, d.GetScope()) })
		if i >= 0 {
			d := domains.GetFailureDomains()[i]
			return &asked{reply: d, statuses: []*sluicev1.ScopeStatus{d}}, nil
		}
		return a.healthyDomain(ctx, client, scope, s.Of)
	}
	reply, err := client.GetChannel(ctx, &sluicev1.GetChannelRequest{Channel: s.Channel})
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", s.Channel, err)
	}
	if len(declared(reply.GetConfig(), scope)) == 0 {
		return nil, helpedError{
			fmt.Errorf("channel %s has no %s", s.Channel, strings.TrimPrefix(scopeArg(scope), s.Channel+"/")),
			[]string{"sluice why " + s.Channel + " -o json | jq .config   # shows what it has"},
		}
	}
	return statusesOf(reply, domains, scope), nil
}

// healthyDomain answers for a domain that is not listed as unhealthy: healthy if a channel depends on it.
func (a *app) healthyDomain(ctx context.Context, client sluicev1.ChannelServiceClient, scope *sluicev1.Scope, domain string) (*asked, error) {
	list, err := a.listChannels(ctx, client, &sluicev1.ListChannelsRequest{FailureDomain: domain})
	if err != nil {
		return nil, err
	}
	if len(list.GetChannels()) == 0 {
		return nil, helpedError{fmt.Errorf("no channel depends on a failure domain %q", domain), []string{"sluice channels -o json | jq '.channels[].failureDomains'"}}
	}
	s := healthyStatus(scopeOf(scope))
	return &asked{reply: s, statuses: []*sluicev1.ScopeStatus{s}}, nil
}

// statusesOf picks what was asked for from a channel, and the wider scopes that are not healthy. A whole channel has its parts
// told too.
func statusesOf(r *sluicev1.GetChannelResponse, domains *sluicev1.ListChannelsResponse, scope *sluicev1.Scope) *asked {
	found := &asked{reply: r, policy: policyText(r.GetPolicy())}
	whole := scope.GetName() == r.GetChannel().GetChannel()
	for _, s := range r.GetChannel().GetScopes() {
		switch {
		case sameScope(scope, s.GetScope()) || whole && standingOf(s).harm != harmNone:
			found.statuses = append(found.statuses, s)
		case !whole && standingOf(s).harm != harmNone && covers(scopeOf(s.GetScope()), scope):
			found.wider = append(found.wider, s)
		}
	}
	for _, item := range declared(r.GetConfig(), scope) {
		if !slices.ContainsFunc(found.statuses, func(s *sluicev1.ScopeStatus) bool { return scopeOf(s.GetScope()) == item }) {
			found.statuses = append(found.statuses, healthyStatus(item))
		}
	}
	for _, d := range domains.GetFailureDomains() {
		if slices.Contains(r.GetChannel().GetFailureDomains(), scopeOf(d.GetScope()).Of) && standingOf(d).harm != harmNone {
			found.wider = append(found.wider, d)
		}
	}
	return found
}

// covers reports whether a scope of the same channel applies to everything in the one asked for.
func covers(wide statemachine.Scope, scope *sluicev1.Scope) bool {
	switch wide.Kind {
	case statemachine.ScopeChannel:
		return true
	case statemachine.ScopeMethod:
		method := scope.GetMethod()
		if s := scopeOf(scope); s.Kind == statemachine.ScopeInstrument && scope.GetName() != "" {
			method, _, _ = strings.Cut(s.Of, ":")
		}
		return method == wide.Of
	case statemachine.ScopeUnspecified, statemachine.ScopeDomain, statemachine.ScopeBusiness, statemachine.ScopeAccount, statemachine.ScopeInstrument:
	}
	return false
}

// askedText renders what is known about a scope.
func (v view) askedText(f *asked) string {
	var parts []string
	for i, s := range f.statuses {
		var wider []*sluicev1.ScopeStatus
		if i == 0 {
			wider = f.wider
		}
		parts = append(parts, v.scopeText(s, wider))
	}
	for _, r := range f.incidents {
		parts = append(parts, v.incidentText(r))
	}
	text := strings.Join(parts, "\n")
	if f.policy != "" {
		text += "\n" + f.policy + "\n"
	}
	return text
}

// statusError is an error with the code of a failed call.
func statusError(code codes.Code, text string) error { return status.Error(code, text) }
