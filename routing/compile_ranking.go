package routing

import (
	"fmt"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// strategies compiles the strategies and what they need of the channels.
func (k *compiler) strategies() {
	k.strategyOf = map[string]int32{}
	if len(k.c.GetStrategies()) == 0 {
		return
	}
	k.merits()
	logs := newLogTable()
	for i, src := range k.c.GetStrategies() {
		path := fmt.Sprintf("strategies[%d]", i)
		s := strategy{id: src.GetId(), prior: defaultPrior, logs: logs}
		_, twice := k.strategyOf[s.id]
		if k.id(path, s.id, twice) {
			k.strategyOf[s.id] = i32(len(k.plan.strategies))
		}
		if src.PriorSuccessRatePpm != nil {
			s.prior = k.share(path+".prior_success_rate_ppm", src.GetPriorSuccessRatePpm())
		}
		if n := len(src.GetCriteria()); n == 0 || n > maxCriteria {
			k.addf(path+".criteria", "1 to 12", "%d criteria", n)
		}
		for j, c := range src.GetCriteria() {
			s.criteria = append(s.criteria, k.criterion(fmt.Sprintf("%s.criteria[%d]", path, j), c))
		}
		k.exploration(path+".exploration", &s, src.GetExploration())
		if len(k.errs) == 0 {
			s.lay()
		}
		k.plan.strategies = append(k.plan.strategies, s)
	}
}

// share checks a part in ppm.
func (k *compiler) share(path string, ppm uint32) statemachine.Share {
	if ppm > uint32(statemachine.FullShare) {
		k.addf(path, "0 to 1000000", "%d is more than all", ppm)
	}
	return statemachine.Share(ppm)
}

func (k *compiler) exploration(path string, s *strategy, src *configv1.Exploration) {
	if src == nil {
		return
	}
	s.explore = exploration{
		share: k.share(path+".share_ppm", src.GetSharePpm()), gap: k.share(path+".max_gap_ppm", src.GetMaxGapPpm()),
	}
	if s.explore.share == 0 {
		k.add(path+".share_ppm", "is missing", "1 to 1000000, or no exploration")
	}
	switch src.GetChoice() {
	case configv1.ExplorationChoice_EXPLORATION_CHOICE_UNSPECIFIED, configv1.ExplorationChoice_EXPLORATION_CHOICE_DRAW:
	case configv1.ExplorationChoice_EXPLORATION_CHOICE_UNIFORM:
		s.explore.uniform = true
	default:
		k.add(path+".choice", "does not exist", "DRAW or UNIFORM")
	}
	for i := range s.criteria {
		if s.criteria[i].kind.learned() {
			return
		}
	}
	k.add(path, "has nothing to learn for", "a criterion success_rate or expected_value")
}

// merits gathers what criteria need of every channel.
func (k *compiler) merits() {
	k.plan.merits = make([]merit, len(k.c.GetChannels()))
	for i, src := range k.c.GetChannels() {
		m := merit{
			hash: xxhash.Sum64String(src.GetId()), result: 10_000, settlement: noSettlement,
			fee: fee{fixed: word(max(0, src.GetFee().GetFixed())), points: src.GetFee().GetBasisPoints(), currency: anyCurrency},
		}
		if name := src.GetFee().GetCurrency(); name != "" {
			m.fee.currency = otherCurrency
			if c, ok := k.plan.currencies[name]; ok {
				m.fee.currency = int16(c)
			}
		}
		if d := src.GetResultTime(); d != nil {
			m.result = u32(word(min(max(0, d.AsDuration().Milliseconds()), maxResultMillis)))
		}
		if d := src.GetSettlementTime(); d != nil {
			m.settlement = u32(word(min(max(0, int64(d.AsDuration().Seconds())), maxSettlement)))
		}
		k.plan.merits[i] = m
	}
}

// lay gives each criterion its place in the key: static ones share words as far as they fit.
func (s *strategy) lay() {
	used := 64 // bits of the last word
	for i := range s.criteria {
		c := &s.criteria[i]
		s.account = s.account || c.kind.ofAccount()
		s.learned = s.learned || c.kind == byExpectedValue || s.explore.share > 0
		if c.when != nil {
			s.whens = true
		}
		if !c.kind.static() {
			w := keyWord{static: -1, criterion: u8(i)}
			for b := range w.decides {
				w.decides[b] = u8(i)
			}
			c.word, used = u8(len(s.words)), 64
			s.words = append(s.words, w)
			continue
		}
		width := max(1, bits.Len64(c.worst()))
		if used+width > 64 {
			used = 0
			s.words = append(s.words, keyWord{static: i8(s.statics)})
			s.statics++
		}
		used += width
		c.word, c.shift = u8(len(s.words)-1), u8(64-used)
		c.mask = (1<<width - 1) << c.shift
		for b := range width {
			s.words[c.word].decides[int(c.shift)+b] = u8(i)
		}
	}
	s.stride = s.statics
	if s.learned {
		s.stride++
	}
}

// worst is the greatest class of a static criterion.
func (c *criterion) worst() uint64 {
	switch c.kind {
	case byPriority:
		return maxPriority
	case bySettlementTime:
		return c.bands.worst() + 1 // not declared
	case byAttribute:
		worst := uint32(0)
		for _, class := range c.classes {
			worst = max(worst, class)
		}
		return uint64(worst)
	case byFeedback, bySuccessRate, byResultTime, byWeight, byHeadroom, byCommitment, byQuota:
		return c.bands.worst()
	case byFee, byPreference, bySplit, byExpectedValue, numCriterionKinds:
	}
	return 0
}

// bindStrategy ties a route to its strategy.
func (k *compiler) bindStrategy(path string, index int32, name string) {
	r := &k.plan.routes[index]
	r.strategy = -1
	if name == "" {
		return
	}
	at, ok := k.strategyOf[name]
	if !ok {
		k.addf(path+".strategy", "the id of a strategy", "there is no strategy %q", name)
		return
	}
	r.strategy = at
	key := string(r.salt[len("split\x00"):])
	r.explored = []byte("explore\x00" + key)
	s := &k.plan.strategies[at]
	for i := range s.criteria {
		if c := &s.criteria[i]; c.kind == bySplit {
			c.dealt = i8(len(r.dealt))
			r.dealt = append(r.dealt, fmt.Appendf(nil, "criterion\x00%s@%d/%d\x00", r.id, c.step, len(r.dealt)))
		}
	}
}
