// Package node is the composition root: it joins router, counters, exchange, pipeline and control into one replica.
//
// Node.Tick is the one loop. It has no goroutine and no clock: serve drives it by a ticker, simulate by virtual time.
package node
