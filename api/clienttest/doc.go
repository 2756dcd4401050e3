// Package clienttest is a control plane for the tests of programs that use package client: the real gRPC API over a connection
// in memory, deciding by the same code as a replica, on a small catalogue whose channels, states and outages a test commands.
//
//	s := clienttest.New(t)
//	c := s.Client()                                  // an SDK client that talks to it
//	s.Script("alpha", client.Result{RawCode: "E91"}) // the next attempt on channel alpha fails
//	s.Off("beta")                                    // an operator switched channel beta off
//	s.Outage()                                       // no replica answers any more
//
// What the program did is read back: Routed for its requests and their answers, Reports for the results it reported, Books for
// what became of them.
package clienttest
