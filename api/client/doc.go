// Package client is the Go SDK of Sluice: it asks for routes and reports results, and goes on answering when the control
// plane is gone.
//
//	c, err := client.New(ctx, client.Config{Target: "dns:///sluice.internal:7070", Environment: "prod", Token: token})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	reply, err := c.Route(ctx, request)
//
// # Modes
//
// RPCFirst asks a replica and decides by itself when none answers in time. LocalFirst decides by itself, from the snapshot that
// replicas stream, with the same code and byte for byte the same answers as they give; what it decided travels up with the
// reports, so that ramps and limits see it.
//
// # The ladder
//
// The snapshot comes from a replica (FRESH, then STALE with its age), from the client's own file (FILE), from any member of
// etcd (ETCD, see package etcdfallback), or from an order of last resort compiled into the program (STATIC). Every answer says
// which in RouteResponse.source and table_age. A client never goes back to an older snapshot. Refusals that are decisions
// (no usable channel, an attempt in doubt) are answers and do not move down the ladder.
//
// # Money
//
// Only the first channel of an answer may be attempted. After a failure ask Next, which is Route with the attempt noted: while
// an attempt is in doubt neither gives a second channel, whoever decides. Requests are never hedged.
package client
