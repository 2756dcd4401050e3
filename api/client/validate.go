package client

import (
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// wantName is what is right for names of the catalogue.
const wantName = "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or a digit"

// check refuses what replicas refuse of a message before routing.Request.Validate looks at the rest: numbers that are no value
// of their enum, names that begin with a sign, and whatever is shaped like a card number.
func check(m *sluicev1.RouteRequest) error {
	p := m.GetPayment()
	switch {
	case sign(p.GetMerchant()):
		return invalid("payment.merchant", wantName)
	case sign(p.GetSettlementEntity()):
		return invalid("payment.settlement_entity", wantName)
	case sign(p.GetMethod()):
		return invalid("payment.method", wantName)
	case sign(p.GetBank()):
		return invalid("payment.bank", wantName)
	case p.GetCardType() < 0 || p.GetCardType() > configv1.CardType_CARD_TYPE_PREPAID:
		return invalid("payment.card_type", "DEBIT, CREDIT, PREPAID, or nothing where the method knows no card types")
	case sign(p.GetUserTier()):
		return invalid("payment.user_tier", wantName)
	case !bin(p.GetBin()):
		return invalid("payment.bin", "the first 6 to 8 digits of the card")
	}
	if field := cardIn(m); field != "" {
		r := &refusal{
			code: codes.InvalidArgument, reason: sluicev1.ErrorReason_ERROR_REASON_CARD_NUMBER_REFUSED, field: field,
			message: field + " is shaped like a card number; send an opaque id instead", want: "is shaped like a card number; send an opaque id instead",
		}
		return r.err()
	}
	return nil
}

// sign reports whether a name begins with a sign.
func sign(name string) bool {
	return name != "" && (name[0] == '-' || name[0] == '.' || name[0] == '_')
}

// bin reports whether s is the first 6 to 8 digits of a card, or left out.
func bin(s string) bool {
	if s == "" {
		return true
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 6 && len(s) <= 8
}

// cardIn returns the field that is shaped like a card number, empty if none is.
func cardIn(m *sluicev1.RouteRequest) string {
	p := m.GetPayment()
	switch {
	case routing.CardNumber(p.GetPaymentId()):
		return "payment.payment_id"
	case routing.CardNumber(p.GetMerchant()):
		return "payment.merchant"
	case routing.CardNumber(p.GetSettlementEntity()):
		return "payment.settlement_entity"
	case routing.CardNumber(p.GetMethod()), routing.CardNumber(p.GetBank()):
		return "payment.method"
	case routing.CardNumber(p.GetUserTier()):
		return "payment.user_tier"
	case cardInAttempt(p.GetOriginal().GetAttemptId()):
		return "payment.original.attempt_id"
	case routing.CardNumber(p.GetOriginal().GetChannel()), routing.CardNumber(p.GetOriginal().GetAccount()):
		return "payment.original"
	}
	for i, a := range m.GetAttempts() {
		if cardInAttempt(a.GetAttemptId()) || slices.ContainsFunc([]string{a.GetRawCode(), a.GetAccount(), a.GetChannel()}, routing.CardNumber) {
			return "attempts[" + strconv.Itoa(i) + "]"
		}
	}
	if i := slices.IndexFunc(m.GetExclude(), routing.CardNumber); i >= 0 {
		return "exclude[" + strconv.Itoa(i) + "]"
	}
	if i := slices.IndexFunc(p.GetEnrolledChannels(), routing.CardNumber); i >= 0 {
		return "payment.enrolled_channels[" + strconv.Itoa(i) + "]"
	}
	return ""
}

// cardInAttempt is for attempt ids: one of our own may hold any digits.
func cardInAttempt(id string) bool {
	if !routing.CardNumber(id) {
		return false
	}
	_, _, err := routing.ParseAttemptID(id)
	return err != nil
}
