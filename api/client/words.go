package client

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// cardWord is the card type as instruments have it, "-" for none.
func cardWord(c configv1.CardType) string {
	switch c {
	case configv1.CardType_CARD_TYPE_DEBIT:
		return "DEBIT"
	case configv1.CardType_CARD_TYPE_CREDIT:
		return "CREDIT"
	case configv1.CardType_CARD_TYPE_PREPAID:
		return "PREPAID"
	case configv1.CardType_CARD_TYPE_UNSPECIFIED:
	}
	return statemachine.NoBank
}

// cardOf is the inverse of cardWord.
func cardOf(word string) configv1.CardType {
	switch word {
	case "DEBIT":
		return configv1.CardType_CARD_TYPE_DEBIT
	case "CREDIT":
		return configv1.CardType_CARD_TYPE_CREDIT
	case "PREPAID":
		return configv1.CardType_CARD_TYPE_PREPAID
	}
	return configv1.CardType_CARD_TYPE_UNSPECIFIED
}

// instrument returns an instrument as routing has it.
func instrument(method, bank string, card configv1.CardType) statemachine.Instrument {
	if bank == "" {
		bank = statemachine.NoBank
	}
	return statemachine.Instrument{Method: method, Bank: bank, CardType: cardWord(card)}
}

// bankOf returns a bank as the API has it, empty for none.
func bankOf(i statemachine.Instrument) string {
	if i.Bank == statemachine.NoBank {
		return ""
	}
	return i.Bank
}

// businessOf has the same numbers on both sides; unknown ones become the unspecified one, which is refused.
func businessOf(b configv1.BusinessType) statemachine.BusinessType {
	if b < 0 || int(b) >= int(statemachine.NumBusinessTypes) {
		return statemachine.BusinessUnspecified
	}
	return statemachine.BusinessType(b)
}

// outcomeOf has the same numbers on both sides; unknown ones become UNMAPPED, which callers may not give.
func outcomeOf(o configv1.Outcome) statemachine.Outcome {
	if o < 0 || int(o) >= int(statemachine.NumOutcomes) {
		return statemachine.OutcomeUnmapped
	}
	return statemachine.Outcome(o)
}

// secondStamp returns the timestamp of a Unix second, nil for 0.
func secondStamp(s int64) *timestamppb.Timestamp {
	if s == 0 {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: s}
}
