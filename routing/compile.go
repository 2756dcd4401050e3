package routing

import (
	"fmt"
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// Bounds of a plan, beside those of the catalogue's fields: a few lines can span many combinations.
const (
	maxItems      = 4_000_000
	maxSlots      = 8_000_000
	maxCurrencies = 256
	maxPriority   = 1000
)

// compiler gathers a plan and everything that is wrong with its catalogue.
type compiler struct {
	problems

	c    *configv1.Catalog
	prev *Plan
	plan *Plan

	codes     map[string]codeTable
	poolOf    map[string]int        // index in Plan.pools of a shared pool, absent = not limited
	pooled    map[string]bool       // ids of the shared pools
	capacity  map[capacityKey][]int // indices in Plan.pools
	shapeFrom map[string]string     // path that first showed a method's shape
	setOf     map[setKey]int32      // account sets
	termsOf   map[string]int32      // terms by their text
	tally     int                   // slots so far

	strategyOf map[string]int32 // index in Plan.strategies
}

type capacityKey struct{ channel, account string }

type setKey struct {
	channel         int32
	entity, account string // account: the only one a route member may use, empty = any
}

// CompilePlan compiles a catalogue: the heavy half, shared by the tables of all states. Every mistake is reported at once: the
// error joins one *Problem each (see Problems). prev, if given, keeps the indices of its items: new items are appended. The
// plan keeps the catalogue for its snapshots: it must not be changed afterwards.
func CompilePlan(c *configv1.Catalog, prev *Plan) (*Plan, error) {
	k := &compiler{
		c: c, prev: prev,
		plan: &Plan{
			source: published{catalog: c}, lifetime: 10_000, itemOf: map[statemachine.Scope]int32{}, domainOf: map[string]int32{}, channelOf: map[string]int32{},
			entities: map[string]struct{}{}, methods: map[string]shape{}, currencies: map[string]uint8{},
			laneOf: map[statemachine.Lane]int32{}, wayOf: map[wayKey]int32{},
			policies: map[string]statemachine.Policy{}, facts: map[string]statemachine.ChannelFacts{},
		},
		codes: map[string]codeTable{}, poolOf: map[string]int{}, pooled: map[string]bool{},
		capacity: map[capacityKey][]int{}, shapeFrom: map[string]string{}, setOf: map[setKey]int32{}, termsOf: map[string]int32{},
	}
	k.head()
	k.codeTables()
	k.items()
	for i, ch := range c.GetChannels() {
		k.channel(i, ch)
	}
	k.strategies()
	k.limits()
	k.allRoutes()
	k.staticOrder()
	if err := k.err(); err != nil {
		return nil, err
	}
	k.plan.instruments = newInstrumentIndex(k.plan.channels)
	k.fleet()
	return k.plan, nil
}

// items takes over the indices of the plan before.
func (k *compiler) items() {
	if k.prev != nil {
		k.plan.items = slices.Clone(k.prev.items)
	}
}

// item returns the index of an item, the one it had before if there is one.
func (k *compiler) item(s statemachine.Scope) int32 {
	if i, ok := k.plan.itemOf[s]; ok {
		return i
	}
	if k.prev != nil {
		if i, ok := k.prev.indexEver(s); ok {
			k.plan.itemOf[s] = i
			return i
		}
	}
	i := i32(len(k.plan.items))
	k.plan.items = append(k.plan.items, s)
	k.plan.itemOf[s] = i
	return i
}

// indexEver finds an item that this plan or one before it had.
func (p *Plan) indexEver(s statemachine.Scope) (int32, bool) {
	if i, ok := p.itemOf[s]; ok {
		return i, true
	}
	if len(p.items) == len(p.itemOf) {
		return 0, false
	}
	i := slices.Index(p.items, s)
	return i32(i), i >= 0
}

// head compiles what stands before the channels.
func (k *compiler) head() {
	c := k.c
	if d := c.GetDecisionLifetime(); d != nil {
		k.plan.lifetime = d.AsDuration().Milliseconds()
		if k.plan.lifetime < 1000 || k.plan.lifetime > 300_000 {
			k.add("decision_lifetime", "out of range", "1s to 5m")
		}
	}
	if n := c.GetMaxAttempts(); n > MaxAttempts {
		k.addf("max_attempts", "0 to 64", "%d is out of range", n)
	}
	k.entities()
	for i, d := range c.GetFailureDomains() {
		path := fmt.Sprintf("failure_domains[%d]", i)
		_, twice := k.plan.domainOf[d.GetId()]
		if k.id(path, d.GetId(), twice) {
			k.plan.domainOf[d.GetId()] = i32(len(k.plan.domains))
			k.plan.domains = append(k.plan.domains, d.GetId())
		}
		if d.GetKind() == configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_UNSPECIFIED {
			k.add(path+".kind", "is missing", "what the channels share, e.g. CLEARING_NETWORK")
		}
	}
	k.plan.domainChannels = make([][]int32, len(k.plan.domains))
	for i, p := range c.GetPools() {
		if k.id(fmt.Sprintf("pools[%d]", i), p.GetId(), k.pooled[p.GetId()]) {
			k.pooled[p.GetId()] = true
			k.pool("pool/"+p.GetId(), p.GetPaymentsPerSecond(), func(at int) { k.poolOf[p.GetId()] = at })
		}
	}
	k.plan.policy = policyOver(statemachine.DefaultPolicy(), c.GetDefaultPolicy())
	checkPolicy(&k.problems, "default_policy", k.plan.policy)
}

func (k *compiler) entities() {
	if len(k.c.GetEntities()) == 0 {
		k.add("entities", "is empty", "at least one settlement entity")
	}
	for i, e := range k.c.GetEntities() {
		_, twice := k.plan.entities[e.GetId()]
		if k.id(fmt.Sprintf("entities[%d]", i), e.GetId(), twice) {
			k.plan.entities[e.GetId()] = struct{}{}
		}
	}
}

// pool declares a capacity and hands its index on; one without a limit is none.
func (k *compiler) pool(name string, perSecond uint32, at func(int)) {
	if perSecond == 0 {
		return
	}
	at(len(k.plan.pools))
	k.plan.pools = append(k.plan.pools, statemachine.Pool{Name: name, PerSecond: float64(perSecond)})
}

// id checks an id of a list, and reports whether it may be taken up.
func (k *compiler) id(path, id string, twice bool) bool {
	if !validID(id) {
		k.addf(path+".id", "1 to 64 letters, digits, '.', '_' or '-', starting with a letter or a digit", "%q is no id", id)
		return false
	}
	if twice {
		k.addf(path+".id", "an id of its own", "%q is used twice", id)
	}
	return !twice
}

func validID(id string) bool {
	return statemachine.ValidName(id) && id[0] != '.' && id[0] != '_' && id[0] != '-'
}

func (k *compiler) codeTables() {
	for i, t := range k.c.GetCodeTables() {
		path := fmt.Sprintf("code_tables[%d]", i)
		_, twice := k.codes[t.GetId()]
		table := codeTable{}
		for j, code := range t.GetCodes() {
			k.code(fmt.Sprintf("%s.codes[%d]", path, j), code, table)
		}
		if k.id(path, t.GetId(), twice) {
			k.codes[t.GetId()] = table
		}
	}
}

func (k *compiler) code(path string, code *configv1.ResponseCode, into codeTable) {
	text := code.GetCode()
	if !printable(text, maxCode) {
		k.addf(path+".code", "1 to 64 printable ASCII characters without blanks", "%q is no code", text)
	} else if _, twice := into[text]; twice {
		k.addf(path+".code", "each code once", "%q is mapped twice", text)
	}
	o, ok := outcomeOf(code.GetOutcome())
	if !ok {
		k.add(path+".outcome", "is missing or not allowed", "what the code means, e.g. CHANNEL_FAILED")
	}
	m := Meaning{Outcome: o, Money: o.Money(), Advice: code.GetAdvice(), Coded: true}
	if code.Final != nil {
		switch m.Money {
		case statemachine.MoneyPaid, statemachine.MoneyInDoubt:
			k.addf(path+".final", "no final, or a definite failure as outcome", "%s is never final", o)
		case statemachine.MoneyFinal, statemachine.MoneyReroutable:
			m.Money = statemachine.MoneyReroutable
			if code.GetFinal() {
				m.Money = statemachine.MoneyFinal
			}
		}
	}
	into[text] = m
}

func (k *compiler) staticOrder() {
	for i, o := range k.c.GetStaticOrder() {
		path := fmt.Sprintf("static_order[%d]", i)
		if _, ok := k.plan.methods[o.GetMethod()]; !ok {
			k.addf(path+".method", "a method of some channel", "no channel has the method %q", o.GetMethod())
		}
		for j, id := range o.GetChannels() {
			if _, ok := k.plan.channelOf[id]; !ok {
				k.addf(fmt.Sprintf("%s.channels[%d]", path, j), "the id of a channel", "there is no channel %q", id)
			}
		}
	}
}
