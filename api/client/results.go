package client

import (
	"math"
	"sync"

	"github.com/cespare/xxhash/v2"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	sliceSeconds = 10      // of a window
	windowSlices = 6       // so that it is a minute long
	knownResults = 1 << 14 // attempts and payers that are remembered, newer ones overwrite older ones
	maxCounted   = 10_000  // items that results are kept of

	// An item fails by the client's own counts when this many distinct payers failed on it within the window, and more than
	// half of its payments fail, with 99.5 % confidence: too little to cut a channel for everybody, enough to prefer another.
	fewestBad  = 5
	mostBad    = 0.5
	confidence = 2.576 // standard deviations
)

// results are the client's own counts of results, of the last minute. They are what it has when the control plane is gone for
// long.
type results struct {
	mu    sync.Mutex
	known [knownResults]uint64 // attempts that were counted, by hash
	items map[int32]*minute    // by index in the plan
}

// minute is what came back of one item.
type minute struct {
	slices [windowSlices]struct {
		at        int64 // number of the slice since 1970
		good, bad uint32
	}
	good, bad uint64 // in all
}

func (w *minute) add(second int64, good bool) {
	at := second / sliceSeconds
	s := &w.slices[at%windowSlices]
	if s.at != at {
		s.at, s.good, s.bad = at, 0, 0
	}
	if good {
		s.good++
		w.good++
	} else {
		s.bad++
		w.bad++
	}
}

// sum returns what the last minute brought.
func (w *minute) sum(second int64) (good, bad uint32) {
	for i := range w.slices {
		if s := &w.slices[i]; s.at > second/sliceSeconds-windowSlices {
			good += s.good
			bad += s.bad
		}
	}
	return good, bad
}

// fails reports whether the item fails by its last minute: the lower bound of its failures (Wilson's interval).
func (w *minute) fails(second int64) bool {
	g, b := w.sum(second)
	if b < fewestBad {
		return false
	}
	n, p := float64(g)+float64(b), float64(b)/(float64(g)+float64(b))
	z2 := confidence * confidence
	lower := (p + z2/(2*n) - confidence*math.Sqrt(p*(1-p)/n+z2/(4*n*n))) / (1 + z2/n)
	return lower > mostBad
}

// once reports whether a hash is new, and remembers it.
func (r *results) once(hash uint64) bool {
	at := &r.known[hash%knownResults]
	if *at == hash {
		return false
	}
	*at = hash
	return true
}

// add counts a result, and returns what it means for the money, false for one of another catalogue. Health is counted once for
// an attempt, and not for what says nothing about it.
func (r *results) add(t *routing.Table, m *sluicev1.Report, second int64) (routing.Result, bool) {
	business, outcome := routepb.ToBusiness(m.GetBusinessType()), routepb.ToOutcome(m.GetOutcome())
	meaning, err := t.Plan().Interpret(m.GetChannel(), outcome, m.GetRawCode())
	if err != nil {
		return routing.Result{}, false
	}
	at, err := t.Attribute(m.GetChannel(), m.GetAccount(), business, routepb.ToInstrument(m.GetMethod(), m.GetBank(), m.GetCardType()), 0)
	if err != nil {
		return routing.Result{}, false
	}
	result := routing.Result{
		Entity: at.Entity, Payment: m.GetPaymentId(), Business: business, Channel: m.GetChannel(), Account: m.GetAccount(),
		Attempt: m.GetAttemptId(), Outcome: outcome, Code: m.GetRawCode(), Final: m.GetFinality() == sluicev1.Finality_FINALITY_FINAL,
		Money: t.Plan().Judge(business, m.GetChannel(), outcome, m.GetRawCode()).Money,
	}
	if meaning.Outcome == statemachine.Pending {
		return result, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := m.GetAttemptId(); id != "" && !r.once(xxhash.Sum64String(id)) {
		result.Known = !result.Final
		return result, true
	}
	r.health(meaning.Outcome.Health(), at.Items[:], m, second)
	return result, true
}

// health counts what a result means for the items of its attempt.
func (r *results) health(h statemachine.Health, items []int32, m *sluicev1.Report, second int64) {
	good := false
	switch h {
	case statemachine.HealthGood:
		good = true
	case statemachine.HealthAccountBad:
		items = items[accountItem : accountItem+1]
	case statemachine.HealthBad, statemachine.HealthHalf:
	case statemachine.HealthNone:
		return
	}
	payer := m.GetPayerKey()
	if payer == 0 {
		payer = xxhash.Sum64String(m.GetPaymentId())
	}
	for _, item := range items {
		// One payer's repeated failures of a minute are one piece of evidence.
		if !good && !r.once(mix(payer, uint64(item), uint64(second/(sliceSeconds*windowSlices)))) { //nolint:gosec // bits to hash
			continue
		}
		w := r.items[item]
		if w == nil {
			if len(r.items) >= maxCounted {
				continue
			}
			w = &minute{}
			r.items[item] = w
		}
		w.add(second, good)
	}
}

// accountItem is the place of channel × account among the items of a report.
const accountItem = 3

// mix hashes numbers.
func mix(words ...uint64) uint64 {
	h := uint64(0)
	for _, w := range words {
		h = (h ^ w) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h | 1 // never the zero of an empty place
}

// failing returns the items that fail by the client's own counts, of the kinds that name one thing a channel does: the channel,
// one of its accounts, one of its instruments.
func (r *results) failing(p *routing.Plan, second int64) map[statemachine.Scope]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[statemachine.Scope]bool{}
	items := p.Items()
	for i, w := range r.items {
		if int(i) >= len(items) || !p.Has(items[i]) {
			continue
		}
		switch items[i].Kind {
		case statemachine.ScopeChannel, statemachine.ScopeAccount, statemachine.ScopeInstrument:
			if w.fails(second) {
				out[items[i]] = true
			}
		case statemachine.ScopeUnspecified, statemachine.ScopeDomain, statemachine.ScopeBusiness, statemachine.ScopeMethod:
		}
	}
	return out
}

// of returns all that came back of a scope so far.
func (r *results) of(p *routing.Plan, s statemachine.Scope) (good, bad uint64) {
	i, ok := p.Item(s)
	if !ok {
		return 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.items[i]; w != nil {
		return w.good, w.bad
	}
	return 0, 0
}

// observe takes note of a result that a reporter was given or Next was told: for the client's own counts, and so that an
// attempt in doubt is remembered for a caller that forgets it. An attempt counts once.
func (c *Client) observe(m *sluicev1.Report) {
	t := c.table()
	if t == nil {
		return
	}
	second := c.now().Unix()
	if result, ok := c.results.add(t, m, second); ok {
		c.settle(m, &result, second)
		one := [1]routing.Result{result}
		c.memory.Learn(one[:], second)
	}
}

// reportOf is what Next knows of an attempt, as a report.
func reportOf(m *sluicev1.RouteRequest, to *sluicev1.RankedChannel, r Result) *sluicev1.Report {
	p := m.GetPayment()
	return &sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: p.GetPaymentId(), Channel: to.GetChannel(), Account: to.GetAccount(),
		Method: p.GetMethod(), Bank: p.GetBank(), CardType: p.GetCardType(), BusinessType: p.GetBusinessType(),
		Outcome: r.Outcome, RawCode: r.RawCode, PayerKey: p.GetPayerKey(), Amount: p.GetAmount(), Currency: p.GetCurrency(),
	}
}
