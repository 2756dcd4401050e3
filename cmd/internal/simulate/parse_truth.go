package simulate

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

const forEver = time.Duration(math.MaxInt64)

func parseTruth(v value) Truth {
	t := Truth{To: forEver, Otherwise: statemachine.ChannelFailed, at: v.at}
	keys := selectorFields(&t.Selector)
	keys["gateway"] = func(v value) { v.index(&t.Selector.Gateway, maxGateways) }
	keys["replica"] = func(v value) { v.index(&t.Selector.Replica, maxReplicas) }
	keys["from"] = func(v value) { v.duration(&t.From, 0, longest) }
	keys["to"] = func(v value) { v.duration(&t.To, 0, longest) }
	keys["outcomes"] = func(v value) { parseOutcomes(v, &t) }
	keys["raw_codes"] = func(v value) { parseCodes(v, &t) }
	keys["success"] = func(v value) { t.Success = parseWave(v) }
	keys["otherwise"] = func(v value) { t.otherwise = true; parseOtherwise(v, &t.Otherwise) }
	keys["factor"] = func(v value) { v.number(&t.Factor, 1e-6, 1000) }
	keys["wander"] = func(v value) { t.Wander = parseWander(v) }
	keys["reason"] = func(v value) { v.word(&t.Reason) }
	keys["incident"] = func(v value) { v.name(&t.Incident) }
	keys["common_mode"] = func(v value) { v.flag(&t.CommonMode) }
	keys["payer_burst"] = func(v value) { t.Burst = parseBurst(v) }
	keys["pending"] = func(v value) { t.Pending = parsePending(v) }
	keys["latency"] = func(v value) {
		t.Latency = &Spread{}
		parseSpread(v, t.Latency)
	}
	keys["latency_of"] = func(v value) { t.Takes = parseTakes(v) }
	v.object(keys)
	if t.Takes != nil && t.Latency == nil {
		v.fail("latency_of needs latency, for every other outcome")
	}
	checkTruth(v, &t)
	return t
}

func checkTruth(v value, t *Truth) {
	checkSays(v, t)
	if t.To <= t.From {
		v.fail("to must be after from")
	}
	if t.CommonMode && t.Incident != "" {
		v.fail("common_mode must not be cut and has no incident label")
	}
}

// checkSays reports entries that say nothing or too much.
func checkSays(v value, t *Truth) {
	bases, changes := t.bases(), t.changes()
	switch {
	case bases > 1:
		v.fail("give one of outcomes, raw_codes and success")
	case bases == 1 && t.Factor != 0:
		v.fail("factor changes the entry below and stands without outcomes, raw_codes and success")
	case bases == 0 && !changes && t.Burst == nil:
		v.fail("says nothing: want outcomes, raw_codes, success, factor, wander, latency, pending or payer_burst")
	case t.Burst != nil && (bases > 0 || changes):
		v.fail("payer_burst stands alone")
	}
	if t.otherwise && t.Success == nil && t.Factor == 0 {
		v.fail("otherwise stands with success or factor")
	}
}

// word reads what a report may carry as reason or raw code.
func (v value) word(into *string) {
	s, ok := v.text()
	if !ok {
		return
	}
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }) {
		v.fail("%q: want 1 to 64 printable ASCII characters without blanks", s)
		return
	}
	*into = s
}

// base reports whether the entry says what happens, rather than changing what the entry below says.
func (t *Truth) base() bool { return t.bases() > 0 }

// bases is how many ways the entry says what happens.
func (t *Truth) bases() (n int) {
	for _, given := range []bool{t.HasOutcomes, t.Codes != nil, t.Success != nil} {
		if given {
			n++
		}
	}
	return n
}

// changes reports whether the entry changes what the entry below says, or adds to it.
func (t *Truth) changes() bool {
	return t.Factor != 0 || t.Wander.Sigma != 0 || t.Latency != nil || t.Pending != nil
}

// index reads a number that counts from 1; "*" means any.
func (v value) index(into *int, most int) {
	if s, ok := v.text(); ok && s == "*" {
		*into = 0
		return
	}
	whole(v, into, 1, most)
}

// wild reads a name; "*" means any.
func (v value) wild(into *string) {
	if s, ok := v.text(); ok && s == "*" {
		*into = ""
		return
	}
	v.name(into)
}

// selectorFields are the selectors that truth and orders share.
func selectorFields(s *Selector) fields {
	return fields{
		"channel":        func(v value) { v.wild(&s.Channel) },
		"bank":           func(v value) { v.wild(&s.Bank) },
		"account":        func(v value) { v.wild(&s.Account) },
		"method":         func(v value) { v.wild(&s.Method) },
		"failure_domain": func(v value) { v.wild(&s.Domain) },
		"card_type": func(v value) {
			if text, ok := v.text(); ok && text != "*" {
				v.card(&s.CardType)
			}
		},
		"business_type": func(v value) {
			if text, ok := v.text(); ok && text != "*" {
				parseBusiness(v, &s.Business)
			}
		},
	}
}

func parseOutcomes(v value, t *Truth) {
	t.HasOutcomes = true
	sum := 0.0
	v.pairs(func(key string, item value) {
		o, err := statemachine.ParseOutcome(key)
		if err != nil || o == statemachine.OutcomeUnmapped || o == statemachine.OutcomeUnspecified {
			item.fail("unknown outcome %q", key)
			return
		}
		item.number(&t.Outcomes[o], 0, 1)
		sum += t.Outcomes[o]
	})
	checkSum(v, sum)
}

// parseTakes reads the latency of single outcomes.
func parseTakes(v value) *[statemachine.NumOutcomes]Spread {
	var takes [statemachine.NumOutcomes]Spread
	v.pairs(func(key string, item value) {
		o, err := statemachine.ParseOutcome(key)
		if err != nil || o == statemachine.OutcomeUnspecified {
			item.fail("unknown outcome %q", key)
			return
		}
		parseSpread(item, &takes[o])
		if takes[o].P50 == 0 {
			item.fail("want a latency above zero")
		}
	})
	return &takes
}

func parseCodes(v value, t *Truth) {
	sum := 0.0
	t.Codes = []CodeChance{}
	v.pairs(func(key string, item value) {
		c := CodeChance{Code: key}
		item.number(&c.P, 0, 1)
		sum += c.P
		t.Codes = append(t.Codes, c)
	})
	slices.SortFunc(t.Codes, func(a, b CodeChance) int { return cmp.Compare(a.Code, b.Code) })
	checkSum(v, sum)
}

func checkSum(v value, sum float64) {
	if math.Abs(sum-1) > 1e-6 {
		v.fail("probabilities add up to %.6g, want 1", sum)
	}
}

func parseWave(v value) *Wave {
	w := &Wave{Period: 24 * time.Hour}
	v.object(fields{
		"base":      func(v value) { v.number(&w.Base, 0, 1) },
		"amplitude": func(v value) { v.number(&w.Amplitude, 0, 1) },
		"period":    func(v value) { v.duration(&w.Period, time.Second, longest) },
		"phase":     func(v value) { v.number(&w.Phase, -100, 100) },
	})
	if w.Base == 0 {
		v.fail("base is missing: want the mean success rate, above 0 to 1")
	}
	return w
}

func parseWander(v value) Wander {
	w := Wander{}
	v.object(fields{
		"sigma": func(v value) { v.number(&w.Sigma, 1e-6, 5) },
		"every": func(v value) { v.duration(&w.Every, time.Second, longest) },
	})
	if w.Sigma == 0 || w.Every == 0 {
		v.fail("want sigma and every")
	}
	return w
}

func parseBurst(v value) *Burst {
	b := &Burst{}
	v.object(fields{
		"failures": func(v value) { whole(v, &b.Failures, 1, 10_000) },
		"over":     func(v value) { v.duration(&b.Over, time.Millisecond, longest) },
	})
	if b.Failures == 0 || b.Over == 0 {
		v.fail("want failures and over")
	}
	return b
}

func parsePending(v value) *Pending {
	p := &Pending{}
	v.object(fields{
		"share": func(v value) { v.number(&p.Share, 0, 1) },
		"final": func(v value) { parseSpread(v, &p.After) },
	})
	if p.Share == 0 || p.After.P50 == 0 {
		v.fail("want share, above 0 to 1, and final, how long after the first answer the result comes")
	}
	return p
}

func parseOtherwise(v value, into *statemachine.Outcome) {
	s, ok := v.text()
	if !ok {
		return
	}
	o, err := statemachine.ParseOutcome(s)
	if err != nil || o == statemachine.Succeeded || o == statemachine.OutcomeUnmapped {
		v.fail("%q: want an outcome other than SUCCEEDED, e.g. CHANNEL_FAILED", s)
		return
	}
	*into = o
}
