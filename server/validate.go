package server

import (
	"strconv"
	"unicode/utf8"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// What would be right, for the fields that are checked by hand.
const (
	wantName     = "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or a digit"
	wantPayment  = "1 to 128 printable ASCII characters without blanks"
	wantAttempt  = "1 to 160 printable ASCII characters without blanks"
	wantCode     = "1 to 64 printable ASCII characters without blanks"
	wantCurrency = "an ISO 4217 code such as CNY"
	wantBusiness = "COLLECT, PAYOUT, DEDUCT, AUTHENTICATE, REFUND, CANCEL or QUERY"
	wantCard     = "DEBIT, CREDIT, PREPAID, or nothing where the method knows no card types"
	wantOutcome  = "an outcome of the list, not UNMAPPED"
	wantAmount   = "minor units of the currency, not negative"
	wantReporter = "at most 64 characters"
)

// The bounds of the fields that are checked by hand, as the protos state them.
const (
	maxName      = 64
	maxPaymentID = 128
	maxAttemptID = 160
	maxCode      = 64
	maxReason    = 64
	maxLatencyMS = 86_400_000
	maxReports   = 1000
	maxReporter  = 64
)

// bad says that a field of a request is wrong.
func bad(field, want string) *routing.FieldError {
	return &routing.FieldError{Field: field, Want: want}
}

// badAt says that an element of a list is wrong.
func badAt(list string, i int, field, want string) *routing.FieldError {
	return bad(list+"["+strconv.Itoa(i)+"]"+field, want)
}

// name reports whether s is a name of the catalogue.
func name(s string) bool {
	if s == "" || len(s) > maxName || !alphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// nameOrNone reports whether s is a name or left out.
func nameOrNone(s string) bool { return s == "" || name(s) }

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c)
}

// printable reports whether s is 1 to most printable ASCII characters without blanks.
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

func printableOrNone(s string, most int) bool { return s == "" || printable(s, most) }

func currencyOrNone(s string) bool {
	if s == "" {
		return true
	}
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	return len(s) == 3 && upper(s[0]) && upper(s[1]) && upper(s[2])
}

// bin reports whether s is the first 6 to 8 digits of a card, or left out.
func bin(s string) bool {
	if s == "" {
		return true
	}
	return len(s) >= 6 && len(s) <= 8 && runEnd(s, 0) == len(s)
}

func business(b configv1.BusinessType) bool {
	return b >= configv1.BusinessType_BUSINESS_TYPE_COLLECT && b <= configv1.BusinessType_BUSINESS_TYPE_QUERY
}

// followsOriginal reports whether the payment belongs to the channel of an original one.
func followsOriginal(b configv1.BusinessType) bool {
	return b >= configv1.BusinessType_BUSINESS_TYPE_REFUND && b <= configv1.BusinessType_BUSINESS_TYPE_QUERY
}

func cardType(c configv1.CardType) bool {
	return c >= configv1.CardType_CARD_TYPE_UNSPECIFIED && c <= configv1.CardType_CARD_TYPE_PREPAID
}

// outcome reports whether a caller may give it: UNMAPPED is set by Sluice only.
func outcome(o configv1.Outcome) bool {
	return o >= configv1.Outcome_OUTCOME_UNSPECIFIED && o <= configv1.Outcome_OUTCOME_TIMED_OUT
}

func reporter(s string) bool {
	return len(s) <= maxReporter || utf8.RuneCountInString(s) <= maxReporter
}
