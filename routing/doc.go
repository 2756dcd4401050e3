// Package routing decides which channel a payment takes. A catalogue is compiled into a Plan (the heavy half), a Plan and
// the states of its scopes into a Table (cheap, one per state change), and Decide answers from a Table alone: it is pure, so
// that the same table, request, second and admission give the same decision on every replica, in the SDK and in a replay.
//
// Router adds the one thing that is not pure: the counters that keep ramps and probes within their share. It walks the ranked
// candidates between Rank and Finish and records in an Admission what those counters vetoed. The path of a decision has no
// I/O, no clock, no lock and no allocation.
package routing
