// Package serve runs one replica: an etcd server in the process, the node, the gRPC and HTTP edges, and the one loop
// that drives Node.Tick by the clock.
package serve
