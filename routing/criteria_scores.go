package routing

import "github.com/sluice-pay/sluice/statemachine"

// scored is what a plan's strategies make of scores: the same for all tables with the same scores.
type scored struct {
	scores *Scores
	at     []int32  // by item: index in scores plus one, 0 = it has none
	keys   []uint64 // static words of the slots of rows with a strategy; see row.key
}

// scoredBy returns what the strategies make of scores, nil if there is no strategy. States change more often than scores, so
// the last one is kept.
func (p *Plan) scoredBy(sc *Scores) *scored {
	if len(p.strategies) == 0 {
		return nil
	}
	if last := p.lastScored.Load(); last != nil && sameScores(last.scores, sc) {
		return last
	}
	x := p.score(sc)
	p.lastScored.Store(x)
	return x
}

func (p *Plan) score(sc *Scores) *scored {
	x := &scored{scores: sc, keys: make([]uint64, p.keys)}
	if sc != nil && len(sc.Scores) > 0 {
		x.at = make([]int32, len(p.items))
		for i := range sc.Scores {
			if item, ok := p.itemOf[sc.Scores[i].Item]; ok {
				x.at[item] = i32(i + 1)
			}
		}
	}
	for i := range p.rows {
		if w := &p.rows[i]; w.key >= 0 {
			x.row(p, w)
		}
	}
	return x
}

// row makes the words of a row's slots.
func (x *scored) row(p *Plan, w *row) {
	s := &p.strategies[p.routes[w.route].strategy]
	slots := p.slotsOf(w)
	for _, g := range p.groups[w.group : w.group+int32(w.nGroups)] {
		for i := g.first; i < g.first+g.n; i++ {
			at := w.key + int32(i)*i32(s.stride)
			x.words(p, s, &slots[i], slots[i].account, g.priority, x.keys[at:at+i32(s.stride)])
		}
	}
}

// words makes the static words of a candidate: of a slot by an account, or by the complement of a set for what all its
// accounts share.
func (x *scored) words(p *Plan, s *strategy, sl *slot, account int32, priority uint16, out []uint64) {
	st := x.standing(p, s, sl, account)
	clear(out)
	for i := range s.criteria {
		if c := &s.criteria[i]; c.kind.static() {
			out[s.words[c.word].static] |= c.class(p, sl.channel, priority, &st) << c.shift
		}
	}
	if s.learned {
		out[s.statics] = st.pack()
	}
}

// class returns a candidate's class by a static criterion.
func (c *criterion) class(p *Plan, channel int32, priority uint16, st *standing) uint64 {
	switch c.kind {
	case byFeedback:
		return c.bands.class(uint64(st.feedback))
	case bySuccessRate:
		return c.bands.class(uint64(st.rate))
	case byResultTime:
		return c.bands.class(uint64(st.result))
	case bySettlementTime:
		if m := p.merits[channel].settlement; m != noSettlement {
			return c.bands.class(uint64(m))
		}
		return c.bands.worst() + 1
	case byWeight:
		return c.bands.class(uint64(p.channels[channel].weight))
	case byHeadroom:
		return c.bands.class(uint64(st.headroom))
	case byCommitment:
		return c.bands.class(uint64(st.commitment))
	case byQuota:
		return c.bands.class(uint64(st.quota))
	case byAttribute:
		return uint64(c.classes[channel])
	case byPriority:
		return uint64(priority)
	case byFee, byPreference, bySplit, byExpectedValue, numCriterionKinds:
	}
	return 0
}

// standing is what scores say of a candidate, and where they say nothing, the prior.
type standing struct {
	rate, deviation             statemachine.Share
	headroom, commitment, quota statemachine.Share
	feedback                    uint32
	result                      uint32 // milliseconds
	frozen                      bool
	known                       bool // the rate is published
}

// standing looks a candidate up: the rate by its most specific item, what is left by channel and account.
func (x *scored) standing(p *Plan, s *strategy, sl *slot, account int32) standing {
	out := s.unknown(p, sl.channel)
	if x.at == nil {
		return out
	}
	co := &p.combos[sl.combo]
	learned := false
	for _, item := range [...]int32{co.instrument, co.method, co.business, co.channel} {
		sc := x.of(item)
		if sc == nil {
			continue
		}
		if !out.known && sc.SuccessRate+statemachine.Share(min(sc.Samples, 1)) > 0 {
			out.known, out.rate, out.deviation, out.feedback, out.frozen = true, sc.SuccessRate, sc.Deviation, sc.Feedback, sc.Frozen
		}
		if !learned && sc.ResultTimeMillis > 0 {
			learned, out.result = true, sc.ResultTimeMillis
		}
	}
	out.left(x.of(co.channel))
	if account >= 0 {
		out.left(x.of(p.accounts[account].item))
	}
	return out
}

// left takes over what is left of a channel or account, where it is less.
func (s *standing) left(sc *Score) {
	if sc == nil {
		return
	}
	s.headroom, s.quota = min(s.headroom, sc.Headroom), min(s.quota, sc.QuotaLeft)
	s.commitment = max(s.commitment, sc.Commitment)
}

// of returns the score of an item, nil if it has none.
func (x *scored) of(item int32) *Score {
	if x.at == nil || item < 0 || x.at[item] == 0 {
		return nil
	}
	return &x.scores.Scores[x.at[item]-1]
}

// Bits of the word of merits: what exploration and expected values need for each payment.
const (
	rateBits   = 20 // of a Share: FullShare is below 2²⁰
	rateMask   = 1<<rateBits - 1
	explorable = 1 << (2 * rateBits)
)

// pack makes the word of merits.
func (s *standing) pack() uint64 {
	w := uint64(min(s.rate, statemachine.FullShare)) | uint64(min(s.deviation, statemachine.FullShare))<<rateBits
	if s.feedback >= fullFeedback && !s.frozen {
		w |= explorable
	}
	return w
}

func rateOf(word uint64) statemachine.Share { return statemachine.Share(word & rateMask) }

func deviationOf(word uint64) statemachine.Share {
	return statemachine.Share(word >> rateBits & rateMask)
}
