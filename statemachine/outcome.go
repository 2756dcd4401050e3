package statemachine

import "fmt"

// Outcome is how one attempt ended, as DESIGN's outcome table: it has one meaning for the money and another for the
// health of the channel.
type Outcome uint8

// The outcomes. OutcomeUnspecified and OutcomeUnmapped are treated as in doubt, like TimedOut.
const (
	OutcomeUnspecified Outcome = iota
	Succeeded
	Pending
	UserDeclined
	Rejected
	ChannelFailed
	AccountFailed
	Throttled
	NetworkFailed
	TimedOut
	OutcomeUnmapped // a raw code that the channel's code table does not hold
	NumOutcomes     // number of values, for tables
)

var outcomeNames = [NumOutcomes]string{ //nolint:gochecknoglobals // read-only table
	"UNSPECIFIED", "SUCCEEDED", "PENDING", "USER_DECLINED", "REJECTED", "CHANNEL_FAILED", "ACCOUNT_FAILED",
	"THROTTLED", "NETWORK_FAILED", "TIMED_OUT", "UNMAPPED",
}

// String returns the upper-case name of the API.
func (o Outcome) String() string {
	if o < NumOutcomes {
		return outcomeNames[o]
	}
	return fmt.Sprintf("OUTCOME_%d", uint8(o))
}

// ParseOutcome is the inverse of Outcome.String.
func ParseOutcome(s string) (Outcome, error) {
	for o := range NumOutcomes {
		if outcomeNames[o] == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%w: outcome %q", ErrName, s)
}

// Money is what an outcome means for the money.
type Money uint8

// The meanings for the money, in rising severity: the most severe previous attempt of a payment wins.
const (
	MoneyReroutable Money = iota // definite: nothing was paid, another channel may be tried
	MoneyFinal                   // definite: nothing was paid, do not try again
	MoneyInDoubt                 // may have been paid: query first
	MoneyPaid                    // paid
)

// Money returns the outcome's meaning for the money before a code table refines it.
func (o Outcome) Money() Money {
	switch o {
	case Succeeded:
		return MoneyPaid
	case UserDeclined, Rejected:
		return MoneyFinal
	case ChannelFailed, AccountFailed, Throttled, NetworkFailed:
		return MoneyReroutable
	case OutcomeUnspecified, Pending, TimedOut, OutcomeUnmapped, NumOutcomes:
	}
	return MoneyInDoubt
}

// Health is what an outcome means for the health of the channel.
type Health uint8

// The meanings for health.
const (
	HealthNone       Health = iota // says nothing
	HealthGood                     // the channel answered
	HealthBad                      // evidence of failure
	HealthHalf                     // evidence of failure at half weight
	HealthAccountBad               // bad for channel × account only, nothing for the other items
)

// Health returns the outcome's meaning for the channel's health.
func (o Outcome) Health() Health {
	switch o {
	case Succeeded, UserDeclined, Rejected:
		return HealthGood
	case ChannelFailed, NetworkFailed, TimedOut, OutcomeUnspecified:
		return HealthBad
	case OutcomeUnmapped:
		return HealthHalf
	case AccountFailed:
		return HealthAccountBad
	case Pending, Throttled, NumOutcomes:
	}
	return HealthNone
}
