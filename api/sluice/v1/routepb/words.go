package routepb

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// FromCard is the inverse of routing.CardName.
func FromCard(word string) configv1.CardType {
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

// ToInstrument returns an instrument as routing has it.
func ToInstrument(method, bank string, card configv1.CardType) statemachine.Instrument {
	if bank == "" {
		bank = statemachine.NoBank
	}
	return statemachine.Instrument{Method: method, Bank: bank, CardType: routing.CardName(card)}
}

// FromBank returns the bank of an instrument as the API has it, empty for none.
func FromBank(i statemachine.Instrument) string {
	if i.Bank == statemachine.NoBank {
		return ""
	}
	return i.Bank
}

// ToBusiness has the same numbers on both sides; unknown ones become the unspecified one, which is refused.
func ToBusiness(b configv1.BusinessType) statemachine.BusinessType {
	if b < 0 || int(b) >= int(statemachine.NumBusinessTypes) {
		return statemachine.BusinessUnspecified
	}
	return statemachine.BusinessType(b)
}

// ToOutcome has the same numbers on both sides; unknown ones become UNMAPPED, which callers may not give.
func ToOutcome(o configv1.Outcome) statemachine.Outcome {
	if o < 0 || int(o) >= int(statemachine.NumOutcomes) {
		return statemachine.OutcomeUnmapped
	}
	return statemachine.Outcome(o)
}

// FromKind returns the kind of traffic that a lane's place means.
func FromKind(k statemachine.LaneKind) sluicev1.TrafficKind { return sluicev1.TrafficKind(k) + 1 }

// FromSecond returns the timestamp of a Unix second, nil for 0.
func FromSecond(s int64) *timestamppb.Timestamp {
	if s == 0 {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: s}
}
