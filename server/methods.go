package server

import (
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// rule says how one RPC is guarded.
type rule struct {
	roles    Role          // one of them is needed; public = none
	public   bool          // no caller has to be known
	hot      bool          // validated by hand, without a deadline of ours: it does no I/O
	lasting  bool          // a hot stream: it is meant to last
	deadline time.Duration // most time it may take; 0 = no bound (streams, hot RPCs)
}

// Who may call what, by groups.
const (
	viewers   = Viewer | Operator | Approver | Owner
	routers   = Cashier | Operator
	explainer = Cashier | viewers
	operators = Operator | Approver
	owners    = operators | Owner
)

// Deadlines of RPCs that may wait for the ledger.
const (
	readDeadline  = 5 * time.Second
	writeDeadline = 10 * time.Second
)

// rules lists every RPC by its exact full method name; what is not listed is refused.
func rules() map[string]rule {
	read := rule{roles: viewers, deadline: readDeadline}
	write := rule{roles: operators, deadline: writeDeadline}
	own := rule{roles: owners, deadline: writeDeadline}
	return map[string]rule{
		sluicev1.RoutingService_Route_FullMethodName:              {roles: routers, hot: true},
		sluicev1.RoutingService_ListPaymentOptions_FullMethodName: {roles: routers, deadline: readDeadline},
		sluicev1.RoutingService_ReportResult_FullMethodName:       {roles: Gateway, hot: true},
		sluicev1.RoutingService_ReportResults_FullMethodName:      {roles: Gateway, hot: true},
		sluicev1.RoutingService_StreamResults_FullMethodName:      {roles: Gateway, hot: true, lasting: true},
		sluicev1.RoutingService_ExplainRoute_FullMethodName:       {roles: explainer, deadline: readDeadline},
		sluicev1.RoutingService_GetSnapshot_FullMethodName:        {roles: routers, deadline: readDeadline},
		sluicev1.RoutingService_WatchSnapshot_FullMethodName:      {roles: routers},

		sluicev1.ChannelService_ListChannels_FullMethodName:  read,
		sluicev1.ChannelService_GetChannel_FullMethodName:    read,
		sluicev1.ChannelService_SwitchChannel_FullMethodName: write, // LIFT needs an approver, see SwitchChannel
		sluicev1.ChannelService_WatchChannels_FullMethodName: {roles: viewers},
		sluicev1.ChannelService_QuerySeries_FullMethodName:   read,

		sluicev1.IncidentService_ListIncidents_FullMethodName:    read,
		sluicev1.IncidentService_GetIncident_FullMethodName:      read,
		sluicev1.IncidentService_AnnotateIncident_FullMethodName: write,

		sluicev1.CatalogService_GetCatalog_FullMethodName:           read,
		sluicev1.CatalogService_ListCatalogRevisions_FullMethodName: read,
		sluicev1.CatalogService_ApplyCatalog_FullMethodName:         own,
		sluicev1.CatalogService_RollbackCatalog_FullMethodName:      own,

		sluicev1.AuditService_ListAuditEntries_FullMethodName: read,

		healthpb.Health_Check_FullMethodName: {public: true, deadline: readDeadline},
		healthpb.Health_List_FullMethodName:  {public: true, deadline: readDeadline},
		healthpb.Health_Watch_FullMethodName: {public: true},

		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {roles: allRoles},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {roles: allRoles},
	}
}
