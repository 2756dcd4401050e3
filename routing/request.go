package routing

import (
	"fmt"

	"github.com/sluice-pay/sluice/statemachine"
)

// Bounds of a request.
const (
	MaxCandidates  = 64  // candidates of one lane, bits of an Admission
	MaxAttempts    = 64  // previous attempts
	MaxExclude     = 64  // excluded channels
	MaxEnrolled    = 256 // channels the payer is enrolled with
	MaxPaymentID   = 128 // bytes
	defaultMaximum = 3   // channels in an answer
)

// Request is a payment that asks for its next channel. Strings are only read; a Request may be reused.
type Request struct {
	PaymentID string // splits and ties hang on it
	Merchant  string
	Entity    string // settlement entity; never crossed
	Business  statemachine.BusinessType
	// Instrument is what is paid with. An empty bank or card type means that the method has none, like "-". REFUND, CANCEL
	// and QUERY may leave it out.
	Instrument  statemachine.Instrument
	Amount      int64    // minor units
	Currency    string   // ISO 4217
	UserTier    string   // empty = none
	Deadline    int64    // Unix milliseconds after which no attempt may start; 0 = none
	Enrolled    []string // channels the payer has an agreement with
	PayerKey    uint64   // opaque; 0 = not known
	Original    Original // of REFUND, CANCEL and QUERY
	Attempts    []Attempt
	Exclude     []string // channels not to take
	MaxChannels int      // most channels in the answer; 0 = 3
}

// Original names the attempt a REFUND, CANCEL or QUERY belongs to.
type Original struct {
	Channel string
	Account string
	Attempt string // attempt id; empty = not known
}

// Attempt is an attempt that was made for the payment already.
type Attempt struct {
	Channel string
	Account string // empty = not known
	Attempt string // attempt id; empty = not known
	Outcome statemachine.Outcome
	Code    string // raw code of the channel; a mapped code wins over Outcome
}

// FieldError says which field of a request is wrong and what would be right.
type FieldError struct {
	Field string // as in the API, e.g. "payment.amount"
	Want  string
}

// Error renders field and what would be right.
func (e *FieldError) Error() string { return fmt.Sprintf("%s: want %s", e.Field, e.Want) }

// Validate reports the first field that is malformed, as a *FieldError. It allocates nothing for a good request. Whether the
// catalogue knows the names is Decide's to say.
func (r *Request) Validate() error {
	if err := r.validatePayment(); err != nil {
		return err
	}
	if err := r.validateMoney(); err != nil {
		return err
	}
	return r.validateLists()
}

func (r *Request) validatePayment() error {
	switch {
	case !printable(r.PaymentID, MaxPaymentID):
		return &FieldError{"payment.payment_id", "1 to 128 printable ASCII characters without blanks"}
	case !statemachine.ValidName(r.Merchant):
		return nameError("payment.merchant")
	case !statemachine.ValidName(r.Entity):
		return nameError("payment.settlement_entity")
	case r.Business == statemachine.BusinessUnspecified || r.Business >= statemachine.NumBusinessTypes:
		return &FieldError{"payment.business_type", "COLLECT, PAYOUT, DEDUCT, AUTHENTICATE, REFUND, CANCEL or QUERY"}
	case r.UserTier != "" && !statemachine.ValidName(r.UserTier):
		return nameError("payment.user_tier")
	case r.Deadline < 0:
		return &FieldError{"payment.deadline", "a time after 1970"}
	}
	return r.validateWay()
}

// validateWay checks instrument and original.
func (r *Request) validateWay() error {
	follows, given := r.Business.FollowsOriginal(), r.Original != Original{}
	switch {
	case r.Instrument.Method == "" && !follows:
		return &FieldError{"payment.method", "a method, e.g. QUICKPAY"}
	case r.Instrument.Method != "" && !statemachine.ValidName(r.Instrument.Method):
		return nameError("payment.method")
	case r.Instrument.Bank != "" && !statemachine.ValidName(r.Instrument.Bank):
		return nameError("payment.bank")
	case !validCard(r.Instrument.CardType):
		return &FieldError{"payment.card_type", "DEBIT, CREDIT, PREPAID or none"}
	case follows != given:
		return &FieldError{"payment.original", "the original payment for REFUND, CANCEL and QUERY, and for nothing else"}
	case given && !statemachine.ValidName(r.Original.Channel):
		return nameError("payment.original.channel")
	case given && !statemachine.ValidName(r.Original.Account):
		return nameError("payment.original.account")
	case r.Original.Attempt != "" && !printable(r.Original.Attempt, MaxAttemptID):
		return &FieldError{"payment.original.attempt_id", "at most 160 printable ASCII characters"}
	}
	return nil
}

func (r *Request) validateMoney() error {
	free := r.Business == statemachine.Authenticate || r.Business == statemachine.Cancel || r.Business == statemachine.Query
	switch {
	case r.Amount < 0:
		return &FieldError{"payment.amount", "minor units, not negative"}
	case r.Amount == 0 && !free:
		return &FieldError{"payment.amount", "more than 0 minor units"}
	case r.Currency == "" && r.Amount != 0, r.Currency != "" && !validCurrency(r.Currency):
		return &FieldError{"payment.currency", "an ISO 4217 code, e.g. CNY"}
	}
	return nil
}

func (r *Request) validateLists() error {
	switch {
	case len(r.Attempts) > MaxAttempts:
		return &FieldError{"attempts", "at most 64 attempts"}
	case len(r.Exclude) > MaxExclude:
		return &FieldError{"exclude", "at most 64 channels"}
	case len(r.Enrolled) > MaxEnrolled:
		return &FieldError{"payment.enrolled_channels", "at most 256 channels"}
	case r.MaxChannels < 0 || r.MaxChannels > MaxCandidates:
		return &FieldError{"max_channels", "0 to 64"}
	}
	for i := range r.Attempts {
		if err := r.Attempts[i].validate(i); err != nil {
			return err
		}
	}
	for i, c := range r.Exclude {
		if !statemachine.ValidName(c) {
			return nameError(fmt.Sprintf("exclude[%d]", i))
		}
	}
	for i, c := range r.Enrolled {
		if !statemachine.ValidName(c) {
			return nameError(fmt.Sprintf("payment.enrolled_channels[%d]", i))
		}
	}
	return nil
}

func (a *Attempt) validate(i int) error {
	switch {
	case !statemachine.ValidName(a.Channel):
		return nameError(fmt.Sprintf("attempts[%d].channel", i))
	case a.Account != "" && !statemachine.ValidName(a.Account):
		return nameError(fmt.Sprintf("attempts[%d].account", i))
	case a.Attempt != "" && !printable(a.Attempt, MaxAttemptID):
		return &FieldError{fmt.Sprintf("attempts[%d].attempt_id", i), "at most 160 printable ASCII characters"}
	case a.Outcome >= statemachine.OutcomeUnmapped:
		return &FieldError{fmt.Sprintf("attempts[%d].outcome", i), "an outcome, not UNMAPPED"}
	case a.Code != "" && !printable(a.Code, maxCode):
		return &FieldError{fmt.Sprintf("attempts[%d].raw_code", i), "1 to 64 printable ASCII characters without blanks"}
	}
	return nil
}

func nameError(field string) error {
	return &FieldError{field, "1 to 64 letters, digits, '.', '_' or '-'"}
}

func printable(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

func validCurrency(s string) bool {
	return len(s) == 3 && upper(s[0]) && upper(s[1]) && upper(s[2])
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

func validCard(s string) bool {
	switch s {
	case "", statemachine.NoBank, "DEBIT", "CREDIT", "PREPAID":
		return true
	}
	return false
}
