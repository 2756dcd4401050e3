package routing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// criterion compiles one criterion of a strategy.
func (k *compiler) criterion(path string, src *configv1.Criterion) criterion {
	c := criterion{when: k.condition(path+".when", src.GetWhen())}
	switch kind := src.GetKind().(type) {
	case *configv1.Criterion_Feedback:
		c.kind, c.bands = byFeedback, k.stepped(path+".feedback.step", true, fullFeedback, kind.Feedback.GetStep())
	case *configv1.Criterion_SuccessRate:
		c.kind, c.bands = bySuccessRate, k.shares(path+".success_rate", kind.SuccessRate.GetStepPpm(), kind.SuccessRate.GetBoundsPpm())
	case *configv1.Criterion_Headroom:
		c.kind, c.bands = byHeadroom, k.shares(path+".headroom", kind.Headroom.GetStepPpm(), kind.Headroom.GetBoundsPpm())
	case *configv1.Criterion_Commitment:
		c.kind, c.bands = byCommitment, k.shares(path+".commitment", kind.Commitment.GetStepPpm(), kind.Commitment.GetBoundsPpm())
	case *configv1.Criterion_Quota:
		c.kind, c.bands = byQuota, k.shares(path+".quota", kind.Quota.GetStepPpm(), kind.Quota.GetBoundsPpm())
	case *configv1.Criterion_ResultTime:
		c.kind = byResultTime
		c.bands = k.durations(path+".result_time", time.Millisecond, maxResultMillis, kind.ResultTime.GetStep(), kind.ResultTime.GetBounds())
	case *configv1.Criterion_SettlementTime:
		c.kind = bySettlementTime
		c.bands = k.durations(path+".settlement_time", time.Second, maxSettlement, kind.SettlementTime.GetStep(), kind.SettlementTime.GetBounds())
	case *configv1.Criterion_Weight:
		c.kind, c.bands = byWeight, k.stepped(path+".weight.step", true, maxWeight, kind.Weight.GetStep())
	case *configv1.Criterion_Priority:
		c.kind = byPriority
	case *configv1.Criterion_Fee:
		c.kind, c.step = byFee, k.points(path+".fee.step_basis_points", kind.Fee.GetStepBasisPoints())
	case *configv1.Criterion_ExpectedValue:
		k.expectedValue(path+".expected_value", &c, kind.ExpectedValue)
	case *configv1.Criterion_Preference:
		k.preference(path+".preference", &c, kind.Preference)
	case *configv1.Criterion_Split:
		k.split(path+".split", &c, kind.Split)
	case *configv1.Criterion_Attribute:
		k.attribute(path+".attribute", &c, kind.Attribute)
	default:
		k.add(path, "has no kind", "one of feedback, success_rate, fee, result_time, settlement_time, weight, preference, headroom, "+
			"commitment, quota, split, attribute, expected_value, priority")
	}
	return c
}

// maxWeight is the greatest weight of a channel.
const maxWeight = 1_000_000

func (k *compiler) condition(path string, src *configv1.Condition) *condition {
	if src == nil {
		return nil
	}
	c := &condition{currency: src.GetCurrency(), min: src.GetMinAmount(), max: src.GetMaxAmount()}
	if c.currency != "" {
		if _, ok := k.plan.currencies[c.currency]; !ok {
			k.addf(path+".currency", "a currency of some channel", "no channel takes %q", c.currency)
		}
	} else if c.min != 0 || c.max != 0 {
		k.add(path+".currency", "is missing", "the currency of the amounts")
	}
	if c.min < 0 || c.max < 0 || c.max > 0 && c.max < c.min {
		k.addf(path+".max_amount", "0 ≤ min_amount ≤ max_amount, or max_amount 0 for none", "amounts %d to %d select no payment", c.min, c.max)
	}
	c.merchants, c.tiers = k.selector(path+".merchants", src.GetMerchants()), k.selector(path+".user_tiers", src.GetUserTiers())
	return c
}

// stepped makes bands of one width; 0 = every difference counts.
func (k *compiler) stepped(path string, down bool, top, step uint32) bands {
	if step > top {
		k.addf(path, fmt.Sprintf("0 to %d", top), "%d is out of range", step)
	}
	return bands{down: down, top: uint64(top), step: uint64(max(1, step))}
}

// shares makes bands of parts in ppm, greatest first.
func (k *compiler) shares(path string, step uint32, bounds []uint32) bands {
	b := k.stepped(path+".step_ppm", true, uint32(statemachine.FullShare), step)
	for i, v := range bounds {
		k.bound(fmt.Sprintf("%s.bounds_ppm[%d]", path, i), "below the bound before it, 1 to 1000000", i == 0 || v < bounds[i-1],
			v > 0 && v <= uint32(statemachine.FullShare), v)
		b.bounds = append(b.bounds, uint64(v))
	}
	if step > 0 && len(bounds) > 0 {
		k.add(path+".bounds_ppm", "stands beside step_ppm", "one of the two")
	}
	return b
}

// durations makes bands of times, shortest first, in whole units.
func (k *compiler) durations(path string, unit time.Duration, top uint32, step *durationpb.Duration, bounds []*durationpb.Duration) bands {
	b := bands{top: uint64(top), step: 1}
	longest := time.Duration(top) * unit
	in := func(path string, d *durationpb.Duration) time.Duration {
		v := d.AsDuration()
		if v < unit || v > longest || v%unit != 0 {
			k.addf(path, fmt.Sprintf("whole steps of %s, to %s", unit, longest), "%s is out of range", v)
		}
		return v / unit
	}
	if step != nil {
		b.step = word(int64(max(1, in(path+".step", step))))
	}
	last := time.Duration(0)
	for i, d := range bounds {
		at := fmt.Sprintf("%s.bounds[%d]", path, i)
		v := in(at, d)
		k.bound(at, "above the bound before it", v > last, true, d.AsDuration())
		last = v
		b.bounds = append(b.bounds, word(int64(v)))
	}
	if step != nil && len(bounds) > 0 {
		k.add(path+".bounds", "stands beside step", "one of the two")
	}
	return b
}

func (k *compiler) bound(path, want string, inOrder, inRange bool, v any) {
	if !inOrder || !inRange {
		k.addf(path, want, "%v is out of order or range", v)
	}
}

// points checks hundredths of a per cent.
func (k *compiler) points(path string, points uint32) uint32 {
	if points > 10_000 {
		k.addf(path, "0 to 10000", "%d is more than the amount", points)
	}
	return points
}

func (k *compiler) expectedValue(path string, c *criterion, src *configv1.ExpectedValueCriterion) {
	c.kind = byExpectedValue
	c.step = k.points(path+".step_basis_points", src.GetStepBasisPoints())
	if f := src.GetMarginFixed(); f < 0 || f > 1_000_000_000 {
		k.addf(path+".margin_fixed", "0 to 1000000000", "%d is out of range", f)
	}
	c.margin = fee{
		fixed: word(max(0, src.GetMarginFixed())), currency: anyCurrency,
		points: k.points(path+".margin_basis_points", src.GetMarginBasisPoints()),
	}
	if c.margin.fixed == 0 && c.margin.points == 0 {
		k.add(path, "has no margin", "margin_fixed or margin_basis_points")
	}
}

func (k *compiler) preference(path string, c *criterion, src *configv1.PreferenceCriterion) {
	c.kind, c.choice = byPreference, &preference{byMerchant: map[string]int32{}, others: -1}
	if len(src.GetPreferences()) == 0 {
		k.add(path+".preferences", "is empty", "at least one preference")
	}
	for i, e := range src.GetPreferences() {
		at := fmt.Sprintf("%s.preferences[%d]", path, i)
		k.selector(at+".merchants", e.GetMerchants())
		if len(e.GetMerchants()) == 0 {
			if c.choice.others >= 0 {
				k.add(at+".merchants", "is empty, as that of an entry before", "one entry for all other merchants")
			}
			c.choice.others = i32(i)
		}
		for j, m := range e.GetMerchants() {
			if _, twice := c.choice.byMerchant[m]; twice {
				k.addf(fmt.Sprintf("%s.merchants[%d]", at, j), "each merchant in one entry", "%q has an entry already", m)
			}
			c.choice.byMerchant[m] = i32(i)
		}
		c.choice.lists = append(c.choice.lists, k.channelList(at+".channels", e.GetChannels()))
	}
}

func (k *compiler) channelList(path string, ids []string) []int32 {
	if n := len(ids); n == 0 || n > MaxCandidates {
		k.addf(path, "1 to 64", "%d channels", n)
	}
	var out []int32
	for j, id := range ids {
		at, ok := k.plan.channelOf[id]
		if !ok || slices.Contains(out, at) {
			k.addf(fmt.Sprintf("%s[%d]", path, j), "the id of a channel, once", "there is no channel %q, or it is named twice", id)
			continue
		}
		out = append(out, at)
	}
	return out
}

func (k *compiler) split(path string, c *criterion, src *configv1.SplitCriterion) {
	c.kind, c.step = bySplit, src.GetGeneration()
	if n := len(src.GetParts()); n == 0 || n > MaxCandidates {
		k.addf(path+".parts", "1 to 64", "%d parts", n)
	}
	for j, p := range src.GetParts() {
		at := fmt.Sprintf("%s.parts[%d]", path, j)
		ch, ok := k.plan.channelOf[p.GetChannel()]
		if !ok || partOf(c.parts, ch) > 0 {
			k.addf(at+".channel", "the id of a channel, once", "there is no channel %q, or it has a part already", p.GetChannel())
			continue
		}
		if p.GetPart() == 0 || p.GetPart() > 1_000_000 {
			k.addf(at+".part", "1 to 1000000", "%d is out of range", p.GetPart())
		}
		c.parts = append(c.parts, part{ch, p.GetPart()})
	}
}

// attribute compiles the classes of all channels; those that lack the attribute have the last one.
func (k *compiler) attribute(path string, c *criterion, src *configv1.AttributeCriterion) {
	c.kind = byAttribute
	c.classes = make([]uint32, len(k.c.GetChannels()))
	if src.GetTag() != "" {
		k.tag(path, c, src)
		return
	}
	c.of = src.GetAttribute()
	k.attributeForm(path, c, src)
	values := map[int]int64{}
	var distinct []int64
	for i, ch := range k.c.GetChannels() {
		if v, ok := ch.GetAttributes()[c.of]; ok {
			values[i] = attributeBand(v, src, c.highFirst)
			distinct = append(distinct, values[i])
		}
	}
	if c.of != "" && len(values) == 0 {
		k.addf(path+".attribute", "a key in the attributes of some channel", "no channel has the attribute %q", c.of)
	}
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	for i := range c.classes {
		c.classes[i] = u32(word(int64(len(distinct))))
		if v, ok := values[i]; ok {
			at, _ := slices.BinarySearch(distinct, v)
			c.classes[i] = u32(word(int64(at)))
		}
	}
}

// attributeForm checks what is said of a number.
func (k *compiler) attributeForm(path string, c *criterion, src *configv1.AttributeCriterion) {
	if c.of == "" {
		k.add(path, "names nothing", "attribute, or tag with values")
	}
	switch src.GetOrder() {
	case configv1.AttributeOrder_ATTRIBUTE_ORDER_HIGHEST_FIRST:
		c.highFirst = true
	case configv1.AttributeOrder_ATTRIBUTE_ORDER_LOWEST_FIRST:
	case configv1.AttributeOrder_ATTRIBUTE_ORDER_UNSPECIFIED:
		k.add(path+".order", "is missing", "HIGHEST_FIRST or LOWEST_FIRST")
	default:
		k.add(path+".order", "does not exist", "HIGHEST_FIRST or LOWEST_FIRST")
	}
	if src.GetStep() < 0 {
		k.addf(path+".step", "0 or more", "%d is below 0", src.GetStep())
	}
	for i, v := range src.GetBounds() {
		if i > 0 && v <= src.GetBounds()[i-1] {
			k.addf(fmt.Sprintf("%s.bounds[%d]", path, i), "above the bound before it", "%d is out of order", v)
		}
	}
	if src.GetStep() != 0 && len(src.GetBounds()) > 0 {
		k.add(path+".bounds", "stands beside step", "one of the two")
	}
	if len(src.GetValues()) > 0 {
		k.add(path+".values", "stands beside attribute", "values with tag, numbers with attribute")
	}
}

// attributeBand turns a number into its band, lower ones first.
func attributeBand(v int64, src *configv1.AttributeCriterion, highFirst bool) int64 {
	switch {
	case len(src.GetBounds()) > 0:
		at, found := slices.BinarySearch(src.GetBounds(), v)
		v = int64(at)
		if found {
			v++
		}
	case src.GetStep() > 1:
		v = floorDiv(v, src.GetStep())
	}
	if highFirst {
		return ^v // as −v, without overflow
	}
	return v
}

func (k *compiler) tag(path string, c *criterion, src *configv1.AttributeCriterion) {
	c.of, c.tag = src.GetTag(), true
	if src.GetAttribute() != "" {
		k.add(path+".tag", "stands beside attribute", "one of the two")
	}
	if cmp.Or(int64(src.GetOrder()), src.GetStep(), int64(len(src.GetBounds()))) != 0 {
		k.add(path+".tag", "stands beside order, step or bounds", "values alone")
	}
	if len(src.GetValues()) == 0 {
		k.add(path+".values", "is empty", "the tag's texts, best first")
	}
	known := false
	for i, ch := range k.c.GetChannels() {
		text, ok := ch.GetTags()[c.of]
		known = known || ok
		at := slices.Index(src.GetValues(), text)
		if !ok || at < 0 {
			at = len(src.GetValues())
		}
		c.classes[i] = u32(word(int64(at)))
	}
	if !known {
		k.addf(path+".tag", "a key in the tags of some channel", "no channel has the tag %q", c.of)
	}
}
