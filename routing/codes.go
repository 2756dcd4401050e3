package routing

import (
	"errors"
	"fmt"

	"github.com/sluice-pay/sluice/statemachine"
)

// maxCode is the greatest length of a raw code in bytes.
const maxCode = 64

// What the catalogue does not know; Interpret and Attribute wrap them with the name.
var (
	ErrUnknownChannel      = errors.New("unknown channel")
	ErrUnknownAccount      = errors.New("unknown account of the channel")
	ErrUnknownInstrument   = errors.New("the channel has no such instrument")
	ErrUnknownBusinessType = errors.New("the channel does not support the business type")
)

// codeTable is what a provider's raw codes mean.
type codeTable map[string]Meaning

// Interpret returns what a result of a channel means. A code that the channel's table maps wins over the outcome; a code that
// it does not map is UNMAPPED where no outcome was given. The error wraps ErrUnknownChannel; the meaning is then that of the
// outcome alone.
func (p *Plan) Interpret(channel string, o statemachine.Outcome, code string) (Meaning, error) {
	c, ok := p.channelOf[channel]
	if !ok {
		return interpret(nil, o, code), fmt.Errorf("%w %q", ErrUnknownChannel, channel)
	}
	return interpret(p.channels[c].codes, o, code), nil
}

func interpret(t codeTable, o statemachine.Outcome, code string) Meaning {
	if code == "" {
		return Meaning{Outcome: o, Money: o.Money()}
	}
	if m, ok := t[code]; ok {
		return m
	}
	if o == statemachine.OutcomeUnspecified {
		o = statemachine.OutcomeUnmapped
	}
	return Meaning{Outcome: o, Money: o.Money(), Coded: true}
}
