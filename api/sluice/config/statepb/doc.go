// Package statepb turns the words of package statemachine (scopes, states, incidents, evidence, alerts) into the stored
// messages of sluice.config.v1 and back, and names the keys under which they lie. It is a leaf: whoever writes or reads
// the store goes through it, so that both sides agree.
package statepb

import (
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrMessage is wrapped by errors about a message that cannot be turned into the word it stands for.
var ErrMessage = errors.New("malformed message")

// FromInstant returns the timestamp of an instant, nil for never.
func FromInstant(i statemachine.Instant) *timestamppb.Timestamp {
	if i == 0 {
		return nil
	}
	return timestamppb.New(i.Time())
}

// ToInstant is the inverse of FromInstant; an absent timestamp means never.
func ToInstant(t *timestamppb.Timestamp) statemachine.Instant {
	if t == nil {
		return 0
	}
	return statemachine.At(t.AsTime())
}

// fromTime returns the timestamp of a time, nil for the zero time.
func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// toTime is the inverse of fromTime.
func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
