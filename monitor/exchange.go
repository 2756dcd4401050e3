package monitor

import (
	"context"

	"github.com/sluice-pay/sluice/statemachine"
)

// Exchange lets replicas see one another's closed seconds. All writes are idempotent.
type Exchange interface {
	// Publish stores this replica's row of its second, replacing an earlier one.
	Publish(context.Context, *Row) error
	// Read returns the rows of a second, sorted by replica.
	Read(ctx context.Context, second int64) ([]*Row, error)
}

// Row is what one replica publishes for one second.
type Row struct {
	Replica string
	Boot    uint64 // differs at every start of the replica
	Counts  SecondCounts
	Leader  int64                     // CreateRevision of the leader key if this replica leads, else 0
	Grants  []Grant                   // of the leader only
	Sealed  []Sealed                  // of the leader only: the rows it summed for earlier seconds
	Limits  []statemachine.LimitCount // what its router counted of limits, sorted by name
}

// Sealed names the rows that make up a second's sum.
type Sealed struct {
	Second   int64
	Replicas []string
}

// Grant is the leader's cumulative number of probe tokens for one scope and replica.
type Grant struct {
	Scope      statemachine.Scope
	Generation uint64
	Replica    string
	Tokens     uint64 // cumulative since the generation began
	Until      int64  // last valid second; unused tokens lapse after it
	Lift       bool   // take a payment although the scope does not rank first
}
