package routing

// Why says what decided a candidate's place. The numbers are those of the API's RankReason.
type Why uint8

// The reasons of a place.
const (
	WhyNone     Why = 0
	WhyPriority Why = 1 // its priority in the route
	WhySplit    Why = 2 // the percentage split of its priority
	WhyWeight   Why = 3 // its weight
	WhyOriginal Why = 4 // it is the channel of the original payment
	WhyProbe    Why = 5 // lifted to first place as a probe

	WhyCriterion   Why = 6 // a criterion of the route's strategy
	WhyExploration Why = 7 // tried so that its success rate stays known
)

// String returns the name of the API without its prefix.
func (w Why) String() string {
	switch w {
	case WhyPriority:
		return "PRIORITY"
	case WhySplit:
		return "SPLIT"
	case WhyWeight:
		return "WEIGHT"
	case WhyOriginal:
		return "ORIGINAL"
	case WhyProbe:
		return "PROBE"
	case WhyCriterion:
		return "CRITERION"
	case WhyExploration:
		return "EXPLORATION"
	case WhyNone:
	}
	return "UNSPECIFIED"
}

// DropReason says why a candidate was not usable. The numbers are those of the API's DropReason.
type DropReason uint8

// The reasons of a drop. The catalogue's come first, then the request's, then those of states and live counters.
const (
	DropNone         DropReason = 0
	DropNotInRoute   DropReason = 1
	DropBusinessType DropReason = 2
	DropInstrument   DropReason = 3
	DropCurrency     DropReason = 4
	DropTooSmall     DropReason = 5
	DropTooLarge     DropReason = 6
	DropNoAccount    DropReason = 7
	DropNotEnrolled  DropReason = 8
	DropWindow       DropReason = 9
	DropMaintenance  DropReason = 10
	DropExcluded     DropReason = 11
	DropTried        DropReason = 12
	DropNotOriginal  DropReason = 13
	DropDisabled     DropReason = 14
	DropSwitchedOff  DropReason = 15
	DropSuspended    DropReason = 16
	DropProbing      DropReason = 17
	DropRampShare    DropReason = 18
	DropRateLimited  DropReason = 19

	DropConcurrencyLimited DropReason = 20
	DropQuotaExhausted     DropReason = 21
	DropRetired            DropReason = 22
	DropThrottled          DropReason = 23
	DropDraining           DropReason = 24
)

// String returns the name of the API without its prefix.
func (d DropReason) String() string { return d.words()[0] }

// Text returns a sentence for people.
func (d DropReason) Text() string { return d.words()[1] }

func (d DropReason) words() [2]string { //nolint:gocyclo // one flat table
	switch d {
	case DropNotInRoute:
		return [2]string{"NOT_IN_ROUTE", "no route for the business type and method names it"}
	case DropBusinessType:
		return [2]string{"BUSINESS_TYPE_UNSUPPORTED", "it does not support the business type"}
	case DropInstrument:
		return [2]string{"INSTRUMENT_UNSUPPORTED", "it does not support the method, bank and card type"}
	case DropCurrency:
		return [2]string{"CURRENCY_UNSUPPORTED", "it does not take the currency"}
	case DropTooSmall:
		return [2]string{"AMOUNT_TOO_SMALL", "the amount is below its limit for the instrument"}
	case DropTooLarge:
		return [2]string{"AMOUNT_TOO_LARGE", "the amount is above its limit for the instrument"}
	case DropNoAccount:
		return [2]string{"NO_ACCOUNT", "it has no merchant account of the settlement entity for the merchant"}
	case DropNotEnrolled:
		return [2]string{"NOT_ENROLLED", "the payer is not enrolled with it, and must be"}
	case DropWindow:
		return [2]string{"OUTSIDE_WINDOW", "it is closed at this time"}
	case DropMaintenance:
		return [2]string{"MAINTENANCE", "it is in announced maintenance"}
	case DropExcluded:
		return [2]string{"EXCLUDED", "the caller excluded it"}
	case DropTried:
		return [2]string{"ALREADY_TRIED", "it was tried for this payment before"}
	case DropNotOriginal:
		return [2]string{"NOT_ORIGINAL", "it is not the channel and account of the original payment"}
	case DropDisabled:
		return [2]string{"DISABLED", "automation has disabled a scope that applies"}
	case DropSwitchedOff:
		return [2]string{"SWITCHED_OFF", "an operator has switched off a scope that applies"}
	case DropSuspended:
		return [2]string{"SUSPENDED", "a scope that applies is suspended"}
	case DropProbing:
		return [2]string{"PROBING", "a scope that applies is being probed, and this payment is no probe"}
	case DropRampShare:
		return [2]string{"RAMP_SHARE", "the ramp's share of a scope that applies is used up"}
	case DropRateLimited:
		return [2]string{"RATE_LIMITED", "its admitted payments per second are used up"}
	case DropConcurrencyLimited:
		return [2]string{"CONCURRENCY_LIMITED", "as many payments as it takes at once are under way"}
	case DropQuotaExhausted:
		return [2]string{"QUOTA_EXHAUSTED", "a quota of it is used up"}
	case DropRetired:
		return [2]string{"RETIRED", "it is retired: only refunds, cancels and queries of its own payments reach it"}
	case DropDraining:
		return [2]string{"DRAINING", "it closes before the result of a new attempt would be there"}
	case DropThrottled:
		return [2]string{"THROTTLED", "it asked for fewer payments, and what it is sent for now is used up"}
	case DropNone:
	}
	return [2]string{"UNSPECIFIED", "usable"}
}
