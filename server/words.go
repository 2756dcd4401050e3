package server

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// The enums below have the same numbers in the API and in package statemachine. They were checked before: a number that is unknown
// to both must not come here.

func businessOf(b configv1.BusinessType) statemachine.BusinessType {
	return statemachine.BusinessType(b) //nolint:gosec // a checked enum
}

func outcomeOf(o configv1.Outcome) statemachine.Outcome {
	return statemachine.Outcome(o) //nolint:gosec // a checked enum
}

func actionOf(a sluicev1.Action) statemachine.Action {
	return statemachine.Action(a) //nolint:gosec // a checked enum
}
