package routing

import (
	"fmt"
	"math/bits"

	"github.com/sluice-pay/sluice/statemachine"
)

// maxCriteria is the most criteria of a strategy.
const maxCriteria = 12

// defaultPrior is the success rate of a channel without a score, priorDeviation how uncertain that is.
const (
	defaultPrior   statemachine.Share = 900_000
	priorDeviation statemachine.Share = 300_000
	fullShare                         = statemachine.FullShare
	fullFeedback                      = 10_000
)

// criterionKind is what a criterion sorts by. The names are the keys of the catalogue.
type criterionKind uint8

const (
	byFeedback criterionKind = iota
	bySuccessRate
	byFee
	byResultTime
	bySettlementTime
	byWeight
	byPreference
	byHeadroom
	byCommitment
	byQuota
	bySplit
	byAttribute
	byExpectedValue
	byPriority
	numCriterionKinds
)

// String returns the key of the catalogue.
func (k criterionKind) String() string {
	return [...]string{
		"feedback", "success_rate", "fee", "result_time", "settlement_time", "weight", "preference", "headroom", "commitment",
		"quota", "split", "attribute", "expected_value", "priority",
	}[k]
}

// static reports whether the criterion reads catalogue and scores alone: then its classes are made with the table.
func (k criterionKind) static() bool {
	return k != byFee && k != byPreference && k != bySplit && k != byExpectedValue
}

// learned reports whether exploration is for the sake of the criterion.
func (k criterionKind) learned() bool { return k == bySuccessRate || k == byExpectedValue }

// ofAccount reports whether the criterion reads scores of accounts.
func (k criterionKind) ofAccount() bool { return k == byHeadroom || k == byCommitment || k == byQuota }

// strategy is a compiled strategy.
//
// The key of a candidate is a run of words, compared one after the other: the lower goes first. Neighbouring criteria that
// are static share words, which Table makes for every slot; the words of the others are made for each payment.
type strategy struct {
	id       string
	criteria []criterion
	words    []keyWord
	statics  int  // words made with the table
	stride   int  // words kept for a slot: statics, and one of merits where learned
	learned  bool // some criterion reads the success rate for each payment
	account  bool // some criterion reads scores of accounts
	whens    bool // some criterion sorts for some payments only
	prior    statemachine.Share
	explore  exploration
	logs     *logTable // for splits
}

// keyWord is one word of a key.
type keyWord struct {
	static    int8      // index among the slot's words, -1 = made for each payment
	criterion uint8     // which makes it, if it is not static
	decides   [64]uint8 // index of the criterion that a bit belongs to
}

// criterion is one compiled criterion.
type criterion struct {
	kind  criterionKind
	when  *condition // nil = always
	bands bands
	word  uint8  // of the key
	shift uint8  // of a static class in its word
	mask  uint64 // bits of a static class in its word

	step      uint32 // fee, expected value: hundredths of a per cent of the amount
	margin    fee    // expected value
	classes   []uint32
	choice    *preference
	parts     []part
	dealt     int8   // split: which of the route's salts
	of        string // attribute or tag
	tag       bool
	highFirst bool
}

// condition selects payments.
type condition struct {
	currency  string
	min, max  int64
	merchants map[string]struct{}
	tiers     map[string]struct{}
}

func (c *condition) holds(r *Request) bool {
	if c == nil {
		return true
	}
	if c.currency != "" && (r.Currency != c.currency || r.Amount < c.min || c.max > 0 && r.Amount > c.max) {
		return false
	}
	if c.merchants != nil {
		if _, ok := c.merchants[r.Merchant]; !ok {
			return false
		}
	}
	if c.tiers != nil {
		if _, ok := c.tiers[r.UserTier]; !ok {
			return false
		}
	}
	return true
}

// bands turn a value into a class; lower classes go first.
type bands struct {
	down   bool     // greater values go first
	top    uint64   // greatest value
	step   uint64   // width, at least 1
	bounds []uint64 // instead: falling lower bounds (down), or rising upper bounds
}

// class returns the class of a value; the best is 0. Steps are counted from the best value.
func (b *bands) class(v uint64) uint64 {
	v = min(v, b.top)
	if len(b.bounds) > 0 {
		for i, limit := range b.bounds {
			if b.down && v >= limit || !b.down && v < limit {
				return uint64(i)
			}
		}
		return uint64(len(b.bounds))
	}
	if b.down {
		v = b.top - v
	}
	return v / b.step
}

// worst is the greatest class.
func (b *bands) worst() uint64 {
	if len(b.bounds) > 0 {
		return uint64(len(b.bounds))
	}
	return b.top / b.step
}

// preference is what merchants prefer.
type preference struct {
	lists      [][]int32 // channels, best first
	byMerchant map[string]int32
	others     int32 // list of merchants without one, -1 = none
}

// list returns what a merchant prefers.
func (p *preference) list(merchant string) []int32 {
	at, ok := p.byMerchant[merchant]
	if !ok {
		at = p.others
	}
	if at < 0 {
		return nil
	}
	return p.lists[at]
}

// part is a channel's part of a split.
type part struct {
	channel int32
	part    uint32
}

// merit is what criteria need of a channel, close together.
type merit struct {
	fee        fee
	hash       uint64 // of its id
	result     uint32 // milliseconds
	settlement uint32 // seconds; noSettlement = not declared
}

const (
	maxSettlement   = 90 * 24 * 3600
	noSettlement    = maxSettlement + 1
	maxResultMillis = 24 * 3600 * 1000
)

// fee is fixed + amount × points ÷ 10,000, in minor units.
type fee struct {
	fixed    uint64
	points   uint32
	currency int16 // of the fixed part, anyCurrency = the payment's
}

const (
	anyCurrency   int16 = -1
	otherCurrency int16 = -2 // one that no payment has
)

// unknownCost is what cannot be compared; it goes last.
const unknownCost = ^uint64(0)

// of returns the fee for an amount in ten thousandths of a minor unit, without rounding; one of another currency than the
// payment's is unknownCost.
func (f *fee) of(amount uint64, currency int16, named bool) uint64 {
	if named && f.fixed > 0 && f.currency != anyCurrency && f.currency != currency {
		return unknownCost
	}
	hi, lo := bits.Mul64(amount, uint64(f.points))
	sum, carry := bits.Add64(lo, f.fixed*10_000, 0)
	if hi+carry > 0 || sum >= 1<<63 {
		return 1<<63 - 1
	}
	return sum
}

// unit is how far costs of an amount may differ and be equal, at least 1.
func unit(amount uint64, step uint32) uint64 {
	hi, lo := bits.Mul64(amount, uint64(step))
	if hi > 0 || lo >= 1<<63 {
		return 1<<63 - 1
	}
	return max(1, lo)
}

// worth is rate × margin − cost, where rate is in ppm: what an attempt is expected to earn. A drawn rate may be below 0 or
// above 1: clipping it would make equals of what is not.
func worth(rate int64, margin, cost uint64) int64 {
	hi, lo := bits.Mul64(margin, word(max(rate, -rate)))
	earned := int64(1<<62 - 1)
	if hi < uint64(statemachine.FullShare) {
		q, _ := bits.Div64(hi, lo, uint64(statemachine.FullShare))
		earned = min(earned, signed(q))
	}
	if rate < 0 {
		earned = -earned
	}
	return earned - min(signed(cost), 1<<62)
}

// signed keeps a number below 2⁶³, as fee.of does.
func signed(v uint64) int64 { return int64(min(v, 1<<63-1)) }

// descending turns a value into a word: the greatest goes first.
func descending(v int64) uint64 { return ^(uint64(v) ^ 1<<63) } //nolint:gosec // the bits are wanted

// label names a criterion for people: its place and its key, e.g. "2 success_rate".
func (s *strategy) label(i int) string {
	c := &s.criteria[i]
	if c.of != "" {
		return fmt.Sprintf("%d %s %s", i+1, c.kind, c.of)
	}
	return fmt.Sprintf("%d %s", i+1, c.kind)
}
