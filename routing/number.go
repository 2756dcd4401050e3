package routing

import (
	"math"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// i32 converts an index: CompilePlan bounds every list (maxItems, maxSlots) far below its range.
func i32(n int) int32 { return int32(n) } //nolint:gosec // bounded, see above

// u8 and i8 convert the index of a candidate (MaxCandidates) or currency (maxCurrencies).
func u8(n int) uint8 { return uint8(n) } //nolint:gosec // bounded, see above

func i8(n int) int8 { return int8(n) } //nolint:gosec // bounded, see above

// word turns a number into bits to hash or to render; nothing is lost.
func word(n int64) uint64 { return uint64(n) } //nolint:gosec // the bits are wanted

// u32 clips a count of one second.
func u32(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// businessOf converts a business type of the catalogue; ok is false for one that does not exist or is not given.
func businessOf(t configv1.BusinessType) (b statemachine.BusinessType, ok bool) {
	if t <= 0 || t >= configv1.BusinessType(statemachine.NumBusinessTypes) {
		return 0, false
	}
	return statemachine.BusinessType(t), true
}

// outcomeOf converts an outcome of a code table; ok is false for one that a table must not hold.
func outcomeOf(o configv1.Outcome) (out statemachine.Outcome, ok bool) {
	if o <= 0 || o >= configv1.Outcome(statemachine.OutcomeUnmapped) {
		return 0, false
	}
	return statemachine.Outcome(o), true
}

// CardName is a card type as instruments have it, statemachine.NoBank for none and for one that does not exist.
func CardName(t configv1.CardType) string {
	switch t {
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
