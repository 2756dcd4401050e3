package routing

import (
	"errors"

	"github.com/sluice-pay/sluice/statemachine"
)

// What a refusal or a previous attempt is about; errors.Is finds them in the errors of Decide and Route.
var (
	ErrNoTable                  = errors.New("no table yet")
	ErrRefused                  = errors.New("no channel for the payment")
	ErrAlreadyPaid              = errors.New("a previous attempt has succeeded")
	ErrAmbiguousPreviousAttempt = errors.New("a previous attempt is in doubt: query it first")
	ErrFinalPreviousAttempt     = errors.New("a previous attempt was definitely and finally refused")
)

// RefusalReason says why no channel was given.
type RefusalReason uint8

// The reasons of a refusal.
const (
	RefusalNone         RefusalReason = iota
	NoUsableChannel                   // channels support the payment, none is usable now
	BankDownEverywhere                // the bank is down on every channel: ask for another card
	UnsupportedEntity                 // the catalogue knows no such settlement entity
	UnsupportedRoute                  // no route serves the business type, method, merchant and user tier
	UnsupportedPayment                // no channel of the route supports entity and instrument
	UnsupportedOriginal               // the catalogue knows no such channel or account, or it is another entity's
	DeadlinePassed                    // the payment's deadline has passed
	MerchantLimited                   // the merchant sends more payments a second than it may
	AttemptsExhausted                 // the payment has had all attempts that its route allows
)

// String returns a stable word; the UNSUPPORTED_… ones are the API's UNSUPPORTED.
func (r RefusalReason) String() string {
	switch r {
	case NoUsableChannel:
		return "NO_USABLE_CHANNEL"
	case BankDownEverywhere:
		return "BANK_DOWN_EVERYWHERE"
	case UnsupportedEntity:
		return "UNSUPPORTED_ENTITY"
	case UnsupportedRoute:
		return "UNSUPPORTED_ROUTE"
	case UnsupportedPayment:
		return "UNSUPPORTED_PAYMENT"
	case UnsupportedOriginal:
		return "UNSUPPORTED_ORIGINAL"
	case DeadlinePassed:
		return "PAYMENT_EXPIRED"
	case MerchantLimited:
		return "MERCHANT_LIMITED"
	case AttemptsExhausted:
		return "ATTEMPTS_EXHAUSTED"
	case RefusalNone:
	}
	return "NONE"
}

// Text returns a sentence for people.
func (r RefusalReason) Text() string {
	switch r {
	case NoUsableChannel:
		return "channels support the payment, none is usable now"
	case BankDownEverywhere:
		return "the bank is down on every channel: ask for another card"
	case UnsupportedEntity:
		return "the catalogue knows no such settlement entity"
	case UnsupportedRoute:
		return "no route serves this business type, method, merchant and user tier"
	case UnsupportedPayment:
		return "no channel of the route supports this settlement entity and instrument"
	case UnsupportedOriginal:
		return "the original's channel or account is unknown, or is another settlement entity's"
	case DeadlinePassed:
		return "the payment's deadline has passed"
	case MerchantLimited:
		return "the merchant sends more payments a second than its limit allows"
	case AttemptsExhausted:
		return "the payment has had all the attempts that its route allows"
	case RefusalNone:
	}
	return ""
}

// Refusal is the answer where no channel can be given. It lives in the Decision's buffer, whose Dropped has the reason of
// each channel.
type Refusal struct { //nolint:errname // the word of the API
	Reason     RefusalReason
	DeferUntil int64 // Unix seconds when asking again may help, 0 = it does not
}

// Error returns the sentence of the reason.
func (r *Refusal) Error() string { return ErrRefused.Error() + ": " + r.Reason.Text() }

// Unwrap returns ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

// PreviousAttemptError says which previous attempt forbids another one. It lives in the Decision's buffer and wraps
// ErrAlreadyPaid, ErrAmbiguousPreviousAttempt or ErrFinalPreviousAttempt.
type PreviousAttemptError struct {
	Attempt         // the attempt that decided; its channel is the one to query first where it is in doubt
	Meaning Meaning // what it came to after the code table
	Index   int     // its index in Request.Attempts
	Err     error   // one of the three
	// Remembered says that the request did not name the attempt: a Memory did. It is no part of the decision.
	Remembered bool
}

// Error returns the sentence of the error and the channel.
func (e *PreviousAttemptError) Error() string { return e.Err.Error() + " (" + e.Channel + ")" }

// Unwrap returns the wrapped error.
func (e *PreviousAttemptError) Unwrap() error { return e.Err }

// Meaning is what a result means after the channel's code table.
type Meaning struct {
	Outcome statemachine.Outcome
	Money   statemachine.Money
	Advice  string // of the code, e.g. ASK_FOR_ANOTHER_CARD; empty = none
	Coded   bool   // the channel replied with a code: the network worked
}
