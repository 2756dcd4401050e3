package simulate

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// errRefused is what a replica answers when no channel may be taken; every other error of Route ends the run.
var errRefused = errors.New("no usable channel")

// replica is one replica of the production node, as the world drives it.
type replica interface {
	// Tick runs the loop once; the world calls it at every virtual second.
	Tick(ctx context.Context, now time.Time) error
	// Route fills out with the channels to take, best first; errRefused if there is none.
	Route(q *question, now time.Time, out *answer) error
	// Report takes one result, received now.
	Report(r *report, now time.Time) error
	// Order carries out an operator's order. An error is the node's answer to the operator.
	Order(ctx context.Context, o *command, now time.Time) error
}

// preferrer ranks the channels of a payment as if every scope were healthy: what would be.
type preferrer interface {
	Prefer(q *question, now time.Time, out *answer) error
}

// fleet is the replicas of one run and the world around them.
type fleet struct {
	replicas []replica
	would    preferrer
	watch    bool // look at every payment: it may be moved although nothing is said to be closed
	// fault begins or ends a fault of the control plane; nil if the fleet cannot.
	fault func(ctx context.Context, f *Fault, begin bool, now time.Time) error
}

// sink takes what the nodes change and raise, in the order they do it.
type sink struct {
	entry func(*monitor.JournalEntry)
	alert func(statemachine.Alert)
}

// build starts the replicas of a run.
type build func(ctx context.Context, p *Prepared, to sink) (*fleet, error)

// question is a payment that asks for its next channel.
type question struct {
	payment  string
	stream   *Stream
	payer    uint64
	attempts []tried
	of       *payment // for rivals, which are told more than the production node
	world    *world
}

// tried is an attempt a payment has behind it.
type tried struct {
	channel, account, attempt string
	outcome                   statemachine.Outcome
	code                      string
	kind                      statemachine.LaneKind
}

// answer is a decision.
type answer struct {
	decision string
	offers   []offer
}

// offer is one channel of a decision.
type offer struct {
	channel, account, attempt string
	kind                      statemachine.LaneKind
}

// report is one result as a gateway sends it.
type report struct {
	payment, decision, attempt string
	channel, account           string
	stream                     *Stream
	outcome                    statemachine.Outcome // OutcomeUnspecified if the code alone tells
	code, reason               string
	latency                    time.Duration
	started                    time.Time
	payer                      uint64
	gateway                    string
}

// command is an operator's order; its scopes move together or not at all.
type command struct {
	action    statemachine.Action
	scopes    []statemachine.Scope
	author    string
	reason    string
	lasts     time.Duration
	requestID string
}
