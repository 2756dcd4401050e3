package simulate

import (
	"context"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Replica is a routing policy of any kind, as the world drives it over the payments of a scenario. It is used by one
// goroutine; now never goes back. What attempts meet depends on the seed, the payment and the way alone, not on the policy.
type Replica interface {
	// Tick is called at every full virtual second.
	Tick(ctx context.Context, now time.Time) error
	// Route chooses among the ways of a payment. The question is valid during the call only.
	Route(q *Question, now time.Time) (Answer, error)
	// Report takes the result of an attempt, when it is known. The report is valid during the call only.
	Report(r *Report, now time.Time) error
}

// Question is a payment that asks for its way.
type Question struct {
	Payment   string
	Stream    *Stream // what is known of it: instrument, merchant, amount; not to be changed
	Payer     uint64
	Gateway   int    // from 1
	Attempts  int    // made before; their channels are not among the ways any more
	Ways      []Way  // in the order it would have with everything healthy: the first is the one it prefers
	Abandoned bool   // the payer leaves before it becomes an attempt: no result will come
	of        *world // for Unwell
	payment   *payment
}

// Way is a channel with the merchant's account there.
type Way struct {
	Channel, Account string
}

// Unwell reports whether a way is inside a labelled fault at this moment: the truth, which only an oracle may ask.
func (q *Question) Unwell(way int) bool { return q.of.unwell(q.payment, q.Ways[way]) }

// Answer is a choice.
type Answer struct {
	Way  int                   // index into the ways; below 0 = the payment is refused
	Kind statemachine.LaneKind // KindProbe for a trial of a closed way
}

// Report is the result of an attempt.
type Report struct {
	Payment string
	Way     Way
	Stream  *Stream
	Payer   uint64
	Gateway int                  // from 1
	Outcome statemachine.Outcome // never unspecified: raw codes are read by the channel's table
	Code    string               // a reply's raw code, empty where there was no reply
	Latency time.Duration
	Started time.Time
}

// Gates is where a policy tells what it closes and opens, for the judge. A policy that tells nothing is taken to close
// what Rival.Derive says.
type Gates interface {
	// Close says that a scope gets nothing from now on: a cut, unless the scope was being tried (Try) and stays shut.
	Close(s statemachine.Scope, reason string)
	// Lower says that a scope gets a part (0 to 1) of what it would: a cut if it is less than before.
	Lower(s statemachine.Scope, share float64, reason string)
	// Try says that a closed scope gets trials.
	Try(s statemachine.Scope)
	// Open says that a scope gets everything again.
	Open(s statemachine.Scope)
}

// Rival is a policy with what the judge must know of it.
type Rival struct {
	Replica

	// Derive is for policies that only throttle: ScopeChannel or ScopeInstrument. A scope counts as closed when three
	// payments in a row that prefer it were sent elsewhere or refused, and as open when three in a row were not.
	// ScopeUnspecified = the policy tells Gates.
	Derive statemachine.ScopeKind
}

// Build starts a policy for one run.
type Build func(ctx context.Context, p *Prepared, to Gates) (Rival, error)

// Judge runs a prepared scenario without an event log, and without the summary's expected successes of the oracle (the
// detail counts failures against it instead), and returns what the judge saw; without a policy of its own through
// the production node.
func Judge(ctx context.Context, p *Prepared, start Build) (*Summary, error) {
	if start == nil {
		return Run(ctx, p, nil, production)
	}
	return Run(ctx, p, nil, rival(start))
}
