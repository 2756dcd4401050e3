// Package server is the edge of Sluice: the gRPC services, the HTTP endpoints beside them, who may call what, and how errors
// become statuses. It decides nothing itself: payments are routed by package routing, orders carried out by package monitor.
//
// Route and reports are validated by hand without allocation, everything else by the rules in the protos; a test holds both
// to the same verdicts. All errors become statuses in one table (status.go).
package server
