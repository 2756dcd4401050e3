package routing

import (
	"errors"
	"fmt"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrStranded is wrapped by every StrandedError.
var ErrStranded = errors.New("the catalogue does not know scopes that are under an operator's order")

// StrandedError says which scopes under an operator's order a catalogue no longer knows.
type StrandedError struct{ Scopes []statemachine.Scope }

// Error lists the scopes and what to do.
func (e *StrandedError) Error() string {
	return fmt.Sprintf("%s: %v: release them first, or keep them in the catalogue", ErrStranded.Error(), e.Scopes)
}

// Unwrap returns ErrStranded.
func (*StrandedError) Unwrap() error { return ErrStranded }

// CheckOrders returns a *StrandedError if the plan would leave orders without effect, see Stranded.
func (p *Plan) CheckOrders(states []statemachine.State) error {
	if stranded := p.Stranded(states); len(stranded) > 0 {
		return &StrandedError{Scopes: stranded}
	}
	return nil
}
